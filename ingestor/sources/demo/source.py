"""The demo home as a source: registries and states first, then the past at once, then life by the wall clock.

Time. The past is played at speed 1: home time is wall time, and every event is a function of seed and time, so what
is played twice is the same to the byte. When the past is over the home goes on ``speed`` times as fast as the wall
clock: what happens ``h`` after that moment in the home is played, and dated, ``h / speed`` after it on the wall. At
speed 1 the two clocks are one for ever.

Resuming. ``start_after_us`` is the newest event already stored. Nothing up to it is played again and nothing after it
is left out, however long ago it was: what happened while nobody listened is played as past, so there is no gap. At
most one day before the first event is simulated silently.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from ingestor.sources.base import DOCUMENT_NAMES, Batch, Document, SourceHealth, SourceItem
from ingestor.sources.demo import documents
from ingestor.sources.demo.bus import Stamp, state_changed
from ingestor.sources.demo.catalogue import VERSION
from ingestor.sources.demo.player import Player

_NAP_S = 0.5


class DemoSource:
    """One demo home. ``past_us`` is how much of its past is played when there is no ``start_after_us``.

    What was not seen as it happened, the states and the past, comes in batches marked ``backfilled``.
    """

    #: What happened while it did not run is played as past.
    live = False

    def __init__(  # noqa: PLR0913 - named options with defaults
        self,
        home: str = "demo",
        *,
        past_us: int,
        start_after_us: int | None = None,
        speed: float = 1.0,
        seed: int = 1,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        batch_ms: int = 50,
        batch_events: int = 2000,
    ) -> None:
        self.health = SourceHealth(version=VERSION)
        self._home, self._seed, self._speed = home, seed, speed
        self._past_us, self._start_after_us = past_us, start_after_us
        self._clock, self._sleep = clock, sleep
        self._batch_s, self._batch_events = batch_ms / 1000, batch_events
        self._stopped = False

    async def stop(self) -> None:
        """End ``items`` after the batch it is at, within half a second."""
        self._stopped = True

    async def items(self) -> AsyncIterator[SourceItem]:
        """Yield documents, the states as a back-filled batch, the past, and then what happens, until ``stop``."""
        now_us, played_us = self._now_us(), self._start_after_us
        after_us = now_us - self._past_us if played_us is None else min(now_us, played_us)
        player = Player(seed=self._seed, after_us=after_us, played_us=played_us or 0)
        while not self._stopped and not player.reach(self._batch_events):  # noqa: ASYNC110 - works, not waits
            await asyncio.sleep(0)
        for item in self._opening(player):
            yield item
        self.health.state, self.health.connects, self.health.detail = "connected", 1, "playing the past"
        live = False
        while not self._stopped:
            now_us = self._now_us()
            events, caught_up = player.play(now_us, self._batch_events)
            for name in sorted(player.changed_documents):
                yield self._document(player, name)
            player.changed_documents.clear()
            if events:
                self.health.last_event_us = player.last_us
                yield self._batch(events, now_us, backfilled=not live)
            if caught_up and not live:
                live, self.health.detail = True, "live"
                player.quicken(now_us=now_us, speed=self._speed)
            if caught_up:
                wait_s = (player.next_us() - self._now_us()) / 1e6
                await self._sleep(min(_NAP_S, max(self._batch_s, wait_s)))
            else:
                await asyncio.sleep(0)
        self.health.state = "stopped"

    def _now_us(self) -> int:
        return int(self._clock() * 1e6)

    def _opening(self, player: Player) -> Iterator[SourceItem]:
        for name in DOCUMENT_NAMES:
            yield self._document(player, name)
        text = Stamp().text
        known = sorted(player.day.bus.states.values(), key=lambda state: state.last_updated_us)
        if known:
            events = [state_changed(state, None, text(state.last_updated_us)) for state in known]
            yield self._batch(events, self._now_us(), backfilled=True)

    def _document(self, player: Player, name: str) -> Document:
        if name == "states":
            content = documents.states(player.day.bus.states)
        elif name == "devices":
            content = documents.devices(player.day.updated)
        else:
            content = documents.PLAIN[name]()
        return Document(home=self._home, name=name, content=content)

    def _batch(self, events: list[bytes], now_us: int, *, backfilled: bool) -> Batch:
        return Batch(home=self._home, source="demo", received_at_us=now_us, events=events, backfilled=backfilled)
