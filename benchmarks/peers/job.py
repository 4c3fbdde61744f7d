"""The job as a user of a stream engine would write it: Pydantic, the time zone, the area, an id; Parquet in the end.

Nothing of the ingestor is used here, only what the engines' environments have. With ``Memory`` it gives what our
pipeline gives, but for relations, neighbours and peaks, the repair of damaged values, and the quarantine.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from astral import Observer
from astral.sun import sunrise, sunset
from pydantic import AwareDatetime, BaseModel, Discriminator, Field, Tag, TypeAdapter, ValidationError

FILE_ROWS = 65_536
TIME_ZONE = "Europe/Amsterdam"
HERE = Observer(52.37, 4.89)
_NAME = r"^[0-9a-z]+(?:_[0-9a-z]+)*\.[0-9a-z]+(?:_[0-9a-z]+)*$"
_SEASONS = ("winter", "spring", "summer", "autumn")
EntityId = Annotated[str, Field(max_length=255, pattern=_NAME)]
Row = dict[str, Any]


class Context(BaseModel):
    """Who and what led to an event."""

    id: str
    parent_id: str | None = None
    user_id: str | None = None


class State(BaseModel):
    """The state of an entity at one moment."""

    entity_id: EntityId
    state: str
    attributes: dict[str, Any]
    last_changed: AwareDatetime
    last_updated: AwareDatetime


class Changed(BaseModel):
    """What changed."""

    entity_id: EntityId
    old_state: State | None
    new_state: State | None


class StateChanged(BaseModel):
    """A change of state."""

    event_type: Literal["state_changed"]
    data: Changed
    origin: str
    time_fired: AwareDatetime
    context: Context


class Other(BaseModel):
    """Every other event."""

    event_type: Annotated[str, Field(min_length=1, max_length=64)]
    data: dict[str, Any]
    origin: str
    time_fired: AwareDatetime
    context: Context


def _tag(value: Any) -> str:
    return "changed" if value.get("event_type") == "state_changed" else "other"


class Frame(BaseModel):
    """One frame of Home Assistant's WebSocket."""

    type: Literal["event"]
    event: Annotated[Annotated[StateChanged, Tag("changed")] | Annotated[Other, Tag("other")], Discriminator(_tag)]


_FRAME = TypeAdapter(Frame)
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("event_id", pa.binary()),
        *[(name, pa.string()) for name in ("home", "event_type", "entity_id", "domain", "state", "old_state", "unit")],
        ("state_numeric", pa.float64()),
        *[(name, _TIME) for name in ("time_fired", "received_at", "last_changed", "last_updated")],
        *[(name, pa.string()) for name in ("device_class", "attributes", "data", "context_id", "context_parent_id")],
        *[(name, pa.string()) for name in ("user_id", "origin", "device_id", "area_id", "floor_id", "integration")],
        ("local_time", pa.timestamp("us")),
        ("utc_offset_s", pa.int32()),
        ("hour", pa.int8()),
        ("weekday", pa.int8()),
        ("season", pa.string()),
        ("daylight", pa.bool_()),
        ("cause", pa.string()),
        ("since_last_change_s", pa.float64()),
        ("environment", pa.struct([("temperature", pa.float64())])),
    ]
)


class Job:
    """Frame in, row out."""

    def __init__(self, places_path: Path, time_zone: str) -> None:
        places: dict[str, dict[str, str]] = json.loads(places_path.read_text(encoding="utf-8"))
        self.measures = {entity_id: place["measure"] for entity_id, place in places.items() if "measure" in place}
        self._places = {
            entity_id: {name: value for name, value in place.items() if name != "measure"}
            for entity_id, place in places.items()
        }
        self._zone = ZoneInfo(time_zone)
        self._days: dict[date, tuple[datetime, datetime]] = {}

    def row(self, line: str | bytes) -> Row | None:
        """Validate one frame and enrich it; null when it is not valid."""
        try:
            event = _FRAME.validate_json(line).event
        except ValidationError:
            return None
        return self._enriched(event)

    def _enriched(self, event: StateChanged | Other) -> Row:
        fired = event.time_fired
        local = fired.astimezone(self._zone)
        offset = local.utcoffset()
        row: Row = {
            "home": "home",
            "event_type": event.event_type,
            "time_fired": fired,
            "received_at": datetime.now(UTC),
            "context_id": event.context.id,
            "context_parent_id": event.context.parent_id,
            "user_id": event.context.user_id,
            "origin": event.origin,
            "local_time": local.replace(tzinfo=None),
            "utc_offset_s": int(offset.total_seconds()) if offset else 0,
            "hour": local.hour,
            "weekday": local.weekday(),
            "season": _SEASONS[local.month % 12 // 3],
            "daylight": self._is_day(fired, local.date()),
        }
        if isinstance(event, StateChanged):
            self._add_state(row, event.data)
        else:
            row["data"] = orjson.dumps(event.data).decode()
            row["run_of"] = event.data.get("entity_id")
            row["event_id"] = _digest(event.event_type, fired.isoformat(), event.context.id, row["data"])
        return row

    def _is_day(self, moment: datetime, day: date) -> bool:
        if day not in self._days:
            self._days[day] = (sunrise(HERE, day, tzinfo=self._zone), sunset(HERE, day, tzinfo=self._zone))
        rises, sets = self._days[day]
        return rises <= moment < sets

    def _add_state(self, row: Row, data: Changed) -> None:
        entity_id, new = data.entity_id, data.new_state
        row["entity_id"], row["domain"] = entity_id, entity_id.partition(".")[0]
        row["old_state"] = data.old_state.state if data.old_state else None
        row |= self._places.get(entity_id, {})
        if new is None:
            row["event_id"] = _digest(entity_id, row["time_fired"].isoformat())
            return
        row["event_id"] = _digest(entity_id, new.last_updated.isoformat(), new.state)
        row["state"], row["state_numeric"] = new.state, _number(new.state)
        row["last_changed"], row["last_updated"] = new.last_changed, new.last_updated
        row["unit"] = _text(new.attributes.get("unit_of_measurement"))
        row["device_class"] = _text(new.attributes.get("device_class"))
        row["attributes"] = orjson.dumps(new.attributes).decode()


class Parquet:
    """Rows into Parquet files with zstd. Nothing is synced: what is written may be lost in a power cut."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[Row] = []
        self.rows = self._files = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, rows: list[Row]) -> None:
        """Take rows; a file is written whenever there are enough."""
        self._rows += rows
        while len(self._rows) >= FILE_ROWS:
            self._write(self._rows[:FILE_ROWS])
            del self._rows[:FILE_ROWS]

    def close(self) -> None:
        """Write the rest."""
        if self._rows:
            self._write(self._rows)
            self._rows = []

    def _write(self, rows: list[Row]) -> None:
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        pq.write_table(table, self._folder / f"{self._files:04}.parquet", compression="zstd", compression_level=3)
        self._files += 1
        self.rows += len(rows)


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).digest()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
