"""The only writer of a shard's journal. What ``commit`` returned for is on disk; after a failure it says no for good.

A failed fsync is never tried again: the kernel may have dropped the bytes and would report success the second time.
The process has to end, and the next one reads the truth from the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pyarrow as pa

from ingestor.errors import JournalError, JournalFailed
from ingestor.journal import frames, lock, segments
from ingestor.journal.disk import Disk, RealDisk, failed, make_directory
from ingestor.journal.frames import KIND_TALLY, FrameKind, Tally
from ingestor.journal.mark import MarkWriter
from ingestor.journal.recovery import Recovered, recover
from ingestor.journal.segments import HEADER_BYTES, Segment

_REAL: Final = RealDisk()


class JournalWriter:
    """Appends frames and commits them. ``append`` from one thread, ``commit`` from any.

    ``epoch`` rises with each open and is never used twice. ``last_seq`` is the last appended. ``tally`` may be set when
    counts changed without a row being written: it travels with the next frame, or with ``close``.
    """

    def __init__(self, directory: Path, *, segment_bytes: int, clock: Callable[[], float], disk: Disk) -> None:
        self._directory, self._segment_bytes = directory, segment_bytes
        self._clock, self._disk = clock, disk
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._pending_lock, self._commit_lock = threading.Lock(), threading.Lock()
        self._failure: JournalFailed | None = None
        self._fd = self._lock_fd = -1
        self._mark: MarkWriter | None = None
        self._segment: Segment
        self._offset = HEADER_BYTES
        self._durable_seq = self._pending_seq = self.last_seq = self.epoch = 0
        self.tally = self._durable_tally = self._pending_tally = Tally()
        self.recovered = Recovered()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        shard: int,
        segment_bytes: int,
        lock_timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
        disk: Disk = _REAL,
    ) -> JournalWriter:
        """Take the journal over, mend what a crash tore, begin a new epoch. All of it is durable on return.

        Raises ``JournalLocked`` when another process still writes it after ``lock_timeout_s``, ``JournalCorrupt``
        when acknowledged bytes are damaged or a segment is missing, ``JournalFailed`` when the disk refuses.
        ``recovered`` tells what was dropped.
        """
        writer = cls(directory, segment_bytes=segment_bytes, clock=clock, disk=disk)
        try:
            make_directory(disk, directory)
            writer._lock_fd = lock.acquire(directory, lock_timeout_s)
            writer._take_over(shard)
        except OSError as error:
            writer._release()
            raise failed(directory, error) from error
        except BaseException:
            writer._release()
            raise
        return writer

    def append(self, kind: FrameKind, batch: pa.RecordBatch, *, first_seq: int, last_seq: int, tally: Tally) -> None:
        """Encode rows into memory. Nothing is on the disk before ``commit``.

        ``first_seq`` has to be above all seqs before. Raises ``JournalError`` for rows that do not fit the kind, and
        ``JournalFailed`` once anything failed.
        """
        self._check_usable()
        if not self.last_seq < first_seq <= last_seq or not batch.num_rows:
            raise JournalError(
                str(self._directory),
                f"a frame of {batch.num_rows} rows, seqs {first_seq} to {last_seq}, cannot follow seq {self.last_seq}",
            )
        payload = frames.encode(kind, batch)
        with self._pending_lock:
            frame = frames.build(
                kind.value,
                payload,
                rows=batch.num_rows,
                epoch=self.epoch,
                group_bytes=self._pending_bytes,
                first_seq=first_seq,
                last_seq=last_seq,
                tally=tally,
            )
            self._pending.append(frame)
            self._pending_bytes += len(frame)
            self._pending_seq, self._pending_tally = last_seq, tally
        self.last_seq, self.tally = last_seq, tally

    def commit(self) -> None:
        """Return when all that was appended before this call is on the disk, and show it to the readers.

        One commit covers all appends before it, so callers that waited for another one's commit find nothing left to
        do. Raises ``JournalFailed`` when a write or fsync failed, now or ever before.
        """
        with self._commit_lock:
            self._check_usable()
            with self._whole_or_never():
                with self._pending_lock:
                    group, self._pending, self._pending_bytes = self._pending, [], 0
                    last_seq, tally = self._pending_seq, self._pending_tally
                if group:
                    self._write(b"".join(group))
                    self._durable_seq, self._durable_tally = last_seq, tally
                    self._publish()

    def close(self) -> None:
        """Commit what was appended, keep the tally, let others open the journal. Harmless the second time."""
        if self._lock_fd < 0:
            return
        try:
            if self._failure is None:
                self.commit()
                self._keep_tally()
        finally:
            self._release()

    def _take_over(self, shard: int) -> None:
        for draft in self._directory.glob("*.new"):
            self._disk.unlink(draft)
        found = recover(self._directory, shard=shard)
        previous = 0
        if found.last is not None:
            if found.unsure or found.end < found.size:
                self._mend(
                    segments.path_of(self._directory, found.last.first_seq), found.unsure_at, found.unsure, found.end
                )
            previous = found.last.first_seq if found.last_seq > found.last.follows else found.last.previous
        self.recovered = found.recovered
        self.epoch = found.epoch + 1
        self.last_seq = self._durable_seq = found.last_seq
        self.tally = self._durable_tally = found.tally
        self._begin(shard=shard, previous=previous)
        self._mark = MarkWriter(self._directory, self._disk)
        self._publish()

    def _mend(self, path: Path, at: int, content: bytes, end: int) -> None:
        fd = self._disk.open(path, create=False)
        try:
            if content:
                self._disk.write(fd, content, at)
            self._disk.truncate(fd, end)
            self._disk.fdatasync(fd)
        finally:
            self._disk.close(fd)

    def _begin(self, *, shard: int, previous: int) -> None:
        """Make the next segment and write there from now on."""
        segment = Segment(
            shard=shard,
            epoch=self.epoch,
            created_at_us=int(self._clock() * 1e6),
            previous=previous,
            follows=self._durable_seq,
            tally=self._durable_tally,
        )
        path = segments.create(self._directory, segment, self._disk)
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._disk.close(fd)
        self._fd = self._disk.open(path, create=False)
        self._segment, self._offset = segment, HEADER_BYTES

    def _keep_tally(self) -> None:
        """Write counts that no frame carries yet. Readers need not see it, so the mark stays."""
        if self.tally == self._durable_tally:
            return
        frame = frames.build(
            KIND_TALLY,
            b"",
            rows=0,
            epoch=self.epoch,
            group_bytes=0,
            first_seq=self._durable_seq,
            last_seq=self._durable_seq,
            tally=self.tally,
        )
        with self._whole_or_never():
            self._write(frame)

    @contextmanager
    def _whole_or_never(self) -> Iterator[None]:
        """Fail for good whatever breaks a commit off: what it took to write is nowhere else."""
        path = segments.path_of(self._directory, self._segment.first_seq)
        try:
            yield
        except OSError as error:
            self._failure = failed(path, error)
            raise self._failure from error
        except BaseException:
            self._failure = JournalFailed(str(path), "a commit was broken off. Start again")
            raise

    def _write(self, group: bytes) -> None:
        if self._offset >= self._segment_bytes and self._durable_seq > self._segment.follows:
            self._begin(shard=self._segment.shard, previous=self._segment.first_seq)
        self._disk.write(self._fd, group, self._offset)
        self._disk.fdatasync(self._fd)
        self._offset += len(group)

    def _publish(self) -> None:
        if self._mark is not None:
            self._mark.publish(
                segment=self._segment.first_seq, offset=self._offset, last_seq=self._durable_seq, epoch=self.epoch
            )

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise JournalFailed(*self._failure.args)
        if self._lock_fd < 0:
            raise JournalError(str(self._directory), "this writer is closed. Open the journal again")

    def _release(self) -> None:
        if self._mark is not None:
            self._mark.close()
        if self._fd >= 0:
            with suppress(OSError):  # what counts was synced, or has failed, before
                self._disk.close(self._fd)
        if self._lock_fd >= 0:
            lock.release(self._lock_fd)
        self._fd = self._lock_fd = -1
        self._mark = None
