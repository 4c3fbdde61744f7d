"""The owner's own question: one SELECT over the view ``events``, and nothing else within its reach.

DuckDB has no privilege boundary of its own, so the statement's type is checked, files outside the table are closed to
it, and its settings are locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from ingestor.errors import QueryError
from ingestor.event import SCHEMA
from ingestor.history.engine import Engine
from ingestor.history.layout import ROW_SCHEMA, DataFile

_SHOWN = ", ".join("lower(hex(event_id)) AS event_id" if name == "event_id" else name for name in SCHEMA.names)


def answer(engine: Engine, text: str, files: Sequence[DataFile], tail: Any) -> Any:
    """Run the SELECT and return an Arrow table. Raises ``QueryError`` for all but one valid SELECT."""
    with engine.cursor(tail=tail if len(tail) else ROW_SCHEMA.empty_table()) as cursor:
        try:
            statements = cursor.extract_statements(text)
        except duckdb.Error as error:
            raise _refusal(text, str(error)) from None
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise _refusal(text, "one SELECT over the view `events`")
        sources = [engine.files(files)] if files else []
        union = " UNION ALL ".join(f"SELECT {_SHOWN} FROM {source}" for source in [*sources, "tail"])  # noqa: S608 - our own names
        cursor.execute(f"CREATE TEMP VIEW events AS {union}")
        try:
            return cursor.sql(statements[0].query).to_arrow_table()
        except duckdb.Error as error:
            if isinstance(error, duckdb.IOException) or any(file.path in str(error) for file in files):
                raise  # a file of the table, not the question, is at fault
            raise _refusal(text, str(error)) from None


def _refusal(text: str, expected: str) -> QueryError:
    return QueryError("sql", repr(text[:200]), expected)
