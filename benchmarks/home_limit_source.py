"""Our own source against a home that throws it out: what did not arrive must lie in a gap record, closed again.

Six ordeals, each on a new ``HomeAssistantSource`` as the product makes it: a burst in one tick, of few entities and of
as many entities as events; a burst while a large frame before it is still on its way; bursts in the midst of traffic; a
consumer that stands still under load; more than 1,024 pending messages for more than ten seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.home_limit_home import ENTITIES, DrivenHome, Fired
from ingestor.sources.base import Batch, GapClosed, GapOpened, SourceItem
from ingestor.sources.homeassistant import Backoff, HomeAssistantSource

WITHIN_S = 40.0
QUIET_S = 0.6
_SMALL_BYTES = 256 * 1024
Item = TypeVar("Item", Batch, GapOpened, GapClosed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordeal:
    """What became of what was fired. ``missed`` did not arrive live; ``outside`` of those lie in no gap record.

    ``listed`` of the missed came all the same, in the list of states after the reconnect. ``stale``: entities whose
    last state the source did not give at all.
    """

    recorder: bool
    name: str
    fired: int
    live: int
    missed: int
    listed: int
    outside: int
    stale: int
    gaps_opened: int
    gaps_closed: int
    reasons: list[str]
    widest_gap_s: float

    @property
    def held(self) -> bool:
        """Nothing was lost silently."""
        return not self.outside and not self.stale and self.gaps_opened == self.gaps_closed


class Reading:
    """Everything a source yields. ``may_read`` unset: the consumer stands still."""

    def __init__(self, source: HomeAssistantSource) -> None:
        self.source = source
        self.items: list[SourceItem] = []
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def run(self) -> None:
        """Read to the end."""
        async for item in self.source.items():
            await self.may_read.wait()
            self.items.append(item)

    def all(self, kind: type[Item]) -> list[Item]:
        """Give the items of one kind, in order."""
        return [item for item in self.items if isinstance(item, kind)]

    def states(self, *, backfilled: bool) -> dict[str, set[int]]:
        """Give the numbers each driven entity was seen with."""
        seen: dict[str, set[int]] = {}
        for batch in self.all(Batch):
            if batch.backfilled is backfilled:
                for raw in batch.events:
                    if b'"sensor.driven_' in raw:
                        new = json.loads(raw)["data"]["new_state"]
                        seen.setdefault(new["entity_id"], set()).add(int(new["state"]))
        return seen

    async def until_told(self, fired: list[Fired]) -> None:
        """Wait until the source is connected and all that was fired has arrived or is told; at most ``WITHIN_S``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S):
                count = -1
                while count != len(self.items) or not self._is_current() or not judged("", fired, self).held:
                    count = len(self.items)
                    await asyncio.sleep(QUIET_S)

    def _is_current(self) -> bool:
        all_closed = len(self.all(GapOpened)) == len(self.all(GapClosed))
        lists = sum(batch.backfilled for batch in self.all(Batch))
        return all_closed and self.source.health.state == "connected" and lists >= self.source.health.connects


@asynccontextmanager
async def reading(driven: DrivenHome, *, small: bool = False) -> AsyncIterator[Reading]:
    """Run a source on the home; ``small``: with room for little, so that a consumer who stands still is soon felt."""
    sizes: dict[str, Any] = {"queue_bytes": _SMALL_BYTES, "ready_bytes": _SMALL_BYTES} if small else {}
    source = HomeAssistantSource(
        "limit",
        driven.home.url,
        driven.home.token,
        rng=random.Random(7),  # noqa: S311 - spreads retries, guards nothing
        backoff=Backoff(first_s=0.5, cap_s=2.0),
        **sizes,
    )
    read = Reading(source)
    task = asyncio.create_task(read.run())
    try:
        await read.until_told([])
        yield read
    finally:
        read.may_read.set()
        await source.stop()
        await task


async def undergo(name: str, driven: DrivenHome, *, recorder: bool) -> Ordeal:
    """Put a new source through one of ``ORDEALS``."""
    act, small = ORDEALS[name]
    async with reading(driven, small=small) as read:
        fired = await act(driven, read)
        read.may_read.set()
        await read.until_told(fired)
    return judged(name, fired, read, recorder=recorder)


def judged(name: str, fired: list[Fired], read: Reading, *, recorder: bool = False) -> Ordeal:
    """Compare what was fired with all that the source has given so far."""
    live, listed = read.states(backfilled=False), read.states(backfilled=True)
    ends = {gap.gap_id: gap.to_us for gap in read.all(GapClosed)}
    spans = [(gap.from_us, ends.get(gap.gap_id, gap.from_us)) for gap in read.all(GapOpened)]
    missed = [
        (one.entity_of(number), number, at_us)
        for one in fired
        for number, at_us in enumerate(one.times_us, one.first)
        if number not in live.get(one.entity_of(number), ())
    ]
    last = {one.entity_of(number): number for one in fired for number in range(one.first, one.first + len(one))}
    count = sum(map(len, fired))
    return Ordeal(
        recorder=recorder,
        name=name,
        fired=count,
        live=count - len(missed),
        missed=len(missed),
        listed=sum(number in listed.get(entity, ()) for entity, number, _ in missed),
        outside=sum(not any(begin <= at_us <= end for begin, end in spans) for _, _, at_us in missed),
        stale=sum(number not in live.get(entity, set()) | listed.get(entity, set()) for entity, number in last.items()),
        gaps_opened=len(spans),
        gaps_closed=len(ends),
        reasons=[gap.reason for gap in read.all(GapOpened)],
        widest_gap_s=round(max((end - begin for begin, end in spans), default=0) / 1e6, 2),
    )


async def _fire(driven: DrivenHome, ticks: list[int], *, every_s: float = 0.0, entities: int = ENTITIES) -> Fired:
    return await asyncio.to_thread(driven.fire, ticks, every_s=every_s, entities=entities)


async def _burst(driven: DrivenHome, _: Reading) -> list[Fired]:
    return [await _fire(driven, [5_000])]


async def _burst_of_many(driven: DrivenHome, _: Reading) -> list[Fired]:
    return [await _fire(driven, [5_000], entities=5_000)]


async def _burst_behind_another(driven: DrivenHome, _: Reading) -> list[Fired]:
    return [await _fire(driven, [4_000, *[0] * 20, 5_000])]


async def _bursts_in_traffic(driven: DrivenHome, read: Reading) -> list[Fired]:
    fired = []
    for _ in range(3):
        fired.append(await _fire(driven, [20] * 40 + [5_000], every_s=0.01))
        await read.until_told(fired)
    return fired


async def _standing_still(driven: DrivenHome, read: Reading) -> list[Fired]:
    read.may_read.clear()
    return [await _fire(driven, [40] * 500, every_s=0.01)]


async def _pending_for_long(driven: DrivenHome, read: Reading) -> list[Fired]:
    read.may_read.clear()
    fired = [await _fire(driven, [40] * 200, every_s=0.01)]
    await asyncio.sleep(12.0)
    return fired


#: Name -> what happens, and whether the source has room for little only.
ORDEALS: dict[str, tuple[Callable[[DrivenHome, Reading], Awaitable[list[Fired]]], bool]] = {
    "5,000 events in one tick, of 200 entities": (_burst, False),
    "5,000 in one tick, each of another entity": (_burst_of_many, False),
    "5,000 events while 4,000 are on their way": (_burst_behind_another, False),
    "three such bursts in traffic of 2,000 a second": (_bursts_in_traffic, False),
    "its consumer stands still, 20,000 events": (_standing_still, True),
    "1,024 to 4,096 pending for over 10 s": (_pending_for_long, True),
}
