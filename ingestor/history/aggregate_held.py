"""For how long which state was held in each bucket.

Each state of an entity is a *point*: it is held until the entity's next point. A rolled day is two points, one where
its first state ends what was held before, one at its end for what it carries on; what was held within it is summed up
already. Between two points lies a *spell*, and spells are cut at buckets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ingestor.history.aggregate_buckets import DAY_US, HOUR_US
from ingestor.history.aggregate_sources import (
    Cover,
    Key,
    Sources,
    Statement,
    Window,
    by_bucket,
    in_hours,
    in_ranges,
    only,
)
from ingestor.history.question import LISTS, values_of

#: Spells are cut at buckets so many pieces at a time.
PIECES_AT_ONCE: Final = 1_000_000
#: What cannot differ between two states of an entity may be decided before it is known what ends them.
_STEADY: Final = ("home", "entity_id", "domain")
_STATES: Final = "kind = 'state' AND entity_id IS NOT NULL"


def held(sources: Sources, window: Window, group_by: Sequence[str], *, rolled: bool) -> dict[Key, tuple[int, float]]:
    """Return for how long numbers were held in each bucket and group (us), and their sum, weighed by that."""
    if not _states_pass(window):
        return {}
    tables = [_spread(_spells(sources, window, group_by, "v", rolled=rolled), window, group_by)]
    if rolled:
        tables.append(_within_hours(sources, window, group_by))
    found: dict[Key, tuple[int, float]] = {}
    for row in (row for table in tables for row in table.to_pylist()):
        key = (row["bucket"], tuple(row[name] for name in group_by))
        held_us, held_sum = found.get(key, (0, 0.0))
        found[key] = (held_us + int(row["held_us"]), held_sum + row["held_sum"])
    return found


def held_in_states(sources: Sources, window: Window, group_by: Sequence[str]) -> dict[Key, dict[str, int]]:
    """Return for how long each state was held in each bucket and group (us)."""
    found: dict[Key, dict[str, int]] = {}
    if _states_pass(window):
        spells = _spells(sources, window, group_by, "state", rolled=False)
        for row in _spread(spells, window, [*group_by, "state"]).to_pylist():
            found.setdefault((row["bucket"], tuple(row[name] for name in group_by)), {})[row["state"]] = row["held_us"]
    return found


def _states_pass(window: Window) -> bool:
    kinds = values_of(window.events.kind)
    return not kinds or "state" in kinds


def _spells(sources: Sources, window: Window, group_by: Sequence[str], wanted: str, *, rolled: bool) -> Any:
    """Return spells with groups: from ``a`` to ``b`` an entity was in this ``state``, or at this number ``v``."""
    began_us = (window.from_us - window.held_us) // DAY_US * DAY_US
    covers = [
        sources.cover(began_us, window.from_us, window, rolled=rolled, step_us=DAY_US),
        sources.cover(window.from_us, window.to_us, window, rolled=rolled, step_us=DAY_US),
    ]
    tail = _tail_states(sources, window, group_by)
    tables = {"tail": tail} if len(tail) else {}
    if not _is_steady(window):
        tables["those"] = _those(sources, window, covers, tail)
    asked = _points(sources, window, group_by, covers, tables)
    ends_us = min(window.to_us, window.now_us)
    groups = "".join(f"{name}, " for name in group_by)
    statement = (
        f"SELECT {groups}{wanted}, a, b FROM (SELECT *, greatest(t, {window.from_us}) AS a, least(until, {ends_us},"  # noqa: S608 - our own names; values are bound
        f" coalesce(lead(t) OVER (PARTITION BY home, entity_id ORDER BY t, q), {ends_us})) AS b"
        f" FROM ({asked.union})) WHERE passes AND {wanted} IS NOT NULL AND a < b"
    )
    return sources.engine.arrow(statement, asked.values, **tables) if asked.selects else None


def _points(
    sources: Sources, window: Window, group_by: Sequence[str], covers: Sequence[Cover], tables: dict[str, Any]
) -> Statement:
    """Word the points of all entities that can have a spell. Of the time before the window the last is enough."""
    conditions, values = window.events.filters()
    passes = f"coalesce({' AND '.join(conditions)}, false)" if conditions else "true"
    steady, its = only(window.events, _STEADY).filters()
    columns = ", ".join(dict.fromkeys(["home", "entity_id", *group_by]))
    among = " SEMI JOIN those USING (home, entity_id)" if "those" in tables else ""
    point = (
        f"SELECT {columns}, epoch_us(time_fired) AS t, seq AS q, epoch_us(time_fired) + {window.held_us} AS until,"
        f" state, state_numeric AS v, {passes} AS passes FROM"
    )
    asked = Statement()
    for cover in covers:
        if cover.files:
            where = " AND ".join([*steady, _STATES, in_ranges(cover)])
            points = f"{point} {sources.engine.files(cover.files)}{among} WHERE {where}"
            if cover is covers[0]:
                points = f"SELECT unnest(arg_max(one, (one.t, one.q))) FROM ({points}) one GROUP BY home, entity_id"  # noqa: S608 - our own names; values are bound
            asked.add(points, *values, *its)
        if cover.rolled:
            name = f"edges_{covers.index(cover)}"
            tables[name] = sources.edges(cover)
            edges = f"{name}{among} WHERE {' AND '.join(steady) or 'true'}"
            ends = f"(carried_us // {DAY_US} + 1) * {DAY_US}"
            asked.add(f"SELECT {columns}, opens_us AS t, 0 AS q, false AS passes FROM {edges}", *its)  # noqa: S608 - same
            asked.add(
                f"SELECT {columns}, {ends} AS t, -1 AS q, carried_us + {window.held_us} AS until,"  # noqa: S608 - same
                f" carried AS v, {passes} AS passes FROM {edges}",
                *values,
                *its,
            )
    if "tail" in tables:
        asked.add(f"{point} tail{among}", *values)
    return asked


def _those(sources: Sources, window: Window, covers: Sequence[Cover], tail: Any) -> Any:
    """Return the entities that have a state which passes."""
    conditions, values = window.events.filters()
    asked, tables = Statement(), {}
    for cover in covers:
        if cover.files:
            where = " AND ".join([*conditions, _STATES, in_ranges(cover)])
            asked.add(f"SELECT home, entity_id FROM {sources.engine.files(cover.files)} WHERE {where}", *values)  # noqa: S608 - our own names; values are bound
        if cover.rolled:
            name = f"edges_{covers.index(cover)}"
            tables[name] = sources.edges(cover)
            asked.add(f"SELECT home, entity_id FROM {name} WHERE {' AND '.join(conditions)}", *values)  # noqa: S608 - same
    if len(tail):
        tables["tail"] = tail
        asked.add(f"SELECT home, entity_id FROM tail WHERE {' AND '.join(conditions)}", *values)  # noqa: S608 - same
    if not asked.selects:
        return pa.table({"home": pa.array([], pa.string()), "entity_id": pa.array([], pa.string())})
    return sources.engine.arrow(f"SELECT DISTINCT home, entity_id FROM ({asked.union})", asked.values, **tables)  # noqa: S608 - same


def _is_steady(window: Window) -> bool:
    """Tell whether filters decide by entity alone."""
    return not window.events.q and all(name in (*_STEADY, "kind") or not getattr(window.events, name) for name in LISTS)


def _tail_states(sources: Sources, window: Window, group_by: Sequence[str]) -> Any:
    """Return the tail's states, with the columns that filters and groups ask for."""
    began_us = (window.from_us - window.held_us) // DAY_US * DAY_US
    states = replace(
        only(window.events, _STEADY),
        kind="state",
        start_us=began_us,
        end_us=window.to_us,
    )
    asked = {name for name in LISTS if values_of(getattr(window.events, name))}
    texts = {"attributes", "data"} if window.events.q else set()
    names = {"home", "entity_id", "kind", "time_fired", "seq", "state", "state_numeric", *group_by, *asked, *texts}
    rows = sources.tail.columns(sorted(names), states)
    return rows.filter(rows["entity_id"].is_valid())


def _within_hours(sources: Sources, window: Window, group_by: Sequence[str]) -> Any:
    """Return what roll-ups know to be held within their hours."""
    cover = sources.cover(window.from_us, window.to_us, window, rolled=True, step_us=DAY_US)
    if not cover.rolled:
        return pa.table({})
    joined, units = by_bucket(window, HOUR_US)
    conditions, values = window.events.filters()
    where = " AND ".join([*conditions, in_hours(cover), "held_us > 0"])
    groups = "".join(f", {name}" for name in group_by)
    return sources.engine.arrow(
        f"SELECT bucket{groups}, sum(held_us) AS held_us, sum(held_sum) AS held_sum"  # noqa: S608 - our own names; values are bound
        f" FROM hours {joined('hour_us')} WHERE {where} GROUP BY ALL",
        values,
        hours=sources.hours(cover),
        units=units,
    )


def _spread(spells: Any, window: Window, names: Sequence[str]) -> Any:
    """Cut spells at buckets, and sum them up by bucket and these columns."""
    if spells is None or not len(spells):
        return pa.table({})
    bounds = window.bounds
    begins, ends = (spells[name].to_numpy().astype(np.int64) for name in ("a", "b"))
    numbers = spells["v"].to_numpy() if "v" in spells.column_names else np.zeros(len(spells))
    first = np.searchsorted(bounds, begins, "right") - 1
    counts = np.searchsorted(bounds, ends, "left") - first
    parts = []
    for low, high in _portions(counts):
        of = np.repeat(np.arange(low, high), counts[low:high])
        starts = np.cumsum(counts[low:high]) - counts[low:high]
        bucket = first[of] + np.arange(len(of)) - starts[of - low]
        held_us = np.minimum(ends[of], bounds[bucket + 1]) - np.maximum(begins[of], bounds[bucket])
        columns = {name: spells[name].take(pa.array(of)) for name in names}
        pieces = pa.table({**columns, "bucket": bucket, "held_us": held_us, "held_sum": held_us * numbers[of]})
        parts.append(_summed(pieces, names))
    return _summed(pa.concat_tables(parts), names) if len(parts) > 1 else parts[0]


def _summed(pieces: Any, names: Sequence[str]) -> Any:
    summed = pieces.group_by(["bucket", *names]).aggregate([("held_us", "sum"), ("held_sum", "sum")])
    return summed.rename_columns({"held_us_sum": "held_us", "held_sum_sum": "held_sum"})


def _portions(counts: Any) -> Iterator[tuple[int, int]]:
    """Cut rows into runs of about ``PIECES_AT_ONCE`` pieces."""
    sums, low = np.cumsum(counts), 0
    while low < len(counts):
        done = sums[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(sums, done + PIECES_AT_ONCE, "right")))
        yield low, high
        low = high
