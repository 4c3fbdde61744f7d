"""Commits to the Delta table, through delta-rs. Durability is not its business: see ``table``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, CommitProperties, PostCommitHookProperties, RemoveAction, Transaction

from ingestor.errors import HistoryCorrupt, HistoryError
from ingestor.event import SCHEMA, SCHEMA_VERSION
from ingestor.history.layout import TABLE_SCHEMA, DataFile
from ingestor.history.log import RESTORE, SEAL, SHARD, log_folder, seal_of

_QUIET = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def create_table(directory: Path) -> None:
    """Make version 0: an empty table, partitioned by date."""
    DeltaTable.create(
        str(directory),
        TABLE_SCHEMA,
        partition_by=["date"],
        name="events",
        description=f"Events, schema version {SCHEMA_VERSION}, {len(SCHEMA)} columns",
    )


class Commits:
    """A table opened for committing, by the only one who commits."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            self._table = DeltaTable(str(directory))
        except DeltaError as error:
            raise HistoryCorrupt(str(log_folder(directory)), f"cannot be opened ({error}). {RESTORE}") from error

    def commit(
        self,
        added: Sequence[DataFile],
        removed: Sequence[DataFile],
        watermarks: Mapping[int, int],
        *,
        now_ms: int,
        changed: bool,
    ) -> None:
        """Make one version: all of it or nothing. ``changed`` False says that the rows stay the same ones."""
        actions: list[Any] = [
            AddAction(file.path, file.size_bytes, {"date": file.date}, now_ms, changed, file.stats()) for file in added
        ]
        actions += [RemoveAction(file.path, changed, now_ms, file.size_bytes, {"date": file.date}) for file in removed]
        marks = [Transaction(f"{SHARD}{shard}", seq, now_ms) for shard, seq in watermarks.items()]
        seal = _seal(added, removed, watermarks, now_ms=now_ms, changed=changed)
        try:
            self._table.create_write_transaction(
                actions,
                "append",
                TABLE_SCHEMA,
                partition_by=["date"],
                commit_properties=CommitProperties({SEAL: seal}, app_transactions=marks),
                post_commithook_properties=_QUIET,
            )
            self._table.update_incremental()
        except DeltaError as error:
            raise HistoryError(str(self._directory), f"a commit failed ({error}). Open the table anew") from error

    def checkpoint(self) -> None:
        """Sum the log up in one file, and delete commits that are older than the table's log retention."""
        self._table.create_checkpoint()
        self._table.cleanup_metadata()


def _seal(
    added: Sequence[DataFile], removed: Sequence[DataFile], watermarks: Mapping[int, int], *, now_ms: int, changed: bool
) -> str:
    """Return the seal of the commit that Delta will write of these."""

    def told(file: DataFile) -> dict[str, Any]:
        return {
            "path": file.path,
            "size": file.size_bytes,
            "partitionValues": {"date": file.date},
            "dataChange": changed,
        }

    adds = [{"add": {**told(file), "modificationTime": now_ms, "stats": file.stats()}} for file in added]
    removes = [{"remove": {**told(file), "deletionTimestamp": now_ms}} for file in removed]
    marks = [
        {"txn": {"appId": f"{SHARD}{shard}", "version": seq, "lastUpdated": now_ms}}
        for shard, seq in watermarks.items()
    ]
    return seal_of([*adds, *removes, *marks])
