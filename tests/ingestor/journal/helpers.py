"""Small journals for tests, and ways to look at them and to break them."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pyarrow as pa

from ingestor.journal import Frame, FrameKind, JournalReader, JournalWriter, Tally
from ingestor.journal.disk import Disk, RealDisk
from tests.support.rows import make_events, make_quarantined

BIG = 32 * 1024 * 1024


def open_writer(
    directory: Path, *, segment_bytes: int = BIG, disk: Disk | None = None, lock_timeout_s: float = 0.2
) -> JournalWriter:
    return JournalWriter.open(
        directory, shard=0, segment_bytes=segment_bytes, disk=disk or RealDisk(), lock_timeout_s=lock_timeout_s
    )


def put(writer: JournalWriter, first_seq: int, rows: int = 1, *, kind: FrameKind = FrameKind.QUARANTINED) -> None:
    """Append one frame of ``rows`` rows; the tally counts them."""
    before = writer.tally
    tally = Tally(received=before.received + rows, quarantined=before.quarantined + rows)
    writer.append(kind, rows_of(kind, first_seq, rows), first_seq=first_seq, last_seq=first_seq + rows - 1, tally=tally)


def fill(directory: Path, commits: list[list[int]], *, segment_bytes: int = BIG) -> None:
    """Write a journal of one-row frames: each inner list is one commit of these seqs."""
    writer = open_writer(directory, segment_bytes=segment_bytes)
    for seqs in commits:
        for seq in seqs:
            put(writer, seq)
        writer.commit()
    writer.close()


def crash(writer: JournalWriter) -> None:
    """End a writer as a kill does: nothing is written any more, the lock is gone."""
    writer._release()


def read_all(directory: Path, after_seq: int | None = None) -> list[Frame]:
    reader = JournalReader(directory, after_seq=after_seq)
    found: list[Frame] = []
    while frames := reader.read():
        found += frames
    return found


def seqs(frames: list[Frame]) -> list[int]:
    return [frame.first_seq for frame in frames]


@cache
def rows_of(kind: FrameKind, first_seq: int, rows: int) -> pa.RecordBatch:
    """Give the rows that ``put`` appends under these seqs."""
    make = make_events if kind is FrameKind.EVENTS else make_quarantined
    return make(rows, first_seq=first_seq)


def check(frames: list[Frame]) -> None:
    """Every frame holds exactly the rows that were appended under its seqs, and seqs rise."""
    last = 0
    for frame in frames:
        assert frame.first_seq > last
        assert frame.batch().equals(rows_of(frame.kind, frame.first_seq, frame.rows))
        last = frame.last_seq


def last_segment(directory: Path) -> Path:
    return segment_files(directory)[-1]


def segment_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.seg"))


def copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def flip(path: Path, at: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        value = file.read(1)[0]
        file.seek(at)
        file.write(bytes([value ^ 1 << bit]))
