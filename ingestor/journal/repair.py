"""Give up what is damaged, keep all the rest, and say which seqs are lost: for when there is no backup.

All valid frames go into one new segment of a new epoch; the old files stay in the folder ``damaged``. Stopped half way,
it can be run again: a frame that was kept already is not kept twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingestor.errors import JournalError
from ingestor.journal import frames, lock, segments
from ingestor.journal import mark as marks
from ingestor.journal.disk import Disk, RealDisk, failed, make_directory
from ingestor.journal.frames import KIND_TALLY, Header, Tally
from ingestor.journal.mark import MarkWriter
from ingestor.journal.recovery import valid_frames
from ingestor.journal.segments import Segment

_REAL: Final = RealDisk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did. ``lost``: spans of seqs, both ends included, in which rows may be gone.

    Seqs have holes, so a span says where, not how many.
    """

    frames_kept: int
    lost: list[tuple[int, int]]
    set_aside: Path


def repair(directory: Path, *, shard: int, lock_timeout_s: float = 10.0, disk: Disk = _REAL) -> Repaired:
    """Make the journal of one shard usable again. Durable on return.

    Raises ``JournalLocked`` while a writer runs, ``JournalError`` when there is no journal, ``JournalFailed`` when the
    disk refuses.
    """
    if not segments.names_in(directory):
        raise JournalError(str(directory), "holds no journal to repair. Name the directory of one shard")
    fd = lock.acquire(directory, lock_timeout_s)
    try:
        return _repair(directory, shard, disk)
    except OSError as error:
        raise failed(directory, error) from error
    finally:
        lock.release(fd)


def _repair(directory: Path, shard: int, disk: Disk) -> Repaired:
    names = segments.names_in(directory)
    marked = marks.load(directory)
    follows, previous, tally, epoch = names[0] - 1, 0, Tally(), marked.epoch if marked else 0
    for name in names:
        segment = _header(directory, name)
        if segment is not None:
            epoch = max(epoch, segment.epoch)
            if name == names[0]:
                previous, tally = segment.previous, segment.tally
    trimmed = segments.trimmed_mark(directory)
    if follows > trimmed:
        disk.close(disk.open(segments.trimmed_path(directory, follows), create=True))
    new = Segment(
        shard=shard,
        epoch=epoch + 1,
        created_at_us=0,
        previous=previous,
        follows=follows,
        tally=tally,
    )
    path = segments.path_of(directory, new.first_seq)
    draft = path.with_name(path.name + ".new")
    salvage = _Salvage(last_seq=follows, epoch=new.epoch)
    lost_before = [(trimmed + 1, follows)] if follows > trimmed else []
    fd = disk.open(draft, create=True)
    try:
        offset = len(new.encode())
        disk.write(fd, new.encode(), 0)
        for frame in salvage.frames(directory, names, marked.last_seq if marked else 0):
            disk.write(fd, frame, offset)
            offset += len(frame)
        disk.fdatasync(fd)
    finally:
        disk.close(fd)
    aside = _set_aside(directory, names, disk)
    disk.rename(draft, path)
    disk.fsync_dir(directory)
    for name in names[1:]:
        disk.unlink(segments.path_of(directory, name))
    disk.fsync_dir(directory)
    mark = MarkWriter(directory, disk)
    mark.publish(segment=new.first_seq, offset=offset, last_seq=salvage.last_seq, epoch=new.epoch)
    mark.close()
    _sync(directory / marks.NAME, disk)
    return Repaired(frames_kept=salvage.kept, lost=lost_before + salvage.lost, set_aside=aside)


class _Salvage:
    """Collects the valid frames of damaged segments, in order, each as a commit of its own."""

    def __init__(self, *, last_seq: int, epoch: int) -> None:
        self.last_seq, self._epoch = last_seq, epoch
        self.kept = 0
        self.lost: list[tuple[int, int]] = []

    def frames(self, directory: Path, names: list[int], committed_seq: int) -> Iterator[bytes]:
        """Yield them, for the new epoch."""
        for name in names:
            self._expect(name - 1)
            data = segments.path_of(directory, name).read_bytes()
            end = segments.HEADER_BYTES
            for at, header in valid_frames(data, end):
                tally_only = header.kind == KIND_TALLY
                if header.last_seq < self.last_seq or (not tally_only and header.first_seq <= self.last_seq):
                    end = at + header.frame_bytes
                    continue
                if at != end:
                    self._expect(header.first_seq - 1)
                end = at + header.frame_bytes
                yield self._rebuilt(header, data, at)
        self._expect(committed_seq)

    def _expect(self, seq: int) -> None:
        """Note as lost what should have come through ``seq`` and did not."""
        noted = max((through for _, through in self.lost), default=0)
        begin = max(self.last_seq, noted) + 1
        if seq >= begin:
            self.lost.append((begin, seq))

    def _rebuilt(self, header: Header, data: bytes, at: int) -> bytes:
        first, last = header.first_seq, header.last_seq
        if header.kind == KIND_TALLY:
            first = last = self.last_seq
        else:
            self.kept += 1
            self.last_seq = last
        return frames.build(
            header.kind,
            frames.parse_payload(header, data, at),
            rows=header.rows,
            epoch=self._epoch,
            group_bytes=0,
            first_seq=first,
            last_seq=last,
            tally=header.tally,
        )


def _header(directory: Path, name: int) -> Segment | None:
    try:
        return segments.load(directory, name)
    except JournalError:
        return None


def _sync(path: Path, disk: Disk) -> None:
    fd = disk.open(path, create=False)
    try:
        disk.fdatasync(fd)
    finally:
        disk.close(fd)


def _set_aside(directory: Path, names: list[int], disk: Disk) -> Path:
    """Give the old files a second name, out of the journal's way."""
    aside = directory / "damaged"
    make_directory(disk, aside)
    for name in names:
        path = segments.path_of(directory, name)
        kept = aside / path.name
        while kept.exists():
            if kept.samefile(path):
                break
            kept = kept.with_name(kept.name + "~")
        else:
            disk.link(path, kept)
    disk.fsync_dir(aside)
    return aside
