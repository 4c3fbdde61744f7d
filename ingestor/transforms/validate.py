"""Bytes to rows: what is stored is exactly what was sent, and what cannot be stored is kept with its reason.

There are three ways, and they agree on every row. Events in exactly Home Assistant's own form are read all at once
(``exact``). The rest is read one by one, and its columns are validated together. What that way does not like is looked
at alone (``examine``), by the model of a whole event, which names the fault. One bad event never harms its neighbours.

What becomes of odd input::

    what arrives                                    what becomes of it
    ----------------------------------------------  --------------------------------------------------------
    more than 1 MiB                                 quarantine: too_large
    not UTF-8                                       quarantine: not_utf8
    a byte order mark; not JSON; NaN, Infinity;     quarantine: not_json
      anything after the event
    attributes or data deeper than 240 levels       quarantine: too_deep
    a key twice in one object                       quarantine: duplicate_key
    half a surrogate pair                           quarantine: lone_surrogate
    a number no double can hold (1e999)             quarantine: number_too_large
    an integer beyond 64 bits in attributes, data   stored, digit for digit
    NUL in attributes, data                         stored, as its JSON escape
    NUL in any other text                           quarantine: nul
    event_type empty, over 64 characters, with NUL  quarantine: bad_event_type
    an entity id against Home Assistant's rule      quarantine: bad_entity_id (in data of other types: column null)
    new_state or old_state of another entity        quarantine: entity_mismatch
    a member that must be there is missing          quarantine: missing_field
    a text too long for its column (255, origin 64) quarantine: too_long
    any other wrong type                            quarantine: wrong_type
    a surprise in our own code                      quarantine: internal_error
    new_state null                                  stored, state null: the entity was removed
    data missing or null (not state_changed)        stored, data null
    attributes, context or origin missing or null   stored, columns null
    state as a JSON number                          stored as its text; quality state/number_as_text
    21,5 and 21.5 °C                                stored; quality state_numeric/comma_decimal, /unit_in_state
    time_fired missing or unreadable                quality time_fired/from_last_updated, else /from_context_id,
                                                      else /from_received_at
    last_updated, last_changed missing, unreadable  quality last_updated/from_time_fired,
                                                      last_changed/from_last_updated
    members without a column                        not kept

A time is RFC 3339 with an offset or ``Z``, or seconds (above 2e10: milliseconds) since 1970, from 1970 to 2100.
``raw`` of a repair is what stood there, cut at 1,024 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, cast

import pyarrow as pa
from msgspec import UNSET
from pydantic import ValidationError

from ingestor.sources.base import Batch
from ingestor.transforms.exact import ExactReader
from ingestor.transforms.examine import examine
from ingestor.transforms.mend import mend_numbers, mend_times
from ingestor.transforms.models import EventColumns
from ingestor.transforms.numeric import Numbers
from ingestor.transforms.rows import COLUMNS, Mend, Moment, Row, Rows
from ingestor.transforms.wire import (
    MAX_EVENT_BYTES,
    NO_DATA,
    UNREADABLE,
    AttributeFacts,
    Fault,
    Texts,
    WireContext,
    WireState,
    parse,
    read_other,
    read_state_changed,
    write,
)

_STATE_CHANGED: Final = "state_changed"
_UTC: Final = pa.timestamp("us", tz="UTC")
_USUAL_START: Final = b'{"event_type":"state_changed"'
_NO_CONTEXT: Final = WireContext(id=None, parent_id=None, user_id=None)
_FOREIGN: Final = Fault(reason="entity_mismatch", field="entity_id", detail="the state of another entity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An event for the quarantine. ``index`` is its place in the batch; ``reason`` one of the words in the table.

    ``quarantine_id`` follows from home, time of receipt, place and bytes: a batch sent again has the same ids.
    """

    index: int
    quarantine_id: str
    reason: str
    field: str | None
    detail: str
    raw: bytes


class Validator:
    """Door 3. Keeps nothing but memories of what it has checked, which tell it nothing but that it did."""

    def __init__(self, texts: Texts | None = None) -> None:
        self._texts = texts or Texts()
        self._exact = ExactReader(self._texts)
        self._numbers = Numbers()

    def validate(self, batch: Batch) -> tuple[Rows, list[Rejection]]:
        """Give the rows that are valid, and a rejection for each event that is not. Together they are the batch."""
        rows, left = self._at_once(batch)
        if not left:
            return rows, []
        others, rejected = self._one_by_one(batch, left)
        return rows.merged(others), rejected

    def _at_once(self, batch: Batch) -> tuple[Rows, list[int]]:
        """Read what is exact, the fast way. Gives the places of the rest."""
        try:
            return self._exact.read(batch.events)
        except Exception:  # noqa: BLE001 - a fault of ours there must harm nobody: one by one it is found and told
            return Rows(), list(range(len(batch.events)))

    def _one_by_one(self, batch: Batch, places: list[int]) -> tuple[Rows, list[Rejection]]:
        """Read the events at these places the slow way."""
        rows: list[Row] = []
        rejected: list[Rejection] = []
        for index in places:
            found = self._read(index, batch.events[index]) or self._examine(index, batch.events[index])
            if isinstance(found, Fault):
                rejected.append(reject(batch, index, found))
            else:
                rows.append(found)
        columns, moments, wrong = _validate_columns(rows)
        if wrong:
            kept = [row for position, row in enumerate(rows) if position not in wrong]
            for position, field in wrong.items():
                index = rows[position][0]
                found = self._examine(index, batch.events[index])
                if not isinstance(found, Fault):
                    detail = f"the columns refuse {field}, the event alone does not"
                    found = Fault(reason="internal_error", field=field, detail=detail)
                rejected.append(reject(batch, index, found))
            rows = kept
            columns, moments, _ = _validate_columns(rows)
        rejected.sort(key=lambda rejection: rejection.index)
        return _finish(columns, moments, self._numbers, received_at_us=batch.received_at_us), rejected

    def _examine(self, index: int, raw: bytes) -> Row | Fault:
        try:
            return examine(index, raw, self._texts)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not harm the neighbours; it is kept and told
            return surprise(error)

    def _read(self, index: int, raw: bytes) -> Row | None:
        """Read one event the fast way; null when it is not of the usual, exact form."""
        if len(raw) > MAX_EVENT_BYTES:
            return None
        try:
            return self._state_row(index, raw) if raw.startswith(_USUAL_START) else self._other_row(index, raw)
        except UNREADABLE:
            return None

    def _other_row(self, index: int, raw: bytes) -> Row | None:
        event = read_other(raw)
        if event.event_type == _STATE_CHANGED:
            return self._state_row(index, raw)
        if write(event) != raw and isinstance(parse(raw, None), Fault):
            return None
        facts = NO_DATA if event.data is UNSET else self._texts.data(bytes(event.data))
        if isinstance(facts, Fault):
            return None
        context = event.context or _NO_CONTEXT
        return (
            index,
            event.event_type,
            facts.entity_id,
            None,
            None,
            None,
            facts,
            None if event.time_fired is UNSET else event.time_fired,
            None,
            None,
            None,
            None if context.id is UNSET else context.id,
            None if context.parent_id is UNSET else context.parent_id,
            None if context.user_id is UNSET else context.user_id,
            None if event.origin is UNSET else event.origin,
            None,
        )

    def _state_row(self, index: int, raw: bytes) -> Row | None:
        event = read_state_changed(raw)
        if write(event) != raw and isinstance(parse(raw, None), Fault):
            return None
        data = event.data
        entity_id, old, new = data.entity_id, data.old_state, data.new_state
        state = old_state = attributes = last_changed = last_updated = old_changed = None
        if new is not None:
            facts = self._attributes(new, entity_id)
            if isinstance(facts, Fault):
                return None
            attributes, state = facts, new.state
            last_changed = None if new.last_changed is UNSET else new.last_changed
            last_updated = None if new.last_updated is UNSET else new.last_updated
        if old:
            if isinstance(self._attributes(old, entity_id), Fault):
                return None
            old_state, old_changed = old.state, None if old.last_changed is UNSET else old.last_changed
        context = event.context or _NO_CONTEXT
        return (
            index,
            _STATE_CHANGED,
            entity_id,
            state,
            old_state,
            attributes,
            None,
            None if event.time_fired is UNSET else event.time_fired,
            last_changed,
            last_updated,
            old_changed,
            None if context.id is UNSET else context.id,
            None if context.parent_id is UNSET else context.parent_id,
            None if context.user_id is UNSET else context.user_id,
            None if event.origin is UNSET else event.origin,
            None,
        )

    def _attributes(self, state: WireState, entity_id: str) -> AttributeFacts | Fault | None:
        if state.entity_id != entity_id and isinstance(state.entity_id, str):
            return _FOREIGN
        if state.attributes is UNSET:
            return None
        text = bytes(state.attributes)
        return None if text == b"null" else self._texts.attributes(text)


def surprise(error: Exception) -> Fault:
    """Word a fault of our own code."""
    return Fault(reason="internal_error", field=None, detail=f"{type(error).__name__}: {error}"[:400])


def reject(batch: Batch, index: int, fault: Fault) -> Rejection:
    """Give the rejection of one event of a batch."""
    raw = batch.events[index]
    name = f"ha-ingestor 1 quarantine\n{batch.home}\n{batch.received_at_us}\n{index}\n".encode()
    return Rejection(
        index=index,
        quarantine_id=blake2b(name + raw, digest_size=16).hexdigest(),
        reason=fault.reason,
        field=fault.field,
        detail=fault.detail,
        raw=raw,
    )


def _validate_columns(rows: list[Row]) -> tuple[list[Any], dict[Moment, int], dict[int, str]]:
    """Validate all columns at once.

    Gives the columns, what each distinct moment is in microseconds (not there: it is no time), and for each row that
    breaks a rule its position and the column.
    """
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * COLUMNS
    distinct = dict.fromkeys(columns[7])
    for column in columns[8:11]:
        distinct.update(dict.fromkeys(column))
    distinct.pop(None, None)
    times = list(distinct)
    wrong: dict[int, str] = {}
    while True:
        try:
            valid = EventColumns(
                event_type=columns[1],
                entity_id=columns[2],
                state=columns[3],
                old_state=columns[4],
                context_id=columns[11],
                context_parent_id=columns[12],
                user_id=columns[13],
                origin=columns[14],
                times=times,
            )
        except ValidationError as error:
            no_times = set()
            for fault in error.errors(include_url=False, include_context=False, include_input=False):
                field, position = fault["loc"][0], int(fault["loc"][1])
                if field == "times":
                    no_times.add(position)
                else:
                    wrong[position] = str(field)
            if wrong:
                return columns, {}, wrong
            times = [moment for position, moment in enumerate(times) if position not in no_times]
        else:
            return columns, dict(zip(times, _microseconds(times, valid.times), strict=True)), {}


def _microseconds(times: list[Any], valid: list[datetime]) -> list[int]:
    """Give valid moments in microseconds since 1970: in one go where all are plain RFC 3339, else one by one."""
    try:
        return cast("list[int]", pa.array(times, pa.string()).cast(_UTC).cast(pa.int64()).to_pylist())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return [int(moment.timestamp()) * 1_000_000 + moment.microsecond for moment in valid]


def _finish(columns: list[Any], moments: dict[Moment, int], known: Numbers, *, received_at_us: int) -> Rows:
    quality: dict[int, list[Mend]] = {}
    if any(columns[15]):
        quality = {position: list(mends) for position, mends in enumerate(columns[15]) if mends}
    look = moments.get
    time_fired, last_changed, last_updated, old_changed = (
        [look(moment) for moment in column] for column in columns[7:11]
    )
    mend_times(columns, time_fired, last_changed, last_updated, received_at_us, quality)
    numbers, units = mend_numbers(columns[3], columns[5], quality, known)
    return Rows(
        index=list(columns[0]),
        event_type=list(columns[1]),
        entity_id=list(columns[2]),
        state=list(columns[3]),
        old_state=list(columns[4]),
        attributes=list(columns[5]),
        data=list(columns[6]),
        time_fired_us=cast("list[int]", time_fired),
        last_changed_us=last_changed,
        last_updated_us=last_updated,
        old_changed_us=old_changed,
        context_id=list(columns[11]),
        context_parent_id=list(columns[12]),
        user_id=list(columns[13]),
        origin=list(columns[14]),
        state_numeric=numbers,
        unit=units,
        quality=quality,
    )
