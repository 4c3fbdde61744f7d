"""What an event says about the home's own documents: which of them it made stale, and whether the home is leaving.

Looks at the first bytes only, for nearly all events are ``state_changed``: half a microsecond each.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

LEAVES_WITHIN_S: Final = 120.0
ALL: Final = frozenset({"*"})
_NONE: Final[frozenset[str]] = frozenset()

#: Event type -> names of the documents it makes stale.
STALE_BY_EVENT_TYPE: Final[dict[str, frozenset[str]]] = {
    "device_registry_updated": frozenset({"devices"}),
    "area_registry_updated": frozenset({"areas"}),
    "floor_registry_updated": frozenset({"floors"}),
    "label_registry_updated": frozenset({"labels"}),
    "core_config_updated": frozenset({"config"}),
    "component_loaded": frozenset({"config", "manifests"}),
    "service_registered": frozenset({"services"}),
    "service_removed": frozenset({"services"}),
    "user_added": frozenset({"users", "persons"}),
    "user_updated": frozenset({"users", "persons"}),
    "user_removed": frozenset({"users", "persons"}),
    "automation_reloaded": frozenset({"automations"}),
    "homeassistant_started": ALL,
}
_STATE_CHANGED: Final = b'{"event_type":"state_changed","data":{"entity_id":"'
_START: Final = len(_STATE_CHANGED)
_PROGRAMS: Final = {b"automation": frozenset({"automations"}), b"script": frozenset({"scripts"})}


class _Data(msgspec.Struct, frozen=True):
    entity_id: msgspec.Raw = msgspec.Raw(b"null")
    domain: msgspec.Raw = msgspec.Raw(b"null")
    service: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct, frozen=True):
    event_type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


_EVENT = msgspec.json.Decoder(_Event)
_DATA = msgspec.json.Decoder(_Data)


class _Fired(msgspec.Struct, frozen=True):
    time_fired: datetime | None = None


_FIRED = msgspec.json.Decoder(_Fired)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def fired_at_us(event: bytes) -> int | None:
    """Return when an event was fired, by the home's clock (UTC, microseconds). ``None``: it does not say."""
    try:
        moment = _FIRED.decode(event).time_fired
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if moment is None or moment.tzinfo is None else (moment - _EPOCH) // timedelta(microseconds=1)


class Signals:
    """Reads events and remembers when the home was last told to restart or stop. Times in seconds of ``now_s``."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._left: tuple[str, float] | None = None

    @property
    def leaving(self) -> str | None:
        """The service that makes the home leave, if it was called within the last two minutes."""
        if self._left is None or self._now_s() - self._left[1] > LEAVES_WITHIN_S:
            return None
        return self._left[0]

    def stale_after(self, event: bytes) -> frozenset[str]:
        """Return the names of the documents this event made stale."""
        if event.startswith(_STATE_CHANGED):
            return _stale_after_state(event)
        try:
            head = _EVENT.decode(event)
            if head.event_type == "entity_registry_updated":
                return _stale_after_entity(bytes(_DATA.decode(head.data).entity_id))
            if head.event_type == "call_service":
                return self._stale_after_service(_DATA.decode(head.data))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _NONE
        return STALE_BY_EVENT_TYPE.get(head.event_type, _NONE)

    def _stale_after_service(self, call: _Data) -> frozenset[str]:
        domain, service = bytes(call.domain), bytes(call.service)
        if domain == b'"homeassistant"' and service in {b'"restart"', b'"stop"'}:
            self._left = ("homeassistant." + service.strip(b'"').decode(), self._now_s())
        if domain == b'"script"' and service == b'"reload"':
            return frozenset({"scripts"})
        return _NONE


def _stale_after_state(event: bytes) -> frozenset[str]:
    """Persons are edited without an event of their own; automations and scripts come and go as entities."""
    domain = event[_START : event.find(b".", _START, _START + 12)]
    if domain == b"person":
        return frozenset({"persons"})
    programs = _PROGRAMS.get(domain)
    if programs is None:
        return _NONE
    born_or_gone = b'"old_state":null' in event[:400] or b'"new_state":null' in event[-400:]
    return programs if born_or_gone else _NONE


def _stale_after_entity(entity_id: bytes) -> frozenset[str]:
    stale = {"entities"}
    for prefix, name in ((b'"person.', "persons"), (b'"automation.', "automations"), (b'"script.', "scripts")):
        if entity_id.startswith(prefix):
            stale.add(name)
    return frozenset(stale)
