"""The fast way in: events in exactly Home Assistant's own form, read many at once.

Exactness is proved, not assumed: what was read is written back, all of it at once, and has to give the bytes that came.
What is not proved is left over, for the slow way (``validate``) to judge, and so is every event whose values break a
rule. So a row from here is the row the slow way gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType
from pydantic import ValidationError

from ingestor.transforms.mend import mend_numbers
from ingestor.transforms.models import EventColumns
from ingestor.transforms.moments import exact_moments
from ingestor.transforms.numeric import Numbers
from ingestor.transforms.rows import Mend, Rows
from ingestor.transforms.wire import MAX_EVENT_BYTES, UNREADABLE, DataFacts, Fault, Texts

_STATE_CHANGED: Final = "state_changed"
_START: Final = b'{"event_type":"state_changed"'
#: So many events stay in the processor's cache, and their text below what the allocator gives back at once.
_AT_ONCE: Final = 64
_JUDGED: Final = (
    "event_type",
    "entity_id",
    "state",
    "old_state",
    "context_id",
    "context_parent_id",
    "user_id",
    "origin",
)


class _Context(msgspec.Struct, gc=False):
    id: str | None
    parent_id: str | None
    user_id: str | None


class _State(msgspec.Struct, gc=False, kw_only=True):
    entity_id: str
    state: str
    attributes: Raw
    last_changed: str
    last_reported: Raw | UnsetType = UNSET
    last_updated: str
    context: _Context


class _Change(msgspec.Struct, gc=False):
    entity_id: str
    old_state: _State | None
    new_state: _State | None


class _Changed(msgspec.Struct, gc=False):
    event_type: Literal["state_changed"]
    data: _Change
    origin: Literal["LOCAL", "REMOTE"]
    time_fired: str
    context: _Context


class _Other(msgspec.Struct, gc=False):
    event_type: str
    data: Raw
    origin: Literal["LOCAL", "REMOTE"]
    time_fired: str
    context: _Context


class _NoState(msgspec.Struct, gc=False):
    """Stands where an event has no state, so that columns need no case for it."""

    entity_id: None = None
    state: None = None
    attributes: bytes = b""
    last_changed: None = None
    last_updated: None = None


class _NoChange(msgspec.Struct, gc=False):
    entity_id: None = None
    old_state: None = None
    new_state: None = None


_NO_STATE: Final = _NoState()
_NO_CHANGE: Final = _NoChange()
_encoder: Final = msgspec.json.Encoder()
_changed, _other = msgspec.json.Decoder(_Changed), msgspec.json.Decoder(_Other)


class ExactReader:
    """Reads what is exact. Remembers texts and numbers it has read."""

    def __init__(self, texts: Texts) -> None:
        self._texts, self._numbers = texts, Numbers()

    def read(self, raws: Sequence[bytes]) -> tuple[Rows, list[int]]:
        """Give the rows of all events that are exact and break no rule, and the places of all others."""
        found = _Found(self._texts)
        for start in range(0, len(raws), _AT_ONCE):
            found.add(start, raws[start : start + _AT_ONCE])
        rows, wrong = self._rows(found)
        if wrong:
            rows = rows.pick([position for position in range(len(rows)) if position not in wrong])
        if len(rows) == len(raws):
            return rows, []
        taken = set(rows.index)
        return rows, [place for place in range(len(raws)) if place not in taken]

    def _rows(self, found: _Found) -> tuple[Rows, set[int]]:
        """Judge the columns. Gives the positions of rows that break a rule, too."""
        wrong = found.wrong
        attributes: list[Any] = self._texts.all_attributes(found.attributes)
        before = self._texts.all_attributes(found.old_attributes)
        for facts in (attributes, before):
            for position in [position for position, one in enumerate(facts) if type(one) is Fault]:
                wrong.add(position)
                facts[position] = None
        moments: list[list[Any]] = [found.time_fired, found.last_changed, found.last_updated, found.old_changed]
        fired_us, changed_us, updated_us, old_changed_us = _moments(moments, wrong)
        quality: dict[int, list[Mend]] = {}
        numbers, units = mend_numbers(found.state, attributes, quality, self._numbers)
        rows = Rows(
            index=found.index,
            event_type=found.event_type,
            entity_id=found.entity_id,
            state=found.state,
            old_state=found.old_state,
            attributes=attributes,
            data=found.data,
            time_fired_us=fired_us,
            last_changed_us=changed_us,
            last_updated_us=updated_us,
            old_changed_us=old_changed_us,
            context_id=found.context_id,
            context_parent_id=found.context_parent_id,
            user_id=found.user_id,
            origin=found.origin,
            state_numeric=numbers,
            unit=units,
            quality=quality,
        )
        return rows, wrong | _breaking(rows)


class _Found:
    """The columns of a batch, as they were read. ``old_attributes`` is empty where it equals ``attributes``."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self.wrong: set[int] = set()
        self.index: list[int] = []
        self.event_type: list[str] = []
        self.entity_id: list[str | None] = []
        self.data: list[DataFacts | None] = []
        self.state: list[str | None] = []
        self.attributes: list[bytes] = []
        self.last_changed: list[str | None] = []
        self.last_updated: list[str | None] = []
        self.old_state: list[str | None] = []
        self.old_attributes: list[bytes] = []
        self.old_changed: list[str | None] = []
        self.time_fired: list[str] = []
        self.origin: list[str | None] = []
        self.context_id: list[str | None] = []
        self.context_parent_id: list[str | None] = []
        self.user_id: list[str | None] = []

    def add(self, start: int, raws: Sequence[bytes]) -> None:
        """Read a few events and lay out what they hold while it is at hand. What is not exact is left out."""
        usual = [raw for raw in raws if raw.startswith(_START)]
        events: list[Any] = _read_exactly(usual, _changed)
        places = list(range(start, start + len(raws)))
        if len(usual) < len(raws):
            others = [place for place, raw in enumerate(raws) if not raw.startswith(_START)]
            for place, event in zip(others, _read_exactly([raws[place] for place in others], _other), strict=True):
                events.insert(place, event)
        if None in events:
            places = [place for place, event in zip(places, events, strict=True) if event is not None]
            events = [event for event in events if event is not None]
        changes: list[Any] = [event.data for event in events]
        if len(usual) < len(raws):
            changes = self._add_data(events, changes)
        else:
            self.event_type += [_STATE_CHANGED] * len(events)
            self.data += [None] * len(events)
            self.entity_id += [change.entity_id for change in changes]
        self.index += places
        self._add_changes(changes)
        contexts = [event.context for event in events]
        self.time_fired += [event.time_fired for event in events]
        self.origin += [event.origin for event in events]
        self.context_id += [context.id for context in contexts]
        self.context_parent_id += [context.parent_id for context in contexts]
        self.user_id += [context.user_id for context in contexts]

    def _add_data(self, events: list[Any], changes: list[Any]) -> list[Any]:
        """Lay out the data of events of other types. Gives the changes, a blank one for each of those."""
        for place, event in enumerate(events):
            change, facts = changes[place], None
            entity_id = None
            if type(change) is _Change:
                entity_id = change.entity_id
            else:
                changes[place] = _NO_CHANGE
                told = self._texts.data(bytes(change))
                if isinstance(told, Fault) or event.event_type == _STATE_CHANGED:
                    self.wrong.add(len(self.data))
                else:
                    facts, entity_id = told, told.entity_id
            self.event_type.append(event.event_type)
            self.data.append(facts)
            self.entity_id.append(entity_id)
        return changes

    def _add_changes(self, changes: list[Any]) -> None:
        olds: list[Any] = [change.old_state or _NO_STATE for change in changes]
        news: list[Any] = [change.new_state or _NO_STATE for change in changes]
        first = len(self.state)
        for position, (change, old, new) in enumerate(zip(changes, olds, news, strict=True), first):
            entity_id = change.entity_id
            if (new.entity_id != entity_id and new is not _NO_STATE) or (
                old.entity_id != entity_id and old is not _NO_STATE
            ):
                self.wrong.add(position)
        attributes = [bytes(new.attributes) for new in news]
        before = [bytes(old.attributes) for old in olds]
        self.attributes += attributes
        self.old_attributes += [b"" if one == other else one for one, other in zip(before, attributes, strict=True)]
        self.state += [new.state for new in news]
        self.last_changed += [new.last_changed for new in news]
        self.last_updated += [new.last_updated for new in news]
        self.old_state += [old.state for old in olds]
        self.old_changed += [old.last_changed for old in olds]


def _read_exactly(texts: list[bytes], decoder: Any) -> list[Any]:
    """Read texts. Null for each that does not come out again to the byte."""
    if not texts:
        return []
    return _all_exactly(texts, decoder) or [_read_one(text, decoder) for text in texts]


def _all_exactly(texts: list[bytes], decoder: Any) -> list[Any] | None:
    if max(map(len, texts)) > MAX_EVENT_BYTES:
        return None
    whole = b"\n".join(texts) + b"\n"
    try:
        events: list[Any] = decoder.decode_lines(whole)
        # A line feed behind each and none within: when all bytes are equal, those of each are.
        is_exact = len(events) == len(texts) == whole.count(b"\n") and _encoder.encode_lines(events) == whole
    except UNREADABLE:
        return None
    return events if is_exact else None


def _read_one(text: bytes, decoder: Any) -> Any:
    if len(text) > MAX_EVENT_BYTES:
        return None
    try:
        event = decoder.decode(text)
    except UNREADABLE:
        return None
    return event if _encoder.encode(event) == text else None


def _moments(columns: list[list[Any]], wrong: set[int]) -> list[list[Any]]:
    """Give columns of moments in microseconds; null stays null. Rows with what is no exact moment join ``wrong``.

    Most of an event's moments are the first column's, so only those that differ are read besides.
    """
    first, *others = columns
    told = [
        [place for place, (text, one) in enumerate(zip(column, first, strict=True)) if text != one and text is not None]
        for column in others
    ]
    texts = first + [column[place] for places, column in zip(told, others, strict=True) for place in places]
    moments = _each_moment(texts)
    if None in moments:
        rows = list(range(len(first))) + [place for places in told for place in places]
        wrong.update(place for place, moment in zip(rows, moments, strict=True) if moment is None)
    found_first, at = moments[: len(first)], len(first)
    result = [found_first]
    for column, places in zip(others, told, strict=True):
        filled = (
            list(found_first)
            if None not in column
            else [None if text is None else moment for text, moment in zip(column, found_first, strict=True)]
        )
        for place, moment in zip(places, moments[at : at + len(places)], strict=True):
            filled[place] = moment
        at += len(places)
        result.append(filled)
    return result


def _each_moment(texts: list[str]) -> list[Any]:
    """Give moments; null for each that is not exact. What is wrong is found by halves, so few cost little."""
    found = exact_moments(texts)
    if found is not None:
        return found
    half = len(texts) // 2
    return _each_moment(texts[:half]) + _each_moment(texts[half:]) if half else [None]


def _breaking(rows: Rows) -> set[int]:
    """Judge the columns by their model, each distinct value once. Gives the positions of rows that break a rule."""
    columns = {name: list(set(getattr(rows, name))) for name in _JUDGED}
    try:
        EventColumns(**columns, times=[])
    except ValidationError as error:
        wrong: set[int] = set()
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            name, place = str(fault["loc"][0]), int(fault["loc"][1])
            value = columns[name][place]
            wrong |= {position for position, one in enumerate(getattr(rows, name)) if one == value}
        return wrong
    return set()
