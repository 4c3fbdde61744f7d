"""What the table's Delta log says: which files are the table, and how far each shard's journal is in it.

Reads the log itself, a commit at a time, because every answer of the API starts here: knowing that nothing is new
costs a few system calls. Reads only what this program writes (one checkpoint file, no deletion vectors).

A commit carries a seal, the digest of all in it that is relied on, so one that lost a line or has a bit turned is not
taken for a whole one. Whoever begins to read must get as far as the durable mark: a log that ends before it is damaged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ingestor.errors import HistoryCorrupt
from ingestor.history.disk import digest_of
from ingestor.history.layout import DataFile
from ingestor.history.mark import read_mark

SHARD = "shard-"
SEAL = "seal"
#: What of each action anybody relies on.
_SEALED = {
    "add": ("path", "size", "partitionValues", "modificationTime", "dataChange", "stats"),
    "remove": ("path", "size", "partitionValues", "deletionTimestamp", "dataChange"),
    "txn": ("appId", "version", "lastUpdated"),
}
RESTORE = "Restore it from a backup, or move the history folder away to start an empty one"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """The table as of one version. ``removed``: superseded path -> when (ms). ``version`` -1: there is no table yet."""

    version: int = -1
    files: dict[str, DataFile] = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return sum(file.rows for file in self.files.values())


def log_folder(directory: Path) -> Path:
    """Where the log of a table lies."""
    return directory / "_delta_log"


def commit_path(directory: Path, version: int) -> Path:
    """Return the file that makes ``version``."""
    return log_folder(directory) / f"{version:020d}.json"


def checkpoint_path(directory: Path, version: int) -> Path:
    """Return the file that sums the log up to ``version``."""
    return log_folder(directory) / f"{version:020d}.checkpoint.parquet"


def hint_path(directory: Path) -> Path:
    """Return the file that names the last checkpoint, so that nobody has to look for it."""
    return log_folder(directory) / "_last_checkpoint"


def versions_in(directory: Path, suffix: str) -> list[int]:
    """List the versions that have a log file with this suffix (``.json``, ``.checkpoint.parquet``), rising."""
    folder = log_folder(directory)
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.name.endswith(suffix))
    return sorted(int(name[:20]) for name in names if name[:20].isdigit() and name[20:] == suffix)


def load(directory: Path) -> LogState:
    """Read the whole log. Raises ``HistoryCorrupt`` if it ends before what was once durable."""
    mark = read_mark(directory)
    state = load_whole_part(directory)
    if mark is not None and state.version < mark.version:
        path = commit_path(directory, state.version + 1)
        raise HistoryCorrupt(str(path), f"is missing or damaged, and the log goes on after it. {RESTORE}")
    return state


def load_whole_part(directory: Path) -> LogState:
    """Read the log as far as it is whole. A commit that is torn ends it."""
    for attempt in (1, 2, 3):
        checkpoints = versions_in(directory, ".checkpoint.parquet")
        try:
            state = _from_checkpoint(directory, checkpoints[-1]) if checkpoints else LogState()
            return advance(directory, state)
        except FileNotFoundError:
            if attempt == 3:  # noqa: PLR2004 - a cleaned-up checkpoint was listed three times in a row
                raise
    raise AssertionError


def load_until(directory: Path, checkpoint: int | None, version: int) -> LogState:
    """Read the log from a checkpoint (or its beginning) up to ``version`` and no further."""
    state = LogState() if checkpoint is None else _from_checkpoint(directory, checkpoint)
    while state.version < version and (actions := read_commit(directory, state.version + 1)) is not None:
        state = apply(state, actions)
    return state


def advance(directory: Path, state: LogState) -> LogState:
    """Read on from ``state``. Returns the same object when nothing is new."""
    newer = state
    while (actions := read_commit(directory, newer.version + 1)) is not None:
        newer = apply(newer, actions)
    if newer is state and summed_up_to(directory) > state.version:
        return load(directory)
    return newer


def read_commit(directory: Path, version: int) -> list[dict[str, Any]] | None:
    """Return the actions of a commit; None if it is not there, or not whole."""
    try:
        content = commit_path(directory, version).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        actions = [json.loads(line) for line in content.splitlines() if line.strip()]
        return actions if _is_whole(actions, version) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def seal_of(actions: list[dict[str, Any]]) -> str:
    """Return the digest of what a commit adds, removes and marks, in whatever order it does."""
    relied_on = [
        json.dumps([kind, *(content[name] for name in _SEALED[kind])])
        for action in actions
        for kind, content in action.items()
        if kind in _SEALED
    ]
    return digest_of("\n".join(sorted(relied_on)).encode())


def _is_whole(actions: list[dict[str, Any]], version: int) -> bool:
    """Tell whether nothing is missing or altered. Commits of before there were seals are taken as they are."""
    kinds = {kind for action in actions for kind in action}
    if version == 0:
        return {"protocol", "metaData"} <= kinds
    [info] = [action["commitInfo"] for action in actions if "commitInfo" in action]
    return info.get(SEAL) in (None, seal_of(actions))


def apply(state: LogState, actions: list[dict[str, Any]]) -> LogState:
    """Return the state after a commit."""
    files, marks, removed = dict(state.files), dict(state.watermarks), dict(state.removed)
    for action in actions:
        if added := action.get("add"):
            _add(files, added)
        elif gone := action.get("remove"):
            files.pop(gone["path"], None)
            removed[gone["path"]] = gone.get("deletionTimestamp") or 0
        elif mark := action.get("txn"):
            _mark(marks, mark)
    return LogState(version=state.version + 1, files=files, watermarks=marks, removed=removed)


def _from_checkpoint(directory: Path, version: int) -> LogState:
    path = checkpoint_path(directory, version)
    try:
        actions = pq.read_table(path, columns=["add", "remove", "txn"]).to_pylist()
        return apply(LogState(version=version - 1), actions)
    except (FileNotFoundError, HistoryCorrupt):
        raise
    except Exception as error:  # whatever a library makes of damaged bytes
        raise HistoryCorrupt(str(path), f"is not a Delta checkpoint ({error}). {RESTORE}") from error


def _add(files: dict[str, DataFile], added: dict[str, Any]) -> None:
    try:
        if added.get("deletionVector"):
            raise ValueError("another program deleted rows of it")  # noqa: TRY301 - worded with the other faults below
        files[added["path"]] = DataFile.of_action(added["path"], added["size"], added["stats"])
    except (ValueError, KeyError, TypeError) as error:
        raise HistoryCorrupt(
            str(added.get("path")),
            f"stands in the table but was not written by this program ({error}). Move it away with its commit",
        ) from error


def _mark(marks: dict[int, int], mark: dict[str, Any]) -> None:
    name = mark["appId"]
    if name.startswith(SHARD):
        marks[int(name.removeprefix(SHARD))] = mark["version"]


def summed_up_to(directory: Path) -> int:
    """Return the version of the last checkpoint, as the hint says; -1 without a hint that can be read."""
    try:
        return int(json.loads(hint_path(directory).read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1
