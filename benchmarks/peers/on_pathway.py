"""The job on Pathway: `python -m benchmarks.peers.on_pathway FRAMES PLACES FOLDER each|batches`, by its own Python.

``each``: a table of lines, a function of the user's over each event, one row for each id by a grouping, a subscriber
that remembers the home and writes Parquet; Pathway's persistence on the file system is on. ``batches``: the functions
are called for 1,000 events at a time, and nothing is persisted. The file is read as a whole (``static``), the fastest
that Pathway offers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pathway as pw  # type: ignore[import-not-found]  # in its own environment only

from benchmarks.peers.job import TIME_ZONE, Job, Parquet
from benchmarks.peers.memory import Memory
from benchmarks.peers.meter import Meter

BATCH = 1_000


def main() -> None:
    """Run the table to the end of the file."""
    frames, places, folder, way = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    job, parquet = Job(places, TIME_ZONE), Parquet(folder / "rows")
    memory = Memory(job.measures)

    def enriched(line: str) -> pw.PyObjectWrapper | None:
        row = job.row(line)
        return None if row is None else pw.PyObjectWrapper(row)

    def enriched_all(lines: list[str]) -> list[pw.PyObjectWrapper | None]:
        return [enriched(line) for line in lines]

    def id_of(row: pw.PyObjectWrapper) -> bytes:
        event_id: bytes = row.value["event_id"]
        return event_id

    def ids_of(rows: list[pw.PyObjectWrapper]) -> list[bytes]:
        return [id_of(row) for row in rows]

    def called(one: Any, many: Any) -> Any:
        if way == "each":
            return pw.udf(deterministic=True)(one)
        return pw.udf(deterministic=True, max_batch_size=BATCH)(many)

    row_of_line, id_of_row = called(enriched, enriched_all), called(id_of, ids_of)

    def take(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG001, FBT001 - its shape
        if is_addition:
            parquet.write([memory.add(row["row"].value)])

    lines = pw.io.plaintext.read(str(frames), mode="static", name="frames")
    rows = lines.select(row=row_of_line(pw.this.data)).filter(pw.this.row.is_not_none())
    rows = rows.select(row=pw.unwrap(pw.this.row))
    named = rows.select(pw.this.row, event_id=id_of_row(pw.this.row))
    fresh = named.groupby(named.event_id).reduce(named.event_id, row=pw.reducers.any(named.row))
    pw.io.subscribe(fresh, take)
    persistence = None
    if way == "each":
        backend = pw.persistence.Backend.filesystem(str(folder / "persistence"))
        persistence = pw.persistence.Config(backend)
    meter = Meter()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=persistence)
    parquet.close()
    meter.tell(read=parquet.rows, rows=parquet.rows, kept=folder / "rows")


if __name__ == "__main__":
    main()
