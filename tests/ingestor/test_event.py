"""The event's two faces, Pydantic and Arrow, are one schema; ``kind`` follows from one table."""

from __future__ import annotations

import json
import typing
from datetime import datetime

import pyarrow as pa
import pytest

from ingestor.event import JSON_COLUMNS, QUALITY_TYPE, RELATIONS_TYPE, SCHEMA, Event, Kind, Relations, Repair, kind_of
from ingestor.formats.json import rows_to_json
from tests.support.rows import make_events


def test_the_model_and_the_arrow_schema_have_the_same_columns_in_the_same_order() -> None:
    """A column added to one and not to the other would be lost on some surface."""
    assert list(Event.model_fields) == SCHEMA.names


def test_a_column_may_be_null_where_the_model_says_so() -> None:
    """Nullable in Arrow is optional in the model, and the other way round."""
    for field in SCHEMA:
        may_be_null = type(None) in typing.get_args(Event.model_fields[field.name].annotation)
        assert field.nullable == may_be_null, field.name


def test_nested_columns_have_the_same_fields() -> None:
    """Structs and lists are native on both sides."""
    assert [RELATIONS_TYPE.field(i).name for i in range(RELATIONS_TYPE.num_fields)] == list(Relations.model_fields)
    struct = QUALITY_TYPE.value_type
    assert [struct.field(i).name for i in range(struct.num_fields)] == list(Repair.model_fields)


def test_times_are_utc_microseconds_and_local_time_has_no_zone() -> None:
    """The one time without a zone is the home's wall clock."""
    for field in SCHEMA:
        if pa.types.is_timestamp(field.type):
            assert (field.type.unit, field.type.tz) == ("us", None if field.name == "local_time" else "UTC")
            assert datetime in (*typing.get_args(Event.model_fields[field.name].annotation), datetime)


def test_every_stored_row_is_a_valid_event_in_json() -> None:
    """Rows of the journal's schema, written as JSON, pass the published model."""
    for item in json.loads(rows_to_json(pa.Table.from_batches([make_events(50)]))):
        Event.model_validate_json(json.dumps(item))
        assert all(item[name] is None or isinstance(item[name], dict) for name in JSON_COLUMNS)


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [("state_changed", Kind.STATE), ("call_service", Kind.SERVICE), ("tag_scanned", Kind.USER), ("x", Kind.SYSTEM)],
)
def test_kind_follows_from_the_event_type(event_type: str, kind: Kind) -> None:
    """Unknown types are kept too, as ``system``."""
    assert kind_of(event_type) is kind
