"""Repeats of events that are nobody's state: a new incarnation of the shard knows them too."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from ingestor.metadata import SqliteMetadata
from tests.actors.test_shard import House, change, part


def call(number: int) -> bytes:
    """Give a service call: an event without an entity."""
    fired = f"2026-11-24T06:00:{number:02d}.000000+00:00"
    data = {"domain": "light", "service": "turn_on", "service_data": {"n": number}}
    context = {"id": f"01M83S6V9H33J1SBDCC614A9{number:02d}", "parent_id": None, "user_id": None}
    return orjson.dumps(
        {"event_type": "call_service", "data": data, "origin": "LOCAL", "time_fired": fired, "context": context}
    )


@pytest.mark.parametrize("in_table", [True, False])
async def test_a_service_call_whose_receipt_was_lost_is_stored_once(tmp_path: Path, *, in_table: bool) -> None:
    """Journaled, killed before the receipt: the sender repeats it to the next incarnation, which knows it."""
    house = House(tmp_path)
    shard = house.shard()
    await shard.ingest(part(call(1), change("light.a", "on", 1), call(2)))
    if in_table:
        await house.historian.flush()
    await shard.drain()
    receipt = await house.shard().ingest(part(call(1), change("light.a", "on", 1), call(2)))
    assert (receipt.stored, receipt.duplicate) == (0, 3)


@pytest.mark.parametrize("flushed", [True, False])
async def test_a_metadata_store_that_was_lost_or_is_old_never_makes_a_seq_come_twice(
    tmp_path: Path, *, flushed: bool
) -> None:
    """Seqs go on above all that journals and table have, whatever the lease says."""
    house = House(tmp_path)
    shard = house.shard()
    last = (await shard.ingest(part(*(change("light.a", str(n), n) for n in range(50))))).last_seq
    if flushed:
        await house.historian.flush()
    await shard.drain()
    for file in (tmp_path / "metadata").iterdir():
        file.unlink()
    assert SqliteMetadata(tmp_path / "metadata" / "metadata.sqlite").lease_seqs(1) == 1
    receipt = await House(tmp_path / "other").shard().ingest(part(change("light.a", "on", 1)))
    assert receipt.last_seq == 1
    receipt = await house.shard().ingest(part(change("light.a", "new", 55)))
    assert receipt.last_seq > last
