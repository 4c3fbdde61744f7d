"""A sender delivers every part, in order, whatever happens to its shard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors.handles import ActorAway
from actors.intake import Intake
from actors.messages import Flow, Part, Receipt
from actors.sender import Sender
from actors.turns import OutOfTurn, Turn, Turns
from ingestor.errors import Overloaded
from ingestor.settings import Settings
from ingestor.sources.base import Batch


class Killed(ActorAway):
    """The shard's process was killed before it took the part; another one has begun, which knows nothing of it."""


class Shard:
    """Keeps turns as a real shard does. Its next answers are scripted: an exception is raised, None acknowledges."""

    name = "shard-0"

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.taken: list[list[bytes]] = []
        self.turns = Turns()
        self.refused = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def ingest(self, part: Part) -> Receipt:
        await self.gate.wait()
        assert part.turn is not None
        try:
            self.turns.check(part.turn)
        except OutOfTurn:
            self.refused += 1
            raise
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, Killed):
            self.turns = Turns()
        if answer is not None:
            raise answer
        self.turns.took(part.turn)
        self.taken.append(part.batch.events)
        count = len(part.batch.events)
        return Receipt(received=count, stored=count, duplicate=0, quarantined=[], last_seq=count)


def part(*events: bytes) -> Part:
    return Part(batch=Batch(home="home", source="test", received_at_us=1, events=list(events)))


@pytest.fixture
async def make() -> Callable[..., Awaitable[tuple[Shard, Flow, Sender]]]:
    async def build(*script: Exception | None, queue_events: int = 4) -> tuple[Shard, Flow, Sender]:
        shard, flow = Shard(*script), Flow()
        return shard, flow, Sender(shard, flow, queue_events=queue_events, retry_s=0.001)

    return build


Make = Callable[..., Awaitable[tuple[Shard, Flow, Sender]]]


async def test_parts_are_acknowledged_in_the_order_in_which_they_were_put(make: Make) -> None:
    """Three parts in, the same three out, in order."""
    shard, flow, sender = await make()
    receipts = [await sender.put(part(name)) for name in (b"a", b"b", b"c")]
    await asyncio.gather(*receipts)
    assert shard.taken == [[b"a"], [b"b"], [b"c"]]
    assert (flow.stored, flow.in_flight) == (3, 0)
    await sender.close()


@pytest.mark.parametrize(
    "error",
    [Killed("shard-0", "ingest"), ActorAway("shard-0", "ingest"), RuntimeError("bug"), Overloaded("shard-0", 0.001)],
)
async def test_a_part_is_repeated_until_acknowledged_and_never_overtaken(make: Make, error: Exception) -> None:
    """The shard fails twice; the first part is repeated and the second waits behind it."""
    shard, flow, sender = await make(error, error)
    first, second = await sender.put(part(b"a")), await sender.put(part(b"b"))
    await asyncio.wait_for(asyncio.gather(first, second), 5)
    assert shard.taken == [[b"a"], [b"b"]]
    assert shard.refused > 0
    assert flow.in_flight == 0
    assert flow.resent == (0 if isinstance(error, Overloaded) else 2)
    await sender.close()


async def test_parts_that_waited_for_the_call_before_go_together_and_in_order(make: Make) -> None:
    """While two are under way three more come; they take one call, read at the newest's time."""
    shard, flow, sender = await make(None, None, ActorAway("shard-0", "ingest"), queue_events=100)
    shard.gate.clear()
    receipts = []
    for name in (b"a", b"b"):
        receipts.append(await sender.put(part(name), joins=True))
        await asyncio.sleep(0.01)
    receipts += [await sender.put(part(name), joins=True) for name in (b"c", b"d", b"e")]
    shard.gate.set()
    await asyncio.wait_for(asyncio.gather(*receipts), 5)
    assert shard.taken == [[b"a"], [b"b"], [b"c", b"d", b"e"]]
    assert (flow.stored, flow.in_flight, flow.resent) == (5, 0, 3)
    await sender.close()


async def test_only_kin_that_wish_it_are_joined_and_not_without_end(make: Make) -> None:
    """Back-filled events, another home's, those whose sender wants its own receipt, and too many stay apart."""
    shard, flow, sender = await make(queue_events=100_000)
    shard.gate.clear()
    many = [b"%d" % number for number in range(1_500)]
    parts = [
        (part(b"first"), True),
        (part(*many), True),
        (part(*many), True),
        (part(b"own receipt"), False),
        (Part(batch=Batch(home="home", source="test", received_at_us=1, events=[b"old"], backfilled=True)), True),
        (Part(batch=Batch(home="other", source="test", received_at_us=1, events=[b"other"])), True),
        (part(b"last"), True),
    ]
    receipts = []
    for one, joins in parts:
        receipts.append(await sender.put(one, joins=joins))
        await asyncio.sleep(0.001)
    shard.gate.set()
    await asyncio.wait_for(asyncio.gather(*receipts), 5)
    assert shard.taken == [one.batch.events for one, _ in parts]
    assert flow.in_flight == 0
    await sender.close()


async def test_a_full_queue_holds_the_bringer_back(make: Make) -> None:
    """With four events unacknowledged, the fifth waits, counted as in flight, and goes on when there is room."""
    shard, flow, sender = await make()
    shard.gate.clear()
    await sender.put(part(b"1", b"2", b"3", b"4"))
    waiting = asyncio.create_task(sender.put(part(b"5")))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    assert flow.in_flight == 5
    shard.gate.set()
    await asyncio.wait_for(await asyncio.wait_for(waiting, 5), 5)
    assert flow.in_flight == 0
    await sender.close()


async def test_a_part_larger_than_the_queue_is_delivered_alone(make: Make) -> None:
    """Nothing waits for room that there will never be."""
    shard, _, sender = await make(queue_events=2)
    receipt = await asyncio.wait_for(sender.put(part(b"1", b"2", b"3")), 5)
    await asyncio.wait_for(receipt, 5)
    assert len(shard.taken) == 1
    await sender.close()


async def test_nothing_is_unaccounted_for_while_one_shard_has_no_room(tmp_path: Path) -> None:
    """A batch waits because its first shard is full: all of it is in flight, and the other shard has its part."""
    shards = [Shard(), Shard()]
    shards[0].gate.clear()
    intake = Intake(Settings(data_dir=tmp_path, shards=2), shard=lambda number: shards[number])
    events = [b'{"event_type":"state_changed","data":{"entity_id":"sensor.n%d"}}' % number for number in range(6_000)]
    batches = [Batch(home="home", source="test", received_at_us=1, events=events) for _ in range(2)]
    futures = await intake.put(batches[0])
    waiting = asyncio.create_task(intake.put(batches[1]))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert intake.flow.balance == 0
    assert intake.flow.received == 12_000
    assert sum(map(len, shards[1].taken)) == intake.flow.stored > 4_000
    shards[0].gate.set()
    await asyncio.wait_for(asyncio.gather(*futures, *await asyncio.wait_for(waiting, 5)), 5)
    assert (intake.flow.stored, intake.flow.in_flight, intake.flow.balance) == (12_000, 0, 0)
    await intake.close()


async def test_drain_waits_for_the_last_acknowledgement(make: Make) -> None:
    """Drain is done when, and only when, all is acknowledged."""
    shard, _, sender = await make()
    shard.gate.clear()
    await sender.put(part(b"a"))
    draining = asyncio.create_task(sender.drain())
    await asyncio.sleep(0.02)
    assert not draining.done()
    shard.gate.set()
    await asyncio.wait_for(draining, 5)
    await sender.close()


async def test_an_acknowledgement_that_was_lost_repeats_the_part_and_nothing_behind_it(make: Make) -> None:
    """The shard took the first part, but its answer was lost; the second, taken meanwhile, is not sent again."""
    shard, flow, sender = await make()
    take, lost = shard.ingest, [True]

    async def ingest(part: Part) -> Receipt:
        receipt = await take(part)
        if part.batch.events == [b"a"] and lost.pop():
            lost.append(False)
            raise ActorAway("shard-0", "ingest")
        return receipt

    shard.ingest = ingest  # type: ignore[method-assign] # the answer is lost on its way, after the real thing
    await asyncio.wait_for(asyncio.gather(await sender.put(part(b"a")), await sender.put(part(b"b"))), 5)
    assert shard.taken == [[b"a"], [b"b"], [b"a"]]
    assert (flow.stored, flow.in_flight, flow.resent) == (2, 0, 1)
    await sender.close()


def test_a_new_shard_begins_with_the_oldest_part_that_nobody_acknowledged() -> None:
    """What was sent behind it is refused until it came; a repeat is always welcome."""
    turns = Turns()
    with pytest.raises(OutOfTurn, match="part 8 of one came before part 7"):
        turns.check(Turn(sender="one", number=8, oldest=7))
    turns.check(Turn(sender="one", number=7, oldest=7))
    turns.took(Turn(sender="one", number=7, oldest=7))
    turns.check(Turn(sender="one", number=8, oldest=7))
    turns.took(Turn(sender="one", number=8, oldest=7))
    turns.check(Turn(sender="one", number=7, oldest=7))
    turns.took(Turn(sender="one", number=7, oldest=7))
    turns.check(Turn(sender="one", number=9, oldest=9))
    turns.check(Turn(sender="other", number=3, oldest=3))
