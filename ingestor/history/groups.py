"""Row groups of the table's files, read without an engine: for the question that touches few of them.

A file's rows are sorted by entity, so its footer tells which row groups can hold one. A group is decoded once, whole,
its texts as dictionaries, and kept for whoever asks next: the neighbours of an entity cost nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestor.event import SCHEMA
from ingestor.history.kept import Kept
from ingestor.history.layout import ROW_SCHEMA, DataFile
from ingestor.history.places import after_place, near
from ingestor.history.question import Question

_TEXTS = [field.name for field in ROW_SCHEMA if pa.types.is_string(field.type) and field.name != "context_id"]
#: A decoded footer takes about so many times the bytes it has in the file.
_FOOTER_FACTOR = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Footer:
    """``spans``: the first and last entity of each row group; None where no row has one."""

    metadata: Any
    spans: list[tuple[str, str] | None]


class GroupUnreadable(Exception):
    """A file is gone or damaged. The message names it."""


class Groups:
    """Reads files of one table, from any thread. Raises ``GroupUnreadable``."""

    def __init__(self, directory: Path, kept: Kept) -> None:
        self._directory = directory
        self._kept = kept

    def cost(self, file: DataFile, entities: Sequence[str]) -> int:
        """How many row groups must be decoded to answer from this file, for these entities, or for all if none."""
        return sum(not self._kept.has((file.path, number)) for number in self._numbers(file, entities))

    def page(self, file: DataFile, entities: Sequence[str], question: Question) -> Any:
        """Return all of a file's rows that can stand on a page of the question, and perhaps others that pass."""
        found = [
            (rows, _places(rows, question))
            for number in self._numbers(file, entities)
            for group in [self._group(file, number)]
            for rows in (_rows_of(group, entities) if entities else [group])
        ]
        if not found:
            return SCHEMA.empty_table()
        owners = np.repeat(np.arange(len(found)), [len(at) for _, at in found])
        times_us = np.concatenate([_times_us(rows)[at] for rows, at in found])
        first = near(times_us, question.limit + 1, newest_first=question.order == "desc")
        at = np.concatenate([at for _, at in found])[first]
        parts = [rows.take(pa.array(at[owners[first] == number])) for number, (rows, _) in enumerate(found)]
        return pa.concat_tables(parts).cast(SCHEMA)

    def _numbers(self, file: DataFile, entities: Sequence[str]) -> list[int]:
        spans = self._footer(file).spans
        if not entities:
            return list(range(len(spans)))
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

        footer: _Footer = self._kept.get(file.path, partial(_named, file, read), size_of=_footer_bytes)
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
            return table.select(SCHEMA.names).unify_dictionaries().combine_chunks()

        return self._kept.get((file.path, number), partial(_named, file, read), size_of=_table_bytes)


def _named(file: DataFile, read: Callable[[], Any]) -> Any:
    """Read, and name the file in whatever a library makes of one that is gone or damaged."""
    try:
        return read()
    except GroupUnreadable:
        raise
    except Exception as error:
        raise GroupUnreadable(f"{file.path}: {error!r}") from error


class _Plain:
    """Columns of a group by name, texts as texts."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> Any:
        column = self._rows[name]
        return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _places(rows: Any, question: Question) -> Any:
    """Return which rows pass, come after the cursor, and have fewer than a page of others before them. Rising."""
    times_us, seqs = _times_us(rows), rows["seq"].to_numpy()
    at = pc.indices_nonzero(question.passing(_Plain(rows))).to_numpy().view(np.int64)
    at = after_place(times_us, seqs, at, question)
    return at[near(times_us[at], question.limit + 1, newest_first=question.order == "desc")]


def _times_us(rows: Any) -> Any:
    return rows["time_fired"].to_numpy().view(np.int64)


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
