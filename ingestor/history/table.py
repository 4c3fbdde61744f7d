"""Door 8: the one writer of the history table. What ``append`` returned from is on disk, once.

The order is always: data files synced, then the commit, then the log synced, then the durable mark. A crash between
any two of them leaves what the next start either adopts whole or drops and reads again from the journal; the watermarks
stand in the same commit as the rows, so nothing is skipped and nothing comes twice.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestor.errors import HistoryError
from ingestor.event import SCHEMA
from ingestor.history import compact, log, scrub
from ingestor.history.disk import make_folder, sync
from ingestor.history.engine import Engine
from ingestor.history.fresh import KNOWN_SEQS, only_new
from ingestor.history.layout import ROW_SCHEMA, DataFile, dates_of, write_file
from ingestor.history.mark import own_folder, read_mark, write_mark
from ingestor.history.memory import read_memory, write_memory
from ingestor.history.merge import Merge
from ingestor.history.recall import Recall, recall, remembered

FILE_ROWS = 131_072
COMPACT_FILES = 20
#: The last states are written down after so many rows: a restart reads those that came since.
REMEMBER_ROWS = 1_000_000
#: delta-rs reads all commits since the last checkpoint at each commit: 100 of them cost 70 ms.
CHECKPOINT_COMMITS = 25

Batches = Sequence[Any] | Mapping[int, Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """``rows`` are new in the table; ``duplicates`` stood there already, or twice in what was given."""

    rows: int
    duplicates: int


class HistoryTable:
    """The writer. Opening it takes the lock, scrubs, and creates the table if there is none; see ``scrubbed``.

    Raises ``HistoryCorrupt`` for damage that the journal cannot mend, ``HistoryError`` if another process writes.
    Methods may be called from any thread, one at a time is served.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], float] = time.time,
        compact_files: int = COMPACT_FILES,
        checkpoint_commits: int = CHECKPOINT_COMMITS,
        file_rows: int = FILE_ROWS,
        known_seqs: int = KNOWN_SEQS,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._compact_files = compact_files
        self._checkpoint_commits = checkpoint_commits
        self._file_rows = file_rows
        self._known_seqs = known_seqs
        self._one_at_a_time = threading.RLock()
        self._unsure: str | None = None
        self._merge: Merge | None = None
        self._merged: dict[str, DataFile] = {}
        from ingestor.history import commit

        make_folder(own_folder(directory))
        self._unlock = weakref.finalize(self, os.close, _lock(own_folder(directory) / "writer.lock"))
        try:
            self._state, self.scrubbed = scrub.scrub(directory)
            if self._state.version < 0:
                self._create()
        except BaseException:
            self._unlock()
            raise
        self._commits = commit.Commits(directory)
        self._memory = read_memory(directory)
        self._engine = Engine(directory)

    def close(self) -> None:
        """Give the lock back."""
        self._unlock()

    @property
    def unsure(self) -> bool:
        """Whether a commit failed, so that nobody knows what of it is on disk. Then nothing works but opening anew."""
        return self._unsure is not None

    @property
    def watermarks(self) -> dict[int, int]:
        """Shard -> the seq up to which its journal is in the table, durably."""
        return dict(self._state.watermarks)

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return self._state.rows

    @property
    def bytes(self) -> int:
        """How many bytes of Parquet the table consists of."""
        return sum(file.size_bytes for file in self._state.files.values())

    @property
    def version(self) -> int:
        """The Delta version."""
        return self._state.version

    def files(self) -> list[DataFile]:
        """List the files the table consists of, oldest first."""
        return sorted(self._state.files.values(), key=lambda file: (file.min_us, file.path))

    def append(self, batches: Batches, watermarks: Mapping[int, int]) -> Appended:
        """Add the rows of these batches, and note how far each shard's journal is now in the table. Durable on return.

        ``batches`` by shard, or a plain list if all are of the one shard in ``watermarks``. Rows at or below a shard's
        watermark are skipped. An ``event_id`` that comes twice in the batches, or stands in the table already, is
        dropped and counted; the copy that came first stays. ``fresh`` says which rows are looked up for that.
        """
        by_shard = _by_shard(batches, watermarks)
        with self._one_at_a_time:
            self._refuse_unsure()
            tables = [_beyond(given, shard, self._state.watermarks.get(shard)) for shard, given in by_shard.items()]
            given = pa.concat_tables([ROW_SCHEMA.empty_table(), *tables])
            rows = only_new(given, self._state, self._engine, known_seqs=self._known_seqs)
            marks = {s: seq for s, seq in watermarks.items() if seq > self._state.watermarks.get(s, -1)}
            if marks or len(rows):
                added = [write_file(self._directory, date, part) for date, part in self._parts(rows)]
                self._commit(added, [], marks, changed=True)
            return Appended(rows=len(rows), duplicates=len(given) - len(rows))

    def compact(self) -> int:
        """Merge files of each date that has many, until there is nothing to do. Returns how many were merged away.

        Answers are the same before, during and after; merged files stay until ``vacuum``.
        """
        with self._one_at_a_time:
            before = {file.path for file in self.files()}
            while self.merge_step():
                pass
            return len(before - {file.path for file in self.files()})

    def merge_step(self) -> bool:
        """Write one file of a merge, in about a second. Returns False when there is nothing to merge."""
        with self._one_at_a_time:
            self._refuse_unsure()
            merge = self._merge or self._next_merge()
            if merge is not None:
                self._go_on(merge)
            return merge is not None

    def tidy(self) -> bool:
        """Take one step of what keeps questions and restarts quick. Returns False when there is nothing to do."""
        if self.merge_step():
            return True
        unremembered = sum(file.rows for file in self.files() if file.path not in self._memory.covers)
        if unremembered < REMEMBER_ROWS:
            return False
        self.remember()
        return True

    def vacuum(self, *, older_than_s: float) -> int:
        """Delete files that left the table at least this long ago, or in a future that the clock was set back from.

        Files of a merge that goes on are left alone. Returns how many were deleted.
        """
        now_ms = self._clock() * 1000
        before_ms = now_ms - older_than_s * 1000

        def is_old(path: Path) -> bool:
            name = path.relative_to(self._directory).as_posix()
            left_ms = self._state.removed.get(name, before_ms)
            return name not in self._merged and (left_ms <= before_ms or left_ms > now_ms)

        with self._one_at_a_time:
            old = [path for path in scrub.unclaimed(self._directory, self._state) if is_old(path)]
            for path in old:
                path.unlink()
            return len(old)

    def verify(self) -> list[scrub.Damage]:
        """Compare every byte of the table with its digest. Reads all of it; changes nothing."""
        with self._one_at_a_time:
            return scrub.verify(self._directory)

    def recall(self, wanted: Callable[[str, str], bool], *, ids: int) -> Recall:
        """Give a shard its memory: see ``ingestor.history.recall``. Costs what came since ``remember``."""
        return recall(self._engine, list(self._state.files.values()), wanted, ids=ids, memory=self._memory)

    def remember(self) -> None:
        """Write the last state of each entity down, as the table has it now."""
        with self._one_at_a_time:
            self._memory = remembered(self._engine, self.files(), self._memory)
            write_memory(self._directory, self._memory)

    def _parts(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Cut rows by date, and a date's rows in time order into files that are not large."""
        if not len(rows):
            return
        dates = dates_of(rows)
        named = pc.unique(dates).to_pylist()
        for date in named:
            part = rows if len(named) == 1 else rows.filter(pc.equal(dates, pa.scalar(date)))
            if len(part) > self._file_rows:
                part = part.take(pc.sort_indices(part["time_fired"]))
            for at in range(0, len(part), self._file_rows):
                yield date, part.slice(at, self._file_rows)

    def _next_merge(self) -> Merge | None:
        self._merged = {}
        group = next(compact.groups(self.files(), self._directory, self._clock(), self._compact_files), None)
        return None if group is None else Merge(self._directory, group, file_rows=compact.TARGET_ROWS)

    def _go_on(self, merge: Merge) -> None:
        """Write one more file of a merge; with the last one all of them come into the table at once.

        A file whose rows nothing was merged into comes out as it was, under the same name: it stays.
        """
        self._merge = None
        rows = merge.next()
        added = write_file(self._directory, merge.files[0].date, rows)
        self._merged[added.path] = added
        if not merge.is_over:
            self._merge = merge
            return
        before = {file.path for file in merge.files}
        new = [file for file in self._merged.values() if file.path not in before]
        old = [file for file in merge.files if file.path not in self._merged]
        self._commit(new, old, {}, changed=False)
        if all(file.path in self._memory.covers for file in merge.files):
            self._memory = replace(self._memory, covers=self._memory.covers | self._merged.keys())
        self._merged = {}

    def _commit(
        self, added: list[DataFile], removed: list[DataFile], marks: Mapping[int, int], *, changed: bool
    ) -> None:
        self._unsure = "the last commit may not be on disk"
        self._commits.commit(added, removed, marks, now_ms=int(self._clock() * 1000), changed=changed)
        self._settle()

    def _settle(self) -> None:
        """Put the newest commit on disk and move the mark. If that fails, nobody knows what is on disk."""
        state = log.advance(self._directory, self._state)
        if state.version != self._state.version + 1:
            raise HistoryError(
                str(self._directory), "holds a commit that was not made here. Is another writer at work?"
            )
        self._sync(log.commit_path(self._directory, state.version))
        before = read_mark(self._directory)
        if state.version % self._checkpoint_commits == 0:
            self._commits.checkpoint()
            self._sync(log.checkpoint_path(self._directory, state.version))
            self._sync(log.log_folder(self._directory) / "_last_checkpoint")
        write_mark(self._directory, scrub.mark_of(self._directory, state, before))
        self._state, self._unsure = state, None

    def _sync(self, path: Path) -> None:
        sync(path)
        sync(path.parent)

    def _create(self) -> None:
        from ingestor.history import commit

        make_folder(log.log_folder(self._directory))
        commit.create_table(self._directory)
        self._sync(log.commit_path(self._directory, 0))
        self._state = log.load(self._directory)
        write_mark(self._directory, scrub.mark_of(self._directory, self._state, None))

    def _refuse_unsure(self) -> None:
        if self._unsure:
            raise HistoryError(str(self._directory), f"{self._unsure}. Open it anew")


def _lock(path: Path) -> int:
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise HistoryError(
            str(path.parent.parent), "is being written by another process. Stop that one first"
        ) from None
    return held


def _by_shard(batches: Batches, watermarks: Mapping[int, int]) -> Mapping[int, Sequence[Any]]:
    if isinstance(batches, Mapping):
        return batches
    if not batches:
        return {}
    if len(watermarks) != 1:
        raise TypeError("rows of several shards must come as {shard: batches}: a stream is resumed by shard")
    return {next(iter(watermarks)): batches}


def _beyond(batches: Sequence[Any], shard: int, watermark: int | None) -> Any:
    """Return the batches as one table of ``ROW_SCHEMA``, without what the watermark says is in the table."""
    fitting = [batch if batch.schema == SCHEMA else batch.cast(SCHEMA) for batch in batches]
    rows = pa.Table.from_batches(fitting, schema=SCHEMA)
    if watermark is not None and len(rows) and pc.min(rows["seq"]).as_py() <= watermark:
        rows = rows.filter(pc.greater(rows["seq"], pa.scalar(watermark)))
    numbers = pa.repeat(pa.scalar(shard, pa.int16()), len(rows))
    return pa.Table.from_arrays([*rows.columns, numbers], schema=ROW_SCHEMA)
