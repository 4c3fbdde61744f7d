"""The job on Bytewax: `python -m benchmarks.peers.on_bytewax FRAMES PLACES FOLDER each|batches`, by its own Python.

``each``: a dataflow as its documentation teaches, one step an event, ids and memory of the home in keyed state, with
recovery. ``batches``: all of it in one function over a batch, which saves nearly all that the engine costs; what it
remembers is then lost in a crash. Frames are read 1,000 at a time in both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]  # in its own environment only
from bytewax.connectors.files import FileSource  # type: ignore[import-not-found]  # same
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]  # same
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]  # same
from bytewax.recovery import RecoveryConfig, init_db_dir  # type: ignore[import-not-found]  # same
from bytewax.testing import run_main  # type: ignore[import-not-found]  # same

from benchmarks.peers.job import TIME_ZONE, Job, Parquet, Row
from benchmarks.peers.memory import Memory
from benchmarks.peers.meter import Meter

BATCH = 1_000
IDS_A_KEY = 2_000
IDS = 200_000


class Sink(StatelessSinkPartition[Row], DynamicSink[Row]):  # type: ignore[misc]  # as above
    """All rows into one folder of Parquet; there is one worker."""

    def __init__(self, parquet: Parquet) -> None:
        self._parquet = parquet

    def build(self, *_: Any) -> Sink:
        """Give the one worker its partition."""
        return self

    def write_batch(self, items: list[Row]) -> None:
        """Take what came."""
        self._parquet.write(items)

    def close(self) -> None:
        """Write the rest."""
        self._parquet.close()


def only_new(known: dict[bytes, None] | None, row: Row) -> tuple[dict[bytes, None], Row | None]:
    """Keep the newest ids of one key, as the engine's state; give a row that is new."""
    known = {} if known is None else known
    if row["event_id"] in known:
        return known, None
    known[row["event_id"]] = None
    if len(known) > IDS_A_KEY:
        del known[next(iter(known))]
    return known, row


def remembering(job: Job) -> Callable[[Memory | None, Row], tuple[Memory, Row]]:
    """Make the step that keeps the memory of a home, as the engine's state."""

    def step(memory: Memory | None, row: Row) -> tuple[Memory, Row]:
        memory = memory or Memory(job.measures)
        return memory, memory.add(row)

    return step


def at_once(job: Job) -> Callable[[list[str]], list[Row]]:
    """Make one function of the whole job, over a batch."""
    ids: dict[bytes, None] = {}
    memory = Memory(job.measures)

    def rows(lines: list[str]) -> list[Row]:
        found = []
        for line in lines:
            row = job.row(line)
            if row is not None and row["event_id"] not in ids:
                ids[row["event_id"]] = None
                found.append(memory.add(row))
        while len(ids) > IDS:
            del ids[next(iter(ids))]
        return found

    return rows


def main() -> None:
    """Run the dataflow to the end of the file."""
    frames, places, folder, way = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    job, parquet = Job(places, TIME_ZONE), Parquet(folder / "rows")
    flow = Dataflow("home")
    lines = op.input("frames", flow, FileSource(frames, batch_size=BATCH))
    recovery = None
    if way == "each":
        (folder / "recovery").mkdir()
        init_db_dir(folder / "recovery", 1)
        recovery = RecoveryConfig(folder / "recovery")
        rows = op.filter_map("validate_and_enrich", lines, job.row)
        keyed = op.key_on("by_entity", rows, lambda row: row.get("entity_id") or row["event_type"])
        fresh = op.filter_map_value("new", op.stateful_map("ids", keyed, only_new), lambda row: row)
        of_home = op.key_on("by_home", op.key_rm("rows", fresh), lambda row: row["home"])
        told = op.stateful_map("memory", of_home, remembering(job))
        op.output("parquet", op.key_rm("told", told), Sink(parquet))
    else:
        op.output("parquet", op.flat_map_batch("job", lines, at_once(job)), Sink(parquet))
    meter = Meter()
    run_main(flow, recovery_config=recovery)
    meter.tell(read=parquet.rows, rows=parquet.rows, kept=folder / "rows")


if __name__ == "__main__":
    main()
