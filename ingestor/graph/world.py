"""The registries put together: where each entity is, what it measures, and whom a target means.

An entity is in its own area, else its device's, else that of the nearest device its own is part of
(``parent_device_id``); so it is for Home Assistant's own targets. A hub lends its area to nobody: a bulb may hang on it
from another floor (``via_device_id``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from ingestor.graph.program import Target
from ingestor.graph.registry import (
    AreaEntry,
    DeviceEntry,
    EntityEntry,
    EntryFacts,
    FloorEntry,
    ManifestFacts,
    StateFacts,
    UserFacts,
)
from ingestor.graph.snapshot import EntityFacts, Measure, Place

_MEASURES: dict[tuple[str, str], Measure] = {
    ("sensor", "temperature"): "temperature",
    ("sensor", "humidity"): "humidity",
    ("sensor", "illuminance"): "illuminance",
    ("binary_sensor", "occupancy"): "occupancy",
    ("binary_sensor", "motion"): "occupancy",
    ("binary_sensor", "presence"): "occupancy",
}


@dataclass(slots=True, kw_only=True)
class Facts:
    """All facts of a home, by document. The names are those of the documents."""

    config: Place = field(default_factory=Place)
    states: dict[str, StateFacts] = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    entities: dict[str, EntityEntry] = field(default_factory=dict)
    devices: dict[str, DeviceEntry] = field(default_factory=dict)
    areas: dict[str, AreaEntry] = field(default_factory=dict)
    floors: dict[str, FloorEntry] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    config_entries: dict[str, EntryFacts] = field(default_factory=dict)
    manifests: dict[str, ManifestFacts] = field(default_factory=dict)
    users: dict[str, UserFacts] = field(default_factory=dict)
    persons: dict[str, str] = field(default_factory=dict)
    missing: tuple[tuple[str, ...], ...] = ()


class World:
    """One picture of the registries. Cost to build: linear in entities and devices."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.by_registry_id = {e.registry_id: key for key, e in facts.entities.items() if e.registry_id}
        self.area_of_device = {key: self._device_area(key) for key in facts.devices}
        self.known = facts.entities.keys() | facts.states.keys()
        self._areas: dict[str, str] = {}
        self.entities_of_device: dict[str, list[str]] = defaultdict(list)
        self._reached_by_area: dict[str, list[str]] = defaultdict(list)
        self._reached_by_label: dict[str, list[str]] = defaultdict(list)
        for key, entry in facts.entities.items():
            self._index(key, entry)
        self.composed = sorted(key for key, state in facts.states.items() if state.members or state.source)
        self.by_domain: dict[str, list[str]] = defaultdict(list)
        for key in sorted(self.known):
            self.by_domain[key.partition(".")[0]].append(key)

    def area_of(self, entity_id: str) -> str | None:
        """Return where the entity is."""
        return self._areas.get(entity_id)

    def floor_of(self, area_id: str | None) -> str | None:
        """Return the floor of an area."""
        area = self.facts.areas.get(area_id) if area_id else None
        return area.floor_id if area else None

    def name_of(self, entity_id: str) -> str:
        """Return what people call the entity."""
        state = self.facts.states.get(entity_id)
        entry = self.facts.entities.get(entity_id)
        return (state and state.name) or (entry and entry.name) or entity_id

    @cached_property
    def places(self) -> dict[str, EntityFacts]:
        """Where each entity belongs, its relations left open. Entities of one place share an object."""
        shared: dict[tuple[str | None, str | None, str | None], EntityFacts] = {}
        found = {}
        for name in self.known:
            entry = self.facts.entities.get(name)
            area = self._areas.get(name)
            key = (entry.device_id, area, entry.platform) if entry else (None, area, None)
            if key not in shared:
                shared[key] = EntityFacts(
                    device_id=key[0], area_id=area, floor_id=self.floor_of(area), integration=key[2]
                )
            found[name] = shared[key]
        return found

    @cached_property
    def measures(self) -> dict[str, tuple[str, Measure]]:
        """The sensors that make up each area's environment; an owner's own choice shuts out the others."""
        chosen = {(area, what): sensor for area, entry in self.facts.areas.items() for what, sensor in entry.chosen}
        found: dict[str, tuple[str, Measure]] = {}
        for domain in ("binary_sensor", "sensor"):
            for key in self.by_domain.get(domain, ()):
                what = self._measure(key, domain)
                area = self.area_of(key) if what else None
                if what and area and chosen.get((area, what), key) == key:
                    found[key] = (area, what)
        return found

    @cached_property
    def neighbours(self) -> dict[str, tuple[str, ...]]:
        """Each area's neighbours: the other areas on its floor."""
        floors: dict[str, list[str]] = defaultdict(list)
        for key, area in sorted(self.facts.areas.items()):
            if area.floor_id:
                floors[area.floor_id].append(key)
        return {
            key: tuple(other for other in floors.get(area.floor_id or "", ()) if other != key)
            for key, area in sorted(self.facts.areas.items())
        }

    def entity_id(self, name: str) -> str:
        """Return the entity id for a registry id; any other name as it is."""
        return self.by_registry_id.get(name, name)

    def named(self, target: Target, domain: str | None) -> list[str]:
        """Return the entities that ``target`` names one by one; ``all`` means the whole domain."""
        found: dict[str, None] = {}
        for name in target.entities:
            if name == "all":
                found.update(dict.fromkeys(self.by_domain.get(domain or "", ())))
            else:
                found[self.entity_id(name)] = None
        return list(found)

    def reached(self, target: Target) -> list[str]:
        """Return the entities that ``target`` reaches through devices, areas, floors and labels."""
        if not target.is_wide:
            return []
        found: dict[str, None] = {}
        areas = [*target.areas, *(a for a, e in self.facts.areas.items() if e.floor_id in target.floors)]
        for device in target.devices:
            found.update(dict.fromkeys(self._plain(self.entities_of_device.get(device, ()))))
        for area in areas:
            found.update(dict.fromkeys(self._reached_by_area.get(area, ())))
        for label in target.labels:
            found.update(dict.fromkeys(self._reached_by_label.get(label, ())))
            for area, entry in self.facts.areas.items():
                if label in entry.labels:
                    found.update(dict.fromkeys(self._reached_by_area.get(area, ())))
        return sorted(found)

    def members(self, entity_id: str) -> tuple[str, ...]:
        """Return the entities of a group, directly. A scene has none: it is not made of them."""
        state = self.facts.states.get(entity_id)
        if state is None or entity_id.startswith("scene."):
            return ()
        return state.members

    def with_members(self, entity_ids: Iterable[str]) -> list[str]:
        """Return the entities and all members of those that are groups, however nested."""
        found: dict[str, None] = {}
        queue = list(entity_ids)
        for key in queue:
            if key not in found:
                found[key] = None
                queue.extend(member for member in self.members(key) if member not in found)
        return list(found)

    def _index(self, key: str, entry: EntityEntry) -> None:
        at = entry.area_id
        if entry.device_id:
            self.entities_of_device[entry.device_id].append(key)
            at = at or self.area_of_device.get(entry.device_id)
        if at:
            self._areas[key] = at
        if not entry.plain or entry.disabled_by:
            return
        if at:
            self._reached_by_area[at].append(key)
        device = self.facts.devices.get(entry.device_id) if entry.device_id else None
        labels = (*entry.labels, *device.labels) if device else entry.labels
        for label in dict.fromkeys(labels):
            self._reached_by_label[label].append(key)

    def _plain(self, keys: Iterable[str]) -> list[str]:
        return [key for key in keys if self.facts.entities[key].plain and not self.facts.entities[key].disabled_by]

    def _measure(self, key: str, domain: str) -> Measure | None:
        entry = self.facts.entities.get(key)
        if entry is None or not entry.plain or entry.disabled_by:
            return None
        state = self.facts.states.get(key)
        device_class = (state.device_class if state else None) or entry.device_class
        return _MEASURES.get((domain, device_class or ""))

    def _device_area(self, device_id: str) -> str | None:
        seen: set[str] = set()
        key: str | None = device_id
        while key and key not in seen:
            seen.add(key)
            device = self.facts.devices.get(key)
            if device is None:
                return None
            if device.area_id:
                return device.area_id
            key = device.parent_device_id
        return None
