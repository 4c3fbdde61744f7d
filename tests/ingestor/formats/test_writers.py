"""Exported files, read back by programs that did not write them."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestor.event import SCHEMA
from ingestor.formats import FORMATS
from ingestor.formats.json import rows_to_json
from tests.ingestor.formats.strange import alike, strange_rows
from tests.support.rows import make_events

SEEDS = pytest.mark.parametrize("seed", range(4))


def written(name: str, table: Any, *, each: int = 2) -> bytes:
    """Write a table in pieces, as an export does, some of them empty."""
    writer = FORMATS[name].writer()
    parts = [writer.begin(), writer.write(table.slice(0, 0))]
    parts += [writer.write(table.slice(at, each)) for at in range(0, len(table), each)]
    return b"".join([*parts, writer.end()])


def said(row: dict[str, Any]) -> dict[str, Any]:
    """Word a row as JSON must say it, with nothing but the standard library."""
    return {field.name: _said(row, field) for field in SCHEMA}


def _said(row: dict[str, Any], field: Any) -> Any:  # noqa: PLR0911 - one for each type
    value = row[field.name]
    if value is None:
        return None
    if field.name == "event_id":
        return value.hex()
    if field.name in {"attributes", "data"}:
        return json.loads(value)
    if field.name == "local_time":
        offset_s = row["utc_offset_s"]
        offset = (
            "" if offset_s is None else datetime(1, 1, 2, tzinfo=timezone(timedelta(seconds=offset_s))).isoformat()[-6:]
        )
        return f"{value.year:04}-{value:%m-%dT%H:%M:%S.%f}{offset}"
    if pa.types.is_timestamp(field.type):
        return f"{value.year:04}-{value:%m-%dT%H:%M:%S.%f}Z"
    if pa.types.is_float32(field.type):
        return float(str(np.float32(value)))
    return value


@SEEDS
def test_ndjson_and_json_say_every_value_to_the_bit(seed: int) -> None:
    """A JSON reader finds each row as it is: one object a line, whatever stands in texts and nested values."""
    table = strange_rows(seed)
    expected = [said(row) for row in table.to_pylist()]
    text = written("ndjson", table)
    assert text.count(b"\n") == len(table)
    for found in ([json.loads(line) for line in text.split(b"\n")[:-1]], json.loads(written("json", table))):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert list(one) == SCHEMA.names
            assert alike(one, other), (one, other)


@SEEDS
def test_exports_and_pages_say_the_same(seed: int) -> None:
    """An exported event is the event that a page of the API shows."""
    table = strange_rows(seed)
    assert alike(json.loads(written("json", table)), json.loads(rows_to_json(table)))


@SEEDS
def test_csv_is_read_by_the_csv_module(seed: int) -> None:
    """RFC 4180: header, CRLF, quotes; nested values as JSON text, what is missing as nothing."""
    table = strange_rows(seed)
    text = written("csv", table).decode()
    header, *found = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == SCHEMA.names
    assert len(found) == len(table)
    for fields, row in zip(found, table.to_pylist(), strict=True):
        for field, cell, value in zip(SCHEMA, fields, said(row).values(), strict=True):
            assert _as_csv(field, cell, value), (field.name, cell, value)


def _as_csv(field: Any, cell: str, value: Any) -> bool:
    if value is None or isinstance(value, str):
        return cell == (value or "")
    if isinstance(value, bool | int | float):
        return alike(json.loads(cell), value)
    return alike(json.loads(cell), value)


@SEEDS
def test_parquet_and_arrow_keep_the_rows_exactly(seed: int) -> None:
    """Rows and types come back as they are, structs and lists native."""
    table = strange_rows(seed)
    parquet = pq.read_table(pa.BufferReader(written("parquet", table)))
    arrow = pa.ipc.open_stream(written("arrow", table)).read_all()
    for found in (parquet, arrow):
        assert found.schema.equals(SCHEMA)
        assert alike(found.to_pylist(), table.to_pylist())


def test_others_read_what_is_written(tmp_path: Path) -> None:
    """DuckDB reads the Parquet, Polars the Arrow stream, the NDJSON and the CSV; all see the same numbers and times."""
    table = pa.Table.from_batches([make_events(500)])
    (tmp_path / "events.parquet").write_bytes(written("parquet", table, each=90))
    found = duckdb.connect().execute(
        "SELECT count(*), sum(seq), max(epoch_us(time_fired)), sum(environment.temperature), max(neighbours[1])"
        " FROM read_parquet(?)",
        [str(tmp_path / "events.parquet")],
    )
    expected = (
        500,
        sum(range(1, 501)),
        table["time_fired"].cast(pa.int64()).to_pylist()[-1],
        pytest.approx(sum(row["environment"]["temperature"] for row in table.to_pylist())),
        "area_7",
    )
    assert found.fetchone() == expected
    frames = [
        pl.read_ipc_stream(written("arrow", table, each=90)),
        pl.read_ndjson(written("ndjson", table, each=90)),
        pl.read_csv(written("csv", table, each=90), try_parse_dates=True),
    ]
    for frame in frames:
        assert frame["seq"].to_list() == table["seq"].to_pylist()
        assert frame["state_numeric"].to_list() == table["state_numeric"].to_pylist()
        assert frame["unit"].to_list() == table["unit"].to_pylist()
    assert frames[0]["time_fired"].to_list() == table["time_fired"].to_pylist()
    assert frames[2]["time_fired"].dt.replace_time_zone("UTC").to_list()[:1] == [
        datetime.fromtimestamp(1_700_000_000, UTC)
    ]
