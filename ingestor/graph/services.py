"""What a service call changes: entities of which domains, and the states it can leave behind.

``None`` as a result means any state. An empty set means that only attributes change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ingestor.graph.templates import is_template

Result = frozenset[str] | None

#: Domains whose services act on entities of the same domain and on no other.
ENTITY_DOMAINS: Final = frozenset(
    [
        "alarm_control_panel",
        "automation",
        "button",
        "calendar",
        "camera",
        "climate",
        "counter",
        "cover",
        "date",
        "datetime",
        "device_tracker",
        "fan",
        "humidifier",
        "input_boolean",
        "input_button",
        "input_datetime",
        "input_number",
        "input_select",
        "input_text",
        "lawn_mower",
        "light",
        "lock",
        "media_player",
        "number",
        "remote",
        "scene",
        "script",
        "select",
        "siren",
        "switch",
        "text",
        "time",
        "timer",
        "todo",
        "update",
        "vacuum",
        "valve",
        "water_heater",
    ]
)

#: Domains whose services leave no entity changed, whatever their target.
SILENT_DOMAINS: Final = frozenset(
    [
        "ai_task",
        "assist_pipeline",
        "backup",
        "conversation",
        "diagnostics",
        "frontend",
        "hassio",
        "history",
        "image",
        "logbook",
        "logger",
        "mqtt",
        "notify",
        "persistent_notification",
        "python_script",
        "recorder",
        "rest_command",
        "shell_command",
        "stt",
        "system_log",
        "trace",
        "weather",
    ]
)

_SILENT_NAMES: Final = (
    "get_",
    "reload",
    "update_entity",
    "snapshot",
    "record",
    "check_config",
    "save_persistent_states",
)
_SILENT: Final = frozenset({"homeassistant.stop", "homeassistant.restart", "homeassistant.set_location"})

_ON_OFF: Final = frozenset(
    [
        "automation",
        "fan",
        "group",
        "humidifier",
        "input_boolean",
        "light",
        "remote",
        "siren",
        "switch",
        "climate",
        "media_player",
        "water_heater",
    ]
)
_TURN_ON: Final = _ON_OFF - {"climate", "media_player", "water_heater"}
_FIXED: Final[dict[str, frozenset[str]]] = {
    "lock.lock": frozenset({"locked", "locking", "jammed"}),
    "lock.unlock": frozenset({"unlocked", "unlocking", "jammed"}),
    "cover.open_cover": frozenset({"open", "opening"}),
    "cover.close_cover": frozenset({"closed", "closing"}),
    "valve.open_valve": frozenset({"open", "opening"}),
    "valve.close_valve": frozenset({"closed", "closing"}),
    "timer.start": frozenset({"active"}),
    "timer.pause": frozenset({"paused"}),
    "timer.cancel": frozenset({"idle"}),
    "timer.finish": frozenset({"idle"}),
}
_VALUE_OF: Final = {
    "input_select.select_option": "option",
    "select.select_option": "option",
    "input_text.set_value": "value",
    "text.set_value": "value",
    "input_number.set_value": "value",
    "number.set_value": "value",
    "counter.set_value": "value",
}
_DEVICE_VERBS: Final = {"open": "open_{}", "close": "close_{}", "stop": "stop_{}"}


def writes_nothing(service: str) -> bool:
    """Whether the service changes no entity of the home."""
    domain, _, name = service.partition(".")
    return domain in SILENT_DOMAINS or service in _SILENT or name.startswith(_SILENT_NAMES)


def device_action(domain: str, verb: str) -> str:
    """Return the service that a device action stands for."""
    return f"{domain}.{_DEVICE_VERBS.get(verb, verb).format(domain)}"


def result_of(service: str, data: Mapping[str, Any], entity_domain: str) -> Result:
    """Return the states an entity of ``entity_domain`` can have after the call."""
    _, _, name = service.partition(".")
    if service in _FIXED:
        return _FIXED[service]
    if service in _VALUE_OF:
        return _static(data.get(_VALUE_OF[service]))
    if name == "turn_off" and entity_domain in _ON_OFF:
        return frozenset({"off"})
    if name == "turn_on" and entity_domain in _TURN_ON:
        dimmed = any(key.startswith("brightness") and not _bright(value) for key, value in data.items())
        return None if dimmed else frozenset({"on"})
    return None


def _static(value: object) -> Result:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    return None if is_template(text) else frozenset({text})


def _bright(value: object) -> bool:
    return isinstance(value, int | float) and value > 0
