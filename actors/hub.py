"""Door 7 for live subscribers: what was journaled a moment ago, to every process that serves streams.

The Hub follows the journals, so only what is on disk is shown. It keeps the newest events in a ring; each serving
process holds one subscription, however many clients it has, and fills what is older from the history itself.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ingestor.errors import QueryError
from ingestor.journal import JournalFollower, News
from ingestor.settings import Settings

POLL_S = 0.01
IDLE_POLL_S = 0.04
HEARTBEAT_S = 2.0
RING_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Events of one shard as Arrow IPC payload of the journal; ``payload`` None is a heartbeat."""

    shard: int
    last_seq: int
    payload: bytes | None


class Hub:
    """Follows all journals from the moment it starts."""

    def __init__(self, settings: Settings) -> None:
        self._follower = JournalFollower(settings.data_dir / "journal", from_now=True)
        self._ring: deque[tuple[int, Live]] = deque()
        self._ring_bytes = 0
        self._number = 0
        self._subscribers = 0
        self._news = asyncio.Condition()
        self._loop: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Start following. Harmless when it does already."""
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._follow())

    async def subscribe(self) -> AsyncIterator[list[Live]]:
        """Yield what is journaled from now on, in order per shard, several frames at a time.

        Raises ``QueryError`` to a subscriber that is slower than the ring is long: it shall catch up from the history.
        """
        await self.run()
        self._subscribers += 1
        position = self._number
        try:
            yield [self._heartbeat()]
            while True:
                if not await self._wait_beyond(position):
                    yield [self._heartbeat()]
                    continue
                if self._oldest() > position + 1:
                    raise QueryError("cursor", "a position older than the live ring", "a resume from the history")
                news = self._beyond(position)
                position = self._number
                yield news
        finally:
            self._subscribers -= 1

    async def status(self) -> dict[str, Any]:
        """Tell how many processes listen, and how much the ring holds."""
        return {"pid": os.getpid(), "subscribers": self._subscribers, "ring_bytes": self._ring_bytes}

    async def _wait_beyond(self, position: int) -> bool:
        try:
            async with asyncio.timeout(HEARTBEAT_S), self._news:
                await self._news.wait_for(lambda: self._number > position)
        except TimeoutError:
            return False
        return True

    def _beyond(self, position: int) -> list[Live]:
        """Give what came after a position, at a cost of what it gives and not of the ring's length."""
        news = [live for _, live in takewhile(lambda each: each[0] > position, reversed(self._ring))]
        return news[::-1]

    def _heartbeat(self) -> Live:
        return Live(shard=-1, last_seq=0, payload=None)

    async def _follow(self) -> None:
        idle_s = 0.0
        while True:
            news = self._follower.news()
            if news.frames or news.overtaken:
                idle_s = 0.0
                await self._tell(news)
            idle_s += POLL_S
            await asyncio.sleep(POLL_S if idle_s < 1.0 else IDLE_POLL_S)

    async def _tell(self, news: News) -> None:
        async with self._news:
            if news.overtaken:
                self._lose_the_ring()
            for frame in news.frames:
                self._number += 1
                live = Live(shard=frame.shard, last_seq=frame.last_seq, payload=bytes(frame.payload))
                self._ring.append((self._number, live))
                self._ring_bytes += len(frame.payload)
            while self._ring_bytes > RING_BYTES:
                _, old = self._ring.popleft()
                self._ring_bytes -= len(old.payload or b"")
            self._news.notify_all()

    def _oldest(self) -> int:
        """Give the number of the oldest frame that a subscriber can still get."""
        return self._ring[0][0] if self._ring else self._number + 1

    def _lose_the_ring(self) -> None:
        """Something was not read: leave a number out, so that each subscriber is sent to the history."""
        self._ring.clear()
        self._ring_bytes = 0
        self._number += 1
