"""Row groups of the table's files, read without an engine: for the question that touches few of them, by entity.

A file's rows are sorted by entity, so its footer tells which row groups can hold one. A group is decoded once, whole,
its texts as dictionaries, and kept for whoever asks next: the neighbours of an entity cost nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingestor.event import SCHEMA
from ingestor.history.kept import Kept
from ingestor.history.layout import ROW_SCHEMA, DataFile

_TEXTS = [field.name for field in ROW_SCHEMA if pa.types.is_string(field.type) and field.name != "context_id"]
#: A decoded footer takes about so many times the bytes it has in the file.
_FOOTER_FACTOR = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Footer:
    """``spans``: the first and last entity of each row group; None where no row has one."""

    metadata: Any
    spans: list[tuple[str, str] | None]


class Groups:
    """Reads files of one table, from any thread. A file that is gone or damaged raises what pyarrow raises."""

    def __init__(self, directory: Path, kept: Kept) -> None:
        self._directory = directory
        self._kept = kept

    def cost(self, file: DataFile, entities: Sequence[str]) -> int:
        """How many row groups must be decoded to answer from this file."""
        numbers = self._numbers(file, entities)
        return sum(not self._kept.has((file.path, number)) for number in numbers)

    def of_entities(self, file: DataFile, entities: Sequence[str]) -> Any:
        """Return a file's rows of these entities, as rows of the event schema, each entity's in time order."""
        parts = [
            part for number in self._numbers(file, entities) for part in _rows_of(self._group(file, number), entities)
        ]
        return pa.concat_tables([part.cast(SCHEMA) for part in parts]) if parts else SCHEMA.empty_table()

    def _numbers(self, file: DataFile, entities: Sequence[str]) -> list[int]:
        if file.min_entity is None or all(not file.min_entity <= one <= (file.max_entity or "") for one in entities):
            return []
        spans = self._footer(file).spans
        return [
            number
            for number, span in enumerate(spans)
            if span is not None and any(span[0] <= one <= span[1] for one in entities)
        ]

    def _footer(self, file: DataFile) -> _Footer:
        def read() -> _Footer:
            metadata = pq.read_metadata(self._directory / file.path)
            column = next(at for at in range(metadata.num_columns) if metadata.schema.column(at).path == "entity_id")
            groups = (metadata.row_group(number).column(column) for number in range(metadata.num_row_groups))
            return _Footer(metadata=metadata, spans=[_span(group.statistics) for group in groups])

        footer: _Footer = self._kept.get(file.path, read, size_of=_footer_bytes)
        return footer

    def _group(self, file: DataFile, number: int) -> Any:
        def read() -> Any:
            parquet = pq.ParquetFile(
                self._directory / file.path,
                metadata=self._footer(file).metadata,
                read_dictionary=_TEXTS,
                page_checksum_verification=True,
            )
            with parquet:
                table = parquet.read_row_group(number, columns=SCHEMA.names, use_threads=False)
            return table.unify_dictionaries().combine_chunks()

        return self._kept.get((file.path, number), read, size_of=_table_bytes)


def _rows_of(group: Any, entities: Sequence[str]) -> Iterator[Any]:
    """Yield each entity's rows: neighbours, for a group is sorted by entity."""
    column = group["entity_id"].chunk(0)
    for code, name in enumerate(column.dictionary.to_pylist()):
        if name in entities:
            at = np.flatnonzero(column.indices.fill_null(-1).to_numpy() == code)
            if len(at):
                yield group.slice(int(at[0]), int(at[-1] - at[0]) + 1)


def _span(statistics: Any) -> tuple[str, str] | None:
    if statistics is None or not statistics.has_min_max:
        return None
    return statistics.min, statistics.max


def _footer_bytes(footer: _Footer) -> int:
    size: int = footer.metadata.serialized_size * _FOOTER_FACTOR
    return size


def _table_bytes(table: Any) -> int:
    size: int = table.get_total_buffer_size()
    return size
