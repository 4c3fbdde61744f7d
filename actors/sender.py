"""Deliver parts to one shard: one at a time, in order, until acknowledged. Nothing put in is ever dropped.

One call is under way at any moment, so that a part that must be repeated (its shard was restarted) can never overtake
a later one. Under load the parts grow instead: the queue is short, so whoever cuts the batches feels it soon and cuts
larger ones, which cost half as much an event. A repeat finds its events on disk and counts as duplicates there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from actors.handles import ActorAway
from actors.messages import Flow, Part, Receipt
from ingestor.errors import JournalFull, Overloaded

FULL_RETRY_S = 1.0

log = structlog.get_logger()


class ShardPort(Protocol):
    """What a sender needs of a shard."""

    name: str

    async def ingest(self, part: Part) -> Receipt:
        """Acknowledge once the part is on disk."""
        ...


class Sender:
    """The way to one shard. ``put`` waits while more than ``queue_events`` events are unacknowledged."""

    def __init__(self, shard: ShardPort, flow: Flow, *, queue_events: int = 4_000, retry_s: float = 0.2) -> None:
        self._shard, self._flow = shard, flow
        self._queue_events, self._retry_s = queue_events, retry_s
        self._queue: deque[tuple[Part, asyncio.Future[Receipt]]] = deque()
        self._unacknowledged = 0
        self._room = asyncio.Condition()
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._deliver())

    def put(self, part: Part) -> Coroutine[Any, Any, asyncio.Future[Receipt]]:
        """Queue a part when there is room; the future is done when the shard acknowledged it.

        It counts as in flight from the call on, and not only once there was room.
        """
        self._flow.in_flight += len(part.batch.events)
        return self._queue_with_room(part)

    async def _queue_with_room(self, part: Part) -> asyncio.Future[Receipt]:
        count = len(part.batch.events)
        async with self._room:
            await self._room.wait_for(
                lambda: not self._unacknowledged or self._unacknowledged + count <= self._queue_events,
            )
            self._unacknowledged += count
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._queue.append((part, receipt))
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
            part, future = self._queue[0]
            receipt = await self._until_acknowledged(part)
            self._queue.popleft()
            count = len(part.batch.events)
            self._flow.acknowledge(receipt)
            self._flow.in_flight -= count
            if not future.done():
                future.set_result(receipt)
            async with self._room:
                self._unacknowledged -= count
                self._room.notify_all()

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
