"""Many sorted files become few, a file at a time: what is held in memory does not grow with what is merged.

Files whose entities do not overlap are one run and are read one after the other, a row group at a time. Of each run's
rows those are taken that nothing still unread can precede.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestor.history import scrub
from ingestor.history.layout import ROW_SCHEMA, DataFile
from ingestor.history.order import sorted_rows

#: Sorts after every name.
_LAST = "\U0010ffff"
_Key = tuple[str, int, int]


class Merge:
    """The rows of some files in file order, as tables of about ``file_rows`` rows. Raises for a damaged file."""

    def __init__(self, directory: Path, files: Sequence[DataFile], *, file_rows: int) -> None:
        self.files = list(files)
        self._runs = [_Run(directory, run) for run in _runs(directory, files)]
        self._file_rows = file_rows

    def next(self) -> Any:
        """Return the next rows; None after the last."""
        parts: list[Any] = []
        count = 0
        while count < self._file_rows and (part := self._part()) is not None:
            parts.append(part)
            count += len(part)
        return pa.concat_tables(parts) if parts else None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return all(run.is_over for run in self._runs)

    def _part(self) -> Any:
        """Return the rows up to the first end of what is read of any run."""
        runs = [run for run in self._runs if not run.is_over]
        if not runs:
            return None
        end = min(run.last_key for run in runs)
        return sorted_rows(pa.concat_tables([run.take_through(end) for run in runs]))


class _Run:
    """Reads on in files that follow each other."""

    def __init__(self, directory: Path, files: Sequence[DataFile]) -> None:
        self._groups = _groups(directory, files)
        self._rows: Any = next(self._groups, None)
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self._rows is None

    @property
    def last_key(self) -> _Key:
        """The key of the last row that is in memory."""
        return self._key(len(self._rows) - 1)

    def take_through(self, end: _Key) -> Any:
        """Give the rows up to this key, and read on when none is left."""
        stop = bisect.bisect_right(range(len(self._rows)), end, lo=self._at, key=self._key)
        taken = self._rows.slice(self._at, stop - self._at)
        self._at = stop
        if stop == len(self._rows):
            self._rows, self._at = next(self._groups, None), 0
        return taken

    def _key(self, at: int) -> _Key:
        row = self._rows
        entity = row["entity_id"][at].as_py()
        return _LAST if entity is None else entity, row["time_fired"][at].value, row["seq"][at].as_py()


def _groups(directory: Path, files: Sequence[DataFile]) -> Iterator[Any]:
    """Yield the row groups of files, each file's digest compared before anything of it is given."""
    for file in files:
        scrub.check(directory, file)
        with pq.ParquetFile(directory / file.path, page_checksum_verification=True) as parquet:
            for number in range(parquet.num_row_groups):
                yield parquet.read_row_group(number, use_threads=False).select(ROW_SCHEMA.names).combine_chunks()


def _runs(directory: Path, files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Cut files into runs in which every row of a file stands before every row of the next."""
    runs: list[tuple[str, list[DataFile]]] = []
    for file in sorted(files, key=_first):
        at = next((at for at, (end, _) in enumerate(runs) if end < _first(file)), len(runs))
        before = runs.pop(at)[1] if at < len(runs) else []
        runs.append((_end(directory, file), [*before, file]))
    return [run for _, run in runs]


def _first(file: DataFile) -> str:
    return _LAST if file.min_entity is None else file.min_entity


def _end(directory: Path, file: DataFile) -> str:
    """Return the last entity of a file; behind every name when it ends with rows that have none."""
    metadata = pq.read_metadata(directory / file.path)
    group = metadata.row_group(metadata.num_row_groups - 1)
    columns = (group.column(at) for at in range(group.num_columns))
    statistics = next(column.statistics for column in columns if column.path_in_schema == "entity_id")
    if file.max_entity is None or statistics is None or statistics.null_count:
        return _LAST
    return file.max_entity
