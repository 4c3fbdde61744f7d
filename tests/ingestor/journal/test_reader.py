"""Readers follow a journal: all committed frames, once, in order, over rotation, restarts and trimming."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from ingestor.errors import JournalError, JournalFailed
from ingestor.journal import FrameKind, JournalReader, shards_in, trim
from tests.ingestor.journal.disks import FailingDisk
from tests.ingestor.journal.helpers import check, crash, fill, open_writer, put, read_all, segment_files, seqs

LATER = 4e9


def test_only_committed_frames_are_seen(memory: Path) -> None:
    """What is appended but not committed does not exist for a reader; one commit shows all of it."""
    reader = JournalReader(memory / "j")
    assert reader.read() == []
    assert reader.committed_seq() == 0
    writer = open_writer(memory / "j")
    assert reader.read() == []
    put(writer, 1)
    put(writer, 2, 3)
    assert reader.read() == []
    writer.commit()
    frames = reader.read()
    assert [(frame.first_seq, frame.last_seq, frame.rows, frame.shard, frame.epoch) for frame in frames] == [
        (1, 1, 1, 0, 1),
        (2, 4, 3, 0, 1),
    ]
    assert reader.position == reader.committed_seq() == 4
    assert reader.read() == []
    writer.close()


def test_a_reader_follows_rotation_and_restarts(memory: Path) -> None:
    """Every frame is read once and in order, whether after each commit or late, while epochs and segments change."""
    live, late = JournalReader(memory / "j"), JournalReader(memory / "j")
    seen, expected = [], []
    for epoch in range(1, 5):
        writer = open_writer(memory / "j", segment_bytes=4096)
        for number in range(7):
            seq = epoch * 100 + number * 3
            put(writer, seq, 2, kind=FrameKind.EVENTS if number % 3 == 0 else FrameKind.QUARANTINED)
            writer.commit()
            expected.append(seq)
            seen += live.read()
        assert live.read() == []
        crash(writer) if epoch % 2 else writer.close()
    assert len(segment_files(memory / "j")) > 8
    assert seqs(seen) == expected
    check(seen)
    everything = []
    while frames := late.read(max_frames=3):
        assert len(frames) <= 3
        everything += frames
    assert everything == seen


def test_a_segment_replaced_while_empty_is_not_missed(memory: Path) -> None:
    """A writer that restarts twice without a frame replaces its segment; readers that looked meanwhile go on."""
    fill(memory / "j", [[1]])
    begun, fresh = JournalReader(memory / "j"), JournalReader(memory / "j", after_seq=1)
    assert seqs(begun.read()) == [1]
    for _ in range(2):
        crash(open_writer(memory / "j"))
        assert begun.read() == fresh.read() == []
    writer = open_writer(memory / "j")
    put(writer, 2)
    writer.commit()
    writer.close()
    assert seqs(begun.read()) == seqs(fresh.read()) == [2]


@pytest.mark.parametrize("after_seq", range(25))
def test_reading_begins_behind_any_position(memory: Path, after_seq: int) -> None:
    """A frame is returned when its last seq lies beyond the position, also one that begins before it."""
    writer = open_writer(memory / "j", segment_bytes=2048)
    for first in (1, 4, 5, 9, 14, 20):
        put(writer, first, 3 if first != 4 else 1)
        writer.commit()
    writer.close()
    found = read_all(memory / "j", after_seq=after_seq)
    ends = {1: 3, 4: 4, 5: 7, 9: 11, 14: 16, 20: 22}
    assert seqs(found) == [first for first, last in ends.items() if last > after_seq]


def test_looking_costs_no_system_call(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is new, a reader only looks at its memory."""
    fill(memory / "j", [[1]])
    reader = JournalReader(memory / "j")
    assert len(reader.read()) == 1
    for call in ("open", "pread", "fstat", "stat", "scandir", "listdir"):
        monkeypatch.setattr(os, call, None)
    assert reader.read() == []
    monkeypatch.undo()


def test_a_large_frame_and_many_small_ones_are_read_whole(memory: Path) -> None:
    """Frames larger than what is read ahead, and small ones across its edge, come whole."""
    writer = open_writer(memory / "j")
    put(writer, 1, 9_000)
    for seq in range(20_000, 20_400):
        put(writer, seq, 40) if seq % 40 == 0 else None
    put(writer, 30_000, 9_000)
    writer.commit()
    writer.close()
    frames = read_all(memory / "j")
    assert [frame.rows for frame in frames] == [9_000, *[40] * 10, 9_000]
    check(frames)


def test_trim_removes_whole_old_segments_only(memory: Path) -> None:
    """What ends beyond ``through_seq``, was closed too recently, or is the last one, stays."""
    fill(memory / "j", [[seq] for seq in range(1, 13)], segment_bytes=3000)
    before = segment_files(memory / "j")
    assert len(before) >= 4
    assert trim(memory / "j", through_seq=100, keep_s=30.0) == []
    assert trim(memory / "j", through_seq=int(before[1].stem) - 2, keep_s=0, clock=lambda: LATER) == []
    assert trim(memory / "j", through_seq=int(before[2].stem), keep_s=0, clock=lambda: LATER) == before[:2]
    assert trim(memory / "j", through_seq=10**9, keep_s=0, clock=lambda: LATER) == before[2:-1]
    assert trim(memory / "j", through_seq=10**9, keep_s=0, clock=lambda: LATER) == []
    assert segment_files(memory / "j") == before[-1:]
    assert JournalReader(memory / "j").trimmed_through == int(before[-1].stem) - 1
    assert trim(memory / "nowhere", through_seq=1, keep_s=0) == []


def test_reading_what_was_trimmed_says_so(memory: Path) -> None:
    """A position before the trimmed seqs is an error in words; without a position, reading begins at the oldest."""
    fill(memory / "j", [[seq] for seq in range(1, 10)], segment_bytes=3000)
    trim(memory / "j", through_seq=10**9, keep_s=0, clock=lambda: LATER)
    oldest = JournalReader(memory / "j").trimmed_through
    assert oldest > 2
    for after_seq in (0, 1, oldest - 1):
        with pytest.raises(JournalError, match=f"frames after seq {after_seq} were trimmed"):
            read_all(memory / "j", after_seq=after_seq)
    expected = list(range(oldest + 1, 10))
    assert seqs(read_all(memory / "j", after_seq=oldest)) == seqs(read_all(memory / "j")) == expected


def test_a_writer_opens_what_was_trimmed(memory: Path) -> None:
    """Seqs, epoch and tally survive that all closed segments go, in every order with restarts."""
    for epoch in range(1, 6):
        writer = open_writer(memory / "j", segment_bytes=2000)
        assert (writer.epoch, writer.last_seq, writer.tally.received) == (epoch, (epoch - 1) * 5, (epoch - 1) * 5)
        for seq in range(epoch * 5 - 4, epoch * 5 + 1):
            put(writer, seq)
            writer.commit()
        writer.close()
        trim(memory / "j", through_seq=10**9, keep_s=0, clock=lambda: LATER)
        assert len(segment_files(memory / "j")) == 1
    assert len(list((memory / "j").glob("*.trimmed"))) == 1


def test_an_active_reader_outlives_a_trim(memory: Path) -> None:
    """A reader in the middle of a segment that is trimmed reads it to its end, and goes on behind it."""
    fill(memory / "j", [[seq] for seq in range(1, 13)], segment_bytes=4096)
    reader = JournalReader(memory / "j", after_seq=0)
    found = reader.read(max_frames=1)
    second = segment_files(memory / "j")[1]
    trim(memory / "j", through_seq=int(second.stem) - 1, keep_s=0, clock=lambda: LATER)
    while frames := reader.read(max_frames=1):
        found += frames
    assert seqs(found) == list(range(1, 13))


def test_a_reader_that_was_overtaken_says_so(memory: Path) -> None:
    """A reader whose next segment was trimmed raises, and never skips."""
    fill(memory / "j", [[seq] for seq in range(1, 13)], segment_bytes=4096)
    reader = JournalReader(memory / "j", after_seq=0)
    found = reader.read(max_frames=1)
    segment_frames = int(segment_files(memory / "j")[1].stem) - 1
    trim(memory / "j", through_seq=10**9, keep_s=0, clock=lambda: LATER)
    for _ in range(segment_frames - 1):
        found += reader.read(max_frames=1)
    with pytest.raises(JournalError, match="were trimmed"):
        reader.read(max_frames=1)
    assert seqs(found) == list(range(1, len(found) + 1))
    with pytest.raises(JournalError, match="were trimmed"):
        reader.read()


def test_a_trim_cut_short_can_be_repeated(memory: Path) -> None:
    """After a failure at any operation the journal opens and reads on, and the next trim finishes."""
    operation = 0
    while True:
        operation += 1
        directory = memory / str(operation)
        fill(directory, [[seq] for seq in range(1, 13)], segment_bytes=4096)
        disk = FailingDisk(operation)
        try:
            trim(directory, through_seq=10**9, keep_s=0, clock=lambda: LATER, disk=disk)
        except JournalFailed:
            last = int(segment_files(directory)[-1].stem)
            assert seqs(read_all(directory, after_seq=last - 1)) == list(range(last, 13))
            open_writer(directory).close()
            trim(directory, through_seq=10**9, keep_s=0, clock=lambda: LATER)
            assert len(segment_files(directory)) == 1
            continue
        break
    assert operation > 8


def test_shards_are_listed(tmp_path: Path) -> None:
    """Folders named by a number are shards; there may be none yet."""
    assert shards_in(tmp_path / "nowhere") == []
    for name in ("10", "2", "0", "x"):
        (tmp_path / name).mkdir()
    (tmp_path / "3").write_text("")
    assert shards_in(tmp_path) == [0, 2, 10]


def test_forgotten_readers_leave_no_open_file(memory: Path) -> None:
    """A reader that goes out of use closes what it held; one that was closed begins again where it was."""
    fill(memory / "j", [[1], [2]])
    gc.collect()
    before = _open_files()
    for _ in range(20):
        JournalReader(memory / "j").read()
    gc.collect()
    assert _open_files() <= before
    reader = JournalReader(memory / "j")
    assert seqs(reader.read(max_frames=1)) == [1]
    reader.close()
    assert seqs(reader.read()) == [2]


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
