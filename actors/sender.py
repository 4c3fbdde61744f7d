"""Deliver parts to one shard: one at a time, in order, until acknowledged. Nothing put in is ever dropped.

One call is under way at any moment, so that a part that must be repeated (its shard was restarted) can never overtake
a later one. Under load the calls grow instead: parts that waited for the call before go together, which costs half as
much an event, and the queue is short, so whoever cuts batches feels it soon and cuts larger ones. A repeat finds its
events on disk and counts as duplicates there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

import structlog

from actors.handles import ActorAway
from actors.messages import Flow, Part, Receipt
from ingestor.errors import JournalFull, Overloaded
from ingestor.sources.base import Batch

FULL_RETRY_S: Final = 1.0
JOINED_EVENTS: Final = 2_000
JOINED_BYTES: Final = 4 * 1024 * 1024

log = structlog.get_logger()


class ShardPort(Protocol):
    """What a sender needs of a shard."""

    name: str

    async def ingest(self, part: Part) -> Receipt:
        """Acknowledge once the part is on disk."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    part: Part
    receipt: asyncio.Future[Receipt]
    joins: bool


class Sender:
    """The way to one shard. ``put`` waits while more than ``queue_events`` events are unacknowledged."""

    def __init__(self, shard: ShardPort, flow: Flow, *, queue_events: int = 4_000, retry_s: float = 0.2) -> None:
        self._shard, self._flow = shard, flow
        self._queue_events, self._retry_s = queue_events, retry_s
        self._queue: deque[_Waiting] = deque()
        self._unacknowledged = 0
        self._room = asyncio.Condition()
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._deliver())

    def put(self, part: Part, *, joins: bool = False) -> Coroutine[Any, Any, asyncio.Future[Receipt]]:
        """Queue a part when there is room; the future is done when the shard acknowledged it.

        It counts as in flight from the call on, and not only once there was room. A part that ``joins`` may go to the
        shard together with its neighbours; then the receipt is that of all of them.
        """
        self._flow.in_flight += len(part.batch.events)
        return self._queue_with_room(part, joins=joins)

    async def _queue_with_room(self, part: Part, *, joins: bool) -> asyncio.Future[Receipt]:
        count = len(part.batch.events)
        async with self._room:
            await self._room.wait_for(
                lambda: not self._unacknowledged or self._unacknowledged + count <= self._queue_events,
            )
            self._unacknowledged += count
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(part, receipt, joins))
        self._wake.set()
        return receipt

    async def drain(self) -> None:
        """Wait until everything put so far is acknowledged."""
        async with self._room:
            await self._room.wait_for(lambda: not self._unacknowledged)

    async def close(self) -> None:
        """Stop delivering. What is not acknowledged stays the sender's to tell."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _deliver(self) -> None:
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            together = self._next()
            part = _joined([waiting.part for waiting in together])
            receipt = await self._until_acknowledged(part)
            count = len(part.batch.events)
            self._flow.acknowledge(receipt)
            self._flow.in_flight -= count
            for waiting in together:
                self._queue.popleft()
                if not waiting.receipt.done():
                    waiting.receipt.set_result(receipt)
            async with self._room:
                self._unacknowledged -= count
                self._room.notify_all()

    def _next(self) -> list[_Waiting]:
        """Choose what goes next: the first part that waits, and as many behind it as may be joined to it."""
        first = self._queue[0]
        together, events, size_bytes = [first], len(first.part.batch.events), _size_bytes(first.part)
        if first.joins:
            for waiting in islice(self._queue, 1, None):
                events += len(waiting.part.batch.events)
                size_bytes += _size_bytes(waiting.part)
                fits = events <= JOINED_EVENTS and size_bytes <= JOINED_BYTES
                if not (waiting.joins and fits and _kin(first.part.batch, waiting.part.batch)):
                    break
                together.append(waiting)
        return together

    async def _until_acknowledged(self, part: Part) -> Receipt:
        while True:
            try:
                return await self._shard.ingest(part)
            except ActorAway as error:
                log.warning("part.resent", shard=self._shard.name, events=len(part.batch.events), reason=str(error))
                self._flow.resent += len(part.batch.events)
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_s)
                continue
            except JournalFull as error:
                log.warning("journal.full", shard=self._shard.name, error=str(error))
                await asyncio.sleep(FULL_RETRY_S)
                continue
            except Exception as error:
                log.exception("part.failed", shard=self._shard.name, events=len(part.batch.events), error=str(error))
                self._flow.resent += len(part.batch.events)
            await asyncio.sleep(self._retry_s)


def _size_bytes(part: Part) -> int:
    return sum(map(len, part.batch.events))


def _kin(one: Batch, other: Batch) -> bool:
    return (one.home, one.source, one.backfilled) == (other.home, other.source, other.backfilled)


def _joined(parts: list[Part]) -> Part:
    """Make one part of several, in their order. As in any batch, the time of reading is that of the newest."""
    if len(parts) == 1:
        return parts[0]
    last = parts[-1].batch
    return Part(
        batch=Batch(
            home=last.home,
            source=last.source,
            received_at_us=max(part.batch.received_at_us for part in parts),
            events=[event for part in parts for event in part.batch.events],
            backfilled=last.backfilled,
        ),
        context=[event for part in parts for event in part.context],
    )
