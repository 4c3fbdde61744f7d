"""Which rows are new: an ``event_id`` stands in the table once.

The shard's window has already stopped repeats that came close together, so only rows that are flagged ``late`` or
``backfilled`` can repeat something older; only they are looked up, in the files of their time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.history.engine import Engine
from ingestor.history.layout import DataFile
from ingestor.history.log import LogState

#: A live copy and the copy of a recorder may differ by this much in ``time_fired``.
SLACK_US = 10 * 60 * 1_000_000


def only_new(rows: Any, state: LogState, engine: Engine) -> Any:
    """Return the rows whose id is neither in the table nor earlier among the rows."""
    rows = first_of_each(rows)
    flagged = pc.or_(rows["late"], rows["backfilled"])
    suspects = rows.filter(flagged)
    if not len(suspects):
        return rows
    known = known_ids(suspects, list(state.files.values()), engine)
    return rows.filter(pc.invert(pc.is_in(rows["event_id"], known))) if len(known) else rows


def first_of_each(rows: Any) -> Any:
    """Return the rows without those whose id came before."""
    if len(pc.unique(rows["event_id"])) == len(rows):
        return rows
    numbered = pa.table({"id": rows["event_id"], "at": np.arange(len(rows))})
    firsts = numbered.group_by("id").aggregate([("at", "min")])["at_min"]
    return rows.take(pc.sort_indices(firsts).to_numpy() if not len(firsts) else pa.array(np.sort(firsts.to_numpy())))


def known_ids(suspects: Any, files: list[DataFile], engine: Engine) -> Any:
    """Return those ids of the suspects that stand in the files."""
    bounds = pc.min_max(suspects["time_fired"].cast(pa.int64())).as_py()
    first_us, last_us = bounds["min"] - SLACK_US, bounds["max"] + SLACK_US
    near = [file for file in files if file.min_us <= last_us and file.max_us >= first_us]
    if not near:
        return pa.array([], pa.binary())
    found = engine.arrow(
        f"SELECT event_id FROM {engine.files(near)} SEMI JOIN suspects USING (event_id)"  # noqa: S608 - our own file names, quoted
        " WHERE time_fired BETWEEN make_timestamptz(?::BIGINT) AND make_timestamptz(?::BIGINT)",
        [first_us, last_us],
        suspects=suspects.select(["event_id"]),
    )
    return found["event_id"].combine_chunks().cast(pa.binary())
