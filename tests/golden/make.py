"""Make a golden data directory: what this version leaves on disk, small, from recorded frames of a real home.

    python -m tests.golden.make tests/golden/0.1.0

A directory is made once, by the version it is named after, and never again: later versions prove on it that they read
what was written then. It holds two shards' journals (begun, trimmed, with a tail that the history does not have), the
history table after a checkpoint and a compaction, the metadata store, and ``expected.json``, which says what must be
found.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingestor.event import SCHEMA
from ingestor.history import HistoryTable
from ingestor.journal import FrameKind, JournalReader, JournalWriter, Tally, shards_in, trim
from ingestor.metadata import SqliteMetadata
from ingestor.pipeline import LastStates, Pipeline, quarantine_batch, seal
from ingestor.sources.base import Batch
from ingestor.transforms.dedupe import Window
from ingestor.transforms.route import shard_of_event
from tests.ingestor.transforms.recorded import events

HOME = "home"
SHARDS = 2
PARTS = 6
PART_EVENTS = 12
#: The history has all parts but the last ones: those stand in the journal alone.
TAIL_PARTS = 2
START_US = 1_795_423_500_000_000
DOCUMENT = {"time_zone": "Europe/Amsterdam", "version": "2025.4.4"}


def make(directory: Path) -> None:
    """Write the directory. Refuses one that is there already: a golden directory is never made twice."""
    directory.mkdir(parents=True)
    metadata = SqliteMetadata(directory / "metadata" / "metadata.sqlite")
    metadata.put_document(HOME, "config", DOCUMENT)
    metadata.open_gap(
        gap_id="gap-1", home=HOME, source="test", from_us=START_US, reason="connection_lost", detail="a cable"
    )
    metadata.close_gap("gap-1", START_US + 1_000_000)
    metadata.set_cursor("reader", {0: 5, 1: 7})
    metadata.put("answer", 42)
    table = HistoryTable(directory / "history" / "events", compact_files=2, checkpoint_commits=4)
    shards = [Shard(directory / "journal" / str(number), number) for number in range(SHARDS)]
    raws = events("2025.4.4")[: PARTS * PART_EVENTS]
    for part in range(PARTS):
        given = [*raws[part * PART_EVENTS : (part + 1) * PART_EVENTS], b'{"no": "event", "part": %d}' % part]
        for shard in shards:
            mine = [raw for raw in given if shard_of_event(HOME, raw, SHARDS) == shard.number]
            shard.take(mine, metadata, START_US + part)
        if part < PARTS - TAIL_PARTS:
            move(table, directory / "journal", metadata)
            table.compact()
    for shard in shards:
        shard.journal.close()
    table.vacuum(older_than_s=0)
    table.close()
    metadata.close()
    for lock in (*directory.rglob("lock"), *directory.rglob("*.lock")):
        lock.unlink()
    _write_expected(directory)


def move(table: HistoryTable, journals: Path, metadata: SqliteMetadata) -> int:
    """Move what is in the journals to the history as the Historian does. Returns the number of new rows."""
    batches: dict[int, list[pa.RecordBatch]] = {}
    marks: dict[int, int] = {}
    for shard in shards_in(journals):
        reader = JournalReader(journals / str(shard), after_seq=table.watermarks.get(shard, 0))
        while frames := reader.read():
            for frame in frames:
                marks[shard] = frame.last_seq
                if frame.kind is FrameKind.EVENTS:
                    batches.setdefault(shard, []).append(frame.batch())
                else:
                    metadata.add_quarantined(frame.batch().to_pylist())
        reader.close()
    if not marks:
        return 0
    rows = table.append(batches, marks).rows
    for shard, seq in table.watermarks.items():
        trim(journals / str(shard), through_seq=seq, keep_s=0)
    return rows


class Shard:
    """Doors 3 to 6, for one shard. Segments are so short that some are trimmed."""

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self.journal = JournalWriter.open(directory, shard=number, segment_bytes=8_192)
        self._pipeline = Pipeline(shard=number, window=Window(1_000), states=LastStates())
        self._tally = Tally()

    def take(self, raws: list[bytes], metadata: SqliteMetadata, received_at_us: int) -> None:
        """Journal what these events become, durably."""
        if not raws:
            return
        first_seq = metadata.lease_seqs(len(raws))
        batch = Batch(home=HOME, source="test", received_at_us=received_at_us, events=raws)
        outcome = self._pipeline.process(batch, first_seq=first_seq)
        stored, refused = outcome.events.num_rows if outcome.events is not None else 0, len(outcome.rejected)
        before = self._tally
        self._tally = Tally(
            received=before.received + len(raws),
            stored=before.stored + stored,
            duplicate=before.duplicate + outcome.duplicates,
            quarantined=before.quarantined + refused,
        )
        if outcome.events is not None:
            sealed = seal(outcome.events, first_seq=first_seq, journaled_at_us=received_at_us + 9)
            self.journal.append(
                FrameKind.EVENTS, sealed, first_seq=first_seq, last_seq=first_seq + stored - 1, tally=self._tally
            )
        if refused:
            at = first_seq + stored
            rows = quarantine_batch(outcome.rejected, batch=batch, first_seq=at)
            self.journal.append(FrameKind.QUARANTINED, rows, first_seq=at, last_seq=at + refused - 1, tally=self._tally)
        self.journal.commit()


def facts(row: dict[str, Any]) -> list[Any]:
    """Return what must be found again of an event."""
    return [
        row["event_id"].hex(),
        row["seq"],
        row["event_type"],
        row["entity_id"],
        row["state"],
        row["time_fired"].isoformat(),
    ]


def _write_expected(directory: Path) -> None:
    """Read everything back with this version, the history and each journal's tail, and write it down."""
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    table = DeltaTable(str(directory / "history" / "events"))
    files = [directory / "history" / "events" / path for path in table.get_add_actions()["path"].to_pylist()]
    rows = [row for path in files for row in pq.read_table(path, partitioning=None).to_pylist()]
    in_history = len(rows)
    for shard in shards_in(directory / "journal"):
        mark = table.transaction_version(f"shard-{shard}")
        reader = JournalReader(directory / "journal" / str(shard), after_seq=mark)
        while frames := reader.read():
            for frame in frames:
                if frame.kind is FrameKind.EVENTS:
                    rows += pa.Table.from_batches([frame.batch()], schema=SCHEMA).to_pylist()
    expected = {
        "in_history": in_history,
        "events": sorted((facts(row) for row in rows), key=lambda each: each[1]),
        "quarantined": PARTS,
    }
    (directory / "expected.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Make the directory that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.make", description=__doc__)
    parser.add_argument("directory", type=Path)
    make(parser.parse_args(arguments).directory)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
