"""The durable mark: up to which version of the table everything was synced to disk, and what its log must digest to.

What lies below the mark is relied on: the journal may have been trimmed. What lies above may be torn and is repeated
from the journal. The mark is replaced as a whole and carries its own digest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from ingestor.errors import HistoryCorrupt, HistoryError
from ingestor.history.disk import digest_of, write_whole

#: Rises when an older program could no longer read what this one writes: columns, log or layout.
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """``log``: name of each log file needed to read ``version`` -> digest of its content."""

    version: int
    watermarks: dict[int, int]
    log: dict[str, str] = field(default_factory=dict)


def own_folder(directory: Path) -> Path:
    """Where this program keeps its own files beside a table. Delta ignores names that start with ``_``."""
    return directory / "_ingestor"


def mark_path(directory: Path) -> Path:
    """Where the mark of a table lies."""
    return own_folder(directory) / "durable.json"


def write_mark(directory: Path, mark: Mark) -> None:
    """Replace the mark. Durable on return."""
    content = {"format": FORMAT, "version": mark.version, "watermarks": mark.watermarks, "log": mark.log}
    body = json.dumps(content, sort_keys=True, separators=(",", ":"))
    write_whole(mark_path(directory), f"{body}\n{digest_of(body.encode())}\n".encode())


def read_mark(directory: Path) -> Mark | None:
    """Return the mark; None if there is none. Raises ``HistoryCorrupt`` if it is altered.

    Raises ``HistoryError`` when a newer program wrote the table: this one must not touch it.
    """
    path = mark_path(directory)
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    body, _, digest = content.rstrip("\n").rpartition("\n")
    if not body or digest_of(body.encode()) != digest:
        raise HistoryCorrupt(
            str(path),
            "does not match its own digest. Delete it: the next start then reads and verifies the whole table",
        )
    parsed = json.loads(body)
    if parsed.get("format", 1) > FORMAT:
        raise HistoryError(
            str(directory), f"was written by a newer version (format {parsed['format']}). Install that version again"
        )
    return Mark(
        version=parsed["version"],
        watermarks={int(shard): seq for shard, seq in parsed["watermarks"].items()},
        log=parsed["log"],
    )
