"""The metadata store in one SQLite file. See ``base`` for what each method guarantees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import zstandard

from ingestor.errors import MetadataCorrupt, QueryError
from ingestor.metadata.connection import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_GAP = "gap_id, home, source, from_us, to_us, reason, detail, backfilled"
_ITEM = "quarantine_id, seq, home, source, received_at_us, reason, field, detail, backfilled, event_id"


class SqliteMetadata:
    """Metadata in the file ``path``, made when it is not there. Any number of processes may open it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = Connection(path)

    def lease_seqs(self, count: int, *, above: int = 0) -> int:
        """See ``Metadata``."""
        if count < 1:
            raise ValueError(f"cannot lease {count} seqs")
        with self._file.writing() as db:
            (end,) = db.execute("UPDATE seqs SET next = max(next, ?) + ? RETURNING next", (above + 1, count)).fetchone()
        return int(end) - count

    def put_document(self, home: str, name: str, content: Any) -> None:
        """See ``Metadata``."""
        text = orjson.dumps(content)
        digest = _digest(text)
        with self._file.reading() as db:
            known = db.execute("SELECT digest FROM documents WHERE home = ? AND name = ?", (home, name)).fetchone()
        if known is not None and known[0] == digest:
            return
        packed = zstandard.ZstdCompressor().compress(text)
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", (home, name, digest, packed))

    def documents(self, home: str) -> dict[str, Any]:
        """See ``Metadata``."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT name, digest, content FROM documents WHERE home = ? ORDER BY name", (home,)
            ).fetchall()
        return {name: self._unpack(home, name, digest, packed) for name, digest, packed in rows}

    def homes(self) -> list[str]:
        """See ``Metadata``."""
        with self._file.reading() as db:
            return [home for (home,) in db.execute("SELECT DISTINCT home FROM documents ORDER BY home")]

    def open_gap(self, *, gap_id: str, home: str, source: str, from_us: int, reason: str, detail: str) -> None:
        """See ``Metadata``."""
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO gaps VALUES (?, ?, ?, ?, NULL, ?, ?, 0) ON CONFLICT DO NOTHING",
                (gap_id, home, source, from_us, reason, detail),
            )

    def close_gap(self, gap_id: str, to_us: int) -> None:
        """See ``Metadata``."""
        with self._file.writing() as db:
            db.execute("UPDATE gaps SET to_us = max(?, from_us) WHERE gap_id = ? AND to_us IS NULL", (to_us, gap_id))

    def add_backfilled(self, gap_id: str, count: int) -> None:
        """See ``Metadata``."""
        with self._file.writing() as db:
            db.execute("UPDATE gaps SET backfilled = backfilled + ? WHERE gap_id = ?", (count, gap_id))

    def gaps(
        self, *, home: str | None = None, open_only: bool = False, limit: int = 100, before: str | None = None
    ) -> list[dict[str, Any]]:
        """See ``Metadata``."""
        where: dict[str, Any] = {"home = ?": home}
        with self._file.reading() as db:
            if before is not None:
                begun = db.execute("SELECT from_us FROM gaps WHERE gap_id = ?", (before,)).fetchone()
                if begun is None:
                    raise QueryError("before", before, "the gap_id of an item of this list")
                where["(from_us, gap_id) < (?, ?)"] = (begun[0], before)
            conditions, values = _conditions(where, "to_us IS NULL" if open_only else "")
            rows = db.execute(
                f"SELECT {_GAP} FROM gaps {conditions} ORDER BY from_us DESC, gap_id DESC LIMIT ?",  # noqa: S608 - fixed words
                (*values, limit),
            ).fetchall()
        return [dict(zip(_GAP.split(", "), row, strict=True)) for row in rows]

    def add_quarantined(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """See ``Metadata``."""
        values = [
            (
                row["quarantine_id"],
                row["seq"],
                row["home"],
                row["source"],
                (row["received_at"] - _EPOCH) // _MICROSECOND,
                row["reason"],
                row["field"],
                row["detail"],
                row["backfilled"],
                row["raw"],
            )
            for row in rows
        ]
        with self._file.writing() as db:
            db.executemany(
                "INSERT INTO quarantined VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?) ON CONFLICT DO NOTHING", values
            )

    def quarantined(
        self,
        *,
        home: str | None = None,
        reason: str | None = None,
        open_only: bool = True,
        limit: int = 100,
        before_seq: int | None = None,
    ) -> list[dict[str, Any]]:
        """See ``Metadata``."""
        conditions, values = _conditions(
            {"home = ?": home, "reason = ?": reason, "seq < ?": before_seq}, "event_id IS NULL" if open_only else ""
        )
        with self._file.reading() as db:
            rows = db.execute(
                f"SELECT {_ITEM} FROM quarantined {conditions} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - fixed words
                (*values, limit),
            ).fetchall()
        return [_item(row) for row in rows]

    def quarantined_item(self, quarantine_id: str) -> dict[str, Any] | None:
        """See ``Metadata``."""
        with self._file.reading() as db:
            row = db.execute(
                f"SELECT {_ITEM}, raw FROM quarantined WHERE quarantine_id = ?",  # noqa: S608 - fixed words
                (quarantine_id,),
            ).fetchone()
        return None if row is None else {**_item(row[:-1]), "raw": row[-1]}

    def resolve_quarantined(self, quarantine_id: str, event_id: str) -> None:
        """See ``Metadata``."""
        with self._file.writing() as db:
            db.execute(
                "UPDATE quarantined SET event_id = ? WHERE quarantine_id = ? AND event_id IS NULL",
                (event_id, quarantine_id),
            )

    def quarantine_counts(self) -> dict[str, int]:
        """See ``Metadata``."""
        with self._file.reading() as db:
            return dict(
                db.execute("SELECT reason, count(*) FROM quarantined WHERE event_id IS NULL GROUP BY reason ORDER BY 1")
            )

    def resolved_count(self) -> int:
        """See ``Metadata``."""
        with self._file.reading() as db:
            count: int = db.execute("SELECT count(*) FROM quarantined WHERE event_id IS NOT NULL").fetchone()[0]
        return count

    def cursor(self, name: str) -> dict[int, int]:
        """See ``Metadata``."""
        with self._file.reading() as db:
            return dict(db.execute("SELECT shard, seq FROM cursors WHERE name = ? ORDER BY shard", (name,)))

    def set_cursor(self, name: str, positions: Mapping[int, int]) -> None:
        """See ``Metadata``."""
        with self._file.writing() as db:
            db.execute("DELETE FROM cursors WHERE name = ?", (name,))
            db.executemany(
                "INSERT INTO cursors VALUES (?, ?, ?)", [(name, shard, seq) for shard, seq in positions.items()]
            )

    def get(self, name: str) -> Any:
        """See ``Metadata``."""
        with self._file.reading() as db:
            row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def put(self, name: str, value: Any) -> None:
        """See ``Metadata``."""
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, orjson.dumps(value).decode()))

    def close(self) -> None:
        """See ``Metadata``."""
        self._file.close()

    def _unpack(self, home: str, name: str, digest: bytes, packed: bytes) -> Any:
        try:
            text = zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError:
            text = b""
        if _digest(text) != digest:
            raise MetadataCorrupt(
                str(self._path), f"holds a damaged document {name} of {home}. Restore the file from a backup"
            )
        return orjson.loads(text)


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()


def _conditions(wanted: Mapping[str, Any], also: str) -> tuple[str, list[Any]]:
    """Build a WHERE clause of the conditions whose value is not None."""
    parts = [condition for condition, value in wanted.items() if value is not None]
    values: list[Any] = []
    for value in wanted.values():
        if isinstance(value, tuple):
            values += value
        elif value is not None:
            values.append(value)
    parts += [also] if also else []
    return ("WHERE " + " AND ".join(parts)) if parts else "", values


def _item(row: tuple[Any, ...]) -> dict[str, Any]:
    item = dict(zip(_ITEM.split(", "), row, strict=True))
    item["backfilled"] = bool(item["backfilled"])
    return item
