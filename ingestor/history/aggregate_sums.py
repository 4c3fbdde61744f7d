"""What a run of buckets sums up to: its items, from events that were counted and from states that were held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from ingestor.history.aggregate_buckets import HOUR_US
from ingestor.history.aggregate_held import held, held_in_states
from ingestor.history.aggregate_sources import (
    Key,
    Sources,
    Statement,
    Window,
    by_bucket,
    in_hours,
    in_ranges,
    rolled_can_tell,
)
from ingestor.history.rollup import Damaged

#: So many states of an item are told of, those held longest.
MOST_STATES: Final = 100
_TOLD: Final = "({'t': epoch_us(time_fired), 'q': seq, 'state': state, 'v': state_numeric}) FILTER (state IS NOT NULL)"
#: column of the sums -> how rows are summed up, and how sums are.
_COLUMNS: Final = {
    "n": ("count(*)", "sum(n)::BIGINT"),
    "m": ("count(state_numeric)", "sum(m)::BIGINT"),
    "low": ("min(state_numeric)", "min(low)"),
    "high": ("max(state_numeric)", "max(high)"),
    "total": ("sum(state_numeric)", "sum(total)"),
    "first": (f"min{_TOLD}", "min(first)"),
    "last": (f"max{_TOLD}", "max(last)"),
}
_NEEDED: Final = {
    "min": ("low",),
    "max": ("high",),
    "mean": ("m", "total"),
    "sum": ("total",),
    "first": ("first",),
    "last": ("last",),
}

Item = tuple[Key, dict[str, Any]]


def items_of(sources: Sources, window: Window, group_by: Sequence[str], aggregates: Sequence[str]) -> list[Item]:
    """Return the items of these buckets, each with its place, in no order. A damaged roll-up is left out."""
    try:
        return _items(sources, window, group_by, aggregates)
    except Damaged:
        sources.without_rollups()
        return _items(sources, window, group_by, aggregates)


def may_be_rolled(window: Window, group_by: Sequence[str], aggregates: Sequence[str]) -> bool:
    """Tell whether roll-ups know what is asked."""
    known = "time_in_state" not in aggregates and rolled_can_tell(window.events, group_by)
    return known and not window.unit_us % HOUR_US


def _items(sources: Sources, window: Window, group_by: Sequence[str], aggregates: Sequence[str]) -> list[Item]:
    rolled = may_be_rolled(window, group_by, aggregates)
    counted = _counted(sources, window, group_by, aggregates, rolled=rolled)
    weights = held(sources, window, group_by, rolled=rolled) if "time_weighted_mean" in aggregates else {}
    states = held_in_states(sources, window, group_by) if "time_in_state" in aggregates else {}
    found = []
    for key in counted.keys() | weights.keys() | states.keys():
        told = _Told(counted.get(key, {}), weights.get(key, (0, 0.0)), states.get(key, {}))
        bucket, groups = key
        item = {"start": int(window.bounds[bucket]), "end": int(window.bounds[bucket + 1])}
        item |= dict(zip(group_by, groups, strict=True)) | {name: _VALUES[name](told) for name in aggregates}
        found.append(((item["start"], groups), item))
    return found


def _counted(
    sources: Sources, window: Window, group_by: Sequence[str], aggregates: Sequence[str], *, rolled: bool
) -> dict[Key, dict[str, Any]]:
    """Sum up the events of each bucket and group."""
    columns = ["n", *dict.fromkeys(column for name in aggregates for column in _NEEDED.get(name, ()))]
    groups = "".join(f", {name}" for name in group_by)
    of_rows = f"bucket{groups}, " + ", ".join(f"{_COLUMNS[name][0]} AS {name}" for name in columns)
    of_sums = f"bucket{groups}, " + ", ".join(f"{_COLUMNS[name][1]} AS {name}" for name in columns)
    cover = sources.cover(window.from_us, window.to_us, window, rolled=rolled)
    conditions, values = window.events.filters()
    joined, units = by_bucket(window, window.unit_us)
    tables, asked = {"units": units}, Statement()
    if cover.files:
        where = " AND ".join([*conditions, in_ranges(cover)])
        source = f"{sources.engine.files(cover.files)} {joined('epoch_us(time_fired)')}"
        asked.add(f"SELECT {of_rows} FROM {source} WHERE {where} GROUP BY ALL", *values)  # noqa: S608 - our own names; values are bound
    if cover.rolled:
        where = " AND ".join([*conditions, in_hours(cover), "n > 0"])
        tables["hours"] = sources.hours(cover)
        source = f"hours {joined('hour_us')}"
        asked.add(f"SELECT {of_sums} FROM {source} WHERE {where} GROUP BY ALL", *values)  # noqa: S608 - same
    names = sorted({"time_fired", "seq", "state", "state_numeric", *group_by})
    tail = sources.tail.columns(names, replace(window.events, start_us=window.from_us, end_us=window.to_us))
    if len(tail):
        tables["tail"] = tail
        asked.add(f"SELECT {of_rows} FROM tail {joined('epoch_us(time_fired)')} GROUP BY ALL")  # noqa: S608 - same
    if not asked.selects:
        return {}
    statement = f"SELECT {of_sums} FROM ({asked.union}) GROUP BY ALL"  # noqa: S608 - same
    rows = sources.engine.arrow(statement, asked.values, **tables).to_pylist()
    return {(row["bucket"], tuple(row[name] for name in group_by)): row for row in rows}


class _Told(NamedTuple):
    """What is known of an item: sums of its events, how long numbers were held and their sum, how long states were."""

    row: Mapping[str, Any]
    held: tuple[int, float]
    states: Mapping[str, int]


def _mean(told: _Told) -> float | None:
    count = told.row.get("m")
    return told.row["total"] / count if count else None


def _weighted_mean(told: _Told) -> float | None:
    held_us, held_sum = told.held
    return held_sum / held_us if held_us else None


def _value(told: Mapping[str, Any] | None) -> Any:
    """Return the state of an event: as a number if it is one."""
    if told is None:
        return None
    return told["state"] if told["v"] is None else told["v"]


def _longest(held_us: Mapping[str, int]) -> dict[str, float]:
    ordered = sorted(held_us.items(), key=lambda one: (-one[1], one[0]))
    return {state: us / 1e6 for state, us in ordered[:MOST_STATES]}


_VALUES: Final[dict[str, Callable[[_Told], Any]]] = {
    "count": lambda told: told.row.get("n", 0),
    "min": lambda told: told.row.get("low"),
    "max": lambda told: told.row.get("high"),
    "mean": _mean,
    "sum": lambda told: told.row.get("total"),
    "first": lambda told: _value(told.row.get("first")),
    "last": lambda told: _value(told.row.get("last")),
    "time_weighted_mean": _weighted_mean,
    "time_in_state": lambda told: _longest(told.states),
}
