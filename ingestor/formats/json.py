"""Events as JSON: each the object that ``ingestor.event.Event`` describes.

Times are RFC 3339 with six digits and ``Z``; ``local_time`` carries the home's offset. ``attributes`` and ``data`` are
objects, spliced in as the text they are stored as. What is missing, and what is not a number, is ``null``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.event import JSON_COLUMNS, SCHEMA


def rows_to_json(table: Any) -> bytes:
    """Return rows of ``SCHEMA`` as the bytes of a JSON array of events, in the same order. About 16 us a row."""
    columns = [_column(table, field) for field in SCHEMA]
    names = SCHEMA.names
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])


def rows_to_dicts(table: Any) -> list[dict[str, Any]]:
    """Return rows of ``SCHEMA`` as JSON-like dicts, exactly as ``rows_to_json`` writes them."""
    rows: list[dict[str, Any]] = orjson.loads(rows_to_json(table))
    return rows


def row_to_dict(table: Any, index: int = 0) -> dict[str, Any]:
    """Return one row of a table as a JSON-like dict. Raises ``IndexError`` if there is no such row."""
    if not 0 <= index < len(table):
        raise IndexError(f"row {index} of {len(table)}")
    return rows_to_dicts(table.slice(index, 1))[0]


def _column(table: Any, field: Any) -> list[Any]:
    column = table[field.name]
    if field.name == "event_id":
        return [value.hex() for value in column.to_pylist()]
    if field.name in JSON_COLUMNS:
        return [None if text is None else orjson.Fragment(text) for text in column.to_pylist()]
    if field.name == "local_time":
        return _local(column, table["utc_offset_s"])
    if pa.types.is_timestamp(field.type):
        return _texts(column, "Z")
    if pa.types.is_float32(field.type):
        column = column.cast(pa.string()).cast(pa.float64())  # the number that its shortest text says
    values: list[Any] = column.to_pylist()
    return values


def _texts(column: Any, suffix: str) -> list[str | None]:
    numbers = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
    texts = np.datetime_as_string(numbers.astype("datetime64[us]"), unit="us").tolist()
    if not column.null_count:
        return [text + suffix for text in texts]
    return [text + suffix if valid else None for text, valid in zip(texts, column.is_valid().to_pylist(), strict=True)]


def _local(column: Any, offsets: Any) -> list[str | None]:
    suffixes = {offset: _offset(offset) for offset in pc.unique(offsets).to_pylist()}
    texts = zip(_texts(column, ""), offsets.to_pylist(), strict=True)
    return [None if text is None else text + suffixes[offset] for text, offset in texts]


def _offset(offset_s: int | None) -> str:
    """Return ``+01:00`` and the like; nothing when the offset is not known."""
    if offset_s is None:
        return ""
    minutes = abs(offset_s) // 60
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
