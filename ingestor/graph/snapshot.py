"""What the shards know of a home: an immutable picture that the graph's owner publishes and nobody changes.

A shard looks things up here and in its own last states; it asks nobody while an event is on its way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Measure = Literal["temperature", "humidity", "illuminance", "occupancy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The home's own settings, from Home Assistant's ``get_config``."""

    time_zone: str = "UTC"
    latitude: float | None = None
    longitude: float | None = None
    elevation_m: float = 0.0
    country: str | None = None
    units: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityFacts:
    """Where an entity belongs. The area is the entity's own, else its device's, else the parent device's."""

    device_id: str | None = None
    area_id: str | None = None
    floor_id: str | None = None
    integration: str | None = None
    read_by: tuple[str, ...] = ()
    written_by: tuple[str, ...] = ()
    in_cycle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One home as of ``version``. ``version`` rises with each published picture.

    ``measures``: entity_id -> (area_id, what it measures), for the sensors that make up an area's environment.
    ``neighbours``: area_id -> ids of areas on the same floor. ``persons``: user ids that belong to a person.
    """

    home: str
    version: int = 0
    place: Place = field(default_factory=Place)
    entities: dict[str, EntityFacts] = field(default_factory=dict)
    measures: dict[str, tuple[str, Measure]] = field(default_factory=dict)
    neighbours: dict[str, tuple[str, ...]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    persons: frozenset[str] = frozenset()
