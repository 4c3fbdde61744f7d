"""Events as files, written piece by piece in constant memory: what ``begin``, ``write`` and ``end`` return, in a row.

Rows are tables of ``ingestor.event.SCHEMA``. About 5 us a row as text, 1 us as Arrow. A writer is one file: it is used
once, by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ingestor.event import SCHEMA
from ingestor.formats.text import csv_columns, join, json_columns

ROW_GROUP_ROWS: Final = 32_768
_RISING: Final = ("seq", "time_fired", "received_at", "journaled_at", "last_changed", "last_updated", "local_time")
_ENCODING: Final = dict.fromkeys(_RISING, "DELTA_BINARY_PACKED") | {"context_id": "DELTA_BYTE_ARRAY"}


class Writer(Protocol):
    """One file in the making."""

    def begin(self) -> bytes:
        """Return what stands before the first row."""
        ...

    def write(self, rows: Any) -> bytes:
        """Return these rows. A writer that packs rows in groups may keep a bounded number back."""
        ...

    def end(self) -> bytes:
        """Return what is left, and what stands after the last row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """An encoding. ``packed``: compressed in itself, so that a transport need not try."""

    name: str
    media_type: str
    writer: Callable[[], Writer]
    packed: bool = False


class Ndjson:
    """A JSON object a line, as ``ingestor.formats.json`` writes it."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def write(self, rows: Any) -> bytes:
        """Return a line for each row."""
        return lines(rows, "}\n")

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Json:
    """A JSON array, an object a line."""

    def __init__(self) -> None:
        self._before = b"[\n"

    def begin(self) -> bytes:
        """Nothing: an array without rows is written as a whole by ``end``."""
        return b""

    def write(self, rows: Any) -> bytes:
        """Return the objects with commas between them."""
        if not len(rows):
            return b""
        before, self._before = self._before, b",\n"
        return before + lines(rows, "},\n")[:-2]

    def end(self) -> bytes:
        """Close the array."""
        return b"\n]\n" if self._before == b",\n" else b"[]\n"


class Csv:
    """RFC 4180, with a header line. Missing values are empty, empty texts are two quotes."""

    def begin(self) -> bytes:
        """Return the header line."""
        return ",".join(SCHEMA.names).encode() + b"\r\n"

    def write(self, rows: Any) -> bytes:
        """Return a line for each row; structs, lists, ``attributes`` and ``data`` as JSON."""
        parts: list[Any] = []
        for column in csv_columns(rows):
            parts += [column, ","]
        return join([*parts[:-1], "\r\n"])

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Parquet:
    """Parquet with zstd, a row group each ``ROW_GROUP_ROWS`` rows."""

    def __init__(self) -> None:
        self._sink = _Drain()
        self._kept: list[Any] = []
        self._writer = pq.ParquetWriter(
            self._sink,
            SCHEMA,
            compression="zstd",
            use_dictionary=[name for name in SCHEMA.names if name not in {*_ENCODING, "event_id"}],
            column_encoding=_ENCODING,
        )

    def begin(self) -> bytes:
        """Return the magic bytes."""
        return self._sink.drain()

    def write(self, rows: Any) -> bytes:
        """Keep rows back until they fill a row group."""
        self._kept.append(rows)
        if sum(map(len, self._kept)) >= ROW_GROUP_ROWS:
            self._flush()
        return self._sink.drain()

    def end(self) -> bytes:
        """Return the last row group and the footer."""
        if self._kept:
            self._flush()
        self._writer.close()
        return self._sink.drain()

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._kept), row_group_size=ROW_GROUP_ROWS)
        self._kept = []


class Arrow:
    """An Arrow IPC stream, not compressed, so that every reader of Arrow can read it."""

    def __init__(self) -> None:
        self._sink = _Drain()
        self._writer = pa.ipc.new_stream(self._sink, SCHEMA)

    def begin(self) -> bytes:
        """Return the schema."""
        return self._sink.drain()

    def write(self, rows: Any) -> bytes:
        """Return the rows as record batches."""
        self._writer.write_table(rows)
        return self._sink.drain()

    def end(self) -> bytes:
        """Return the end mark."""
        self._writer.close()
        return self._sink.drain()


class _Drain:
    """A file that gives back what was written to it since the last look."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.closed = False

    def write(self, content: Any) -> int:
        self._parts.append(bytes(content))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True

    def drain(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def lines(rows: Any, end: str) -> bytes:
    """Return each row as a JSON object that ends with ``end``."""
    parts: list[Any] = []
    for place, (name, column) in enumerate(zip(SCHEMA.names, json_columns(rows), strict=True)):
        parts += [f'{"," if place else "{"}"{name}":', column]
    return join([*parts, end])


FORMATS: Final = {
    each.name: each
    for each in (
        Format(name="json", media_type="application/json", writer=Json),
        Format(name="ndjson", media_type="application/x-ndjson", writer=Ndjson),
        Format(name="csv", media_type="text/csv; charset=utf-8; header=present", writer=Csv),
        Format(name="parquet", media_type="application/vnd.apache.parquet", writer=Parquet, packed=True),
        Format(name="arrow", media_type="application/vnd.apache.arrow.stream", writer=Arrow),
    )
}
