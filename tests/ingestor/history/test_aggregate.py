"""Time buckets, held against a reckoning in plain Python: with rows, with roll-ups, and with the tail."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.event import SCHEMA
from ingestor.history import Question
from ingestor.history.aggregate import AGGREGATES, GROUPS, INTERVALS, Aggregation, aggregate
from ingestor.history.aggregate_buckets import Buckets
from ingestor.history.aggregate_sources import Sources
from ingestor.history.engine import Engine
from ingestor.history.kept import Kept
from ingestor.history.layout import ROW_SCHEMA, dates_of, write_file
from ingestor.history.log import LogState
from ingestor.history.rollup import Rollups, refresh
from tests.ingestor.history.reckoned import SECOND_US, bucket_of, reckon, us_of
from tests.support.rows import make_events

DAY_US = 86_400 * SECOND_US
#: A weekend on which clocks change, in both hemispheres and by halves of an hour, and a place without any of it.
CHANGES = [
    ("Europe/Amsterdam", "2026-03-28T20:00:00+00:00"),
    ("Europe/Amsterdam", "2026-10-24T20:00:00+00:00"),
    ("Australia/Lord_Howe", "2026-10-03T08:00:00+00:00"),
    ("Australia/Adelaide", "2026-04-04T08:00:00+00:00"),
    ("America/Santiago", "2026-09-05T20:00:00+00:00"),
    ("Asia/Kathmandu", "2026-05-01T08:00:00+00:00"),
]
PATTERN = make_events(1).to_pylist()[0]
NUMBERS = [None, 20.5, -3.25, 0.0, 1024.0]


class Rest:
    """A tail: rows that the table does not have."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._times = rows["time_fired"].cast(pa.int64()).to_numpy()

    def columns(self, names: list[str], question: Question) -> Any:
        return self._rows.filter(question.passing(self._rows)).select(names)

    def spans(self) -> list[tuple[int, int]]:
        return [(int(self._times.min()), int(self._times.max()))] if len(self._times) else []

    def days(self) -> set[int]:
        return {int(day) for day in np.unique(self._times // DAY_US)}


class Place:
    """A table of these rows without a log, the newest of them in the tail."""

    def __init__(self, directory: Path, rows: list[dict[str, Any]], in_tail: int) -> None:
        self.directory = directory
        table = as_table(rows[: len(rows) - in_tail])
        dates = dates_of(table)
        days = sorted(set(dates.to_pylist()))
        files = [write_file(directory, day, table.filter(pc.equal(dates, day))) for day in days]
        self.log = LogState(version=1, files={file.path: file for file in files})
        self.tail: Any = Rest(as_table(rows[len(rows) - in_tail :]))
        self.engine = Engine(directory, threads=1)
        self.rollups = Rollups(directory, Kept(most_bytes=1 << 24))

    def roll_up(self) -> int:
        """Roll up every day there is."""
        count = 0
        while refresh(self.directory, list(self.log.files.values()), now_s=4e9, settled_s=-1e12):
            count += 1
        return count

    def pages(self, asked: dict[str, Any], *, limit: int = 1000, filters: dict[str, Any] | None = None) -> list[Any]:
        """Follow all pages of an answer."""
        items: list[Any] = []
        cursor = None
        while True:
            question = Aggregation(
                events=Question(start_us=asked["start_us"], end_us=asked["end_us"], **(filters or {})),
                interval=asked["interval"],
                zone=asked["zone"],
                now_us=asked["now_us"],
                group_by=tuple(asked["group_by"]),
                aggregates=tuple(asked["aggregates"]),
                limit=limit,
                cursor=cursor,
            )
            page = aggregate(Sources(self.engine, self.rollups, self.log, self.tail), question)
            assert len(page.items) <= limit
            items += page.items
            cursor = page.next
            if cursor is None:
                return items


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {name: [row.get(name, PATTERN[name]) for row in rows] for name in SCHEMA.names}
    columns["time_fired"] = pa.array([row["t"] for row in rows], pa.timestamp("us", "UTC"))
    columns["shard"] = [0] * len(rows)
    return pa.table(columns, schema=ROW_SCHEMA)


def some_rows(random: Random, start_us: int, count: int, span_us: int) -> list[dict[str, Any]]:
    """Make states and other events of a few entities, that move between areas, at round and at odd times."""
    rows = []
    for seq in range(1, count + 1):
        entity, number = random.choice(["sensor.a", "sensor.b", "light.c"]), random.choice(NUMBERS)
        is_state = random.random() < 0.85
        state = random.choice([None, "on", "off", "unavailable"]) if number is None else str(number)
        time_us = start_us + random.randrange(span_us)
        rows.append(
            {
                "seq": seq,
                "event_id": seq.to_bytes(16, "big"),
                "home": random.choice(["home", "home", "cabin"]),
                "t": time_us if random.random() < 0.5 else time_us // (1800 * SECOND_US) * 1800 * SECOND_US,
                "kind": "state" if is_state else "automation",
                "event_type": "state_changed" if is_state else "automation_triggered",
                "entity_id": entity if random.random() < 0.95 else None,
                "domain": entity.partition(".")[0],
                "area_id": random.choice(["kitchen", "den", None]),
                "device_id": random.choice(["lamp", None]),
                "floor_id": random.choice(["ground", None]),
                "integration": "mqtt",
                "state": state if is_state else None,
                "state_numeric": number if is_state else None,
            }
        )
    return rows


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return one == pytest.approx(other, rel=1e-9, abs=1e-9)
    return bool(one == other)


FILTERS: list[tuple[dict[str, str], Callable[[dict[str, Any]], bool]]] = [
    ({}, lambda _: True),
    ({"area_id": "kitchen"}, lambda row: row["area_id"] == "kitchen"),
    ({"entity_id": "sensor.a,light.c"}, lambda row: row["entity_id"] in ("sensor.a", "light.c")),
    ({"home": "home", "device_id": "lamp"}, lambda row: row["home"] == "home" and row["device_id"] == "lamp"),
    ({"kind": "automation"}, lambda row: row["kind"] == "automation"),
    ({"event_type": "state_changed"}, lambda row: row["event_type"] == "state_changed"),
]


@pytest.mark.parametrize("place", CHANGES)
@pytest.mark.parametrize("interval", INTERVALS)
def test_buckets_follow_each_other_where_clocks_change(place: tuple[str, str], interval: Any) -> None:
    """Over a change of clocks each bucket is what a walk over the minutes finds, with no hole and no overlap."""
    zone, start_us = ZoneInfo(place[0]), us_of(place[1])
    buckets = Buckets(interval=interval, zone=zone)
    until_us = start_us + {"1m": DAY_US, "5m": DAY_US, "1h": 2 * DAY_US}.get(interval, 80 * DAY_US)
    bounds = buckets.bounds(buckets.start_of(start_us), 2_000, until_us=until_us).tolist()
    assert bounds[0] <= start_us < bounds[1]
    assert bounds[-2] < until_us <= bounds[-1] or len(bounds) == 2_001
    for begin, end in pairwise(bounds):
        assert (begin, end) == bucket_of(begin, interval, zone)
        assert buckets.start_of((begin + end) // 2) == begin


@given(
    seed=st.integers(0, 2**32),
    place=st.sampled_from(CHANGES),
    interval=st.sampled_from(INTERVALS),
    group_by=st.lists(st.sampled_from(GROUPS), unique=True, max_size=2),
    aggregates=st.lists(st.sampled_from(AGGREGATES), unique=True, min_size=1),
    filters=st.sampled_from(FILTERS),
    rolled=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_buckets_are_what_plain_python_reckons(
    seed: int,
    place: tuple[str, str],
    interval: str,
    group_by: list[str],
    aggregates: list[str],
    filters: tuple[dict[str, str], Callable[[dict[str, Any]], bool]],
    rolled: bool,  # noqa: FBT001 - drawn
) -> None:
    """Any interval, groups, aggregates and filters, where clocks change, with roll-ups and without."""
    random = Random(seed)  # noqa: S311 - no secret
    zone, start = ZoneInfo(place[0]), us_of(place[1])
    span = {"1m": 3 * 3600, "5m": 9 * 3600, "1h": 40 * 3600, "1d": 4 * 86_400, "1w": 20 * 86_400}.get(
        interval, 70 * 86_400
    )
    rows = some_rows(random, start, random.randrange(1, 30), span * SECOND_US)
    first, last = min(row["t"] for row in rows), max(row["t"] for row in rows)
    ask = {
        "interval": interval,
        "zone": zone,
        "now_us": last + random.choice([-span // 3, 0, span]) * SECOND_US,
        "start_us": random.choice([None, first - 5, (first + last) // 2, (first + last) // 2 // SECOND_US * SECOND_US]),
        "end_us": random.choice([None, last, last + span * SECOND_US // 2]),
        "group_by": group_by,
        "aggregates": aggregates,
        "passes": filters[1],
    }
    with TemporaryDirectory() as directory:
        there = Place(Path(directory), rows, random.choice([0, 0, 1, 5]) if len(rows) > 5 else 0)
        if rolled:
            there.roll_up()
        found = there.pages(ask, limit=random.choice([1000, 7]), filters=filters[0])
    assert alike(found, reckon(rows, ask))
