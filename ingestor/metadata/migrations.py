"""The SQLite file's tables, step by step: step n leads from ``user_version`` n to n + 1. Steps are never edited."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x48414D44

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE seqs (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), next INTEGER NOT NULL) STRICT",
        "INSERT INTO seqs VALUES (1, 1)",
        """CREATE TABLE documents (
            home TEXT NOT NULL, name TEXT NOT NULL, digest BLOB NOT NULL, content BLOB NOT NULL,
            PRIMARY KEY (home, name)
        ) STRICT""",
        """CREATE TABLE gaps (
            gap_id TEXT PRIMARY KEY, home TEXT NOT NULL, source TEXT NOT NULL,
            from_us INTEGER NOT NULL, to_us INTEGER, reason TEXT NOT NULL, detail TEXT NOT NULL,
            backfilled INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX gaps_in_time ON gaps (from_us, gap_id)",
        """CREATE TABLE quarantined (
            quarantine_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, home TEXT NOT NULL, source TEXT NOT NULL,
            received_at_us INTEGER NOT NULL, reason TEXT NOT NULL, field TEXT, detail TEXT NOT NULL,
            backfilled INTEGER NOT NULL, event_id TEXT, raw BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX quarantined_in_order ON quarantined (seq)",
        "CREATE INDEX quarantined_open ON quarantined (reason) WHERE event_id IS NULL",
        "CREATE TABLE cursors (name TEXT, shard INTEGER, seq INTEGER NOT NULL, PRIMARY KEY (name, shard)) STRICT",
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    ),
)
