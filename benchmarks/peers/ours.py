"""The job on our own core: `python -m benchmarks.peers.ours FRAMES PLACES FOLDER`. One process, no actors.

Frames are cut as the source cuts them, go through the whole pipeline in batches, and each batch is committed to the
journal with ``fdatasync`` before the next is begun. What the journal has goes into the history table, synced too,
whenever there are as many rows as the product waits for, and the journal is trimmed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.peers.job import TIME_ZONE
from benchmarks.peers.meter import Meter
from ingestor.graph.snapshot import EntityFacts, Place, Snapshot
from ingestor.history import HistoryTable
from ingestor.journal import FrameKind, JournalReader, JournalWriter, Tally, trim
from ingestor.pipeline import LastStates, Pipeline, quarantine_batch, seal
from ingestor.settings import Settings
from ingestor.sources.base import Batch
from ingestor.sources.homeassistant.frames import Message, cut
from ingestor.transforms.dedupe import Window

BATCH = 2_000
WINDOW_IDS = 200_000


def snapshot(places_path: Path) -> Snapshot:
    """Give the places as the graph publishes them; each eighth entity measures its area."""
    places = json.loads(places_path.read_text(encoding="utf-8"))
    measures = {name: place.pop("measure") for name, place in places.items() if "measure" in place}
    return Snapshot(
        home="home",
        version=1,
        place=Place(time_zone=TIME_ZONE, latitude=52.37, longitude=4.89),
        measures={name: (place["area_id"], measures[name]) for name, place in places.items() if name in measures},
        entities={name: EntityFacts(**place) for name, place in places.items()},
    )


def batches(frames_path: Path) -> Iterator[Batch]:
    """Cut frames as the source does. A batch is one coalesced frame, as Home Assistant sends under load if asked to."""
    with frames_path.open("rb") as file:
        while lines := list(islice(file, BATCH)):
            pieces = cut(b"[" + b",".join(lines) + b"]")
            events = [bytes(piece.event) if isinstance(piece, Message) else piece for piece in pieces]
            yield Batch(home="home", source="homeassistant", received_at_us=time.time_ns() // 1000, events=events)


class Keeper:
    """Doors 6 and 8: journal and table, one shard."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder, self._wait_rows = folder / "journal" / "0", settings.history.commit_rows
        self.journal = JournalWriter.open(self._folder, shard=0, segment_bytes=settings.journal.segment_bytes)
        self.table = HistoryTable(folder / "history" / "events")
        self._waiting, self._next_seq = 0, 1
        self._tally = Tally()

    def keep(self, pipeline: Pipeline, batch: Batch) -> None:
        """Process a batch. On return it is on the disk."""
        outcome = pipeline.process(batch, first_seq=self._next_seq)
        if outcome.events is not None:
            rows = seal(outcome.events, first_seq=self._next_seq, journaled_at_us=time.time_ns() // 1000)
            self._append(FrameKind.EVENTS, rows)
            self._waiting += rows.num_rows
        if outcome.rejected:
            rows = quarantine_batch(outcome.rejected, batch=batch, first_seq=self._next_seq)
            self._append(FrameKind.QUARANTINED, rows)
        self.journal.commit()
        if self._waiting >= self._wait_rows:
            self.store()

    def store(self) -> None:
        """Move what the journal has into the table, and trim the journal."""
        reader = JournalReader(self._folder, after_seq=self.table.watermarks.get(0, 0))
        rows = []
        while frames := reader.read():
            rows += [frame.batch() for frame in frames if frame.kind is FrameKind.EVENTS]
        self.table.append(rows, {0: self.journal.last_seq})
        self.table.compact()
        trim(self._folder, through_seq=self.journal.last_seq, keep_s=0)
        self._waiting = 0

    def close(self) -> None:
        """Store the rest and let go."""
        self.store()
        self.journal.close()
        self.table.close()

    def _append(self, kind: FrameKind, rows: Any) -> None:
        first_seq, self._next_seq = self._next_seq, self._next_seq + rows.num_rows
        self.journal.append(kind, rows, first_seq=first_seq, last_seq=self._next_seq - 1, tally=self._tally)


def main() -> None:
    """Run to the end of the file."""
    frames_path, places_path, folder = (Path(argument) for argument in sys.argv[1:4])
    pipeline = Pipeline(shard=0, window=Window(WINDOW_IDS), states=LastStates())
    pipeline.set_snapshot(snapshot(places_path))
    keeper = Keeper(folder, Settings())
    meter = Meter()
    read = 0
    for batch in batches(frames_path):
        keeper.keep(pipeline, batch)
        read += len(batch.events)
    keeper.close()
    meter.tell(read=read, rows=keeper.table.rows, kept=folder / "history")


if __name__ == "__main__":
    main()
