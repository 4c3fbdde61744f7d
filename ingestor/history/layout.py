"""How a row of the event schema stands in a Parquet file of the table, and what such a file is called.

A file lies at ``date=YYYY-MM-DD/<highest seq>-<digest>.parquet``: the UTC date of ``time_fired``, and the digest of its
own content, so that the name alone tells whether a bit has flipped. Rows are sorted by entity and time. Besides the
event's own columns a row has ``shard``, whose journal it came through; a stream is resumed by it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestor.event import SCHEMA
from ingestor.history.disk import digest_of, make_folder, write_whole
from ingestor.history.order import sorted_rows

ROW_GROUP_ROWS = 8_192
PAGE_ROWS = 8_192
COMPRESSION_LEVEL = 3
FALSE_POSITIVE_RATE = 0.01

#: A row as it stands in a file.
ROW_SCHEMA = pa.schema([*SCHEMA, pa.field("shard", pa.int16(), nullable=False)])
#: A row as the table shows it.
TABLE_SCHEMA = pa.schema([*ROW_SCHEMA, pa.field("date", pa.string(), nullable=False)])

#: Columns whose bounds are kept for each row group: those a question may filter by.
_BOUNDED = [
    "seq",
    "shard",
    "time_fired",
    "home",
    "source",
    "event_type",
    "kind",
    "entity_id",
    "domain",
    "device_id",
    "area_id",
    "floor_id",
    "integration",
    "context_id",
    "user_id",
    "origin",
    "cause",
]
_RISING = ("seq", "time_fired", "received_at", "journaled_at", "last_changed", "last_updated", "local_time")
_ENCODING = dict.fromkeys(_RISING, "DELTA_BINARY_PACKED") | {"context_id": "DELTA_BYTE_ARRAY"}
_UNIQUE = {*_ENCODING, "event_id"}
_NAME = re.compile(r"^date=(\d{4,}-\d\d-\d\d)/[0-9a-f]{16}-([0-9a-f]{32})\.parquet$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _leaves(field: Any, path: str) -> list[str]:
    if pa.types.is_struct(field.type):
        return [leaf for inner in field.type for leaf in _leaves(inner, f"{path}.{inner.name}")]
    if pa.types.is_list(field.type):
        return _leaves(field.type.value_field, f"{path}.list.element")
    return [path]


_REPETITIVE = [leaf for field in ROW_SCHEMA if field.name not in _UNIQUE for leaf in _leaves(field, field.name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One Parquet file of the table. Bounds are inclusive; the entity bounds are None if no row has an entity."""

    path: str
    size_bytes: int
    rows: int
    min_us: int
    max_us: int
    min_seq: int
    max_seq: int
    min_entity: str | None
    max_entity: str | None

    @property
    def date(self) -> str:
        """The UTC date all its rows were fired on."""
        return self.path[5:].partition("/")[0]

    @property
    def digest(self) -> str:
        """What its content must digest to."""
        return self.path[-40:-8]

    def stats(self) -> str:
        """Give the bounds as Delta writes them in its log."""
        low: dict[str, Any] = {"seq": self.min_seq, "time_fired": _text(self.min_us)}
        high: dict[str, Any] = {"seq": self.max_seq, "time_fired": _text(self.max_us)}
        if self.min_entity is not None:
            low["entity_id"], high["entity_id"] = self.min_entity, self.max_entity
        nulls = {"seq": 0, "time_fired": 0}
        return json.dumps({"numRecords": self.rows, "minValues": low, "maxValues": high, "nullCount": nulls})

    @classmethod
    def of_action(cls, path: str, size_bytes: int, stats: str) -> DataFile:
        """Read an ``add`` of the Delta log. Raises ``ValueError`` for a file this program did not write."""
        if not _NAME.match(path):
            raise ValueError(f"{path} is not a file this program wrote")
        parsed = json.loads(stats)
        low, high = parsed["minValues"], parsed["maxValues"]
        return cls(
            path=path,
            size_bytes=size_bytes,
            rows=parsed["numRecords"],
            min_us=_us(low["time_fired"]),
            max_us=_us(high["time_fired"]),
            min_seq=low["seq"],
            max_seq=high["seq"],
            min_entity=low.get("entity_id"),
            max_entity=high.get("entity_id"),
        )


def _text(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _us(text: str) -> int:
    gone = datetime.fromisoformat(text) - _EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds


def dates_of(rows: Any) -> Any:
    """Return the partition of each row: the UTC date of ``time_fired``."""
    return rows["time_fired"].cast(pa.timestamp("us")).cast(pa.date32()).cast(pa.string())


def write_file(directory: Path, date: str, rows: Any) -> DataFile:
    """Write rows of one date (``ROW_SCHEMA``) as one file. On return the file and its name are on disk."""
    rows = sorted_rows(rows)
    content = encode(rows)
    seqs, times = pc.min_max(rows["seq"]).as_py(), pc.min_max(rows["time_fired"].cast(pa.int64())).as_py()
    entities = pc.min_max(rows["entity_id"]).as_py()
    path = f"date={date}/{seqs['max']:016x}-{digest_of(content)}.parquet"
    make_folder((directory / path).parent)
    write_whole(directory / path, content)
    return DataFile(
        path=path,
        size_bytes=len(content),
        rows=len(rows),
        min_us=times["min"],
        max_us=times["max"],
        min_seq=seqs["min"],
        max_seq=seqs["max"],
        min_entity=entities["min"],
        max_entity=entities["max"],
    )


def encode(rows: Any) -> memoryview:
    """Return rows as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=_REPETITIVE,
        column_encoding=_ENCODING,
        write_page_index=True,
        write_page_checksum=True,
        write_statistics=_BOUNDED,
        max_rows_per_page=PAGE_ROWS,
        bloom_filter_options={"event_id": {"ndv": min(len(rows), ROW_GROUP_ROWS), "fpp": FALSE_POSITIVE_RATE}},
    ) as writer:
        writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
    return memoryview(sink.getvalue())
