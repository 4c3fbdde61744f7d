"""One subscription on the Hub for this process, however many streams it serves.

A stream that falls behind, or a Hub that was restarted, costs a look into the history and never an event: the
listener is told to catch up from its own cursor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress

import structlog
from ray.exceptions import RayError

from actors import handles
from actors.hub import Live
from ingestor.errors import IngestorError

QUEUE_FRAMES = 512
RETRY_S = 0.2

log = structlog.get_logger()


class Listener:
    """One stream's bounded queue. ``behind`` is set when something was not queued: look into the history."""

    def __init__(self) -> None:
        self.behind = False
        self._queue: deque[Live] = deque()
        self._wake = asyncio.Event()

    def push(self, news: list[Live]) -> None:
        """Queue frames, or note that they were not."""
        if len(self._queue) + len(news) > QUEUE_FRAMES:
            self.fall_behind()
            return
        self._queue.extend(live for live in news if live.payload is not None)
        self._wake.set()

    def fall_behind(self) -> None:
        """Forget the queue; the history has it all."""
        self._queue.clear()
        self.behind = True
        self._wake.set()

    async def next(self, timeout_s: float) -> Live | None:
        """Give the next frame; None after ``timeout_s`` or when behind."""
        if not self._queue:
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout_s)
        return self._queue.popleft() if self._queue else None


class Feed:
    """Keeps the subscription alive while anybody listens.

    What was journaled while there was no subscription is in the history, and whoever has looked there before the Hub
    said that there is one again looks once more.
    """

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> AsyncGenerator[Listener, None]:
        """Lend a listener; close the iterator to give it back."""
        listener = Listener()
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._pump())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _pump(self) -> None:
        while self._listeners:
            subscribed = False
            try:
                async for news in handles.hub().stream("subscribe"):
                    for listener in list(self._listeners):
                        if subscribed:
                            listener.push(news)
                        else:
                            listener.fall_behind()
                    subscribed = True
                    if not self._listeners:
                        break
            except (IngestorError, RayError) as error:
                log.warning("feed.interrupted", error=str(error))
            for listener in self._listeners:
                listener.fall_behind()
            await asyncio.sleep(RETRY_S)
