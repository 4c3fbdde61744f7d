"""Mend what can be mended, and write down each repair: the field, the rule, and what stood there before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ingestor.transforms.models import END_OF_TIME_US
from ingestor.transforms.numeric import Numbers
from ingestor.transforms.rows import Mend, Moment
from ingestor.transforms.wire import AttributeFacts

RAW_CHARACTERS: Final = 1_024
_STATE_CHANGED: Final = "state_changed"
_ULID_CHARACTERS: Final = 26
_ULID_TIME: Final = 10
_CROCKFORD: Final = {character: value for value, character in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}

Quality = dict[int, list[Mend]]


def context_time_us(context_id: str | None) -> int | None:
    """Give the moment a ULID context id was made, to a millisecond; null when it is no ULID of our span."""
    if context_id is None or len(context_id) != _ULID_CHARACTERS:
        return None
    value = 0
    for character in context_id.upper():
        digit = _CROCKFORD.get(character)
        if digit is None:
            return None
        value = value * 32 + digit
    time_us = (value >> 80) * 1000
    return time_us if time_us < END_OF_TIME_US else None


def mend_times(
    columns: list[Any],
    time_fired: list[int | None],
    last_changed: list[int | None],
    last_updated: list[int | None],
    received_at_us: int,
    quality: Quality,
) -> None:
    """Fill missing times of whole columns, in place. Afterwards every time_fired is set, and of states all three."""
    event_types, states, context_ids = columns[1], columns[3], columns[11]
    if None in time_fired:
        for position, fired in enumerate(time_fired):
            if fired is not None:
                continue
            updated, made = last_updated[position], context_time_us(context_ids[position])
            if updated is not None:
                time_fired[position], rule = updated, "from_last_updated"
            elif made is not None:
                time_fired[position], rule = made, "from_context_id"
            else:
                time_fired[position], rule = received_at_us, "from_received_at"
            _note(quality, position, "time_fired", rule, columns[7][position])
    for field, column, source, came in (
        ("last_updated", last_updated, time_fired, columns[9]),
        ("last_changed", last_changed, last_updated, columns[8]),
    ):
        if None not in column:
            continue
        rule = "from_time_fired" if field == "last_updated" else "from_last_updated"
        for position, moment in enumerate(column):
            if moment is None and states[position] is not None and event_types[position] == _STATE_CHANGED:
                column[position] = source[position]
                _note(quality, position, field, rule, came[position])


def mend_numbers(
    states: Sequence[str | None],
    attributes: Sequence[AttributeFacts | None],
    quality: Quality,
    numbers: Numbers,
) -> tuple[list[float | None], list[str | None]]:
    """Give the numbers in a column of states, and the units."""
    found = numbers.of(states)
    values = [number.value for number in found]
    units = [None if facts is None else facts.unit for facts in attributes]
    for position, number in enumerate(found):
        if number.rule is not None:
            _note(quality, position, "state_numeric", number.rule, states[position])
            if units[position] is None:
                units[position] = number.unit
    return values, units


def _note(quality: Quality, position: int, field: str, rule: str, came: Moment) -> None:
    raw = None if came is None else str(came)[:RAW_CHARACTERS]
    quality.setdefault(position, []).append((field, rule, raw))
