"""Door 8: the only writer of the history table, and the memory of the shards.

Reads the journals on from the table's own watermarks, so a crash repeats a batch and never skips one: what was
committed is skipped by its watermark. A journal file is removed only after its rows, and the directory entries that
lead to them, are on disk in the table.

The shards go first: this works at a lower priority, one step at a time, and merges files only while little waits. The
more waits, the larger are its commits and the less a row costs, so it keeps pace.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import structlog

from actors.shard import owns
from ingestor.event import SCHEMA
from ingestor.history import HistoryTable, rollup
from ingestor.journal import Frame, FrameKind, JournalReader, decode_all, shards_in, trim
from ingestor.metadata import SqliteMetadata
from ingestor.settings import Settings

POLL_S = 0.25
TRIM_AFTER_S = 120.0
#: So many rows are moved at once; they are held in memory, and once more while they are sorted.
BATCH_ROWS = 200_000
VACUUM_AFTER_S = 3_600.0
#: How long to wait when no day was left to roll up, or one could not be.
ROLL_UP_AFTER_S = 60.0
#: How soon a commit that failed is tried again, at the latest.
RETRY_AFTER_S = 5.0
#: How much this gives way to the shards when the processor is short.
NICE = 5

_Answer = TypeVar("_Answer")

log = structlog.get_logger()


class Historian:
    """Moves events from the journals to the table: after ``commit_rows`` rows, or ``commit_s`` seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.history
        self._journals = settings.data_dir / "journal"
        self._directory = settings.data_dir / "history" / "events"
        self._table = self._open()
        self._metadata = SqliteMetadata(settings.data_dir / "metadata" / "metadata.sqlite")
        self._ends: dict[int, JournalReader] = {}
        self._readers: dict[int, JournalReader] = {}
        self._hands = ThreadPoolExecutor(1, "historian", initializer=os.nice, initargs=(NICE,))
        self._lock = asyncio.Lock()
        self._committed_at = time.monotonic()
        self._untidy = True
        self._commits = self._duplicates = 0
        self._last_commit_s = 0.0
        self._fault: str | None = None
        self._roll_up_at = 0.0
        self._loop: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Start working. Harmless when it works already."""
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._work())

    async def recall(self, shard: int, shards: int, ids: int) -> tuple[Any, list[bytes], dict[int, int]]:
        """Give a shard its last states, its newest event ids, and up to which seq the table has each journal."""
        async with self._lock:
            recall = await self._do(partial(self._table.recall, lambda h, e: owns(shard, shards, h, e), ids=ids))
            return recall.states, recall.event_ids, self._table.watermarks

    async def flush(self) -> None:
        """Commit everything that is in the journals now."""
        while await self._commit():
            pass

    async def status(self) -> dict[str, Any]:
        """Tell how far the table is, and how much waits in the journals."""
        waiting = self._waiting()
        return {
            "pid": os.getpid(),
            "state": "degraded" if self._fault else "running",
            "detail": self._fault or "",
            "rows": self._table.rows,
            "files": len(self._table.files()),
            "bytes": self._table.bytes,
            "watermarks": self._table.watermarks,
            "waiting": waiting,
            "commits": self._commits,
            "duplicates": self._duplicates,
            "lag_s": round(time.monotonic() - self._committed_at, 1) if waiting else 0.0,
            "last_commit_s": round(self._last_commit_s, 3),
        }

    async def _work(self) -> None:
        vacuumed_at = time.monotonic()
        while True:
            await asyncio.sleep(POLL_S)
            try:
                waiting = self._waiting()
                waited_s = time.monotonic() - self._committed_at
                if waiting >= self._settings.commit_rows or (waiting and waited_s >= self._settings.commit_s):
                    await self._commit()
                    self._untidy = True
                elif self._untidy:
                    async with self._lock:
                        self._untidy = await self._do(self._table.tidy)
                elif time.monotonic() >= self._roll_up_at:
                    await self._roll_up()
                if time.monotonic() - vacuumed_at > VACUUM_AFTER_S:
                    vacuumed_at = time.monotonic()
                    async with self._lock:
                        await self._do(partial(self._table.vacuum, older_than_s=VACUUM_AFTER_S))
                self._fault = None
            except Exception as error:
                self._fault = str(error)
                log.exception("history.commit_failed", error=str(error))
                await asyncio.sleep(min(self._settings.commit_s, RETRY_AFTER_S))
                await self._mend()

    def _open(self) -> HistoryTable:
        return HistoryTable(self._directory, compact_files=self._settings.compact_files)

    async def _mend(self) -> None:
        """After a failure: make what room there is, and find out what of a failed commit is on disk."""
        try:
            async with self._lock:
                await self._do(partial(self._trim, keep_s=0.0))
                if self._table.unsure:
                    self._table.close()
                    self._table = await self._do(self._open)
        except Exception as error:
            self._fault = str(error)
            log.exception("history.not_mended", error=str(error))

    async def _roll_up(self) -> None:
        """Roll up one day, if one is left. Roll-ups spare time and hold nothing: a failure delays only them."""
        day = None
        try:
            day = await self._do(partial(rollup.refresh, self._directory, self._table.files()))
        except Exception as error:
            log.exception("history.roll_up_failed", error=str(error))
        self._roll_up_at = time.monotonic() + (0.0 if day else ROLL_UP_AFTER_S)

    def _waiting(self) -> int:
        """Estimate how many events wait in the journals: seqs have holes, so it is at least the true number."""
        marks = self._table.watermarks
        for shard in shards_in(self._journals):
            if shard not in self._ends:
                self._ends[shard] = JournalReader(self._journals / str(shard))
        return sum(max(0, end.committed_seq() - marks.get(shard, 0)) for shard, end in self._ends.items())

    async def _commit(self) -> bool:
        """Move up to ``BATCH_ROWS`` rows. Returns whether there was anything to move."""
        async with self._lock:
            began = time.perf_counter()
            moved = await self._do(self._move)
            self._committed_at = time.monotonic()
            if moved:
                self._commits += 1
                self._last_commit_s = time.perf_counter() - began
            return moved

    def _move(self) -> bool:
        batches: dict[int, list[pa.RecordBatch]] = {}
        marks: dict[int, int] = {}
        quarantined: list[dict[str, Any]] = []
        for shard, frames in self._read():
            marks[shard] = frames[-1].last_seq
            events = [frame.payload for frame in frames if frame.kind is FrameKind.EVENTS]
            if events:
                batches.setdefault(shard, []).extend(decode_all(FrameKind.EVENTS, events, SCHEMA.names).to_batches())
            for frame in frames:
                if frame.kind is FrameKind.QUARANTINED:
                    quarantined += frame.batch().to_pylist()
        if not marks:
            return False
        if quarantined:
            self._metadata.add_quarantined(quarantined)
        appended = self._table.append(batches, marks)
        self._duplicates += appended.duplicates
        self._trim(keep_s=TRIM_AFTER_S)
        log.info("history.committed", rows=appended.rows, duplicates=appended.duplicates)
        return True

    def _trim(self, *, keep_s: float) -> None:
        """Remove what the table has, once it is so old."""
        for shard, seq in self._table.watermarks.items():
            trim(self._journals / str(shard), through_seq=seq, keep_s=keep_s)

    def _read(self) -> Iterator[tuple[int, list[Frame]]]:
        """Yield what follows the table's watermarks, of each shard in turn, until there is nothing or enough."""
        marks = self._table.watermarks
        self._readers = {
            shard: reader for shard, reader in self._readers.items() if reader.position == marks.get(shard)
        }
        shards, rows = shards_in(self._journals), 0
        while shards and rows < BATCH_ROWS:
            for shard in list(shards):
                frames = self._reader(shard).read()
                if frames:
                    rows += sum(frame.rows for frame in frames)
                    yield shard, frames
                else:
                    shards.remove(shard)

    def _reader(self, shard: int) -> JournalReader:
        if shard not in self._readers:
            watermark = self._table.watermarks.get(shard, 0)
            self._readers[shard] = JournalReader(self._journals / str(shard), after_seq=watermark)
        return self._readers[shard]

    async def _do(self, work: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._hands, work)
