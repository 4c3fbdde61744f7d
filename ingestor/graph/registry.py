"""Turn each document of a home into facts. Old and new shapes of Home Assistant's registries give the same facts.

A parser reads one document and nothing else; what it cannot read is a fault, and the rest still counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ingestor.graph.documents import Faults, Row, mapping, rows
from ingestor.graph.snapshot import Place
from ingestor.graph.templates import ENTITY_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityEntry:
    """An entity of the entity registry. ``plain`` means that targets by device, area or label include it."""

    registry_id: str | None
    device_id: str | None
    area_id: str | None
    platform: str | None
    config_entry_id: str | None
    name: str | None
    device_class: str | None
    category: str | None
    hidden: bool
    disabled_by: str | None
    labels: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether it is neither hidden nor a diagnostic or setting."""
        return self.category is None and not self.hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEntry:
    """A device. A child device of newer homes has a ``parent_device_id`` and few other fields."""

    name: str | None
    manufacturer: str | None
    model: str | None
    model_id: str | None
    sw_version: str | None
    hw_version: str | None
    serial_number: str | None
    entry_type: str | None
    via_device_id: str | None
    parent_device_id: str | None
    area_id: str | None
    disabled_by: str | None
    connections: tuple[tuple[str, ...], ...]
    identifiers: tuple[tuple[str, ...], ...]
    config_entries: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaEntry:
    """An area. ``chosen`` names the sensors its owner picked for temperature and humidity."""

    name: str
    floor_id: str | None
    aliases: tuple[str, ...]
    labels: tuple[str, ...]
    chosen: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorEntry:
    """A floor."""

    name: str
    level: int | None
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFacts:
    """What of a state outlives its next change. ``last_triggered`` does not, and makes no difference."""

    name: str | None
    device_class: str | None
    members: tuple[str, ...]
    source: str | None
    config_id: str | None
    user_id: str | None
    all_members: bool
    off: bool
    mode: str | None
    last_triggered: str | None = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFacts:
    """A config entry: one set-up of an integration."""

    domain: str
    title: str | None
    source: str | None
    state: str | None
    disabled_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """What an integration says of itself."""

    name: str | None
    integration_type: str | None
    iot_class: str | None
    documentation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFacts:
    """A user account. The login name is not kept."""

    name: str | None
    is_owner: bool
    is_active: bool
    system_generated: bool


def _entities(content: Any, faults: Faults) -> dict[str, EntityEntry]:
    return {
        key: EntityEntry(
            registry_id=row.text("id"),
            device_id=row.text("device_id"),
            area_id=row.text("area_id"),
            platform=row.text("platform"),
            config_entry_id=row.text("config_entry_id"),
            name=row.text("name") or row.text("original_name"),
            device_class=row.text("device_class") or row.text("original_device_class"),
            category=row.text("entity_category"),
            hidden=bool(row.text("hidden_by")),
            disabled_by=row.text("disabled_by"),
            labels=row.texts("labels"),
        )
        for key, row in _keyed(content, faults, "entity_id", ENTITY_ID.match)
    }


def _devices(content: Any, faults: Faults) -> dict[str, DeviceEntry]:
    found = {}
    for key, row in _keyed(content, faults, "id"):
        single = row.text("config_entry_id")
        entries = (single,) if single else tuple(sorted(row.texts("config_entries")))
        found[key] = DeviceEntry(
            name=row.text("name_by_user") or row.text("name"),
            manufacturer=row.text("manufacturer"),
            model=row.text("model"),
            model_id=row.text("model_id"),
            sw_version=row.text("sw_version"),
            hw_version=row.text("hw_version"),
            serial_number=row.text("serial_number"),
            entry_type=row.text("entry_type"),
            via_device_id=row.text("via_device_id"),
            parent_device_id=row.text("parent_device_id"),
            area_id=row.text("area_id"),
            disabled_by=row.text("disabled_by"),
            connections=row.pairs("connections"),
            identifiers=row.pairs("identifiers"),
            config_entries=entries,
            labels=row.texts("labels"),
        )
    return found


def _areas(content: Any, faults: Faults) -> dict[str, AreaEntry]:
    found = {}
    for key, row in _keyed(content, faults, "area_id"):
        sensors = [(what, row.text(f"{what}_entity_id")) for what in ("humidity", "temperature")]
        found[key] = AreaEntry(
            name=row.text("name") or key,
            floor_id=row.text("floor_id"),
            aliases=tuple(sorted(row.texts("aliases"))),
            labels=row.texts("labels"),
            chosen=tuple((what, sensor) for what, sensor in sensors if sensor),
        )
    return found


def _floors(content: Any, faults: Faults) -> dict[str, FloorEntry]:
    found = {}
    for key, row in _keyed(content, faults, "floor_id"):
        level = row.number("level")
        aliases = tuple(sorted(row.texts("aliases")))
        found[key] = FloorEntry(
            name=row.text("name") or key, level=None if level is None else int(level), aliases=aliases
        )
    return found


def _labels(content: Any, faults: Faults) -> dict[str, str]:
    return {key: row.text("name") or key for key, row in _keyed(content, faults, "label_id")}


def _states(content: Any, faults: Faults) -> dict[str, StateFacts]:
    found = {}
    for key, row in _keyed(content, faults, "entity_id", ENTITY_ID.match):
        extra = row.inner("attributes")
        values = extra.values
        domain = key.partition(".")[0]
        runs = domain in {"automation", "script"}
        group = values.get("entity_id")
        source = values.get("source", values.get("source_entity_id"))
        found[key] = StateFacts(
            name=extra.text("friendly_name"),
            device_class=extra.text("device_class"),
            members=extra.texts("entity_id") if isinstance(group, list) else _one(group),
            source=source if isinstance(source, str) and ENTITY_ID.match(source) else None,
            config_id=_config_id(values.get("id")) if runs or domain == "scene" else None,
            user_id=extra.text("user_id") if domain == "person" else None,
            all_members=values.get("all") is True,
            off=domain == "automation" and row.values.get("state") == "off",
            mode=extra.text("mode") if runs else None,
            last_triggered=extra.text("last_triggered") if runs else None,
        )
    return found


def _services(content: Any, faults: Faults) -> frozenset[str]:
    document = mapping(content, faults)
    return frozenset(
        f"{domain}.{service}"
        for domain in document.values
        if isinstance(domain, str)
        for service in document.inner(domain).values
    )


def _config_entries(content: Any, faults: Faults) -> dict[str, EntryFacts]:
    return {
        key: EntryFacts(
            domain=row.text("domain") or "",
            title=row.text("title"),
            source=row.text("source"),
            state=row.text("state"),
            disabled_by=row.text("disabled_by"),
        )
        for key, row in _keyed(content, faults, "entry_id")
    }


def _manifests(content: Any, faults: Faults) -> dict[str, ManifestFacts]:
    return {
        key: ManifestFacts(
            name=row.text("name"),
            integration_type=row.text("integration_type"),
            iot_class=row.text("iot_class"),
            documentation=row.text("documentation"),
        )
        for key, row in _keyed(content, faults, "domain")
    }


def _users(content: Any, faults: Faults) -> dict[str, UserFacts]:
    return {
        key: UserFacts(
            name=row.text("name"),
            is_owner=row.flag("is_owner"),
            is_active=row.flag("is_active", default=True),
            system_generated=row.flag("system_generated"),
        )
        for key, row in _keyed(content, faults, "id")
    }


def _persons(content: Any, faults: Faults) -> dict[str, str]:
    """Return user id -> the person's name."""
    document = mapping(content, faults)
    found = {}
    for part in ("storage", "config"):
        for row in rows(document.values.get(part), faults, part):
            user = row.text("user_id")
            if user:
                found[user] = row.text("name") or user
    return found


def _place(content: Any, faults: Faults) -> Place:
    row = mapping(content, faults)
    units = row.inner("unit_system")
    return Place(
        time_zone=row.text("time_zone") or "UTC",
        latitude=row.number("latitude", -90, 90),
        longitude=row.number("longitude", -180, 180),
        elevation_m=row.number("elevation") or 0.0,
        country=row.text("country"),
        units={key: value for key in sorted(units.values) if (value := units.text(key)) is not None},
    )


def _missing(content: Any, faults: Faults) -> tuple[tuple[str, ...], ...]:
    keys = ("kind", "event_type", "why", "remedy")
    return tuple(tuple(row.text(key) or "" for key in keys) for row in rows(content, faults))


#: Document name -> what reads it. ``automations`` and ``scripts`` are programs and are read elsewhere.
PARSERS: Final[dict[str, Callable[[Any, Faults], Any]]] = {
    "config": _place,
    "states": _states,
    "services": _services,
    "entities": _entities,
    "devices": _devices,
    "areas": _areas,
    "floors": _floors,
    "labels": _labels,
    "config_entries": _config_entries,
    "manifests": _manifests,
    "users": _users,
    "persons": _persons,
    "missing": _missing,
}


def _keyed(
    content: Any, faults: Faults, key: str, valid: Callable[[str], object] | None = None
) -> Iterator[tuple[str, Row]]:
    for row in rows(content, faults):
        name = row.text(key)
        if name is None:
            faults.add(key, "an object without it is left out")
        elif valid is not None and not valid(name):
            faults.add(key, f"{name[:80]!r} is no id")
        else:
            yield name, row


def _one(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and ENTITY_ID.match(value) else ()


def _config_id(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
