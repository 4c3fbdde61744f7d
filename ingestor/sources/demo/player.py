"""Plays the home's days one after the other: each event once, in order, never before its time."""

from __future__ import annotations

from collections import deque
from datetime import timedelta

from ingestor.sources.demo.bus import Stamp
from ingestor.sources.demo.day import Day, day_of

#: What follows from one cause is dated less than this after it: states taken so much earlier hold no future.
_LONGEST_CHAIN_US = 100_000


class Player:
    """The home from ``after_us`` on; nothing up to ``played_us`` is played, should that be later.

    Home time and wall time are one until ``quicken``.
    """

    def __init__(self, *, seed: int, after_us: int, played_us: int = 0) -> None:
        self._seed = seed
        self._after_us = after_us - _LONGEST_CHAIN_US
        self._played_us = max(self._after_us, played_us)
        self._stamp = Stamp()
        self._held: deque[tuple[int, bytes]] = deque()
        self.day = Day(seed=seed, day=day_of(self._after_us), stamp=self._stamp)
        self.changed_documents: set[str] = set()
        self.last_us: int | None = None

    def reach(self, events: int) -> bool:
        """Live silently towards ``after_us``, about so many events on. Whether it is reached."""
        done = self._live_until(self._after_us, events)
        self._held.clear()
        self.changed_documents.clear()
        return done

    def quicken(self, *, now_us: int, speed: float) -> None:
        """From now on the home lives ``speed`` times as fast as the wall clock."""
        self._stamp.anchor(home_us=now_us, wall_us=now_us, speed=speed)

    def play(self, now_us: int, events: int) -> tuple[list[bytes], bool]:
        """About so many events that are due, and whether these were all."""
        caught_up = self._live_until(self._stamp.home_us(now_us), events)
        due: list[bytes] = []
        while self._held and self._held[0][0] <= now_us and len(due) < events:
            self.last_us, event = self._held.popleft()
            due.append(event)
        return due, caught_up and not (self._held and self._held[0][0] <= now_us)

    def next_us(self) -> int:
        """When, on the wall clock, something may happen next."""
        next_us = self._stamp.wall_us(self.day.next_us())
        return min(next_us, self._held[0][0]) if self._held else next_us

    def _live_until(self, home_us: int, events: int) -> bool:
        while len(self._held) < events:
            done = self.day.run(home_us, events)
            out = self.day.bus.out
            self._held.extend(item for item in out if item[0] > self._played_us)
            spent = len(out)
            out.clear()
            self.changed_documents |= self.day.changed_documents
            self.day.changed_documents.clear()
            if not done:
                if spent >= events:
                    return False
                continue
            if home_us < self.day.end_us:
                return True
            self.day = Day(seed=self._seed, day=self.day.day + timedelta(days=1), stamp=self._stamp)
        return False
