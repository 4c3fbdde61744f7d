"""Add what is known of the place, the time and the neighbours of an event: from a snapshot and the shard's own memory.

No network, no waiting, no clock. Each event is seen as of its own moment: what came earlier in the batch, or earlier in
time among the context copies of other shards' events, is taken in before it.

- ``device_id``, ``area_id``, ``floor_id``, ``integration``, ``neighbours``, ``relations``: the home's snapshot.
- ``environment``: the last words of the area's sensors (``environment``).
- ``since_last_change_s``: seconds from the entity's previous change of state to this event; null when not known.
- ``late``: fired before an event of the same entity that was already taken.
- ``cause``: see ``causes``; local time, season, daylight: ``temporal``; peak: ``activity``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.event import ENVIRONMENT_TYPE, RELATIONS_TYPE
from ingestor.graph.snapshot import Snapshot
from ingestor.transforms.activity import PEAK, Activity
from ingestor.transforms.causes import RUN_STARTS, Causes
from ingestor.transforms.environment import Environments, Picture
from ingestor.transforms.rows import Rows
from ingestor.transforms.states import Cell, Known, LastState, LastStates
from ingestor.transforms.temporal import SEASONS, HomeClock, Int64s

__all__ = ["Enricher", "LastState", "LastStates"]

_STATE_CHANGED: Final = "state_changed"
_SEASONS: Final = pa.array(SEASONS, pa.string())
_NOWHERE: Final = (-1, None, False)
_PLACE: Final = ("device_id", "area_id", "floor_id", "integration")


class _Home:
    """A home as of one snapshot, with its facts laid out in Arrow for ``take``."""

    def __init__(self, snapshot: Snapshot, before: _Home | None) -> None:
        self.snapshot = snapshot
        self.clock = HomeClock(snapshot.place)
        self.environments = Environments(snapshot)
        self.activity: Activity = Activity() if before is None else before.activity
        if before is not None:
            self.environments.carry_over(before.environments)
        measures = snapshot.measures
        self.places = {
            entity_id: (code, one.area_id, entity_id in measures)
            for code, (entity_id, one) in enumerate(snapshot.entities.items())
        }
        self.places |= {entity_id: (-1, None, True) for entity_id in measures if entity_id not in self.places}
        facts = list(snapshot.entities.values())
        neighbours = [None if one.area_id is None else snapshot.neighbours.get(one.area_id) for one in facts]
        relations = [
            {"read_by": one.read_by, "written_by": one.written_by, "in_cycle": one.in_cycle}
            if one.read_by or one.written_by or one.in_cycle
            else None
            for one in facts
        ]
        columns = {name: pa.array([getattr(one, name) for one in facts], pa.string()) for name in _PLACE}
        columns["neighbours"] = pa.array(neighbours, pa.list_(pa.string()))
        columns["relations"] = pa.array(relations, RELATIONS_TYPE)
        self.facts = pa.RecordBatch.from_pydict(columns)


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the walk over a batch found, one entry an event.

    ``code``: the place of its entity in the home's facts, or -1; ``picture``: its place among the ``pictures``.
    """

    code: list[int]
    cause: list[str | None]
    since_s: list[float | None]
    late: list[bool]
    picture: list[int | None]
    pictures: list[Picture]

    @classmethod
    def of(cls, count: int) -> _Seen:
        """Begin with nothing found."""
        return cls(
            code=[-1] * count,
            cause=[None] * count,
            since_s=[None] * count,
            late=[False] * count,
            picture=[None] * count,
            pictures=[],
        )


class Enricher:
    """Door 5 for one shard. Its memory is its own and bounded."""

    def __init__(self, states: LastStates, causes: Causes | None = None) -> None:
        self._states = states
        self._causes = causes or Causes()
        self._homes: dict[str, _Home] = {}
        self._restores_heard = states.restores

    def set_snapshot(self, snapshot: Snapshot) -> None:
        """See a home through this picture from now on."""
        before = self._homes.get(snapshot.home)
        self._homes[snapshot.home] = _Home(snapshot, before)
        self._hear(snapshot.home)

    def enrich(
        self,
        rows: Rows,
        ids: list[bytes],
        *,
        home: str,
        context: Rows,
        first_seq: int,
        backfilled: bool,
    ) -> dict[str, Any]:
        """Give the columns enrichment adds, by name, for rows that are new; take note of their states."""
        if self._restores_heard != self._states.restores:
            self._restores_heard = self._states.restores
            for name in self._homes:
                self._hear(name)
        view = self._homes.get(home)
        seen = self._walk(rows, ids, home, view, context, first_seq)
        columns: dict[str, Any] = {
            "cause": pa.array(seen.cause, pa.string()),
            "since_last_change_s": pa.array(seen.since_s, pa.float64()),
            "late": pa.array(seen.late, pa.bool_()),
        }
        if view is None:
            return columns
        codes = np.array(seen.code, dtype=np.int32)
        facts = view.facts.take(pa.array(codes, mask=codes < 0))
        columns |= dict(zip(facts.schema.names, facts.columns, strict=True))
        columns["device_id"] = _with_data_device(columns["device_id"], rows)
        columns["environment"] = _environment(seen)
        columns |= _local(view, np.array(rows.time_fired_us, dtype=np.int64), learn=not backfilled)
        return columns

    def restore(self, table: pa.Table) -> None:
        """Learn causes and activity again from a table of events (``SCHEMA`` rows) in the order they were stored."""
        names = ("event_type", "entity_id", "context_id", "user_id", "cause")
        columns = [table.column(name).to_pylist() for name in names]
        for event_type, entity_id, context_id, user_id, cause in zip(*columns, strict=True):
            if event_type in RUN_STARTS:
                self._causes.started(event_type, entity_id, context_id)
            elif cause is not None:
                self._causes.learn(context_id, cause)
            elif user_id is not None:
                self._causes.learn(context_id, f"user:{user_id}")
        live = table.filter(pc.invert(table.column("backfilled"))) if table.num_rows else table
        for home, view in self._homes.items():
            fired = live.filter(pc.equal(live.column("home"), home)).column("time_fired")
            _local(view, fired.cast(pa.int64()).to_numpy().astype(np.int64), learn=True)

    def _hear(self, home: str) -> None:
        """Let the sensors of a home speak by their last states, as far as they are ours."""
        environments, known = self._homes[home].environments, self._states.of_home(home)
        for entity_id in environments.measures:
            cell = known.get(entity_id)
            if cell is not None:
                state = cell.known
                environments.take(entity_id, state.state, state.state_numeric, state.unit)

    def _walk(
        self,
        rows: Rows,
        ids: list[bytes],
        home: str,
        view: _Home | None,
        context: Rows,
        first_seq: int,
    ) -> _Seen:
        causes, cells = self._causes, self._states.of_home(home)
        places = view.places if view is not None else {}
        seen = _Seen.of(len(rows))
        grown_bytes = 0
        drawn: dict[str, int | None] = {}
        copies = sorted(range(len(context)), key=context.time_fired_us.__getitem__, reverse=True)
        contexts = zip(rows.context_id, rows.context_parent_id, rows.user_id, strict=True)
        for position, (event_type, entity_id, fired, (context_id, parent_id, user_id)) in enumerate(
            zip(rows.event_type, rows.entity_id, rows.time_fired_us, contexts, strict=True),
        ):
            while copies and context.time_fired_us[copies[-1]] <= fired:
                self._take_copy(context, copies.pop(), view, drawn)
            cause = causes.of(context_id, parent_id, user_id)
            if cause is not None:
                seen.cause[position] = cause
            if entity_id is None:
                continue
            seen.code[position], area_id, measures = places.get(entity_id, _NOWHERE)
            if event_type == _STATE_CHANGED:
                cell = cells.get(entity_id)
                last = None if cell is None else cell.known
                seen.since_s[position] = _since(rows, position, last)
                if last is not None and fired < last[0]:
                    seen.late[position] = True
                else:
                    grown_bytes += _keep(cells, cell, rows, position, ids[position], first_seq + position)
                    if measures:
                        _say(view, drawn, rows, position)
            else:
                causes.started(event_type, entity_id, context_id)
            if area_id is not None:
                picture = drawn[area_id] if area_id in drawn else _draw(view, area_id, drawn, seen)
                seen.picture[position] = picture
        while copies:
            self._take_copy(context, copies.pop(), view, drawn)
        self._states.grew(home, grown_bytes)
        return seen

    def _take_copy(self, context: Rows, position: int, view: _Home | None, drawn: dict[str, int | None]) -> None:
        event_type, entity_id = context.event_type[position], context.entity_id[position]
        if event_type == _STATE_CHANGED:
            if view is not None and entity_id in view.environments.measures:
                _say(view, drawn, context, position)
        elif event_type in RUN_STARTS:
            self._causes.started(event_type, entity_id, context.context_id[position])
        else:
            self._causes.of(context.context_id[position], None, context.user_id[position])


def _say(view: _Home | None, drawn: dict[str, int | None], rows: Rows, position: int) -> None:
    entity_id = rows.entity_id[position]
    if view is not None and entity_id is not None:
        said = rows.state[position], rows.state_numeric[position], rows.unit[position]
        if view.environments.take(entity_id, *said):
            drawn.pop(view.environments.measures[entity_id][0], None)


def _draw(view: _Home | None, area_id: str, drawn: dict[str, int | None], seen: _Seen) -> int | None:
    picture = None if view is None else view.environments.of(area_id)
    place = None if picture is None else len(seen.pictures)
    if picture is not None:
        seen.pictures.append(picture)
    drawn[area_id] = place
    return place


def _since(rows: Rows, position: int, last: Known | None) -> float | None:
    changed, updated = rows.old_changed_us[position], rows.last_updated_us[position]
    moment = rows.time_fired_us[position] if updated is None else updated
    if changed is None and last is not None:
        changed = last[1]
    return None if changed is None or changed > moment else (moment - changed) / 1_000_000


def _keep(cells: dict[str, Cell], cell: Cell | None, rows: Rows, position: int, event_id: bytes, seq: int) -> int:
    """Write a state into its entity's cell. Gives by how many bytes its attributes are longer than those before."""
    fired, facts = rows.time_fired_us[position], rows.attributes[position]
    changed, updated = rows.last_changed_us[position], rows.last_updated_us[position]
    text = None if facts is None else facts.text
    # Known(...) calls a Python function; a million a minute add up.
    known = tuple.__new__(
        Known,
        (
            fired,
            fired if changed is None else changed,
            fired if updated is None else updated,
            rows.state[position],
            rows.state_numeric[position],
            rows.unit[position],
            None if facts is None else facts.device_class,
            text,
            rows.context_id[position],
            rows.user_id[position],
            event_id,
            seq,
        ),
    )
    if cell is None:
        cells[rows.entity_id[position] or ""] = Cell(known)
        return len(text or "")
    before, cell.known = cell.known[7], known
    return 0 if before is text else len(text or "") - len(before or "")


def _environment(seen: _Seen) -> Any:
    if not seen.pictures:
        return pa.nulls(len(seen.picture), ENVIRONMENT_TYPE)
    temperature, humidity, illuminance, occupancy = zip(*seen.pictures, strict=True)
    pictures = pa.StructArray.from_arrays(
        [
            pa.array(temperature, pa.float64()),
            pa.array(humidity, pa.float64()),
            pa.array(illuminance, pa.float64()),
            pa.array([None if value is None else value > 0 for value in occupancy], pa.bool_()),
        ],
        fields=list(ENVIRONMENT_TYPE),
    )
    return pictures.take(pa.array(seen.picture, pa.int32()))


def _with_data_device(column: Any, rows: Rows) -> Any:
    """Where no entity tells the device, the event's own data may."""
    named = [None if facts is None else facts.device_id for facts in rows.data]
    return column if not any(named) else pc.coalesce(column, pa.array(named, pa.string()))


def _local(view: _Home, times_us: Int64s, *, learn: bool) -> dict[str, Any]:
    local = view.clock.read(times_us)
    if local is None:
        return {}
    scores = view.activity.read(local.local_us, learn=learn)
    unknown = np.isnan(scores)
    return {
        "local_time": pa.array(local.local_us, pa.timestamp("us")),
        "utc_offset_s": pa.array(local.offset_s.astype(np.int32)),
        "hour": pa.array(local.hour.astype(np.int8)),
        "weekday": pa.array(local.weekday.astype(np.int8)),
        "season": _SEASONS.take(pa.array(local.season, pa.int64(), mask=local.season < 0)),
        "daylight": pa.array(local.daylight > 0, pa.bool_(), mask=local.daylight < 0),
        "peak": pa.array(scores >= PEAK, pa.bool_(), mask=unknown),
        "peak_score": pa.array(scores.astype(np.float32), pa.float32(), mask=unknown),
    }
