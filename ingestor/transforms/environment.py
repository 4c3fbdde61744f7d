"""What the sensors of each area say now: one picture an area, drawn anew where one of its sensors said something new.

Several sensors of one measure in an area: the mean; for occupancy, whether any of them is on. A sensor that says
``unavailable`` or ``unknown`` says nothing. Temperatures are brought to the home's unit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ingestor.graph.snapshot import Snapshot

_OCCUPIED: Final = {"on": 1.0, "home": 1.0, "off": 0.0, "not_home": 0.0}
_MEASURES: Final = ("temperature", "humidity", "illuminance", "occupancy")


class Picture(NamedTuple):
    """An area's environment; occupancy as 1.0 or 0.0."""

    temperature: float | None
    humidity: float | None
    illuminance: float | None
    occupancy: float | None


class Environments:
    """The pictures of one home's areas."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.measures = snapshot.measures
        self._unit = snapshot.place.units.get("temperature")
        self._values: dict[str, dict[str, dict[str, float]]] = {}
        self._pictures: dict[str, Picture] = {}
        self._stale: dict[str, set[str]] = {}

    def take(self, entity_id: str, state: str | None, number: float | None, unit: str | None) -> bool:
        """Note what a sensor of ``measures`` says; ``state`` null: it was removed. Tells whether that was new."""
        area_id, measure = self.measures[entity_id]
        if measure == "occupancy":
            value = _OCCUPIED.get(state or "")
        else:
            value = number
            if measure == "temperature" and value is not None:
                value = _converted(value, unit, self._unit)
        sensors = self._values.setdefault(area_id, {}).setdefault(measure, {})
        if sensors.get(entity_id) == value:
            return False
        if value is None:
            del sensors[entity_id]
        else:
            sensors[entity_id] = value
        self._stale.setdefault(area_id, set()).add(measure)
        return True

    def of(self, area_id: str) -> Picture | None:
        """Give an area's picture; null when none of its sensors says anything."""
        stale = self._stale.pop(area_id, None)
        if stale is not None:
            by_measure, before = self._values[area_id], self._pictures.get(area_id, _NOTHING)
            self._pictures[area_id] = Picture(
                *(
                    _summary(measure, by_measure.get(measure)) if measure in stale else known
                    for measure, known in zip(_MEASURES, before, strict=True)
                ),
            )
        picture = self._pictures.get(area_id)
        return None if picture == _NOTHING else picture

    def carry_over(self, before: Environments) -> None:
        """Take what ``before`` knew of sensors that are still measured the same way."""
        for entity_id, place in self.measures.items():
            if before.measures.get(entity_id) == place:
                area_id, measure = place
                value = before._values.get(area_id, {}).get(measure, {}).get(entity_id)
                if value is not None:
                    self._values.setdefault(area_id, {}).setdefault(measure, {})[entity_id] = value
                    self._stale.setdefault(area_id, set()).add(measure)


_NOTHING: Final = Picture(None, None, None, None)


def _summary(measure: str, sensors: dict[str, float] | None) -> float | None:
    if not sensors:
        return None
    return max(sensors.values()) if measure == "occupancy" else sum(sensors.values()) / len(sensors)


def _converted(value: float, unit: str | None, home_unit: str | None) -> float:
    if unit == "°F" and home_unit == "°C":
        return round((value - 32) / 1.8, 4)
    if unit == "°C" and home_unit == "°F":
        return round(value * 1.8 + 32, 4)
    return value
