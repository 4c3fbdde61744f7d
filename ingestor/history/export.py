"""Everything that passes, oldest first, in constant memory: a bounded number of rows at a time, as fast as it is taken.

Files are sorted by entity, an export by time. So only times are read first, of files that are near in time, and
sorted; then whole rows follow, a window of them at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ingestor.event import SCHEMA
from ingestor.history.engine import COLUMNS, Engine, as_rows
from ingestor.history.layout import DataFile
from ingestor.history.question import Question, cursor_of
from ingestor.history.view import TailView

#: The first window is small, so that the first rows come at once. Each is four times the one before, up to the last.
WINDOW_ROWS: Final = (1_024, 32_768)
#: Times are read of so many rows at once, at first and at most.
SPAN_ROWS: Final = (65_536, 2_097_152)


def walk(engine: Engine, files: Sequence[DataFile], tail: TailView, asked: Question) -> Iterator[Any]:
    """Yield all rows that pass, after the question's place, in the order of (``time_fired``, ``seq``).

    Tables of ``ingestor.event.SCHEMA``, none of them empty. The question's limit does not count.
    """
    asked = replace(asked, order="asc")
    window = WINDOW_ROWS[0]
    for near, end_us in _spans(files, tail, asked):
        times, seqs = _places(engine, near, tail, replace(asked, end_us=end_us))
        at = 0
        while at < len(times):
            last = min(at + window, len(times)) - 1
            yield _rows(engine, near, tail, asked, (int(times[last]), int(seqs[last])))
            asked = replace(asked, cursor=cursor_of("asc", int(times[last]), int(seqs[last])))
            at, window = last + 1, min(window * 4, WINDOW_ROWS[1])


def _spans(files: Sequence[DataFile], tail: TailView, asked: Question) -> Iterator[tuple[list[DataFile], int]]:
    """Cut the time asked for where few files overlap. Yields files of a span and its end; spans follow each other."""
    spans = [(file.min_us, file.max_us) for file in files] + tail.spans()
    end_us = max((high for _, high in spans), default=-1) + 1
    end_us = end_us if asked.end_us is None else min(end_us, asked.end_us)
    begin_us = max(asked.start_us or _FIRST_US, asked.place[0] if asked.place else _FIRST_US)
    rest = sorted((file for file in files if file.max_us >= begin_us and file.min_us < end_us), key=_begin)
    near: list[DataFile] = []
    most = SPAN_ROWS[0]
    while rest:
        rows = 0
        while rest and (rows < most or rest[0].min_us <= begin_us):
            rows += rest[0].rows
            near.append(rest.pop(0))
        until_us = rest[0].min_us if rest else end_us
        yield near, until_us
        near = [file for file in near if file.max_us >= until_us]
        begin_us, most = until_us, min(most * 8, SPAN_ROWS[1])
    yield near, end_us


def _places(engine: Engine, files: Sequence[DataFile], tail: TailView, asked: Question) -> tuple[Any, Any]:
    """Return time and seq of each row that passes, in order."""
    found = [tail.columns(["time_fired", "seq"], asked)]
    if files:
        conditions, values = asked.filters()
        if asked.place:
            conditions.append("time_fired >= make_timestamptz(?::BIGINT)")
            values.append(asked.place[0])
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        found.append(engine.arrow(f"SELECT time_fired, seq FROM {engine.files(files)}{where}", values))  # noqa: S608 - our own names; values are bound
    times = np.concatenate([rows["time_fired"].cast(pa.int64()).to_numpy() for rows in found])
    seqs = np.concatenate([rows["seq"].to_numpy() for rows in found])
    if asked.place:
        beyond = (times > asked.place[0]) | ((times == asked.place[0]) & (seqs > asked.place[1]))
        times, seqs = times[beyond], seqs[beyond]
    order = np.lexsort((seqs, times))
    return times[order], seqs[order]


def _rows(engine: Engine, files: Sequence[DataFile], tail: TailView, asked: Question, last: tuple[int, int]) -> Any:
    """Return the rows after the question's place, up to the last."""
    asked = replace(asked, end_us=last[0] + 1)
    from_tail = tail.page(asked, len(tail) + 1)
    if len(from_tail):
        times, seqs = from_tail["time_fired"].cast(pa.int64()).to_numpy(), from_tail["seq"].to_numpy()
        from_tail = from_tail.filter(pa.array((times < last[0]) | (seqs <= last[1])))
    near = [file for file in files if file.min_us <= last[0] and (not asked.place or file.max_us >= asked.place[0])]
    if not near:
        return from_tail
    conditions, values = asked.filters()
    if asked.place:
        conditions += [
            "time_fired >= make_timestamptz(?::BIGINT)",
            "(time_fired > make_timestamptz(?::BIGINT) OR seq > ?)",
        ]
        values += [asked.place[0], *asked.place]
    conditions.append("(time_fired < make_timestamptz(?::BIGINT) OR seq <= ?)")
    values += last
    rows = as_rows(
        engine.arrow(f"SELECT {COLUMNS} FROM {engine.files(near)} WHERE {' AND '.join(conditions)}", values)  # noqa: S608 - our own names; values are bound
    )
    both = pa.concat_tables([rows, from_tail]) if len(from_tail) else rows
    order = np.lexsort((both["seq"].to_numpy(), both["time_fired"].cast(pa.int64()).to_numpy()))
    return both.take(pa.array(order)).cast(SCHEMA)


def _begin(file: DataFile) -> int:
    return file.min_us


_FIRST_US: Final = -(2**62)
