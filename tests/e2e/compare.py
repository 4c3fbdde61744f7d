"""Compare what another witness recorded with what the product holds: each row once, and alike, or inside a gap.

Pure: rows in, differences out. A row is found again by what makes it the same happening - the entity and its
``last_updated`` for a state, the type, time and context for any other event - and then compared value by value.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from tests.support.recorder import STATE_CHANGED, Row, microseconds

_Item = TypeVar("_Item", bound=Row | Mapping[str, Any])

#: Events that the product makes itself, so that no bus and no recorder ever had them.
MADE_HERE = frozenset({"config_entry_changed"})


class Key(NamedTuple):
    """What makes two rows the same happening. ``what`` is the entity of a state, the context of another event."""

    event_type: str
    time_us: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A span of which the product says that it may have missed events; ``to_us`` None while it lasts."""

    from_us: int
    to_us: int | None
    reason: str

    def holds(self, time_us: int) -> bool:
        """Whether the moment lies in the span, its ends included."""
        return self.from_us <= time_us and (self.to_us is None or time_us <= self.to_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it must be."""

    fault: str
    key: Key
    detail: str


@dataclass(slots=True, kw_only=True)
class Differences:
    """The outcome, true when there is any difference.

    ``matched`` rows were found once and alike; ``in_gap`` rows were missed, and the product says so.
    """

    found: list[Difference] = field(default_factory=list)
    matched: int = 0
    in_gap: list[Row] = field(default_factory=list)

    def add(self, fault: str, key: Key, detail: str) -> None:
        """Note one difference."""
        self.found.append(Difference(fault=fault, key=key, detail=detail))

    @property
    def faults(self) -> Counter[str]:
        """Count the differences by fault."""
        return Counter(difference.fault for difference in self.found)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {fault}" for fault, count in sorted(self.faults.items())) or "no differences"
        lines = [f"{self.matched} rows alike, {len(self.in_gap)} missed inside a gap, {counts}"]
        lines += [
            f"{one.fault:<9} {one.key.time_us:>16} {one.key.event_type:<24} {one.key.what:<40} {one.detail}"
            for one in sorted(self.found, key=lambda one: one.key)[:50]
        ]
        if len(self.found) > len(lines):
            lines.append(f"... and {len(self.found) - len(lines) + 1} more")
        return "\n".join(lines)


def compare(
    recorded: Iterable[Row],
    captured: Iterable[Mapping[str, Any]],
    gaps: Iterable[Gap] = (),
    *,
    since_us: int = 0,
    until_us: int = 2**62,
    complete: bool = True,
) -> Differences:
    """Compare rows of the span with event rows of the API; ``complete`` says that the recorder saw everything.

    Faults: ``missing`` (recorded, not captured, in no gap), ``doubled``, ``changed`` (one line a value) and, when
    ``complete``, ``invented`` (captured, never recorded). The recorder moves the past of a renamed entity to its
    new name and then does not write that the old one was removed: the names count as one, and that removal may be
    the product's alone. So may a state that was set while Home Assistant had not yet started its recorder.
    """
    recorded, captured, gaps = list(recorded), list(captured), list(gaps)
    names = _names(recorded, captured)
    theirs, ours = _by_key(recorded, names, since_us, until_us), _by_key(captured, names, since_us, until_us)
    outcome = Differences()
    for key, rows in theirs.items():
        events = ours.pop(key, [])
        if len(events) > len(rows):
            outcome.add("doubled", key, f"{len(events)} times instead of {len(rows)}")
        for row, event in _pair(rows, events):
            if event is not None:
                changes = _changes(row, event)
                outcome.matched += not changes
                for change in changes:
                    outcome.add("changed", key, change)
            elif any(gap.holds(row.time_us) for gap in gaps):
                outcome.in_gap.append(row)
            else:
                outcome.add("missing", key, f"state {row.state!r}, in no gap")
    if complete:
        for key, event in ((key, event) for key, events in ours.items() for event in events):
            if not _is_removal_by_rename(event, names) and not _is_older_than_recorder(event, key, recorded, gaps):
                outcome.add("invented", key, f"event_id {event['event_id']}")
    return outcome


def _by_key(items: list[_Item], names: Mapping[str, str], since_us: int, until_us: int) -> dict[Key, list[_Item]]:
    found: dict[Key, list[_Item]] = defaultdict(list)
    for item in items:
        key = _key(item, names)
        if since_us <= key.time_us <= until_us and key.event_type not in MADE_HERE:
            found[key].append(item)
    return found


def _pair(rows: list[Row], events: list[Mapping[str, Any]]) -> list[tuple[Row, Mapping[str, Any] | None]]:
    """Give each row the event of the same key that is most like it; equal ones find each other first."""
    pairs: list[tuple[Row, Mapping[str, Any] | None]] = []
    left, events = list(rows), list(events)
    while left and events:
        row, event = min(itertools.product(left, events), key=lambda pair: len(_changes(*pair)))
        left.remove(row)
        events.remove(event)
        pairs.append((row, event))
    return [*pairs, *((row, None) for row in left)]


def _key(item: Row | Mapping[str, Any], names: Mapping[str, str]) -> Key:
    if isinstance(item, Row):
        event_type, entity_id, context_id = item.event_type, item.entity_id, item.context_id
        time_us = item.time_us
    else:
        event_type, entity_id, context_id = item["event_type"], item["entity_id"], item["context_id"]
        is_state = event_type == STATE_CHANGED and item["state"] is not None
        time_us = microseconds(item["last_updated"] if is_state else item["time_fired"])
    if event_type == STATE_CHANGED:
        return Key(event_type, time_us, names.get(entity_id or "", entity_id or ""))
    return Key(event_type, time_us, context_id or "")


def _changes(row: Row, event: Mapping[str, Any]) -> list[str]:
    """Say which values differ. The recorder may know less than the product, never other than it."""
    changes = []
    pairs: list[tuple[str, Any, Any]] = [
        ("context_id", row.context_id, event["context_id"]),
        ("context_parent_id", row.context_parent_id, event["context_parent_id"]),
    ]
    if row.user_id is not None:
        pairs.append(("user_id", row.user_id, event["user_id"]))
    if row.event_type == STATE_CHANGED:
        changed_at = event["last_changed"]
        pairs.append(("state", row.state, event["state"]))
        if row.state is not None:
            pairs.append(("last_changed", row.last_changed_us, microseconds(changed_at) if changed_at else None))
        kept = event["attributes"] or {}
        pairs += [
            (f"attributes.{name}", value, kept.get(name, "(absent)")) for name, value in (row.attributes or {}).items()
        ]
    elif row.data or event["data"]:
        pairs.append(("data", row.data, event["data"]))
    for name, theirs, ours in pairs:
        if theirs != ours:
            changes.append(f"{name}: recorded {theirs!r}, captured {ours!r}")
    return changes


def _is_removal_by_rename(event: Mapping[str, Any], names: Mapping[str, str]) -> bool:
    return event["event_type"] == STATE_CHANGED and event["state"] is None and event["entity_id"] in names


def _is_older_than_recorder(event: Mapping[str, Any], key: Key, recorded: list[Row], gaps: list[Gap]) -> bool:
    """Whether it is a state read back from a gap in which the recorder, too, had nothing of the entity until then."""
    if event["event_type"] != STATE_CHANGED or not event["backfilled"]:
        return False
    first_us = min((gap.from_us for gap in gaps if gap.holds(key.time_us)), default=None)
    return first_us is not None and not any(
        row.entity_id == event["entity_id"] and first_us <= row.time_us <= key.time_us for row in recorded
    )


def _names(recorded: list[Row], captured: list[Mapping[str, Any]]) -> dict[str, str]:
    """Map each entity id that was ever renamed to the first of its names."""
    first: dict[str, str] = {}
    updates = [row.data or {} for row in recorded if row.event_type == "entity_registry_updated"]
    updates += [event["data"] or {} for event in captured if event["event_type"] == "entity_registry_updated"]
    for update in updates:
        if old := update.get("old_entity_id"):
            new = update["entity_id"]
            oldest = first.get(old, old)
            first |= {old: oldest, new: first.get(new, oldest)}
    return first
