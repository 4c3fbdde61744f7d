"""Deliver parts to one shard, in order, until acknowledged. Nothing put in is ever dropped.

Two calls are under way at most: while the shard waits for the disk with one, it works on the other. A part that must be
repeated (its shard was restarted) is never overtaken by the one behind it, for the shard refuses that one
(``actors.turns``). Under load the calls grow: parts that waited go together, which costs half as much an event, and the
queue is short, so whoever cuts batches feels it soon and cuts larger ones. A repeat finds its events on disk and counts
as duplicates there.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol

import structlog

from actors.handles import ActorAway
from actors.messages import Flow, Part, Receipt
from actors.turns import OutOfTurn, Turn
from ingestor.errors import JournalFull, Overloaded
from ingestor.sources.base import Batch

FULL_RETRY_S: Final = 1.0
UNDER_WAY: Final = 2
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


@dataclass(slots=True)
class _Call:
    """A part on its way, and who waits for it. ``answer`` is that of the last try."""

    number: int
    part: Part
    waiting: list[_Waiting]
    answer: asyncio.Task[Receipt]


class Sender:
    """The way to one shard. ``put`` waits while more than ``queue_events`` events are unacknowledged."""

    def __init__(self, shard: ShardPort, flow: Flow, *, queue_events: int = 6_000, retry_s: float = 0.2) -> None:
        self._shard, self._flow = shard, flow
        self._queue_events, self._retry_s = queue_events, retry_s
        self._name = uuid.uuid4().hex
        self._numbers = 0
        self._queue: deque[_Waiting] = deque()
        self._calls: deque[_Call] = deque()
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
        if len(self._calls) < UNDER_WAY:
            self._wake.set()
        return receipt

    async def drain(self) -> None:
        """Wait until everything put so far is acknowledged."""
        async with self._room:
            await self._room.wait_for(lambda: not self._unacknowledged)

    async def close(self) -> None:
        """Stop delivering. What is not acknowledged stays the sender's to tell."""
        tasks = [self._task, *(call.answer for call in self._calls)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self) -> None:
        while True:
            self._wake.clear()
            while self._queue and len(self._calls) < UNDER_WAY:
                self._call_next()
            if self._calls and self._calls[0].answer.done():
                await self._settle(await self._until_acknowledged())
                continue
            await self._wake.wait()

    def _call_next(self) -> None:
        """Send the first part that waits, and as many behind it as may be joined to it."""
        waiting = self._next()
        for _ in waiting:
            self._queue.popleft()
        part = _joined([each.part for each in waiting])
        self._numbers += 1
        oldest = self._calls[0].number if self._calls else self._numbers
        self._calls.append(_Call(self._numbers, part, waiting, self._ask(part, self._numbers, oldest)))

    def _next(self) -> list[_Waiting]:
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

    def _ask(self, part: Part, number: int, oldest: int) -> asyncio.Task[Receipt]:
        turn = Turn(sender=self._name, number=number, oldest=oldest)
        answer = asyncio.get_running_loop().create_task(self._shard.ingest(replace(part, turn=turn)))
        answer.add_done_callback(lambda _: self._wake.set())
        return answer

    async def _settle(self, receipt: Receipt) -> None:
        call = self._calls.popleft()
        count = len(call.part.batch.events)
        self._flow.acknowledge(receipt)
        self._flow.in_flight -= count
        for waiting in call.waiting:
            if not waiting.receipt.done():
                waiting.receipt.set_result(receipt)
        async with self._room:
            self._unacknowledged -= count
            self._room.notify_all()

    async def _until_acknowledged(self) -> Receipt:
        """Give the first call's receipt, after as many repeats as it takes. Then repeat what was refused behind it."""
        call, *behind = self._calls
        repeated = False
        while not await self._acknowledged(call):
            if behind:
                await asyncio.wait([each.answer for each in behind])
            call.answer = self._ask(call.part, call.number, call.number)
            await asyncio.wait([call.answer])
            repeated = True
        for each in behind if repeated else []:
            if each.answer.exception() is not None:
                each.answer = self._ask(each.part, each.number, call.number + 1)
        return call.answer.result()

    async def _acknowledged(self, call: _Call) -> bool:
        """Tell whether this call brought a receipt; if not, return when it may be repeated."""
        error, events = call.answer.exception(), len(call.part.batch.events)
        if error is None:
            return True
        pause_s = self._retry_s
        if isinstance(error, OutOfTurn):
            pause_s = 0.0
        elif isinstance(error, Overloaded):
            pause_s = error.retry_after_s
        elif isinstance(error, JournalFull):
            log.warning("journal.full", shard=self._shard.name, error=str(error))
            pause_s = FULL_RETRY_S
        elif isinstance(error, ActorAway):
            log.warning("part.resent", shard=self._shard.name, events=events, reason=str(error))
            self._flow.resent += events
        else:
            log.error("part.failed", shard=self._shard.name, events=events, error=str(error), exc_info=error)
            self._flow.resent += events
        await asyncio.sleep(pause_s)
        return False


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
