"""The shapes between bytes and the event: one row as it was read, and a batch of them as columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ingestor.transforms.wire import AttributeFacts, DataFacts

#: A time as it came: text, a number, or nothing. What is no time at all stands here as its JSON text.
Moment = str | int | float | None

#: A row as read: place in the batch, event_type, entity_id, state, old_state, attributes, data, time_fired,
#: last_changed, last_updated, last_changed of the old state, context id, parent and user, origin, repairs so far.
#: A tuple, since half a million are made a second.
Row = tuple[
    int,
    str,
    str | None,
    str | None,
    str | None,
    AttributeFacts | None,
    DataFacts | None,
    Moment,
    Moment,
    Moment,
    Moment,
    str | None,
    str | None,
    str | None,
    str | None,
    "list[Mend] | None",
]
COLUMNS = 16

#: One repair: the field, the rule, what stood there.
Mend = tuple[str, str, str | None]


@dataclass(slots=True, kw_only=True)
class Rows:
    """Valid events as parallel columns, in arrival order. Times are UTC microseconds.

    ``index`` is the place in the batch. ``data`` is null for state changes, ``state`` is null for removals and other
    types; ``quality`` maps a position here to its repairs.
    """

    index: list[int] = field(default_factory=list)
    event_type: list[str] = field(default_factory=list)
    entity_id: list[str | None] = field(default_factory=list)
    state: list[str | None] = field(default_factory=list)
    old_state: list[str | None] = field(default_factory=list)
    attributes: list[AttributeFacts | None] = field(default_factory=list)
    data: list[DataFacts | None] = field(default_factory=list)
    time_fired_us: list[int] = field(default_factory=list)
    last_changed_us: list[int | None] = field(default_factory=list)
    last_updated_us: list[int | None] = field(default_factory=list)
    old_changed_us: list[int | None] = field(default_factory=list)
    context_id: list[str | None] = field(default_factory=list)
    context_parent_id: list[str | None] = field(default_factory=list)
    user_id: list[str | None] = field(default_factory=list)
    origin: list[str | None] = field(default_factory=list)
    state_numeric: list[float | None] = field(default_factory=list)
    unit: list[str | None] = field(default_factory=list)
    quality: dict[int, list[Mend]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    def pick(self, positions: list[int]) -> Rows:
        """Give only the rows at ``positions``, in that order."""
        columns: dict[str, Any] = {
            name: [column[position] for position in positions] for name, column in self._columns()
        }
        places = {position: place for place, position in enumerate(positions)}
        quality = {places[position]: mends for position, mends in self.quality.items() if position in places}
        return Rows(**columns, quality=quality)

    def merged(self, others: Rows) -> Rows:
        """Give these rows and others of the same batch, in the order of the batch."""
        count = len(self)
        if not count or not len(others):
            return self if count else others
        columns: dict[str, Any] = {name: column + getattr(others, name) for name, column in self._columns()}
        quality = self.quality | {count + position: mends for position, mends in others.quality.items()}
        index = columns["index"]
        return Rows(**columns, quality=quality).pick(sorted(range(len(index)), key=index.__getitem__))

    def _columns(self) -> list[tuple[str, list[Any]]]:
        return [(name, getattr(self, name)) for name in self.__slots__ if name != "quality"]
