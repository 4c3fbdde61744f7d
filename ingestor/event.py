"""The event, version 1: one flat row, the same names in every format and on every surface.

``Event`` is the published schema (Pydantic); ``SCHEMA`` is the same row in Arrow, as it stands in
the journal and in the history table. A test holds the two together. Names are never renamed,
only added.

Times are UTC microseconds. In Arrow they are ``timestamp[us, UTC]``, in text RFC 3339 with six
digits and ``Z``. ``local_time`` is the home's wall clock without a zone; ``utc_offset_s`` says
how far it is from UTC. ``event_id`` is 16 bytes where stored and 32 hex digits in text.
``attributes`` and ``data`` are JSON text where stored and objects in JSON.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1

Season = Literal["winter", "spring", "summer", "autumn"]


class Kind(StrEnum):
    """What sort of happening an event is. Follows from ``event_type`` by ``kind_of``."""

    STATE = "state"
    AUTOMATION = "automation"
    SERVICE = "service"
    DEVICE = "device"
    INTEGRATION = "integration"
    USER = "user"
    SYSTEM = "system"


#: The published table from Home Assistant's event type to ``kind``. What is not named is ``system``.
KIND_OF_EVENT_TYPE: Final[dict[str, Kind]] = {
    "state_changed": Kind.STATE,
    "state_reported": Kind.STATE,
    "automation_triggered": Kind.AUTOMATION,
    "automation_reloaded": Kind.AUTOMATION,
    "script_started": Kind.AUTOMATION,
    "scene_reloaded": Kind.AUTOMATION,
    "call_service": Kind.SERVICE,
    "service_registered": Kind.SERVICE,
    "service_removed": Kind.SERVICE,
    "device_registry_updated": Kind.DEVICE,
    "entity_registry_updated": Kind.DEVICE,
    "area_registry_updated": Kind.DEVICE,
    "floor_registry_updated": Kind.DEVICE,
    "label_registry_updated": Kind.DEVICE,
    "category_registry_updated": Kind.DEVICE,
    "zha_event": Kind.DEVICE,
    "hue_event": Kind.DEVICE,
    "deconz_event": Kind.DEVICE,
    "zwave_js_value_notification": Kind.DEVICE,
    "component_loaded": Kind.INTEGRATION,
    "config_entry_discovered": Kind.INTEGRATION,
    "config_entry_changed": Kind.INTEGRATION,
    "repairs_issue_registry_updated": Kind.INTEGRATION,
    "system_log_event": Kind.INTEGRATION,
    "user_added": Kind.USER,
    "user_updated": Kind.USER,
    "user_removed": Kind.USER,
    "tag_scanned": Kind.USER,
    "mobile_app_notification_action": Kind.USER,
    "mobile_app_notification_cleared": Kind.USER,
    "ios.action_fired": Kind.USER,
}


def kind_of(event_type: str) -> Kind:
    """Return the kind of an event type; unknown types are ``system``."""
    return KIND_OF_EVENT_TYPE.get(event_type, Kind.SYSTEM)


class Environment(BaseModel):
    """What the sensors of the event's area said as of the event, in the home's units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = None
    humidity: float | None = None
    illuminance: float | None = None
    occupancy: bool | None = None


class Relations(BaseModel):
    """Automations and scripts that read and that write the entity; whether it lies on a cycle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    read_by: list[str] = Field(default_factory=list)
    written_by: list[str] = Field(default_factory=list)
    in_cycle: bool = False


class Repair(BaseModel):
    """One value that was mended: the field, the rule that mended it, and what stood there before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    rule: str
    raw: str | None = None


class Event(BaseModel):
    """One event as every surface gives it out. ``null`` means not known or not applicable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    seq: int
    home: str
    source: str
    event_type: str
    kind: Kind
    time_fired: datetime
    received_at: datetime
    journaled_at: datetime
    entity_id: str | None = None
    domain: str | None = None
    device_id: str | None = None
    area_id: str | None = None
    floor_id: str | None = None
    integration: str | None = None
    state: str | None = None
    state_numeric: float | None = None
    unit: str | None = None
    device_class: str | None = None
    old_state: str | None = None
    last_changed: datetime | None = None
    last_updated: datetime | None = None
    attributes: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    context_id: str | None = None
    context_parent_id: str | None = None
    user_id: str | None = None
    origin: str | None = None
    cause: str | None = None
    local_time: datetime | None = None
    utc_offset_s: int | None = None
    hour: Annotated[int, Field(ge=0, le=23)] | None = None
    weekday: Annotated[int, Field(ge=0, le=6)] | None = None
    season: Season | None = None
    daylight: bool | None = None
    peak: bool | None = None
    peak_score: Annotated[float, Field(ge=0, le=1)] | None = None
    since_last_change_s: float | None = None
    environment: Environment | None = None
    neighbours: list[str] | None = None
    relations: Relations | None = None
    quality: list[Repair] | None = None
    late: bool = False
    backfilled: bool = False


_TIME = pa.timestamp("us", tz="UTC")
ENVIRONMENT_TYPE = pa.struct(
    [
        ("temperature", pa.float64()),
        ("humidity", pa.float64()),
        ("illuminance", pa.float64()),
        ("occupancy", pa.bool_()),
    ],
)
RELATIONS_TYPE = pa.struct(
    [
        ("read_by", pa.list_(pa.string())),
        ("written_by", pa.list_(pa.string())),
        ("in_cycle", pa.bool_()),
    ],
)
QUALITY_TYPE = pa.list_(pa.struct([("field", pa.string()), ("rule", pa.string()), ("raw", pa.string())]))

#: The row as journal and history hold it. Order of columns is part of the format.
SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.binary(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("home", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("time_fired", _TIME, nullable=False),
        pa.field("received_at", _TIME, nullable=False),
        pa.field("journaled_at", _TIME, nullable=False),
        pa.field("entity_id", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("device_id", pa.string()),
        pa.field("area_id", pa.string()),
        pa.field("floor_id", pa.string()),
        pa.field("integration", pa.string()),
        pa.field("state", pa.string()),
        pa.field("state_numeric", pa.float64()),
        pa.field("unit", pa.string()),
        pa.field("device_class", pa.string()),
        pa.field("old_state", pa.string()),
        pa.field("last_changed", _TIME),
        pa.field("last_updated", _TIME),
        pa.field("attributes", pa.string()),
        pa.field("data", pa.string()),
        pa.field("context_id", pa.string()),
        pa.field("context_parent_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("cause", pa.string()),
        pa.field("local_time", pa.timestamp("us")),
        pa.field("utc_offset_s", pa.int32()),
        pa.field("hour", pa.int8()),
        pa.field("weekday", pa.int8()),
        pa.field("season", pa.string()),
        pa.field("daylight", pa.bool_()),
        pa.field("peak", pa.bool_()),
        pa.field("peak_score", pa.float32()),
        pa.field("since_last_change_s", pa.float64()),
        pa.field("environment", ENVIRONMENT_TYPE),
        pa.field("neighbours", pa.list_(pa.string())),
        pa.field("relations", RELATIONS_TYPE),
        pa.field("quality", QUALITY_TYPE),
        pa.field("late", pa.bool_(), nullable=False),
        pa.field("backfilled", pa.bool_(), nullable=False),
    ],
    metadata={"ha_ingestor.schema_version": str(SCHEMA_VERSION)},
)

#: The columns that hold JSON text where stored and objects in JSON answers.
JSON_COLUMNS: Final = ("attributes", "data")

#: What could not be mended, as the journal holds it. ``quarantine_id`` is 32 hex digits; ``raw`` the exact bytes.
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("quarantine_id", pa.string(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("home", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("received_at", _TIME, nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("backfilled", pa.bool_(), nullable=False),
    ],
)
