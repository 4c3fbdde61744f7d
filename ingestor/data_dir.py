"""A data directory is looked at before anything is started on it: one line says why it cannot be used.

Cheap, and changes nothing but what opening a store always does: a version mark of each store, the headers of the
journals, the log of the history and the sizes of its files. Whoever calls this holds the directory.
"""

from __future__ import annotations

from pathlib import Path

from ingestor.errors import ConfigError, HistoryError, JournalError, MetadataError
from ingestor.history.scrub import scrub
from ingestor.journal import recovery, shards_in
from ingestor.metadata import SqliteMetadata


def refuse_unusable(data_dir: Path) -> None:
    """Raise ``ConfigError`` for stores that a newer version wrote, or that are damaged where every answer begins."""
    try:
        history = data_dir / "history" / "events"
        if history.is_dir():
            scrub(history)
        for shard in shards_in(data_dir / "journal"):
            recovery.check_chain(data_dir / "journal" / str(shard))
        SqliteMetadata(data_dir / "metadata" / "metadata.sqlite").close()
    except (HistoryError, JournalError, MetadataError) as error:
        fault, _, next_step = str(error).rpartition(". ")
        raise ConfigError("data_dir", fault, next_step) from error
