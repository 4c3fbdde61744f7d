"""A new home's first events wait for its registries, in order, and never for long."""

from __future__ import annotations

import asyncio

from actors.opening import NEEDED, Opening
from ingestor.sources.base import Batch


def batch(*events: bytes) -> Batch:
    return Batch(home="home", source="test", received_at_us=1, events=list(events))


class World:
    """Notes, in order, what the opening does."""

    def __init__(self) -> None:
        self.done: list[object] = []

    async def put(self, batch: Batch) -> None:
        self.done.append(batch.events)

    async def settle(self) -> None:
        self.done.append("settled")


async def test_events_of_a_new_home_wait_until_the_registries_are_with_the_shards() -> None:
    """Two batches are held; the last registry releases them in order, after the shards have it."""
    world = World()
    opening = Opening(world.put, world.settle, known=False)
    await opening.batch(batch(b"1"))
    for name in sorted(NEEDED):
        assert world.done == []
        await opening.document(name)
    await opening.batch(batch(b"2"))
    assert world.done == ["settled", [b"1"], [b"2"]]


async def test_events_of_a_known_home_do_not_wait() -> None:
    """A restart goes on at once."""
    world = World()
    opening = Opening(world.put, world.settle, known=True)
    await opening.batch(batch(b"1"))
    assert world.done == [[b"1"]]


async def test_nothing_waits_for_registries_that_never_come() -> None:
    """A token that may not read them delays events by the time to hold, no more."""
    world = World()
    opening = Opening(world.put, world.settle, known=False, hold_s=0.02)
    await opening.batch(batch(b"1"))
    await asyncio.sleep(0.1)
    assert world.done == ["settled", [b"1"]]


async def test_a_flood_is_not_held_in_memory() -> None:
    """Beyond the number to hold, events go."""
    world = World()
    opening = Opening(world.put, world.settle, known=False, hold_events=2)
    await opening.batch(batch(b"1"))
    await opening.batch(batch(b"2"))
    assert world.done == ["settled", [b"1"], [b"2"]]
