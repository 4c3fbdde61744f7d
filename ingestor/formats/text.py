"""Columns of events as text, a whole column at a time: the same text for the same value, in JSON and in CSV.

Times are RFC 3339 with six digits and ``Z``; ``local_time`` carries the home's offset. Numbers are the shortest text
that reads back to the same bits. What is not a number counts as missing. ``json_columns`` gives missing values as the
text ``null``; ``csv_columns`` gives them as nothing, and an empty text as two quotes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.event import JSON_COLUMNS, SCHEMA

DAY_US: Final = 86_400_000_000
_ESCAPED: Final = r'[\x00-\x1f"\\]'
_QUOTED: Final = r'[",\r\n]|^$|^\s|\s$'
_WHOLE: Final = r"^-?[0-9]+$"
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_TWO: Final = np.frombuffer(b"".join(b"%02d" % number for number in range(100)), np.uint8).reshape(100, 2)
_THREE: Final = np.frombuffer(b"".join(b"%03d" % number for number in range(1000)), np.uint8).reshape(1000, 3)


def json_columns(table: Any) -> list[Any]:
    """Return each column of rows of ``SCHEMA`` as JSON texts, none of them missing."""
    return [_json_column(table, field) for field in SCHEMA]


def csv_columns(table: Any) -> list[Any]:
    """Return each column of rows of ``SCHEMA`` as RFC 4180 fields, none of them missing."""
    return [_or(_csv_column(table, field), "") for field in SCHEMA]


def join(parts: list[Any]) -> bytes:
    """Return the texts of all rows one after the other; a part is a column of texts, or a text for every row."""
    joined = pc.binary_join_element_wise(*parts, "")
    joined = joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
    if not len(joined):
        return b""
    _, offsets, content = joined.buffers()
    ends = np.frombuffer(offsets, np.int32)[joined.offset : joined.offset + len(joined) + 1]
    return bytes(memoryview(content)[ends[0] : ends[-1]])


def _json_column(table: Any, field: Any) -> Any:
    column = _whole(table[field.name])
    if field.name == "event_id":
        return _enclosed('"', _hex(column), '"')
    if field.name in JSON_COLUMNS:
        return _or(_each(column, _one_line), "null")
    if field.name == "local_time":
        return _or(_enclosed('"', _local(column, _whole(table["utc_offset_s"])), '"'), "null")
    return _json(column)


def _csv_column(table: Any, field: Any) -> Any:
    column = _whole(table[field.name])
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.string())
    if field.name == "event_id":
        return _hex(column)
    if field.name == "local_time":
        return _local(column, _whole(table["utc_offset_s"]))
    if pa.types.is_nested(field.type):
        return _fields(pc.if_else(pc.is_valid(column), _json(column), pa.scalar(None, pa.string())))
    if field.name in JSON_COLUMNS:
        return _each(column, lambda texts: _fields(_one_line(texts)))
    return _each(column, _fields) if pa.types.is_string(field.type) else _plain(column)


def _json(column: Any) -> Any:
    """Return the values of any column as JSON. Structs and lists by their inner columns."""
    kind = column.type
    if column.null_count == len(column):
        return pa.repeat("null", len(column))
    if pa.types.is_string(kind):
        return _or(_each(column, _strings), "null")
    if pa.types.is_struct(kind):
        parts: list[Any] = []
        for place, field in enumerate(kind):
            parts += [
                f"{',' if place else '{'}{orjson.dumps(field.name).decode()}:",
                _json(pc.struct_field(column, place)),
            ]
        return _or(_where(column, pc.binary_join_element_wise(*parts, "}", "")), "null")
    if pa.types.is_list(kind):
        return _or(_enclosed("[", _joined(column), "]"), "null")
    if pa.types.is_timestamp(kind):
        return _or(_enclosed('"', _plain(column), '"'), "null")
    return _or(_plain(column), "null")


def _joined(column: Any) -> Any:
    """Return for each list the JSON of its items with commas between."""
    offsets = _whole(pc.list_value_length(column))
    ends = np.concatenate(([0], np.cumsum(pc.fill_null(offsets, 0).to_numpy(zero_copy_only=False))))
    items = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), _json(_whole(pc.list_flatten(column))))
    return _where(column, pc.binary_join(items, ","))


def _plain(column: Any) -> Any:
    """Return numbers, times and truth values as text; null where there is none."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _times(column, b"Z" if kind.tz else b"")
    if not pa.types.is_floating(kind):
        return pc.cast(column, pa.string())
    texts = _where(column, pc.cast(column, pa.string()), pc.is_finite(column))
    return pc.if_else(pc.match_substring_regex(texts, _WHOLE), _enclosed("", texts, ".0"), texts)


def _each(column: Any, write: Callable[[Any], Any]) -> Any:
    """Write a column of texts: where values repeat, each different one once."""
    coded = pc.dictionary_encode(column)
    if len(coded.dictionary) > len(column) // 2:
        return write(column)
    return write(coded.dictionary).take(coded.indices)


def _strings(column: Any) -> Any:
    """Return JSON strings. Values are looked at one by one only where one has something to escape."""
    if not pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return _enclosed('"', column, '"')
    return pa.array([None if text is None else orjson.dumps(text).decode() for text in column.to_pylist()], pa.string())


def _fields(column: Any) -> Any:
    """Return RFC 4180 fields: in quotes where a comma, a quote, a line end, or white space at a rim asks for it."""
    asks = pc.match_substring_regex(column, _QUOTED)
    if not pc.any(asks).as_py():
        return column
    return pc.if_else(asks, _enclosed('"', pc.replace_substring(column, '"', '""'), '"'), column)


def _one_line(column: Any) -> Any:
    """Return JSON texts on one line: in valid JSON a line end can only stand where a blank can."""
    if not pc.any(pc.match_substring_regex(column, r"[\r\n]")).as_py():
        return column
    return pc.replace_substring_regex(column, r"[\r\n]", " ")


def _hex(column: Any) -> Any:
    """Return 16 bytes as 32 hex digits."""
    content = np.frombuffer(b"".join(column.to_pylist()), np.uint8)
    digits = np.empty((len(content), 2), np.uint8)
    digits[:, 0], digits[:, 1] = _HEX[content >> 4], _HEX[content & 15]
    return _fixed(digits.reshape(-1, 32))


def _times(column: Any, ending: bytes) -> Any:
    us = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    if not len(us):
        return pa.array([], pa.string())
    days, rest = np.divmod(us, DAY_US)
    seconds, micros = np.divmod(rest, 1_000_000)
    known, place = np.unique(days, return_inverse=True)
    dates = np.datetime_as_string(known.astype("datetime64[D]")).astype("S10")
    text = np.empty((len(us), 26 + len(ending)), np.uint8)
    text[:, :10] = np.frombuffer(dates.tobytes(), np.uint8).reshape(-1, 10)[place]
    text[:, 11:13], text[:, 14:16] = _TWO[seconds // 3600], _TWO[seconds // 60 % 60]
    text[:, 17:19], text[:, 20:23], text[:, 23:26] = _TWO[seconds % 60], _THREE[micros // 1000], _THREE[micros % 1000]
    text[:, [10, 13, 16, 19]] = np.frombuffer(b"T::.", np.uint8)
    text[:, 26:] = np.frombuffer(ending, np.uint8)
    return _where(column, _fixed(text))


def _local(column: Any, offsets: Any) -> Any:
    coded = pc.dictionary_encode(offsets, null_encoding="encode")
    suffixes = pa.array([_offset(offset_s) for offset_s in coded.dictionary.to_pylist()], pa.string())
    return pc.binary_join_element_wise(_times(column, b""), suffixes.take(coded.indices), "")


def _offset(offset_s: int | None) -> str:
    """Return ``+01:00`` and the like; nothing when the offset is not known."""
    if offset_s is None:
        return ""
    minutes = abs(offset_s) // 60
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _fixed(text: Any) -> Any:
    """Return rows of bytes, all of one length, as a column of texts."""
    count, length = text.shape
    offsets = np.arange(count + 1, dtype=np.int32) * length
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text)))


def _enclosed(before: str, column: Any, after: str) -> Any:
    return pc.binary_join_element_wise(before, column, after, "")


def _or(column: Any, missing: str) -> Any:
    return pc.fill_null(column, missing) if column.null_count else column


def _where(column: Any, texts: Any, valid: Any = None) -> Any:
    """Return the texts where the column has values (that are valid), else null."""
    if valid is None:
        return texts if not column.null_count else pc.if_else(pc.is_valid(column), texts, pa.scalar(None, pa.string()))
    return pc.if_else(valid, texts, pa.scalar(None, pa.string()))


def _whole(column: Any) -> Any:
    """Return a column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
