"""The narrow reader: of each event only what version 1 stores, the rest left as the bytes it came in.

Exactness is proved, not assumed. What was read is written back; if that gives the bytes that came in, nothing was
hidden between the lines (no repeated key, no member unread). Home Assistant's own writer always passes. What others
write (blanks, other order) is looked at once more for repeated keys. Attributes and data stay text: each distinct
text is checked once and remembered, since nine of ten repeat byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, DecodeError, Raw, UnsetType

from ingestor.transforms.identity import EMPTY_DATA
from ingestor.transforms.models import ENTITY_ID_PATTERN

MAX_EVENT_BYTES: Final = 1024 * 1024
#: Levels of nesting in attributes or data. Writers of JSON stop at 254; this leaves room for what wraps an event.
MAX_DEPTH: Final = 240
MAX_ENTITY_ID: Final = 255
#: What reading bytes that are no such event may raise.
UNREADABLE: Final = (DecodeError, ValueError, RecursionError)

_Text = str | None | UnsetType
_ENTITY_ID: Final = re.compile(ENTITY_ID_PATTERN.removeprefix("^").removesuffix("$"))
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


class WireContext(msgspec.Struct, gc=False, kw_only=True):
    """An event's context."""

    id: _Text = UNSET
    parent_id: _Text = UNSET
    user_id: _Text = UNSET


class WireState(msgspec.Struct, gc=False, kw_only=True):
    """A state object, members in Home Assistant's order."""

    entity_id: _Text = UNSET
    state: str
    attributes: Raw | UnsetType = UNSET
    last_changed: _Text = UNSET
    last_reported: _Text = UNSET
    last_updated: _Text = UNSET
    context: WireContext | UnsetType | None = UNSET


class WireChange(msgspec.Struct, gc=False, kw_only=True):
    """The data of ``state_changed``."""

    entity_id: str
    old_state: WireState | UnsetType | None = UNSET
    new_state: WireState | None


class WireStateChanged(msgspec.Struct, gc=False, kw_only=True):
    """A ``state_changed`` event."""

    event_type: str
    data: WireChange
    origin: _Text = UNSET
    time_fired: _Text = UNSET
    context: WireContext | UnsetType | None = UNSET


class WireOther(msgspec.Struct, gc=False, kw_only=True):
    """An event of any type, its data unread."""

    event_type: str
    data: Raw | UnsetType = UNSET
    origin: _Text = UNSET
    time_fired: _Text = UNSET
    context: WireContext | UnsetType | None = UNSET


read_state_changed = msgspec.json.Decoder(WireStateChanged).decode
read_other = msgspec.json.Decoder(WireOther).decode
write = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an event cannot be stored: a stable word, the member at fault, a sentence."""

    reason: str
    field: str | None
    detail: str


class AttributeFacts(NamedTuple):
    """A text of attributes, and what the row takes from it. ``digest`` is equal for equal content in any order.

    The digest is good within one process only.
    """

    text: str
    unit: str | None
    device_class: str | None
    digest: int


class DataFacts(NamedTuple):
    """A text of data, and what the row takes from it. ``canonical`` goes into the event's id."""

    text: str | None
    entity_id: str | None
    device_id: str | None
    canonical: bytes


NO_DATA: Final = DataFacts(None, None, None, EMPTY_DATA)


def parse(text: bytes, field: str | None) -> Any | Fault:
    """Read JSON strictly: UTF-8, no repeated key, no lone surrogate, no number beyond a double, not too deep."""
    try:
        value = orjson.loads(text)
        if orjson.dumps(value) != text:
            json.loads(text, object_pairs_hook=_distinct)
    except _RepeatedKeyError as error:
        return Fault(reason="duplicate_key", field=field, detail=f"the member {error.args[0]!r:.100} is there twice")
    except RecursionError:
        return _too_deep(field)
    except TypeError:  # orjson writes at most 254 levels
        return _too_deep(field)
    except ValueError as error:
        return _unreadable(str(error), field)
    return value


def depth(text: bytes) -> int:
    """Count the levels of nesting of JSON text, without reading it by recursion."""
    if len(text) <= 2 * MAX_DEPTH or text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return 0
    level = deepest = 0
    for byte in _STRING.sub(b"", text):
        if byte in b"{[":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"}]":
            level -= 1
    return deepest


def is_entity_id(text: object) -> bool:
    """Tell whether a value is an entity id by Home Assistant's rule."""
    return isinstance(text, str) and len(text) <= MAX_ENTITY_ID and _ENTITY_ID.fullmatch(text) is not None


class Texts:
    """Checked texts of attributes and data, remembered up to ``budget_bytes`` in two generations."""

    def __init__(self, *, budget_bytes: int = 32 * 1024 * 1024, longest: int = 65_536) -> None:
        self._half, self._longest = budget_bytes // 2, longest
        self._attributes: dict[bytes, AttributeFacts] = {}
        self._attributes_old: dict[bytes, AttributeFacts] = {}
        self._data: dict[bytes, DataFacts] = {}
        self._data_old: dict[bytes, DataFacts] = {}
        self._bytes = 0

    def attributes(self, text: bytes) -> AttributeFacts | Fault:
        """Give the facts of a text of attributes."""
        known = self._attributes.get(text)
        if known is not None:
            return known
        facts = self._attributes_old.get(text) or _attribute_facts(text)
        if isinstance(facts, AttributeFacts) and self._room(text):
            self._attributes[text] = facts
        return facts

    def all_attributes(self, texts: Sequence[bytes]) -> list[AttributeFacts | Fault | None]:
        """Give the facts of a column of texts of attributes; null for an empty one."""
        found: list[AttributeFacts | Fault | None] = list(map(self._attributes.get, texts))
        for place, facts in enumerate(found):
            if facts is None and texts[place]:
                found[place] = self.attributes(texts[place])
        return found

    def data(self, text: bytes) -> DataFacts | Fault:
        """Give the facts of a text of data."""
        known = self._data.get(text)
        if known is not None:
            return known
        facts = self._data_old.get(text) or _data_facts(text)
        if isinstance(facts, DataFacts) and self._room(text):
            self._data[text] = facts
        return facts

    def _room(self, text: bytes) -> bool:
        if len(text) > self._longest:
            return False
        self._bytes += 3 * len(text) + 400
        if self._bytes > self._half:
            self._attributes_old, self._attributes = self._attributes, {}
            self._data_old, self._data = self._data, {}
            self._bytes = 3 * len(text) + 400
        return True


class _RepeatedKeyError(ValueError):
    """A key stands twice in one object."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return members


def _object(text: bytes, field: str) -> dict[str, Any] | Fault:
    if depth(text) > MAX_DEPTH:
        return _too_deep(field)
    value = parse(text, field)
    if isinstance(value, dict | Fault):
        return value
    return Fault(reason="wrong_type", field=field, detail=f"{field} is {type(value).__name__}, expected an object")


def _attribute_facts(text: bytes) -> AttributeFacts | Fault:
    value = _object(text, "attributes")
    if isinstance(value, Fault):
        return value
    unit, device_class = value.get("unit_of_measurement"), value.get("device_class")
    return AttributeFacts(
        text.decode(),
        unit if isinstance(unit, str) and "\0" not in unit else None,
        device_class if isinstance(device_class, str) and "\0" not in device_class else None,
        hash(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)),
    )


def _data_facts(text: bytes) -> DataFacts | Fault:
    value = _object(text, "data")
    if isinstance(value, Fault):
        return value
    entity_id, device_id = value.get("entity_id"), value.get("device_id")
    return DataFacts(
        text.decode(),
        entity_id if is_entity_id(entity_id) else None,
        device_id if isinstance(device_id, str) and "\0" not in device_id else None,
        orjson.dumps(value, option=orjson.OPT_SORT_KEYS),
    )


def _too_deep(field: str | None) -> Fault:
    return Fault(reason="too_deep", field=field, detail=f"nested deeper than {MAX_DEPTH} levels")


def _unreadable(message: str, field: str | None) -> Fault:
    for sign, reason in (
        ("not valid UTF-8", "not_utf8"),
        ("surrogate", "lone_surrogate"),
        ("infinity", "number_too_large"),
        ("depth limit", "too_deep"),
    ):
        if sign in message:
            return Fault(reason=reason, field=field, detail=message[:200])
    return Fault(reason="not_json", field=field, detail=message[:200])
