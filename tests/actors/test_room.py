"""At the journal's quota nothing is taken, nothing taken is dropped, and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.room import Room
from ingestor.errors import JournalFull
from ingestor.journal import trim
from ingestor.settings import Journal, Settings
from tests.actors.test_shard import House, change, part


def test_the_quota_counts_segments_and_is_looked_at_now_and_then(tmp_path: Path) -> None:
    """Full at the quota, with room again once a segment is gone, seen after the time between looks."""
    now = [0.0]
    room = Room(tmp_path, 100, clock=lambda: now[0])
    room.check()
    segment = tmp_path / "1.seg"
    segment.write_bytes(b"x" * 100)
    room.check()
    now[0] += 1
    with pytest.raises(JournalFull, match=r"100 of journal\.quota_bytes = 100 are used"):
        room.check()
    segment.unlink()
    now[0] += 1
    room.check()


async def test_a_full_shard_takes_nothing_and_recovers_when_the_history_caught_up(tmp_path: Path) -> None:
    """A tiny quota: refused with nothing taken; after history and trim the same part is stored."""
    house = House(tmp_path)
    house.settings = Settings(data_dir=tmp_path, shards=1, journal=Journal(segment_bytes=4096, quota_bytes=8192))
    shard = house.shard()
    number, last = 0, None
    while last is None:
        try:
            await shard.ingest(part(change(f"light.n{number}", "on", number % 60)))
            number += 1
        except JournalFull:
            last = part(change(f"light.n{number}", "on", number % 60))
        shard._room._looked_at = -1.0
    assert house.on_disk() == ["on"] * number
    await house.historian.flush()
    await shard.drain()
    trim(tmp_path / "journal" / "0", through_seq=10**9, keep_s=0.0)
    receipt = await house.shard().ingest(last)
    assert receipt.stored == 1
