"""Door 8's memory for the shards: the last state of each entity, and the newest ids, read from the table's files.

What was written down (``memory``) is not read again. Dates are read newest first, and of each date only what no later
date has told. A date that tells nothing new costs a scan of four columns (30 ms for a million rows).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from ingestor.event import SCHEMA
from ingestor.history.engine import COLUMNS, Engine, as_rows
from ingestor.history.layout import DataFile
from ingestor.history.memory import Memory

Wanted = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """``states``: the latest state event of each wanted entity. ``event_ids``: newest last."""

    states: Any
    event_ids: list[bytes]


def recall(engine: Engine, files: Sequence[DataFile], wanted: Wanted, *, ids: int, memory: Memory) -> Recall:
    """Return what a shard must know after a restart, for the entities ``wanted(home, entity_id)`` says are its own.

    Events without an entity count as everybody's: an id too many in a window does no harm.
    """
    known = memory.states
    pairs = zip(known["home"].to_pylist(), known["entity_id"].to_pylist(), strict=True)
    own = known.filter(pa.array([wanted(home, entity) for home, entity in pairs], pa.bool_()))
    since = latest_states(engine, [file for file in files if file.path not in memory.covers], wanted)
    return Recall(
        states=newest_of_each(pa.concat_tables([own, since])), event_ids=_newest_ids(engine, files, wanted, ids)
    )


def remembered(engine: Engine, files: Sequence[DataFile], memory: Memory) -> Memory:
    """Return a memory of all these files, given one of some of them."""
    since = latest_states(engine, [file for file in files if file.path not in memory.covers], lambda *_: True)
    states = newest_of_each(pa.concat_tables([memory.states, since]))
    return Memory(states=states, covers=frozenset(file.path for file in files))


def newest_of_each(rows: Any) -> Any:
    """Return the newest row of each entity, by ``time_fired`` and then ``seq``."""
    rows = rows.sort_by([("time_fired", "descending"), ("seq", "descending")])
    numbered = rows.select(["home", "entity_id"]).append_column("at", pa.array(range(len(rows)), pa.int64()))
    return rows.take(numbered.group_by(["home", "entity_id"]).aggregate([("at", "min")])["at_min"])


def latest_states(engine: Engine, files: Sequence[DataFile], wanted: Wanted) -> Any:
    """Return the latest state event (by ``time_fired``, then ``seq``) of each wanted entity, in no order."""
    told: set[tuple[str, str]] = set()
    parts = [SCHEMA.empty_table()]
    for _, of_date in groupby(sorted(files, key=lambda file: file.date, reverse=True), lambda file: file.date):
        source = engine.files(list(of_date))
        latest = engine.arrow(
            "SELECT home, entity_id, arg_max(seq, (time_fired, seq)) AS seq"  # noqa: S608 - our own file names, quoted
            f" FROM {source} WHERE kind = 'state' AND entity_id IS NOT NULL GROUP BY home, entity_id"
        ).to_pydict()
        found = zip(latest["home"], latest["entity_id"], latest["seq"], strict=True)
        new = [(home, entity, seq) for home, entity, seq in found if (home, entity) not in told]
        told.update((home, entity) for home, entity, _ in new)
        seqs = pa.table({"seq": pa.array([seq for home, entity, seq in new if wanted(home, entity)], pa.int64())})
        if len(seqs):
            statement = f"SELECT {COLUMNS} FROM {source} SEMI JOIN latest USING (seq)"  # noqa: S608 - our own names
            parts.append(as_rows(engine.arrow(statement, latest=seqs)))
    return pa.concat_tables(parts)


def _newest_ids(engine: Engine, files: Sequence[DataFile], wanted: Wanted, most: int) -> list[bytes]:
    """Read files by falling seq until the rest can hold nothing newer than what was found."""
    rest = sorted(files, key=lambda file: file.max_seq, reverse=True)
    newest: list[tuple[int, bytes]] = []
    while rest and most > 0:
        if len(newest) == most and rest[0].max_seq < newest[-1][0]:
            break
        part, rest = _rows_worth(rest, most)
        newest = sorted(newest + _ids_in(engine, part, wanted, most), reverse=True)[:most]
    return [event_id for _, event_id in reversed(newest)]


def _rows_worth(files: list[DataFile], rows: int) -> tuple[list[DataFile], list[DataFile]]:
    count = taken = 0
    while count < len(files) and taken < rows:
        taken += files[count].rows
        count += 1
    return files[:count], files[count:]


def _ids_in(engine: Engine, files: list[DataFile], wanted: Wanted, most: int) -> list[tuple[int, bytes]]:
    source = engine.files(files)
    entities = engine.arrow(f"SELECT DISTINCT home, entity_id FROM {source} WHERE entity_id IS NOT NULL").to_pydict()  # noqa: S608 - our own file names, quoted
    pairs = [pair for pair in zip(entities["home"], entities["entity_id"], strict=True) if wanted(*pair)]
    mine = pa.table(
        {
            "home": pa.array([h for h, _ in pairs], pa.string()),
            "entity_id": pa.array([e for _, e in pairs], pa.string()),
        }
    )
    found = engine.arrow(
        f"SELECT seq, event_id FROM {source}"  # noqa: S608 - our own file names, quoted
        " WHERE entity_id IS NULL OR (home, entity_id) IN (SELECT (home, entity_id) FROM mine)"
        " ORDER BY seq DESC LIMIT ?",
        [most],
        mine=mine,
    ).to_pydict()
    return list(zip(found["seq"], found["event_id"], strict=True))
