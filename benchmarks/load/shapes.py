"""What entities look like: states and attributes as they stand in the recorded frames of a real Home Assistant.

A donor is a recorded entity with every pair of state and attributes it was seen in. What the recording has too few of
(illuminance, power) is a recorded sensor of another class. Sensors and switches carry what a Zigbee bridge adds to
each message: link quality and when the device was last seen.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tests.support.fake_home import recorded_lines

VERSION: Final = "2025.4.4"
SEEN: Final = "~s" + "~" * 24
VALUE: Final = "~v~~"
_ZONE: Final = "+00:00"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
_NO_STATE: Final = {"unavailable", "unknown"}
_MOST_PAIRS: Final = 4

Pair = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of entity: how many of a hundred, how lively each, what it measures between which tenths, how it comes."""

    domain: str
    share: int
    lively: float = 1.0
    device_class: str | None = None
    unit: str | None = None
    low: int = 0
    high: int = 0
    bridged: bool = False

    @property
    def measures(self) -> bool:
        """Tell whether its states are numbers."""
        return self.high > 0


KINDS: Final = (
    Kind(domain="sensor", share=10, device_class="temperature", unit="°C", low=150, high=290, bridged=True),
    Kind(domain="sensor", share=6, device_class="humidity", unit="%", low=300, high=800, bridged=True),
    Kind(domain="sensor", share=3, device_class="illuminance", unit="lx", low=100, high=999, bridged=True),
    Kind(domain="sensor", share=30, device_class="power", unit="W", low=100, high=999, bridged=True),
    Kind(domain="binary_sensor", share=14, lively=0.6, device_class="motion", bridged=True),
    Kind(domain="switch", share=8, lively=0.3, bridged=True),
    Kind(domain="light", share=16, lively=0.15),
    Kind(domain="automation", share=4, lively=0.1),
    Kind(domain="climate", share=4, lively=0.2),
    Kind(domain="cover", share=2, lively=0.1),
    Kind(domain="media_player", share=2, lively=0.2),
    Kind(domain="script", share=1, lively=0.1),
)


def recorded_events() -> list[dict[str, Any]]:
    """Give the recorded events, in order."""
    said = map(orjson.loads, recorded_lines(VERSION, "A_all.frames.ndjson"))
    return [one["event"] for one in said if one["type"] == "event"]


def donors(events: list[dict[str, Any]]) -> dict[str, list[list[Pair]]]:
    """Give domain -> recorded entities -> pairs of state and attributes, each in the order it was first seen."""
    found: dict[str, dict[str, dict[bytes, Pair]]] = defaultdict(lambda: defaultdict(dict))
    for event in events:
        new = event["data"].get("new_state") if event["event_type"] == "state_changed" else None
        if new is None or new["state"] in _NO_STATE or "restored" in new["attributes"]:
            continue
        pair = (new["state"], _with_holes(new["attributes"]))
        entity_id = new["entity_id"]
        found[entity_id.partition(".")[0]][entity_id].setdefault(orjson.dumps(pair), pair)
    return {domain: [[*pairs.values()] for pairs in entities.values()] for domain, entities in found.items()}


def pairs_of(kind: Kind, number: int, given: dict[str, list[list[Pair]]]) -> list[Pair]:
    """Give the pairs of the entity of this number: a donor's, under a name of its own."""
    choice = given[kind.domain]
    if kind.measures:
        choice = [pairs for pairs in choice if "device_class" in pairs[0][1] and _is_number(pairs[0][0])]
    else:
        choice = [pairs for pairs in choice if len(pairs) > 1] or choice
    pairs = choice[number % len(choice)][: 1 if kind.measures else _MOST_PAIRS]
    return [(VALUE if kind.measures else state, _own(kind, number, attributes)) for state, attributes in pairs]


def _own(kind: Kind, number: int, attributes: dict[str, Any]) -> dict[str, Any]:
    own = {**attributes, "friendly_name": f"{attributes.get('friendly_name', kind.domain)} {number}"}
    if kind.device_class:
        own["device_class"] = kind.device_class
    if kind.measures:
        own |= {"state_class": "measurement", "unit_of_measurement": kind.unit}
    if kind.bridged:
        own |= {"battery": 100 - number % 60, "linkquality": 40 + number % 200, "last_seen": SEEN + _ZONE}
    return own


def _with_holes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Put a hole where an attribute tells a moment."""
    return {
        name: SEEN + _ZONE if isinstance(value, str) and _MOMENT.fullmatch(value) else value
        for name, value in attributes.items()
    }


def _is_number(state: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", state) is not None
