"""A shard, as a plain class on a real disk: what it acknowledges is there, also for the next one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import orjson
import pytest

from actors.historian import Historian
from actors.messages import Part, Refusal
from actors.shard import Shard
from ingestor.errors import MetadataError
from ingestor.graph.snapshot import Snapshot
from ingestor.journal import FrameKind, JournalReader
from ingestor.settings import Settings
from ingestor.sources.base import Batch
from ingestor.transforms.route import shard_of


class Direct:
    """Asks an object directly, as a handle asks an actor."""

    def __init__(self, target: Any) -> None:
        self._target = target

    async def ask(self, method: str, *args: Any) -> Any:
        return await getattr(self._target, method)(*args)


class Graph:
    async def snapshots(self) -> list[Snapshot]:
        return []


def change(entity_id: str, state: str, second: int) -> bytes:
    fired = f"2026-11-24T06:00:{second:02d}.000000+00:00"
    new = {"entity_id": entity_id, "state": state, "attributes": {}, "last_changed": fired, "last_updated": fired}
    data = {"entity_id": entity_id, "old_state": None, "new_state": new}
    return orjson.dumps({"event_type": "state_changed", "data": data, "origin": "LOCAL", "time_fired": fired})


def part(*events: bytes) -> Part:
    return Part(batch=Batch(home="home", source="test", received_at_us=1_795_500_000_000_000, events=list(events)))


class House:
    """A data directory with its Historian, and shards that come and go."""

    def __init__(self, directory: Path, shards: int = 1) -> None:
        self.settings = Settings(data_dir=directory, shards=shards)
        self.historian = Historian(self.settings)

    def shard(self, number: int = 0) -> Shard:
        return Shard(self.settings, number, historian=Direct(self.historian), graph=Direct(Graph()))

    def on_disk(self, number: int = 0) -> list[str]:
        reader = JournalReader(self.settings.data_dir / "journal" / str(number))
        frames = [frame for frame in reader.read() if frame.kind is FrameKind.EVENTS]
        return [state for frame in frames for state in frame.batch().column("state").to_pylist()]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_what_is_acknowledged_is_on_disk(house: House) -> None:
    """The receipt comes after the frame; its numbers are those of the rows."""
    shard = house.shard()
    receipt = await shard.ingest(part(change("light.a", "on", 1), change("light.a", "off", 2)))
    assert (receipt.received, receipt.stored, receipt.last_seq) == (2, 2, 2)
    assert house.on_disk() == ["on", "off"]


async def test_repeats_bad_events_and_good_ones_add_up(house: House) -> None:
    """Received is stored, duplicate and quarantined, and the tally outlives the shard."""
    shard = house.shard()
    await shard.ingest(part(change("light.a", "on", 1)))
    receipt = await shard.ingest(part(change("light.a", "on", 1), b"no json", change("light.b", "on", 3)))
    assert (receipt.received, receipt.stored, receipt.duplicate) == (3, 1, 1)
    assert [(refusal.index, refusal.reason) for refusal in receipt.quarantined] == [(1, receipt.quarantined[0].reason)]
    await shard.drain()
    status = await house.shard().status()
    assert (status["received"], status["stored"], status["duplicate"], status["quarantined"]) == (4, 2, 1, 1)


async def test_a_new_incarnation_knows_states_and_repeats_from_journal_and_table(house: House) -> None:
    """Half is in the table, half in the journal; the next shard remembers both."""
    shard = house.shard()
    await shard.ingest(part(change("light.a", "on", 1)))
    await house.historian.flush()
    await shard.ingest(part(change("light.b", "off", 2)))
    await shard.drain()
    again = house.shard()
    states = {state["entity_id"]: state["state"] for state in await again.states()}
    assert states == {"light.a": "on", "light.b": "off"}
    receipt = await again.ingest(part(change("light.a", "on", 1), change("light.b", "off", 2)))
    assert receipt.duplicate == 2
    assert (await again.status())["epoch"] == 2


async def test_another_number_of_shards_finds_what_the_others_wrote(tmp_path: Path) -> None:
    """Written by one of one, remembered by two of two, each its own."""
    house = House(tmp_path)
    entities = [f"light.n{number}" for number in range(20)]
    shard = house.shard()
    await shard.ingest(part(*(change(entity, "on", number) for number, entity in enumerate(entities))))
    await shard.drain()
    split = House.__new__(House)
    split.settings, split.historian = Settings(data_dir=tmp_path, shards=2), house.historian
    for number in (0, 1):
        mine = [entity for entity in entities if shard_of("home", entity, 2) == number]
        assert sorted(state["entity_id"] for state in await split.shard(number).states()) == sorted(mine)


async def test_seqs_rise_for_ever(house: House) -> None:
    """A new incarnation leases anew: no number comes twice."""
    last = 0
    for second in (1, 2, 3):
        shard = house.shard()
        receipt = await shard.ingest(part(change("light.a", "on", second)))
        assert receipt.last_seq > last
        last = receipt.last_seq
        await shard.drain()


async def test_a_retry_that_fails_again_is_neither_counted_nor_written(house: House) -> None:
    """What stays in quarantine is there once."""
    shard = house.shard()
    await shard.ingest(part(b"no json"))
    outcome = await shard.retry(part(b"no json").batch)
    assert isinstance(outcome, Refusal)
    assert (await shard.status())["quarantined"] == 1


async def test_a_list_that_cannot_be_written_costs_no_acknowledgement(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quarantine's list is busy: the part is on disk and acknowledged, and the Historian makes the list good."""
    shard = house.shard()

    def busy(_rows: object) -> None:
        raise MetadataError("metadata", "is busy")

    monkeypatch.setattr(shard._metadata, "add_quarantined", busy)
    receipt = await shard.ingest(part(b"no json", change("light.a", "on", 1)))
    assert (receipt.stored, len(receipt.quarantined)) == (1, 1)
    await house.historian.flush()
    listed = house.historian._metadata.quarantined()
    assert [item["quarantine_id"] for item in listed] == [receipt.quarantined[0].quarantine_id]


async def test_many_parts_share_one_sync(house: House) -> None:
    """Parts that arrive while a commit runs wait for the next one, together."""
    shard = house.shard()
    await shard.status()
    await asyncio.gather(*(shard.ingest(part(change(f"light.n{n}", "on", n))) for n in range(30)))
    assert (await shard.status())["commits"] < 30
    assert len(house.on_disk()) == 30


@pytest.mark.parametrize("refused", ["os.fdatasync", "shard._journal.append"])
def test_a_failed_sync_ends_the_process_and_acknowledges_nothing(tmp_path: Path, refused: str) -> None:
    """A write or sync is refused: the process ends with its own code, and only what came before is acknowledged.

    It must end: it remembers the event, and would acknowledge a repeat as known.
    """
    script = textwrap.dedent(
        """
        import asyncio, os, sys
        from pathlib import Path
        from tests.actors.test_shard import House, change, part

        async def main():
            shard = House(Path(sys.argv[1])).shard()
            await shard.ingest(part(change("light.a", "on", 1)))
            print("acknowledged 1", flush=True)
            def refuse(*_, **__):
                raise OSError(5, "Input/output error")
            REFUSED = refuse
            for _ in range(2):
                try:
                    await shard.ingest(part(change("light.a", "off", 2)))
                    print("acknowledged 2", flush=True)
                except OSError:
                    pass

        asyncio.run(main())
        """,
    ).replace("REFUSED", refused)
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert ended.returncode == 70, ended.stderr[-2000:]
    assert [line for line in ended.stdout.splitlines() if line.startswith("acknowledged")] == ["acknowledged 1"]
