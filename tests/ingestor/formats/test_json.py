"""JSON as the API gives it out, held against the published model."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.event import SCHEMA, Event
from ingestor.formats.json import row_to_dict, rows_to_dicts, rows_to_json
from tests.support.rows import make_events


def with_values(**values: Any) -> Any:
    """Return one row with these values."""
    return pa.Table.from_pylist([make_events(1).to_pylist()[0] | values], schema=SCHEMA)


def test_rows_round_trip_through_the_published_model() -> None:
    """Every row is a valid ``Event`` that says what the row says, nested values and times included."""
    table = pa.Table.from_batches([make_events(300)])
    for text, row in zip(orjson.loads(rows_to_json(table)), table.to_pylist(), strict=True):
        event = Event.model_validate_json(orjson.dumps(text)).model_dump()
        assert event.pop("event_id") == row.pop("event_id").hex()
        assert event.pop("attributes") == orjson.loads(row.pop("attributes"))
        local = event.pop("local_time")
        assert local.replace(tzinfo=None) == row.pop("local_time")
        assert local.utcoffset() == timedelta(seconds=row["utc_offset_s"])
        assert event == row


def test_times_have_six_digits_and_their_zone() -> None:
    """UTC with Z, the home's time with its offset, also on the full second and behind Greenwich."""
    whole = datetime.fromisoformat("2026-11-24T06:04:21+00:00")
    table = with_values(
        time_fired=whole, local_time=datetime.fromisoformat("2026-11-24T02:34:21"), utc_offset_s=-12_600
    )
    row = row_to_dict(table)
    assert row["time_fired"] == "2026-11-24T06:04:21.000000Z"
    assert row["local_time"] == "2026-11-24T02:34:21.000000-03:30"
    names = [field.name for field in SCHEMA if pa.types.is_timestamp(field.type)]
    pattern = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")
    assert all(pattern.match(row[name]) for name in names)


def test_what_is_missing_or_no_number_is_null() -> None:
    """NaN and infinity never reach a reader; every name is there even when nothing is known."""
    optional = {field.name: None for field in SCHEMA if field.nullable}
    row = row_to_dict(with_values(**optional))
    assert list(row) == SCHEMA.names
    assert all(row[name] is None for name in optional)
    for value in (math.nan, math.inf, -math.inf):
        odd = {"temperature": value, "humidity": None, "illuminance": None, "occupancy": None}
        row = row_to_dict(with_values(state_numeric=value, peak_score=value, environment=odd))
        assert (row["state_numeric"], row["peak_score"], row["environment"]["temperature"]) == (None, None, None)


def test_stored_json_is_given_out_as_objects() -> None:
    """Attributes and data are objects, not text; big numbers and escapes survive."""
    row = row_to_dict(
        with_values(attributes='{"name":"B\\u00fcro \\"1\\"","n":[1,2.5,null]}', data='{"id":9007199254740993}')
    )
    assert row["attributes"] == {"name": 'Büro "1"', "n": [1, 2.5, None]}
    assert row["data"] == {"id": 9007199254740993}


def test_no_rows_are_an_empty_array_and_no_row_is_an_error() -> None:
    """The array is there; the row is not."""
    assert rows_to_json(SCHEMA.empty_table()) == b"[]"
    with pytest.raises(IndexError):
        row_to_dict(SCHEMA.empty_table())


@settings(max_examples=60, deadline=None)
@given(text=st.text(), time_us=st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000))
def test_any_text_and_any_time_is_valid_json(text: str, time_us: int) -> None:
    """Whatever Home Assistant calls things, and whenever it says they happened."""
    fired = pa.scalar(time_us).cast(pa.timestamp("us", tz="UTC")).as_py()
    clean = text.encode("utf-8", "ignore").decode()
    row = rows_to_dicts(with_values(state=clean, entity_id=clean, time_fired=fired))[0]
    assert (row["state"], row["entity_id"]) == (clean, clean)
    assert datetime.fromisoformat(row["time_fired"]) == fired
