"""DuckDB, as the history uses it: files named outright, values bound, nothing else within reach.

One engine serves all threads of a process; each question gets a cursor of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from ingestor.event import SCHEMA
from ingestor.history.layout import ROW_SCHEMA, DataFile

COLUMNS = ", ".join(SCHEMA.names)


class Engine:
    """An in-memory DuckDB that may read the table's files."""

    def __init__(self, directory: Path, *, threads: int = 2, memory_mb: int = 512) -> None:
        self._directory = directory
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{memory_mb}MB",
                "autoinstall_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        for setting in (
            "LOAD parquet",
            "LOAD icu",
            "LOAD json",
            "SET parquet_metadata_cache = true",
            "SET TimeZone = 'UTC'",
            f"SET allowed_directories = [{quoted(str(directory.resolve()))}]",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(setting)

    @contextmanager
    def cursor(self, **tables: Any) -> Iterator[Any]:
        """Give a cursor that sees these Arrow tables by name."""
        cursor = self._connection.cursor()
        try:
            for name, table in tables.items():
                cursor.register(name, table)
            yield cursor
        finally:
            cursor.close()

    def arrow(self, statement: str, values: Sequence[Any] = (), **tables: Any) -> Any:
        """Run one statement and return its rows as an Arrow table."""
        with self.cursor(**tables) as cursor:
            return cursor.sql(statement, params=list(values)).to_arrow_table()

    def files(self, files: Sequence[DataFile]) -> str:
        """Return a FROM clause over these files (at least one); the engine itself chooses no file."""
        root = self._directory.resolve()
        return f"read_parquet([{', '.join(quoted(str(root / file.path)) for file in files)}])"


def quoted(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def as_rows(table: Any) -> Any:
    """Return an answer in the types of the event schema, with ``shard`` if it has one."""
    schema = ROW_SCHEMA if "shard" in table.column_names else SCHEMA
    return table.select(schema.names).cast(schema)
