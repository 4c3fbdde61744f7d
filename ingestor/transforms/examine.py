"""One event looked at alone: the exact fault, or the row after what could be mended was mended.

Slow (some 50 microseconds) and thorough. The table of rules stands in ``validate``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson
from msgspec import UNSET, Raw, UnsetType
from pydantic import TypeAdapter, ValidationError

from ingestor.transforms.models import WIRE, StateChanged, StateObject, UtcTime
from ingestor.transforms.rows import Mend, Moment, Row
from ingestor.transforms.wire import MAX_EVENT_BYTES, NO_DATA, AttributeFacts, DataFacts, Fault, Texts, parse

_TIME: Final[TypeAdapter[Any]] = TypeAdapter(UtcTime)
_STATE_TIMES: Final = ("last_changed", "last_updated")
_CLIP: Final = 200


class _RawState(msgspec.Struct):
    state: Raw | UnsetType = UNSET
    attributes: Raw | UnsetType = UNSET


class _RawData(msgspec.Struct):
    old_state: _RawState | None = None
    new_state: _RawState | None = None


class _RawChange(msgspec.Struct):
    data: _RawData


class _RawOther(msgspec.Struct):
    data: Raw | UnsetType = UNSET


_read_change = msgspec.json.Decoder(_RawChange).decode
_read_other = msgspec.json.Decoder(_RawOther).decode


def examine(index: int, raw: bytes, texts: Texts) -> Row | Fault:
    """Give the row of one event, or its fault. Never raises for anything the bytes may hold."""
    if len(raw) > MAX_EVENT_BYTES:
        return Fault(reason="too_large", field=None, detail=f"{len(raw)} bytes, at most {MAX_EVENT_BYTES}")
    value = parse(raw, None)
    if isinstance(value, Fault):
        return value
    if not isinstance(value, dict):
        return Fault(reason="wrong_type", field=None, detail=f"the event is {_kind(value)}, expected an object")
    if value.get("event_type") == "state_changed":
        return _state_changed(index, raw, value, texts)
    return _other(index, raw, value, texts)


def _state_changed(index: int, raw: bytes, value: dict[str, Any], texts: Texts) -> Row | Fault:
    mends: list[Mend] = []
    data = value.get("data")
    parts = {name: data.get(name) if isinstance(data, dict) else None for name in ("old_state", "new_state")}
    moments = [_take_time(value, "time_fired")]
    for name, part in parts.items():
        if isinstance(part, dict):
            moments += [_take_time(part, member) for member in _STATE_TIMES]
            _number_as_text(part, name, raw, mends)
        else:
            moments += [None, None]
    event = _check(value)
    if isinstance(event, Fault):
        return event
    assert isinstance(event, StateChanged)  # noqa: S101 - the tag decided so; tells the type checker
    facts: dict[str, AttributeFacts | None] = {}
    raws = _read_change(raw).data
    for name in parts:
        fact = _attributes(getattr(raws, name), texts)
        if isinstance(fact, Fault):
            return Fault(reason=fact.reason, field=f"data.{name}.{fact.field}", detail=fact.detail)
        facts[name] = fact
    old, new, entity_id = event.data.old_state, event.data.new_state, event.data.entity_id
    for name, state in (("old_state", old), ("new_state", new)):
        if _is_foreign(state, entity_id):
            return Fault(reason="entity_mismatch", field=f"data.{name}.entity_id", detail=f"not {entity_id}")
    context = event.context
    return (
        index,
        event.event_type,
        entity_id,
        new.state if new else None,
        old.state if old else None,
        facts["new_state"],
        None,
        moments[0],
        moments[3],
        moments[4],
        moments[1],
        context.id if context else None,
        context.parent_id if context else None,
        context.user_id if context else None,
        event.origin,
        mends or None,
    )


def _other(index: int, raw: bytes, value: dict[str, Any], texts: Texts) -> Row | Fault:
    time_fired = _take_time(value, "time_fired")
    event = _check(value)
    if isinstance(event, Fault):
        return event
    text = _read_other(raw).data
    facts: DataFacts | Fault = NO_DATA if event.data is None or text is UNSET else texts.data(bytes(text))
    if isinstance(facts, Fault):
        return facts
    context = event.context
    return (
        index,
        event.event_type,
        facts.entity_id,
        None,
        None,
        None,
        facts,
        time_fired,
        None,
        None,
        None,
        context.id if context else None,
        context.parent_id if context else None,
        context.user_id if context else None,
        event.origin,
        None,
    )


def _take_time(holder: dict[str, Any], name: str) -> Moment:
    """Give a time as it came. One that is no time is taken out, so that the rest of the event can be judged."""
    value = holder.get(name)
    if value is None:
        return None
    try:
        _TIME.validate_python(value)
    except ValidationError:
        holder[name] = None
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    return value  # type: ignore[no-any-return]  # a validated time is text or a number


def _number_as_text(part: dict[str, Any], name: str, raw: bytes, mends: list[Mend]) -> None:
    if isinstance(part.get("state"), int | float) and not isinstance(part["state"], bool):
        state = getattr(_read_change(raw).data, name).state
        part["state"] = bytes(state).decode()
        if name == "new_state":
            mends.append(("state", "number_as_text", part["state"]))


def _attributes(state: _RawState | None, texts: Texts) -> AttributeFacts | Fault | None:
    if state is None or state.attributes is UNSET:
        return None
    text = bytes(state.attributes)
    return None if text == b"null" else texts.attributes(text)


def _is_foreign(state: StateObject | None, entity_id: str) -> bool:
    return state is not None and state.entity_id is not None and state.entity_id != entity_id


def _check(value: dict[str, Any]) -> Any | Fault:
    try:
        return WIRE.validate_python(value)
    except ValidationError as error:
        return fault_of(error)


_REASON_OF_ERROR: Final = {"missing": "missing_field", "string_too_long": "too_long", "string_pattern_mismatch": "nul"}


def fault_of(error: ValidationError) -> Fault:
    """Word the first fault Pydantic found."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = [str(part) for part in first["loc"] if part not in {"state_changed", "other"}]
    name, kind = (path or [""])[-1], first["type"]
    if name == "entity_id" and kind.startswith("string_") and kind != "string_type":
        reason = "bad_entity_id"
    elif name == "event_type" and kind.startswith("string_") and kind != "string_type":
        reason = "bad_event_type"
    else:
        reason = _REASON_OF_ERROR.get(kind, "wrong_type")
    got = "" if kind == "missing" else f", got {first['input']!r:.100}"
    return Fault(reason=reason, field=".".join(path) or None, detail=f"{first['msg']}{got}"[: 2 * _CLIP])


def _kind(value: object) -> str:
    return {"list": "a list", "str": "text", "NoneType": "null", "bool": "true or false"}.get(
        type(value).__name__,
        "a number",
    )
