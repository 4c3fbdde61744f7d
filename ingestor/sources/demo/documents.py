"""The home's registries, in the very shapes of Home Assistant's commands (see ``base.DOCUMENT_NAMES``)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson

from ingestor.sources.demo.book import AUTOMATIONS, SCENES, SCRIPTS
from ingestor.sources.demo.bus import State, ulid
from ingestor.sources.demo.catalogue import (
    AREAS,
    DEVICES,
    ELEVATION_M,
    ENTITIES,
    FLOORS,
    HELPERS,
    INTEGRATIONS,
    LABELS,
    LATITUDE,
    LONGITUDE,
    PEOPLE,
    TIME_ZONE,
    VERSION,
    hex_id,
)
from ingestor.sources.demo.chance import dice
from ingestor.sources.demo.services import SERVICES

_MOVED_IN: Final = datetime(2024, 1, 1, 9, tzinfo=UTC).timestamp()
_SAFETY: Final = frozenset({"smoke", "leak", "front_door_lock", "front_door"})


def entry_id(domain: str) -> str:
    """Return the id of an integration's config entry."""
    return ulid(int(_MOVED_IN * 1e6), dice("demo", "entry", domain))


def firmware(day: date) -> str:
    """Return the version of what was updated on that day."""
    return f"{day.year % 100}.{day.month}.{day.day}"


def _dated(**fields: Any) -> dict[str, Any]:
    return {**fields, "created_at": _MOVED_IN, "modified_at": _MOVED_IN}


def config() -> dict[str, Any]:
    """Answer of ``get_config``."""
    helpers = {entity_id.partition(".")[0] for entity_id in HELPERS}
    domains = {entity.domain for entity, _ in ENTITIES.values()}
    return {
        "allowlist_external_dirs": [],
        "allowlist_external_urls": [],
        "components": sorted({*INTEGRATIONS, *helpers, *domains, *SERVICES, "person", "zone", "tag"}),
        "config_dir": "/config",
        "config_source": "storage",
        "country": "NL",
        "currency": "EUR",
        "debug": False,
        "elevation": ELEVATION_M,
        "external_url": None,
        "internal_url": None,
        "language": "en",
        "latitude": LATITUDE,
        "location_name": "Demo home",
        "longitude": LONGITUDE,
        "radius": 100,
        "recovery_mode": False,
        "safe_mode": False,
        "state": "RUNNING",
        "time_zone": TIME_ZONE,
        "unit_system": {
            "length": "km",
            "accumulated_precipitation": "mm",
            "area": "m²",
            "mass": "g",
            "pressure": "Pa",
            "temperature": "°C",
            "volume": "L",
            "wind_speed": "m/s",
        },
        "version": VERSION,
        "whitelist_external_dirs": [],
    }


def floors() -> list[dict[str, Any]]:
    """Answer of ``config/floor_registry/list``."""
    return [
        _dated(aliases=[], floor_id=floor_id, icon=icon, level=level, name=name)
        for floor_id, (name, level, icon) in FLOORS.items()
    ]


def areas() -> list[dict[str, Any]]:
    """Answer of ``config/area_registry/list``."""

    def sensor(area: str, what: str) -> str | None:
        entity_id = f"sensor.{area}_{what}"
        return entity_id if entity_id in ENTITIES else None

    return [
        _dated(
            aliases=[],
            area_id=area_id,
            floor_id=floor_id,
            humidity_entity_id=sensor(area_id, "humidity"),
            icon=icon,
            labels=[],
            name=name,
            picture=None,
            temperature_entity_id=sensor(area_id, "temperature"),
        )
        for area_id, (name, floor_id, icon) in AREAS.items()
    ]


def labels() -> list[dict[str, Any]]:
    """Answer of ``config/label_registry/list``."""
    return [
        _dated(color=color, description=None, icon=icon, label_id=label_id, name=name)
        for label_id, (name, color, icon) in LABELS.items()
    ]


def devices(updated: dict[str, date]) -> list[dict[str, Any]]:
    """Answer of ``config/device_registry/list``. ``updated``: when each device last got new firmware."""
    answer = []
    for device in DEVICES:
        entry = entry_id(device.integration)
        labels = ["safety"] if device.key in _SAFETY else ["energy"] if device.key.startswith("plug_") else []
        answer.append(
            {
                "area_id": device.area,
                "configuration_url": None,
                "config_entries": [entry],
                "config_entries_subentries": {entry: [None]},
                "connections": [],
                "created_at": _MOVED_IN,
                "disabled_by": None,
                "entry_type": "service" if device.model == "Service" else None,
                "hw_version": None,
                "id": device.id,
                "identifiers": [[device.integration, device.key]],
                "labels": labels,
                "manufacturer": "Demo works",
                "model": device.model,
                "model_id": None,
                "modified_at": _MOVED_IN,
                "name_by_user": None,
                "name": device.name,
                "primary_config_entry": entry,
                "serial_number": None,
                "sw_version": firmware(updated[device.id]),
                "via_device_id": hex_id(f"device/{device.via}") if device.via else None,
            },
        )
    return answer


def entities() -> list[dict[str, Any]]:
    """Answer of ``config/entity_registry/list``."""
    answer = []
    for entity, device in ENTITIES.values():
        entry = entry_id(device.integration)
        answer.append(
            _entity(entity.entity_id, entity.name or device.name, device.integration)
            | {"config_entry_id": entry, "device_id": device.id, "entity_category": entity.category}
            | {"has_entity_name": True, "original_name": entity.name},
        )
    answer += [_entity(entity_id, name, entity_id.partition(".")[0]) for entity_id, (name, _, _) in HELPERS.items()]
    for entity_id, book in {**AUTOMATIONS, **SCRIPTS}.items():
        answer.append(_entity(entity_id, book["alias"], entity_id.partition(".")[0], book.get("id")))
    for entity_id, (key, name, _) in SCENES.items():
        answer.append(_entity(entity_id, name, "homeassistant", key))
    for person in PEOPLE:
        answer.append(_entity(f"person.{person.key}", person.name, "person", person.key))
    return answer


def _entity(entity_id: str, name: str, platform: str, unique_id: str | None = None) -> dict[str, Any]:
    return {
        "area_id": None,
        "categories": {},
        "config_entry_id": None,
        "config_subentry_id": None,
        "created_at": _MOVED_IN,
        "device_id": None,
        "disabled_by": None,
        "entity_category": None,
        "entity_id": entity_id,
        "has_entity_name": False,
        "hidden_by": None,
        "icon": None,
        "id": hex_id(f"entity/{entity_id}"),
        "labels": [],
        "modified_at": _MOVED_IN,
        "name": None,
        "options": {"conversation": {"should_expose": False}},
        "original_name": name,
        "platform": platform,
        "translation_key": None,
        "unique_id": unique_id or entity_id.partition(".")[2],
    }


def config_entries() -> list[dict[str, Any]]:
    """Answer of ``config_entries/get``."""
    return [
        {
            "created_at": _MOVED_IN,
            "entry_id": entry_id(domain),
            "domain": domain,
            "modified_at": _MOVED_IN,
            "title": title,
            "source": "user",
            "state": "loaded",
            "supports_options": False,
            "supports_remove_device": False,
            "supports_unload": True,
            "supports_reconfigure": False,
            "supported_subentry_types": {},
            "pref_disable_new_entities": False,
            "pref_disable_polling": False,
            "disabled_by": None,
            "reason": None,
            "error_reason_translation_key": None,
            "error_reason_translation_placeholders": None,
            "num_subentries": 0,
        }
        for domain, title in INTEGRATIONS.items()
    ]


def manifests() -> list[dict[str, Any]]:
    """Answer of ``manifest/list``."""
    hubs = {"zha", "hue", "shelly", "tado"}
    return [
        {
            "domain": domain,
            "name": title,
            "codeowners": [],
            "config_flow": True,
            "documentation": f"https://www.home-assistant.io/integrations/{domain}",
            "integration_type": "hub" if domain in hubs else "device",
            "iot_class": "local_push",
            "is_built_in": True,
            "overwrites_built_in": False,
        }
        for domain, title in INTEGRATIONS.items()
    ]


def services() -> dict[str, Any]:
    """Answer of ``get_services``."""
    entities = {entity.domain for entity, _ in ENTITIES.values()} | {key.partition(".")[0] for key in HELPERS}
    return {
        domain: {
            service: {
                "name": service.replace("_", " ").capitalize(),
                "description": "",
                "fields": {},
                **({"target": {"entity": [{"domain": [domain]}]}} if domain in entities else {}),
            }
            for service in names
        }
        for domain, names in SERVICES.items()
    }


def users() -> list[dict[str, Any]]:
    """Answer of ``config/auth/list``."""

    def user(user_id: str, name: str, username: str | None, *, owner: bool, system: bool) -> dict[str, Any]:
        group = "system-read-only" if system else "system-admin" if owner else "system-users"
        return {
            "id": user_id,
            "username": username,
            "name": name,
            "is_owner": owner,
            "is_active": True,
            "local_only": False,
            "system_generated": system,
            "group_ids": [group],
            "credentials": [] if system else [{"type": "homeassistant"}],
        }

    people = [
        user(person.user_id, person.name, person.key, owner=person.key == "anna", system=False)
        for person in PEOPLE
        if person.user_id
    ]
    return [*people, user(hex_id("user/content"), "Home Assistant Content", None, owner=False, system=True)]


def persons() -> dict[str, Any]:
    """Answer of ``person/list``."""
    storage = [
        {
            "id": person.key,
            "name": person.name,
            "user_id": person.user_id,
            "device_trackers": [f"device_tracker.{person.key}_phone"],
            "picture": None,
        }
        for person in PEOPLE
    ]
    return {"storage": storage, "config": []}


def states(known: dict[str, State]) -> list[dict[str, Any]]:
    """Answer of ``get_states``."""
    return [orjson.loads(state.json) for state in known.values()]


def updates(day: date) -> dict[str, date]:
    """Device id -> the day of its last firmware: every device has its turn, one a day, and had it before ``day``."""
    number = day.toordinal()
    return {
        device.id: day - timedelta(days=(number - 1 - turn) % len(DEVICES) + 1) for turn, device in enumerate(DEVICES)
    }


#: Document name -> how to build it, for all that need neither states nor date.
PLAIN: Final[dict[str, Callable[[], Any]]] = {
    "config": config,
    "services": services,
    "entities": entities,
    "areas": areas,
    "floors": floors,
    "labels": labels,
    "config_entries": config_entries,
    "manifests": manifests,
    "users": users,
    "persons": persons,
    "automations": lambda: AUTOMATIONS,
    "scripts": lambda: SCRIPTS,
    "missing": list,
}
