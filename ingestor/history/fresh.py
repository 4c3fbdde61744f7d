"""Which rows are new: an ``event_id`` stands in the table once.

A shard's window stops the repeats of its last ``KNOWN_SEQS`` events, whatever they are. What it may have forgotten is
looked up: rows flagged ``late`` or ``backfilled``, and every row that was fired at a time of which the table has files
older than the window. A live event is fired after all of those, so it costs no look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.history.engine import Engine
from ingestor.history.layout import DataFile
from ingestor.history.log import LogState

#: A live copy and the copy of a recorder may differ by this much in ``time_fired``.
SLACK_US = 10 * 60 * 1_000_000
#: A shard knows the ids of at least so many of its newest seqs: half of its window, for each id had a seq of its own.
KNOWN_SEQS = 100_000


def only_new(rows: Any, state: LogState, engine: Engine, *, known_seqs: int = KNOWN_SEQS) -> Any:
    """Return the rows whose id is neither in the table nor earlier among the rows."""
    return unknown(first_of_each(rows), list(state.files.values()), engine, known_seqs=known_seqs)


def unknown(rows: Any, files: Sequence[DataFile], engine: Engine, *, known_seqs: int = KNOWN_SEQS) -> Any:
    """Return the rows whose id does not stand in the files. The same object when that is clear without a look."""
    if not len(rows) or not files:
        return rows
    flagged = pc.or_(rows["late"], rows["backfilled"]).to_numpy(zero_copy_only=False)
    times = rows["time_fired"].cast(pa.int64()).to_numpy()
    horizon = pc.max(rows["seq"]).as_py() - known_seqs
    forgotten = _within(times, [(file.min_us, file.max_us) for file in files if file.min_seq < horizon])
    suspects = rows.filter(pa.array(flagged | forgotten)) if flagged.any() or forgotten.any() else rows.slice(0, 0)
    if not len(suspects):
        return rows
    known = known_ids(suspects, files, engine)
    return rows.filter(pc.invert(pc.is_in(rows["event_id"], known))) if len(known) else rows


def first_of_each(rows: Any) -> Any:
    """Return the rows without those whose id came before."""
    if len(pc.unique(rows["event_id"])) == len(rows):
        return rows
    numbered = pa.table({"id": rows["event_id"], "at": np.arange(len(rows))})
    firsts = numbered.group_by("id").aggregate([("at", "min")])["at_min"]
    return rows.take(pa.array(np.sort(firsts.to_numpy())))


def known_ids(suspects: Any, files: Sequence[DataFile], engine: Engine) -> Any:
    """Return those ids of the rows that stand in the files of their time."""
    times = np.sort(suspects["time_fired"].cast(pa.int64()).to_numpy())
    near = [file for file in files if _any_between(times, file.min_us - SLACK_US, file.max_us + SLACK_US)]
    if not near:
        return pa.array([], pa.binary())
    found = engine.arrow(
        f"SELECT event_id FROM {engine.files(near)} SEMI JOIN suspects USING (event_id)"  # noqa: S608 - our own file names, quoted
        " WHERE time_fired BETWEEN make_timestamptz(?::BIGINT) AND make_timestamptz(?::BIGINT)",
        [int(times[0]) - SLACK_US, int(times[-1]) + SLACK_US],
        suspects=suspects.select(["event_id"]),
    )
    return found["event_id"].combine_chunks().cast(pa.binary())


def _any_between(times: Any, first_us: int, last_us: int) -> bool:
    """Tell whether one of the rising times lies between two others."""
    at = int(np.searchsorted(times, first_us))
    return at < len(times) and bool(times[at] <= last_us)


def _within(times: Any, spans: list[tuple[int, int]]) -> Any:
    """Tell of each time whether it lies in one of the spans."""
    if not spans or times.min() > max(last for _, last in spans):
        return np.zeros(len(times), dtype=bool)
    firsts, lasts = np.array(sorted(spans), dtype=np.int64).T
    at = np.searchsorted(firsts, times, side="right") - 1
    return (at >= 0) & (times <= np.maximum.accumulate(lasts)[np.maximum(at, 0)])
