"""Compare what another witness recorded with what the product holds: each row once, and alike, or inside a gap.

Pure: rows in, differences out. A row is found again by what makes it the same happening - the entity and its
``last_updated`` for a state, the type, time and context for any other event - and then compared value by value.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.recorder import STATE_CHANGED, Row, microseconds

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """The outcome. ``matched`` rows were found once and alike; ``in_gap`` rows were missed, and the product says so."""

    found: list[Difference] = field(default_factory=list)
    matched: int = 0
    in_gap: list[Row] = field(default_factory=list)

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
            for one in self.found[:50]
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
    ``complete``, ``invented`` (captured, never recorded). The recorder moves the past of a renamed entity to its new
    name and then does not write that the old one was removed: the names count as one, and that removal may be ours alone.
    """
    recorded, captured, gaps = list(recorded), list(captured), list(gaps)
    names = _names(recorded, captured)
    ours: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for each in captured:
        key = _key_of_event(each, names)
        if since_us <= key.time_us <= until_us and key.event_type not in MADE_HERE:
            ours[key].append(each)
    theirs: dict[Key, list[Row]] = defaultdict(list)
    for row in recorded:
        if since_us <= row.time_us <= until_us:
            theirs[_key_of_row(row, names)].append(row)

    found: list[Difference] = []
    in_gap: list[Row] = []
    matched = 0
    for key, rows in theirs.items():
        left = ours.pop(key, [])
        if len(left) > len(rows):
            found.append(Difference(fault="doubled", key=key, detail=f"{len(left)} times instead of {len(rows)}"))
        for row, event in _pair(rows, left):
            if event is not None:
                changes = _changes(row, event)
                found += [Difference(fault="changed", key=key, detail=change) for change in changes]
                matched += not changes
            elif any(gap.holds(row.time_us) for gap in gaps):
                in_gap.append(row)
            else:
                found.append(Difference(fault="missing", key=key, detail=f"state {row.state!r}, in no gap"))
    if complete:
        for key, event in ((key, event) for key, events in ours.items() for event in events):
            if not _is_removal_by_rename(event, names):
                found.append(Difference(fault="invented", key=key, detail=f"event_id {event['event_id']}"))
    return Differences(found=sorted(found, key=lambda one: one.key), matched=matched, in_gap=in_gap)


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


def _key_of_row(row: Row, names: Mapping[str, str]) -> Key:
    if row.event_type == STATE_CHANGED:
        return Key(STATE_CHANGED, row.time_us, names.get(row.entity_id or "", row.entity_id or ""))
    return Key(row.event_type, row.time_us, row.context_id or "")


def _key_of_event(event: Mapping[str, Any], names: Mapping[str, str]) -> Key:
    if event["event_type"] == STATE_CHANGED:
        moment = event["time_fired"] if event["state"] is None else event["last_updated"]
        return Key(STATE_CHANGED, microseconds(moment), names.get(event["entity_id"], event["entity_id"]))
    return Key(event["event_type"], microseconds(event["time_fired"]), event["context_id"] or "")


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
