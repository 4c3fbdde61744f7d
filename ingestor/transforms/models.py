"""The wire, as Pydantic models: one set of annotated types, used for a single event and for a batch in columns.

``WireEvent`` is Home Assistant's event object, whole, one event at a time: exact errors, 10 microseconds.
``EventColumns`` is the same rules over the columns of a batch: which rows are wrong, half a microsecond an event.
Because both are made of the same types, neither can accept what the other refuses.

The shape is documented at https://developers.home-assistant.io/docs/api/websocket and
https://www.home-assistant.io/docs/configuration/state_object.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

#: Home Assistant's VALID_ENTITY_ID written without look-around: lower case, digits and single inner underscores on
#: both sides of one point. Stricter in two corners only: no digits outside ASCII, no line end after the id.
ENTITY_ID_PATTERN: Final = r"^[0-9a-z]+(?:_[0-9a-z]+)*\.[0-9a-z]+(?:_[0-9a-z]+)*$"
NO_NUL: Final = r"^[^\x00]*$"

EventType = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]
EntityId = Annotated[str, Field(max_length=255, pattern=ENTITY_ID_PATTERN)]
StateText = Annotated[str, Field(pattern=NO_NUL)]
ContextId = Annotated[str, Field(max_length=255, pattern=NO_NUL)]
UserId = Annotated[str, Field(max_length=255, pattern=NO_NUL)]
Origin = Annotated[str, Field(max_length=64, pattern=NO_NUL)]

#: A moment with an offset, or seconds since 1970; from 1970 to 2100. Digits below a microsecond are cut off.
UtcTime = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2100, 1, 1, tzinfo=UTC))]
#: The end of that span, in microseconds.
END_OF_TIME_US: Final = 4_102_444_800_000_000


class _Wire(BaseModel):
    """Members that version 1 has no column for are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Context(_Wire):
    """Who and what led to an event (https://data.home-assistant.io/docs/context)."""

    id: ContextId | None = None
    parent_id: ContextId | None = None
    user_id: UserId | None = None


class StateObject(_Wire):
    """The state of an entity at one moment."""

    entity_id: EntityId | None = None
    state: StateText
    attributes: dict[str, Any] | None = None
    last_changed: UtcTime | None = None
    last_updated: UtcTime | None = None


class StateChangedData(_Wire):
    """What changed. ``new_state`` null: the entity was removed. ``old_state`` null: it is new."""

    entity_id: EntityId
    old_state: StateObject | None = None
    new_state: StateObject | None


class StateChanged(_Wire):
    """``state_changed`` (https://www.home-assistant.io/docs/configuration/events/#state_changed)."""

    event_type: Literal["state_changed"]
    data: StateChangedData
    origin: Origin | None = None
    time_fired: UtcTime | None = None
    context: Context | None = None


class OtherEvent(_Wire):
    """Every other type, known or not: the type is text, the data an object, kept as it is."""

    event_type: EventType
    data: dict[str, Any] | None = None
    origin: Origin | None = None
    time_fired: UtcTime | None = None
    context: Context | None = None


def _tag(value: Any) -> str:
    event_type = value.get("event_type") if isinstance(value, dict) else getattr(value, "event_type", None)
    return "state_changed" if event_type == "state_changed" else "other"


WireEvent = Annotated[
    Annotated[StateChanged, Tag("state_changed")] | Annotated[OtherEvent, Tag("other")],
    Discriminator(_tag),
]
WIRE: Final[TypeAdapter[StateChanged | OtherEvent]] = TypeAdapter(WireEvent)


class EventColumns(BaseModel):
    """A batch as columns. All lists are parallel, but ``times``: the batch's distinct moments, each once."""

    model_config = ConfigDict(extra="forbid")

    event_type: list[EventType]
    entity_id: list[EntityId | None]
    state: list[StateText | None]
    old_state: list[StateText | None]
    context_id: list[ContextId | None]
    context_parent_id: list[ContextId | None]
    user_id: list[UserId | None]
    origin: list[Origin | None]
    times: list[UtcTime]
