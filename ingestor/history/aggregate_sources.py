"""What answers for a run of buckets: roll-ups for the whole hours of days that have one, rows for the rest, the tail.

A roll-up is not used on a day of which the tail still holds rows: they could end what it says was held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from ingestor.history.aggregate_buckets import DAY_US, HOUR_US
from ingestor.history.engine import Engine
from ingestor.history.layout import DataFile
from ingestor.history.log import LogState
from ingestor.history.question import LISTS, Question
from ingestor.history.rollup import PLACE, Rollups, day_us
from ingestor.history.view import TailView

#: More units than this are not looked up in a table.
MOST_UNITS: Final = 1_000_000

Key = tuple[int, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A run of buckets: ``bounds`` are their starts and the end of the last. ``from_us`` to ``to_us`` counts.

    ``held_us``: for how long a state is held at most; 0 if none counts. Of ``events`` only the filters are set.
    """

    bounds: Any
    from_us: int
    to_us: int
    now_us: int
    held_us: int
    events: Question

    @property
    def unit_us(self) -> int:
        """The longest span of which all bounds are multiples."""
        return int(np.gcd.reduce(self.bounds))


class Cover(NamedTuple):
    """What answers for a span: these roll-ups for the hours from ``low`` to ``high``, files for the ranges left."""

    rolled: list[Path]
    low: int
    high: int
    ranges: list[tuple[int, int]]
    files: list[DataFile]


@dataclass(slots=True)
class Statement:
    """SELECTs that are read as one, and the values they are bound to."""

    selects: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, select: str, *values: Any) -> None:
        """Add one."""
        self.selects.append(select)
        self.values += values

    @property
    def union(self) -> str:
        """All of them."""
        return " UNION ALL BY NAME ".join(self.selects)


class Sources:
    """One snapshot of table and tail, with the roll-ups that fit it."""

    def __init__(self, engine: Engine, rollups: Rollups, table: LogState, tail: TailView) -> None:
        self.engine, self.tail = engine, tail
        self._files, self._rollups = table.files, rollups
        self._rolled = rollups.of(table.files)
        if self._rolled:
            busy = tail.days()
            self._rolled = {day: path for day, path in self._rolled.items() if day_us(day) // DAY_US not in busy}

    @property
    def rolled(self) -> bool:
        """Whether there are roll-ups to use."""
        return bool(self._rolled)

    def without_rollups(self) -> None:
        """Use none any more."""
        self._rolled = {}

    def hours(self, cover: Cover) -> Any:
        """Return the hours of the chosen roll-ups. Raises ``rollup.Damaged``."""
        return self._rollups.rows(cover.rolled, edge=False)

    def edges(self, cover: Cover) -> Any:
        """Return the edges of the chosen roll-ups. Raises ``rollup.Damaged``."""
        return self._rollups.rows(cover.rolled, edge=True)

    def span(self) -> tuple[int, int]:
        """Return when the first and the last event was fired. The last is before the first if there is none."""
        spans = self._spans()
        return min((low for low, _ in spans), default=0), max((high for _, high in spans), default=-1)

    def following(self, time_us: int) -> int | None:
        """Return a moment from this one on before which nothing was fired; None if nothing was from it on."""
        return min((max(low, time_us) for low, high in self._spans() if high >= time_us), default=None)

    def rows_of(self, cover: Cover) -> int:
        """Estimate how many rows the files have in the ranges left to them."""
        return sum(
            file.rows * (min(high, file.max_us + 1) - max(low, file.min_us)) // (file.max_us + 1 - file.min_us)
            for file in cover.files
            for low, high in cover.ranges
            if file.min_us < high and file.max_us >= low
        )

    def cover(self, low_us: int, high_us: int, window: Window, *, rolled: bool, step_us: int = HOUR_US) -> Cover:
        """Choose what answers for a span. Roll-ups tell of whole hours that are over, or of whole days only."""
        low, high = -(-low_us // step_us) * step_us, high_us // step_us * step_us
        chosen, ranges, at = [], [], low_us
        for begin, path in sorted((day_us(day), path) for day, path in self._rolled.items() if rolled):
            first, last = max(begin, low), min(begin + DAY_US, high)
            if first < last and begin + DAY_US <= window.now_us:
                chosen.append(path)
                if at < first:
                    ranges.append((at, first))
                at = last
        if at < high_us:
            ranges.append((at, high_us))
        files = [
            file
            for file in self._files.values()
            if any(file.min_us < end and file.max_us >= begin for begin, end in ranges)
        ]
        return Cover(rolled=chosen, low=low, high=high, ranges=ranges, files=files)

    def _spans(self) -> list[tuple[int, int]]:
        return [(file.min_us, file.max_us) for file in self._files.values()] + self.tail.spans()


def rolled_can_tell(events: Question, group_by: Sequence[str]) -> bool:
    """Tell whether a roll-up has all columns that filters and groups look at."""
    asked = {*group_by, *(name for name in LISTS if getattr(events, name))}
    return not events.q and asked <= set(PLACE)


def only(events: Question, names: Sequence[str]) -> Question:
    """Return the same question with these filters alone."""
    gone: dict[str, Any] = {name: None for name in ("q", *LISTS) if name not in names}
    return replace(events, **gone)


def in_ranges(cover: Cover) -> str:
    """Return the condition that a row was fired in the ranges left to files."""
    each = (
        f"time_fired >= make_timestamptz({low}::BIGINT) AND time_fired < make_timestamptz({high}::BIGINT)"
        for low, high in cover.ranges
    )
    return f"({' OR '.join(each)})"


def in_hours(cover: Cover) -> str:
    """Return the condition that a row of a roll-up counts."""
    return f"hour_us >= {cover.low} AND hour_us < {cover.high}"


def by_bucket(window: Window, unit_us: int) -> tuple[Callable[[str], str], Any]:
    """Return how a time finds its bucket, as a JOIN, and the table ``units`` that this joins.

    A unit belongs to one bucket, which is looked up. Zones of long ago have offsets of odd seconds; where that makes
    too many units, the last bucket that begins before is searched.
    """
    first, last = window.from_us // unit_us, (window.to_us - 1) // unit_us
    if last - first < MOST_UNITS:
        units = np.arange(first, last + 1, dtype=np.int64)
        bucket = np.searchsorted(window.bounds, units * unit_us, "right") - 1
        table = pa.table({"unit": units, "bucket": bucket.astype(np.int64)})
        return lambda time: f"JOIN units ON {time} // {unit_us} = units.unit", table
    table = pa.table({"begins": window.bounds[:-1], "bucket": np.arange(len(window.bounds) - 1, dtype=np.int64)})
    return lambda time: f"ASOF JOIN units ON {time} >= units.begins", table
