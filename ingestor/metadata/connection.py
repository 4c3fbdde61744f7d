"""One SQLite file, opened safely: private to its user, synced at every commit, migrated once whoever comes first.

Every process has its own connection and every call its own transaction. Writers wait for each other up to
``BUSY_S``; readers never wait.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ingestor.errors import MetadataCorrupt, MetadataError
from ingestor.metadata.migrations import APPLICATION_ID, STEPS

BUSY_S: Final = 10.0
_RETRY_S = 0.02


class Connection:
    """A connection for all threads of one process, one call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        try:
            _create(path)
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            with self._words():
                self._prepare(self._connection)
        except OSError as error:
            raise MetadataError(str(path), f"cannot be opened: {error.strerror}. Mend that and start again") from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give one consistent picture for the ``with`` block."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make one transaction of the ``with`` block: durable when it ends, undone when it raises."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close the file. Harmless the second time."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._words():
            connection = self._connection
            if connection is None:
                raise MetadataError(str(self._path), "is closed. Open it again")
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _words(self) -> Iterator[None]:
        """Word what SQLite raises."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            # Text that is no UTF-8 has no code of SQLite: it was found in Python, and it was never written so.
            if isinstance(error, sqlite3.OperationalError) and hasattr(error, "sqlite_errorcode"):
                raise MetadataError(str(self._path), f"{error}. {_next_step(error)}") from error
            raise MetadataCorrupt(
                str(self._path),
                f"is damaged: {error}. Stop all processes and restore the file from a backup; "
                "its -wal and -shm files belong to it",
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:
                # Two that switch a new file at the same time: SQLite refuses one at once instead of waiting.
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if self._pragma(connection, "user_version") < len(STEPS):
            self._migrate(connection)
        self._check_ours(connection)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with self._transaction("BEGIN IMMEDIATE"):
            version = self._pragma(connection, "user_version")
            if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise MetadataError(str(self._path), "is the database of another program. Choose another data_dir")
            for step in STEPS[version:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {max(version, len(STEPS))}")

    def _check_ours(self, connection: sqlite3.Connection) -> None:
        if self._pragma(connection, "application_id") != APPLICATION_ID:
            raise MetadataError(str(self._path), "is the database of another program. Choose another data_dir")
        version = self._pragma(connection, "user_version")
        if version > len(STEPS):
            raise MetadataError(
                str(self._path), f"was written by a newer version (schema {version}). Install that version again"
            )

    @staticmethod
    def _pragma(connection: sqlite3.Connection, name: str) -> int:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _create(path: Path) -> None:
    """Make an empty file that only its user can read, durably, with its folder."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for folder in (path.parent, path.parent.parent):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _next_step(error: sqlite3.OperationalError) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {
        sqlite3.SQLITE_BUSY: f"Another process held it for {BUSY_S:g} s; repeat",
        sqlite3.SQLITE_LOCKED: f"Another process held it for {BUSY_S:g} s; repeat",
        sqlite3.SQLITE_FULL: "Free space on this disk",
        sqlite3.SQLITE_READONLY: "Give the file and its folder to the user that runs the ingestor",
        sqlite3.SQLITE_CANTOPEN: "Give the file and its folder to the user that runs the ingestor",
        sqlite3.SQLITE_IOERR: "Check the disk: the kernel's log says more",
    }.get(code, "Restore the file from a backup when this stays so")
