"""The last state of every entity this shard has seen: for enrichment, and for who asks how things stand.

An older state never replaces a newer one, in whatever order they arrive. A removal leaves a marker, so that a late
state cannot bring the entity back; markers are not shown. Memory is bounded, for each home, by entities and by bytes of
attributes; what was updated longest ago goes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from ingestor.event import SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class LastState:
    """The last state of one entity. Times are UTC microseconds; ``attributes`` is JSON text."""

    home: str
    entity_id: str
    state: str | None
    state_numeric: float | None
    unit: str | None
    device_class: str | None
    attributes: str | None
    last_changed_us: int
    last_updated_us: int
    time_fired_us: int
    context_id: str | None
    user_id: str | None
    event_id: bytes
    seq: int
    removed: bool

    def as_dict(self) -> dict[str, Any]:
        """Give the state as answers show it: times in RFC 3339, attributes as an object, the id in hex digits."""
        return {
            "home": self.home,
            "entity_id": self.entity_id,
            "state": self.state,
            "state_numeric": self.state_numeric,
            "unit": self.unit,
            "device_class": self.device_class,
            "attributes": None if self.attributes is None else orjson.loads(self.attributes),
            "last_changed": _rfc3339(self.last_changed_us),
            "last_updated": _rfc3339(self.last_updated_us),
            "time_fired": _rfc3339(self.time_fired_us),
            "context_id": self.context_id,
            "user_id": self.user_id,
            "event_id": self.event_id.hex(),
            "seq": self.seq,
        }


class Known(NamedTuple):
    """A last state as it is held: the same without the names. ``state`` null: removed."""

    time_fired_us: int
    last_changed_us: int
    last_updated_us: int
    state: str | None
    state_numeric: float | None
    unit: str | None
    device_class: str | None
    attributes: str | None
    context_id: str | None
    user_id: str | None
    event_id: bytes
    seq: int


_RESTORED: Final = [
    "home",
    "entity_id",
    "event_type",
    "time_fired",
    "last_changed",
    "last_updated",
    "state",
    "state_numeric",
    "unit",
    "device_class",
    "attributes",
    "context_id",
    "user_id",
    "event_id",
    "seq",
]


class Cell:
    """The place of one entity's last state: found once an event, then read and written without another look."""

    __slots__ = ("known",)

    def __init__(self, known: Known) -> None:
        self.known = known


class LastStates:
    """Last states by home and entity. ``entities`` and ``attribute_bytes`` bound each home."""

    def __init__(self, *, entities: int = 200_000, attribute_bytes: int = 256 * 1024 * 1024) -> None:
        self._entities, self._attribute_bytes = entities, attribute_bytes
        self._homes: dict[str, dict[str, Cell]] = {}
        self._bytes: dict[str, int] = {}
        self.evicted = 0
        self.restores = 0

    def __len__(self) -> int:
        return sum(cell.known.state is not None for home in self._homes.values() for cell in home.values())

    def of_home(self, home: str) -> dict[str, Cell]:
        """Give the cells of a home. Whoever writes into them tells ``grew`` afterwards."""
        return self._homes.setdefault(home, {})

    def put(self, home: str, entity_id: str, known: Known) -> None:
        """Set a state that is newer than, or as new as, the one known."""
        cells = self.of_home(home)
        cell = cells.get(entity_id)
        before = 0 if cell is None else len(cell.known.attributes or "")
        if cell is None:
            cells[entity_id] = Cell(known)
        else:
            cell.known = known
        self.grew(home, len(known.attributes or "") - before)

    def grew(self, home: str, attribute_bytes: int) -> None:
        """Note that states were written, and by how much their attributes grew. May forget some."""
        cells = self.of_home(home)
        held = self._bytes[home] = self._bytes.get(home, 0) + attribute_bytes
        if len(cells) > self._entities or held > self._attribute_bytes:
            self._evict(home, cells)

    def get(self, home: str, entity_id: str) -> LastState | None:
        """Give an entity's last state; null when unknown or removed."""
        cell = self._homes.get(home, {}).get(entity_id)
        return None if cell is None or cell.known.state is None else _full(home, entity_id, cell.known)

    def all(self, home: str | None = None) -> Iterator[LastState]:
        """Give all last states, of one home or of every home. Removed entities are left out."""
        for name, cells in list(self._homes.items()):
            if home is None or home == name:
                for entity_id, cell in list(cells.items()):
                    if cell.known.state is not None:
                        yield _full(name, entity_id, cell.known)

    def named(self, entity_ids: Iterable[str], home: str | None = None) -> Iterator[LastState]:
        """Give the last states of these entities, of one home or of every home, at the cost of a look for each."""
        names = [name for name in self._homes if home is None or home == name]
        for entity_id in entity_ids:
            for name in names:
                state = self.get(name, entity_id)
                if state is not None:
                    yield state

    def restore(self, table: pa.Table) -> None:
        """Take over the state changes of a table of events (``SCHEMA`` rows, in any order)."""
        self.restores += 1
        columns = []
        for name in _RESTORED:
            column = table.column(name)
            if pa.types.is_timestamp(SCHEMA.field(name).type):
                column = column.cast(pa.int64())
            columns.append(column.to_pylist())
        for home, entity_id, event_type, fired, changed, updated, *rest in zip(*columns, strict=True):
            if event_type != "state_changed" or entity_id is None:
                continue
            before = self.of_home(home).get(entity_id)
            if before is None or fired >= before.known.time_fired_us:
                changed = fired if changed is None else changed  # noqa: PLW2901 - a removal has neither
                updated = fired if updated is None else updated  # noqa: PLW2901 - same
                self.put(home, entity_id, Known(fired, changed, updated, *rest))

    def _evict(self, home: str, cells: dict[str, Cell]) -> None:
        """Make room for an eighth, so that the next eviction is far."""
        for entity_id in sorted(cells, key=lambda each: cells[each].known.last_updated_us):
            if len(cells) <= self._entities * 7 // 8 and self._bytes[home] <= self._attribute_bytes * 7 // 8:
                break
            self._bytes[home] -= len(cells.pop(entity_id).known.attributes or "")
            self.evicted += 1


def _full(home: str, entity_id: str, known: Known) -> LastState:
    return LastState(
        home=home,
        entity_id=entity_id,
        state=known.state,
        state_numeric=known.state_numeric,
        unit=known.unit,
        device_class=known.device_class,
        attributes=known.attributes,
        last_changed_us=known.last_changed_us,
        last_updated_us=known.last_updated_us,
        time_fired_us=known.time_fired_us,
        context_id=known.context_id,
        user_id=known.user_id,
        event_id=known.event_id,
        seq=known.seq,
        removed=known.state is None,
    )


def _rfc3339(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us % 1_000_000:06d}Z"
