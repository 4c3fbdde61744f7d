"""A home of any size: its entities, what its registries say of them, and what each was last.

The same numbers of entities give the same home. ``sensor.probe`` is one entity more, which comes at even steps of time
for whoever measures how long an event takes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks.load.clockwork import Wide, contexts, digits, stamps
from benchmarks.load.shapes import KINDS, Kind, Pair, donors, pairs_of, recorded_events
from benchmarks.load.texts import Hole, Text, others, state_of, text_of

PROBE: Final = "sensor.probe"
_ENTITIES_A_DEVICE: Final = 4
_ENTITIES_AN_AREA: Final = 100
_FEWEST_AREAS: Final = 12
_AREAS_A_FLOOR: Final = 10
_ENTRY: Final = "01M83S6SAD88BG019E8A7E65J4"
#: How unevenly entities speak: the liveliest twentieth fires two of five events, as recorded.
_UNEVENNESS: Final = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity: what it takes turns being, and how lively it is."""

    entity_id: str
    kind: Kind
    pairs: tuple[Pair, ...]
    weight: float


class Memory:
    """What each entity was last: moment, context, when seen, number, and which of its pairs."""

    def __init__(self, entities: list[Entity], *, now_us: int) -> None:
        count = len(entities) + 1
        self.moments: Wide = np.repeat(stamps(now_us, 1), count)
        self.seen: Wide = self.moments.copy()
        self.contexts: Wide = contexts(now_us, 0, count, salt=b"0000000")
        self.numbers: npt.NDArray[np.int64] = np.array([each.kind.low for each in entities] + [0])
        self.pairs: npt.NDArray[np.int64] = np.zeros(count, np.int64)


class Home:
    """The home. ``lots`` parts its entities among so many bringers, each entity to one."""

    def __init__(self, entities: int, *, now_us: int, seed: int = 1) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - chance draws a load, it guards nothing
        recorded = recorded_events()
        given = donors(recorded)
        cards = [kind for kind in KINDS for _ in range(kind.share)]
        self._chance.shuffle(cards)
        self.entities = [self._entity(number, cards[number % len(cards)], given) for number in range(entities - 1)]
        probe = pairs_of(KINDS[3], 0, given)
        self.entities.append(Entity(entity_id=PROBE, kind=KINDS[3], pairs=tuple(probe), weight=0.0))
        by_domain: dict[str, list[str]] = {kind.domain: [] for kind in KINDS}
        for entity in self.entities:
            by_domain[entity.kind.domain].append(entity.entity_id)
        self.others: list[Text] = others(recorded, by_domain, self._chance)
        self.memory = Memory(self.entities, now_us=now_us)

    @property
    def probe(self) -> int:
        """The probe's place among the entities."""
        return len(self.entities) - 1

    def lots(self, count: int) -> list[list[int]]:
        """Part the entities without the probe."""
        return [list(range(start, len(self.entities) - 1, count)) for start in range(count)]

    def states(self) -> list[dict[str, Any]]:
        """Give every entity's last state, as ``get_states`` lists it."""
        return [self._state(place, entity) for place, entity in enumerate(self.entities)]

    def registries(self) -> dict[str, Any]:
        """Give command -> what Home Assistant's registries answer: every entity on a device, in an area."""
        count = len(self.entities)
        wide = max(_FEWEST_AREAS, count // _ENTITIES_AN_AREA)
        high = (wide - 1) // _AREAS_A_FLOOR + 1
        areas = [{"area_id": f"area_{n}", "name": f"Area {n}", "floor_id": f"floor_{n % high}"} for n in range(wide)]
        floors = [{"floor_id": f"floor_{n}", "name": f"Floor {n}", "level": n} for n in range(high)]
        return {
            "config/entity_registry/list": [_entry(n, one.entity_id) for n, one in enumerate(self.entities)],
            "config/device_registry/list": [_device(n, wide) for n in range((count - 1) // _ENTITIES_A_DEVICE + 1)],
            "config/area_registry/list": [{"aliases": [], "icon": None, "labels": [], **area} for area in areas],
            "config/floor_registry/list": [{"aliases": [], "icon": None, **floor} for floor in floors],
        }

    def _entity(self, number: int, kind: Kind, given: dict[str, list[list[Pair]]]) -> Entity:
        return Entity(
            entity_id=f"{kind.domain}.{kind.device_class or kind.domain}_{number:05d}",
            kind=kind,
            pairs=tuple(pairs_of(kind, number, given)),
            weight=kind.lively * self._chance.lognormvariate(0.0, _UNEVENNESS),
        )

    def _state(self, place: int, entity: Entity) -> dict[str, Any]:
        memory = self.memory
        text = text_of(state_of(entity.entity_id, entity.pairs[memory.pairs[place]]))
        written = bytearray(text.text)
        fill = {Hole.NOW: memory.moments, Hole.CONTEXT: memory.contexts, Hole.SEEN: memory.seen}
        for at, hole in text.wide:
            written[at : at + 26] = fill[hole][place].tobytes()
        for at, _ in text.numbers:
            written[at : at + 4] = digits(memory.numbers[place : place + 1]).tobytes()
        state: dict[str, Any] = orjson.loads(written)
        return state


def _device_id(number: int) -> str:
    return f"{number:032x}"


def _device(number: int, areas: int) -> dict[str, Any]:
    return {
        "id": _device_id(number),
        "area_id": f"area_{number % areas}",
        "name": f"Device {number}",
        "name_by_user": None,
        "config_entries": [_ENTRY],
        "connections": [],
        "identifiers": [["mqtt", _device_id(number)]],
        "labels": [],
        "manufacturer": "Bench",
        "model": "One",
        "disabled_by": None,
        "entry_type": None,
        "via_device_id": None,
    }


def _entry(number: int, entity_id: str) -> dict[str, Any]:
    return {
        "entity_id": entity_id,
        "id": f"{number + (1 << 64):032x}",
        "unique_id": f"bench_{number}",
        "platform": "mqtt",
        "device_id": _device_id(number // _ENTITIES_A_DEVICE),
        "area_id": None,
        "config_entry_id": _ENTRY,
        "name": None,
        "original_name": entity_id,
        "labels": [],
        "disabled_by": None,
        "hidden_by": None,
        "entity_category": None,
    }
