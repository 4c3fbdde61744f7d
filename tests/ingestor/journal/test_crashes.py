"""Nothing acknowledged is lost, whatever operation fails and wherever the power goes."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from ingestor.errors import JournalFailed
from ingestor.journal import JournalReader, JournalWriter, trim
from ingestor.journal.disk import Disk, RealDisk, Region
from ingestor.journal.mark import MarkReader, MarkWriter, newest
from tests.chaos.model import LIFE, examine
from tests.ingestor.journal.disks import FailingDisk
from tests.ingestor.journal.helpers import check, crash, open_writer, put, read_all, seqs

SEGMENT_BYTES = 2500


class Script:
    """A writer's life in short: commits of one and of several frames, rotation, restarts, a trim."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self.directory, self.disk = directory, disk
        self.appended: list[int] = []
        self.acknowledged: list[int] = []
        self.trimmed = self.epoch = 0
        self.writer: JournalWriter | None = None

    def run(self) -> None:
        """Play it. Raises ``JournalFailed`` when the disk does."""
        self._open()
        self._commit(1)
        self._commit(2, 3)
        self._commit(5)
        self._close()
        self._open()
        self._open_anew()
        self._commit(6, 7)
        trim(self.directory, through_seq=5, keep_s=0, clock=lambda: 4e9, disk=self.disk)
        self.trimmed = 5
        self._commit(8)
        self._commit(11)
        self._close()

    def _open(self) -> None:
        self.writer = open_writer(self.directory, segment_bytes=SEGMENT_BYTES, disk=self.disk)
        assert self.writer.epoch > self.epoch
        self.epoch = self.writer.epoch

    def _open_anew(self) -> None:
        assert self.writer is not None
        crash(self.writer)
        self._open()

    def _commit(self, *seqs_of_commit: int) -> None:
        assert self.writer is not None
        for seq in seqs_of_commit:
            put(self.writer, seq)
            self.appended.append(seq)
        self.writer.commit()
        self.acknowledged += seqs_of_commit

    def _close(self) -> None:
        assert self.writer is not None
        self.writer.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("for_good", [False, True])
def test_the_nth_operation_fails(memory: Path, code: int, *, for_good: bool) -> None:
    """For every N: ``JournalFailed`` now and ever after, no sync again, and recovery finds all acknowledged."""
    operation = 0
    while True:
        operation += 1
        directory = memory / str(operation)
        disk = FailingDisk(operation, code=code, for_good=for_good)
        script = Script(directory, disk)
        try:
            script.run()
        except JournalFailed as error:
            message = str(error)
        else:
            assert not disk.failed
            break
        assert str(directory) in message
        assert ("Free space" if code == errno.ENOSPC else "Check the disk") in message
        _stays_failed(script, disk)
        _recovers(directory, script)
        shutil.rmtree(directory)
    assert operation > 50


def _stays_failed(script: Script, disk: FailingDisk) -> None:
    writer = script.writer
    if writer is None or writer._failure is None:
        return
    syncs = disk.syncs_after_failure
    for _ in range(2):
        with pytest.raises(JournalFailed):
            writer.commit()
        with pytest.raises(JournalFailed):
            put(writer, 100)
    writer.close()
    assert disk.syncs_after_failure == syncs <= 1


def _recovers(directory: Path, script: Script) -> None:
    if script.writer is not None:
        crash(script.writer)
    writer = open_writer(directory)
    assert writer.epoch > script.epoch
    assert writer.recovered.lost_after_seq is None
    put(writer, 1_000)
    writer.commit()
    writer.close()
    frames = read_all(directory)
    check(frames)
    kept = seqs(frames)
    first = JournalReader(directory).trimmed_through
    assert first <= 5
    assert kept[-1] == 1_000
    assert set(script.acknowledged) - set(range(first + 1)) <= set(kept)
    assert kept[:-1] == [seq for seq in script.appended if seq > first][: len(kept) - 1]


def test_every_crash_state_recovers() -> None:
    """At every moment of a writer's life, every state that a power cut may leave keeps all that was acknowledged."""
    found = examine(LIFE, again=120, contents=2)
    assert found.violations == []
    assert found.states > 700
    assert found.torn > 200
    assert found.again > 50


def test_a_kill_inside_the_mark_leaves_a_mark(memory: Path) -> None:
    """Died after any number of bytes of a new mark, the reader has the one before it or the new one, never none."""
    disk = _HalfMark()
    writer = MarkWriter(memory, disk)
    for last_seq in (1, 2, 3):
        disk.cut = None
        writer.publish(segment=1, offset=100 * last_seq, last_seq=last_seq, epoch=1)
        for disk.cut in range(40):
            before = MarkReader(memory).raw()
            writer.publish(segment=1, offset=100 * last_seq, last_seq=last_seq + 1, epoch=1)
            mark = newest(MarkReader(memory).raw())
            assert mark is not None
            assert mark.last_seq in (last_seq, last_seq + 1)
            (memory / "committed").write_bytes(before)
            writer = MarkWriter(memory, disk)


class _HalfMark(RealDisk):
    cut: int | None = None

    def map(self, path: Path, size: int) -> Region:
        region = super().map(path, size)
        disk = self

        class Half:
            def __getitem__(self, key: slice, /) -> bytes:
                return region[key]

            def __setitem__(self, key: slice, value: bytes, /) -> None:
                part = value[: disk.cut]
                region[key.start : key.start + len(part)] = part

            def close(self) -> None:
                region.close()

        return Half()


def test_a_commit_that_breaks_off_fails_for_good(memory: Path) -> None:
    """What a commit took to write is nowhere else: broken off anywhere, no later commit may speak for it."""
    writer = open_writer(memory / "j")
    put(writer, 1)
    writer._pending.append(None)  # type: ignore[arg-type]  # as good as memory that runs out while the group is joined
    with pytest.raises(TypeError):
        writer.commit()
    for _ in range(2):
        with pytest.raises(JournalFailed, match="broken off"):
            writer.commit()
        with pytest.raises(JournalFailed, match="broken off"):
            put(writer, 2)
    crash(writer)
    assert open_writer(memory / "j").last_seq == 0


def test_an_opening_that_failed_leaves_no_lock(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk too full for the owner's number fails the opening; the same process may open once there is space."""
    monkeypatch.setattr(os, "pwrite", _full)
    with pytest.raises(JournalFailed, match="Free space"):
        open_writer(memory / "j")
    monkeypatch.undo()
    open_writer(memory / "j").close()


def _full(fd: int, data: bytes, at: int) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_one_commit_covers_all_appends_before_it(memory: Path) -> None:
    """Threads that commit at the same time are all acknowledged by few syncs, and each finds its frame on disk."""
    disk = _Counting()
    writer = open_writer(memory / "j", disk=disk)
    before, appending = disk.syncs, threading.Lock()
    faults: list[str] = []
    numbers = iter(range(1, 401))

    def work() -> None:
        for _ in range(50):
            with appending:
                seq = next(numbers)
                put(writer, seq)
            writer.commit()
            if JournalReader(memory / "j").committed_seq() < seq:
                faults.append(f"{seq} was acknowledged and is not committed")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert faults == []
    assert seqs(read_all(memory / "j")) == list(range(1, 401))
    assert disk.syncs - before <= 400


class _Counting(RealDisk):
    syncs = 0

    def fdatasync(self, fd: int) -> None:
        self.syncs += 1
        super().fdatasync(fd)
