"""Made-up homes: one of any size, and one as Home Assistant 2026.9 describes its devices."""

from __future__ import annotations

from typing import Any

_CLASSES = ("temperature", "humidity", "illuminance", None)


def big_home(entities: int, automations: int) -> dict[str, Any]:
    """Return documents of a home: five entities a device, a hundred an area, and some loops among automations."""
    areas = max(1, entities // 100)
    names = [f"{'sensor' if at % 3 else 'light'}.thing_{at}" for at in range(entities)]
    lights = [name for name in names if name.startswith("light.")]
    return {
        "floors": [{"floor_id": f"floor_{at}", "name": f"Floor {at}", "level": at} for at in range(5)],
        "areas": [
            {"area_id": f"area_{at}", "name": f"Area {at}", "floor_id": f"floor_{at % 5}"} for at in range(areas)
        ],
        "config_entries": [{"entry_id": "entry", "domain": "hue", "title": "Hue"}],
        "devices": [
            {
                "id": f"device_{at}",
                "name": f"Device {at}",
                "area_id": f"area_{at % areas}" if at % 4 else None,
                "via_device_id": f"device_{at + 1}" if at % 4 == 0 else None,
                "config_entries": ["entry"],
                "identifiers": [["hue", str(at)]],
                "connections": [],
            }
            for at in range(entities // 5 + 1)
        ],
        "entities": [
            {
                "entity_id": name,
                "id": f"{at:032x}",
                "device_id": f"device_{at // 5}",
                "area_id": None,
                "platform": "hue",
                "labels": [],
            }
            for at, name in enumerate(names)
        ],
        "states": [
            {"entity_id": name, "state": "on", "attributes": {"device_class": _CLASSES[at % 4], "friendly_name": name}}
            for at, name in enumerate(names)
        ],
        "automations": {f"automation.rule_{at}": _rule(at, names, lights, areas) for at in range(automations)},
    }


def _rule(at: int, names: list[str], lights: list[str], areas: int) -> dict[str, Any]:
    target: dict[str, Any] = {"entity_id": [lights[(at * 7 + 1) % len(lights)], lights[(at * 7 + 8) % len(lights)]]}
    if at % 10 == 0:
        target["area_id"] = f"area_{at % areas}"
    return {
        "id": str(at),
        "alias": f"Rule {at}",
        "triggers": [{"trigger": "state", "entity_id": [lights[at * 7 % len(lights)], names[at]], "to": "on"}],
        "conditions": [{"condition": "template", "value_template": f"{{{{ is_state('{names[-at - 1]}', 'on') }}}}"}],
        "actions": [
            {"action": "light.turn_on", "target": target},
            {"action": "notify.phone", "data": {"message": "x"}},
        ],
    }


def home_of_2026() -> dict[str, Any]:
    """Return documents with devices of one config entry each and child devices, which have few fields."""
    hub = {
        "id": "hub",
        "area_id": "office",
        "config_entry_id": "e_zigbee",
        "config_subentry_id": None,
        "config_entries": ["e_zigbee"],
        "parent_device_id": None,
        "via_device_id": None,
        "name": "Hub",
        "name_by_user": None,
        "manufacturer": "Acme",
        "model": "H1",
        "sw_version": "7",
        "hw_version": "2",
        "identifiers": [["zigbee", "hub"]],
        "connections": [["mac", "00:11:22:33:44:55"]],
        "labels": [],
    }
    strip = hub | {"id": "strip", "area_id": "kitchen", "via_device_id": "hub", "name": "Strip", "labels": ["power"]}
    lamp = hub | {"id": "lamp", "area_id": None, "via_device_id": "hub", "name": "Lamp"}
    few: dict[str, Any] = {
        "config_entry_id": "e_zigbee",
        "config_subentry_id": None,
        "name_by_user": None,
        "labels": [],
    }
    return {
        "floors": [{"floor_id": "ground", "name": "Ground", "level": 0}],
        "areas": [
            {"area_id": "kitchen", "name": "Kitchen", "floor_id": "ground"},
            {"area_id": "office", "name": "Office", "floor_id": "ground"},
            {"area_id": "attic", "name": "Attic", "floor_id": None},
        ],
        "config_entries": [{"entry_id": "e_zigbee", "domain": "zigbee", "title": "Stick"}],
        "devices": [
            hub,
            strip,
            lamp,
            few | {"id": "socket_1", "parent_device_id": "strip", "area_id": None, "name": "Socket 1"},
            few | {"id": "socket_2", "parent_device_id": "strip", "area_id": "attic", "name": "Socket 2"},
        ],
        "entities": [
            _entity("switch.one", "socket_1"),
            _entity("switch.two", "socket_2"),
            _entity("light.lamp", "lamp"),
            _entity("sensor.strip_power", "strip"),
            _entity("sensor.moved", "strip") | {"area_id": "office"},
            _entity("sensor.nowhere", None),
        ],
    }


def _entity(entity_id: str, device_id: str | None) -> dict[str, Any]:
    return {
        "entity_id": entity_id,
        "id": f"id_{entity_id}",
        "device_id": device_id,
        "area_id": None,
        "platform": "zigbee",
    }
