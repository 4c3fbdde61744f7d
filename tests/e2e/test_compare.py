"""The comparison with the recorder can fail: each way in which a history can be wrong is found and named."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.compare import Gap, compare
from tests.support.recorder import Row, microseconds, read, ulid

AT = "2026-03-29T00:59:59.999999+00:00"
AT_US = microseconds(AT)
CONTEXT = "01M8645BF4QRXC5H322PY8858X"


def recorded_state(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "event_type": "state_changed",
        "time_us": AT_US,
        "entity_id": "light.hall",
        "state": "on",
        "last_changed_us": AT_US,
        "attributes": {"brightness": 120, "names": ["a", None]},
        "context_id": CONTEXT,
    }
    return Row(**(values | changes))


def recorded_event(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "event_type": "call_service",
        "time_us": AT_US,
        "data": {"domain": "light", "service": "turn_on"},
        "context_id": CONTEXT,
    }
    return Row(**(values | changes))


def captured(row: Row, **changes: Any) -> dict[str, Any]:
    moment = f"{AT[:26]}Z" if row.time_us == AT_US else None
    is_state = row.event_type == "state_changed" and row.state is not None
    event = {
        "event_id": "0" * 32,
        "event_type": row.event_type,
        "time_fired": moment,
        "entity_id": row.entity_id,
        "state": row.state,
        "last_changed": moment if is_state else None,
        "last_updated": moment if is_state else None,
        "attributes": {"supported_features": 4, **row.attributes} if row.attributes else None,
        "data": row.data,
        "context_id": row.context_id,
        "context_parent_id": row.context_parent_id,
        "user_id": row.user_id,
        "backfilled": False,
    }
    return event | changes


ROWS = [recorded_state(), recorded_event()]
EVENTS = [captured(row) for row in ROWS]


def test_equal_histories_have_no_differences() -> None:
    """Attributes that only the product keeps are no difference."""
    outcome = compare(ROWS, EVENTS)
    assert not outcome
    assert outcome.matched == 2


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_missing_row_is_found(left_out: int) -> None:
    """A row that the product does not have is named, whether it is a state or another event."""
    outcome = compare(ROWS, [event for number, event in enumerate(EVENTS) if number != left_out])
    assert outcome.faults == {"missing": 1}


def test_a_missing_row_inside_a_gap_is_no_difference_but_counted() -> None:
    """The product said that it may have missed something then."""
    gap = Gap(from_us=AT_US - 1, to_us=AT_US, reason="disconnect")
    outcome = compare(ROWS, EVENTS[1:], [gap])
    assert not outcome
    assert outcome.in_gap == [ROWS[0]]


@pytest.mark.parametrize("gap", [(AT_US + 1, None), (AT_US - 5, AT_US - 1)])
def test_a_gap_beside_the_missing_row_excuses_nothing(gap: tuple[int, int | None]) -> None:
    """A gap that begins one microsecond after the row, or ends one before it, does not hold it."""
    outcome = compare(ROWS, EVENTS[1:], [Gap(from_us=gap[0], to_us=gap[1], reason="disconnect")])
    assert outcome.faults == {"missing": 1}


@pytest.mark.parametrize("twice", [0, 1])
def test_a_doubled_row_is_found(twice: int) -> None:
    """The same happening twice in the history is one fault, even inside a gap."""
    gap = Gap(from_us=0, to_us=None, reason="disconnect")
    assert compare(ROWS, [*EVENTS, EVENTS[twice]], [gap]).faults["doubled"] == 1


def test_two_rows_of_one_instant_are_not_mistaken_for_a_doubled_one() -> None:
    """Recorded twice with different data and captured twice is right; captured once is not."""
    rows = [recorded_event(), recorded_event(data={"domain": "light", "service": "turn_off"})]
    events = [captured(row) for row in reversed(rows)]
    assert not compare(rows, events)
    assert compare(rows, events[:1]).faults == {"missing": 1}


@pytest.mark.parametrize(
    ("number", "changes", "named"),
    [
        (0, {"attributes": {"brightness": 121, "names": ["a", None]}}, "attributes.brightness"),
        (0, {"attributes": {"names": ["a", None]}}, "attributes.brightness"),
        (0, {"attributes": None}, "attributes.names"),
        (0, {"state": "off"}, "state"),
        (0, {"last_changed": "2026-03-29T00:59:59.999998Z"}, "last_changed"),
        (0, {"context_id": None}, "context_id"),
        (1, {"data": {"domain": "light"}}, "data"),
        (1, {"context_parent_id": CONTEXT}, "context_parent_id"),
    ],
)
def test_a_changed_value_is_found_and_named(number: int, changes: dict[str, Any], named: str) -> None:
    """One line a value, with both values in it."""
    events = list(EVENTS)
    events[number] = events[number] | changes
    outcome = compare(ROWS, events)
    assert outcome.faults["changed"] >= 1
    assert any(one.detail.startswith(f"{named}: recorded") for one in outcome.found), str(outcome)


@pytest.mark.parametrize(("number", "field"), [(0, "last_updated"), (1, "time_fired")])
def test_a_time_wrong_by_one_microsecond_is_found(number: int, field: str) -> None:
    """The recorded row is missing, and the captured one was never recorded."""
    events = list(EVENTS)
    events[number] = events[number] | {field: "2026-03-29T00:59:59.999998Z"}
    assert compare(ROWS, events).faults == {"missing": 1, "invented": 1}


def test_a_removal_and_a_first_state_of_one_instant_are_two_rows() -> None:
    """A removal has no last_updated: the moment it was fired stands for it."""
    rows = [recorded_state(state=None, attributes=None, last_changed_us=None), recorded_state(entity_id="light.new")]
    assert not compare(rows, [captured(row) for row in rows])


def test_a_row_that_was_never_recorded_is_found_unless_the_witness_is_partial() -> None:
    """The witness sees only some event types; the recorder sees all."""
    assert compare(ROWS[:1], EVENTS).faults == {"invented": 1}
    assert not compare(ROWS[:1], EVENTS, complete=False)


def test_a_state_read_back_from_a_gap_may_be_older_than_the_recorder() -> None:
    """Home Assistant sets its first entities before its recorder listens; a recorder that listened has them."""
    read_back = captured(recorded_state(), backfilled=True)
    restart = Gap(from_us=AT_US - 10, to_us=AT_US + 10, reason="home_restart")
    assert not compare([], [read_back], [restart])
    assert compare([], [read_back]).faults == {"invented": 1}
    assert compare([], [captured(recorded_state())], [restart]).faults == {"invented": 1}
    earlier = recorded_state(time_us=AT_US - 5)
    assert compare([earlier], [read_back], [restart]).faults == {"invented": 1}


def test_rows_outside_the_span_count_on_neither_side() -> None:
    """What happened before the product was connected is nobody's fault."""
    assert not compare(ROWS, [], since_us=AT_US + 1)
    assert not compare([], EVENTS, until_us=AT_US - 1)


def test_a_renamed_entity_is_found_under_its_first_name() -> None:
    """The recorder moves the past of a renamed entity to its new name."""
    rename = {"action": "update", "entity_id": "light.new", "old_entity_id": "light.hall"}
    renamed = recorded_event(event_type="entity_registry_updated", data=rename)
    rows = [recorded_state(entity_id="light.new"), renamed]
    removal = captured(recorded_state(state=None, attributes=None, time_us=AT_US), event_id="1" * 32)
    assert not compare(rows, [captured(recorded_state()), captured(renamed)])
    assert not compare(rows[1:], [removal, captured(renamed)])
    assert compare([], [removal]).faults == {"invented": 1}


def test_the_table_names_fault_time_entity_and_value() -> None:
    """What a person reads when the test fails."""
    text = str(compare(ROWS, [EVENTS[0] | {"state": "off"}]))
    assert "1 changed, 1 missing" in text
    assert f"{AT_US} state_changed" in text
    assert "state: recorded 'on', captured 'off'" in text


def test_the_recorder_is_read_with_its_shortcuts_undone(tmp_path: Path) -> None:
    """Null last_changed, 16-byte contexts and empty rows of removed entities become what they stand for."""
    database = tmp_path / "home.db"
    with sqlite3.connect(database) as connection:
        connection.executescript("""
            create table states_meta (metadata_id, entity_id);
            create table state_attributes (attributes_id, shared_attrs);
            create table states (state_id, metadata_id, attributes_id, state, last_changed_ts, last_updated_ts,
                                 context_id_bin, context_parent_id_bin, context_user_id_bin);
            create table event_types (event_type_id, event_type);
            create table event_data (data_id, shared_data);
            create table events (event_id, event_type_id, data_id, time_fired_ts,
                                 context_id_bin, context_parent_id_bin, context_user_id_bin);
            insert into states_meta values (1, 'light.hall');
            insert into state_attributes values (1, '{"brightness":3}'), (2, '{}');
            insert into states values (1, 1, 1, 'on', null, 1795502026.2407095, x'00', null, null);
            insert into states values (2, 1, 1, 'on', 1795502026.2407095, 1795502027.5, null, null, x'0a0b');
            insert into states values (3, 1, 2, '', null, 1795502028.0, null, null, null);
            insert into event_types values (1, 'call_service');
            insert into events values (1, 1, null, 1795502029.0, null, null, null);
        """)
    connection.close()
    first, second, removal, event = read(database)
    assert (first.last_changed_us, first.time_us) == (1795502026240710, 1795502026240710)
    assert (second.last_changed_us, second.user_id) == (1795502026240710, "0a0b")
    assert (removal.state, removal.attributes, removal.last_changed_us) == (None, None, None)
    assert (event.event_type, event.data) == ("call_service", {})


def test_a_context_reads_as_home_assistant_writes_it() -> None:
    """The 16 bytes of the recorder are the 26 letters of the bus."""
    assert ulid(bytes.fromhex("01a20c42ade4bf70c2c45b017 42448bd".replace(" ", "")))[:1] == "0"  # type: ignore[index]
    assert ulid(bytes(16)) == "0" * 26
    assert ulid(b"\xff" * 16) == "7" + "Z" * 25
    assert ulid(None) is None
