"""What a writer finds when it opens a journal: everything acknowledged, or an error that says where it is damaged.

A kill or a power cut can only tear what no fdatasync covered: the last commit. Each frame says how many bytes of its
own commit stand before it, so a torn commit (cut off, reported) and a broken older one (``JournalCorrupt``) are told
apart even when the commit mark is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestor.errors import JournalCorrupt, JournalError
from ingestor.journal import mark as marks
from ingestor.journal import segments
from ingestor.journal.frames import (
    KIND_TALLY,
    MAGIC,
    BadFrame,
    Header,
    Tally,
    is_absent,
    parse_header,
    parse_payload,
)
from ingestor.journal.segments import HEADER_BYTES, RESTORE, Segment

_LISTINGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What opening found. ``bytes_dropped``: a torn commit, never acknowledged. ``frames_kept``: in the last segment.

    ``lost_after_seq`` and ``lost_through_seq`` are set when the disk itself broke its word: a power cut took frames
    that it had reported as written. They were acknowledged and are gone.
    """

    frames_kept: int = 0
    bytes_dropped: int = 0
    lost_after_seq: int | None = None
    lost_through_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The journal's end. ``unsure`` are the bytes at ``unsure_at`` that nobody knows to be on the disk.

    Bytes whose fsync failed in an earlier process may be readable and yet not on the disk, and another fsync would
    not write them: they have to be written again.
    """

    last: Segment | None
    end: int
    size: int
    last_seq: int
    tally: Tally
    epoch: int
    unsure_at: int
    unsure: bytes
    recovered: Recovered


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The valid frames at the beginning of a segment: where they end and, unless that is the file's end, why."""

    end: int
    last_seq: int
    tally: Tally
    frames: int
    fault: str | None


def recover(directory: Path, *, shard: int) -> Found:
    """Look, change nothing. Raises ``JournalCorrupt`` when acknowledged bytes are damaged or a segment is missing."""
    chain = check_chain(directory)
    marked = marks.load(directory)
    if not chain:
        gone = max(marked.last_seq if marked else 0, segments.trimmed_mark(directory))
        if gone:
            raise segments.missing(directory, 0, gone)
        return _nothing(marked.epoch if marked else 0)
    last = chain[-1]
    if last.shard != shard:
        raise JournalError(str(directory), f"belongs to shard {last.shard}, not {shard}. Put it back in its place")
    if marked and marked.epoch >= last.epoch and marked.segment > last.first_seq and marked.offset > HEADER_BYTES:
        raise segments.missing(directory, marked.segment - 1, marked.last_seq)
    path = segments.path_of(directory, last.first_seq)
    data = path.read_bytes()
    found = scan(last, data)
    known = marked if marked and (marked.segment, marked.epoch) == (last.first_seq, last.epoch) else None
    covered = known.offset if known else HEADER_BYTES
    lost = None
    if found.end < covered:
        if not is_absent(data[found.end :]):
            raise _corrupt(path, found)
        lost = known
    elif found.fault and _is_followed_by_a_later_commit(data, found.end, last.epoch):
        raise _corrupt(path, found)
    unsure_at = min(covered, found.end)
    return Found(
        last=last,
        end=found.end,
        size=len(data),
        last_seq=found.last_seq,
        tally=found.tally,
        epoch=max(last.epoch, marked.epoch if marked else 0),
        unsure_at=unsure_at,
        unsure=data[unsure_at : found.end],
        recovered=Recovered(
            frames_kept=found.frames,
            bytes_dropped=len(data) - found.end,
            lost_after_seq=found.last_seq if lost else None,
            lost_through_seq=lost.last_seq if lost else None,
        ),
    )


def check_chain(directory: Path) -> list[Segment]:
    """Read all segments' headers, oldest first. Raises ``JournalCorrupt`` when one is missing that was not trimmed."""
    for _ in range(_LISTINGS - 1):
        try:
            return _chain(directory)
        except (FileNotFoundError, JournalCorrupt):  # trimmed while looking? look again
            continue
    return _chain(directory)


def _chain(directory: Path) -> list[Segment]:
    chain = [segments.load(directory, name) for name in segments.names_in(directory)]
    for before, after in zip([None, *chain], chain, strict=False):
        if after.previous == (before.first_seq if before else 0):
            continue
        if segments.trimmed_mark(directory) < after.follows:
            raise segments.missing(directory, before.follows if before else 0, after.follows)
    return chain


def scan(segment: Segment, data: bytes) -> Scan:
    """Walk over a segment's frames as far as they are valid and in order."""
    at, last_seq, tally, frames, fault = HEADER_BYTES, segment.follows, segment.tally, 0, None
    while at < len(data):
        try:
            header = parse_header(data, at)
            parse_payload(header, data, at)
            check_order(header, epoch=segment.epoch, last_seq=last_seq)
        except BadFrame as error:
            fault = str(error)
            break
        at += header.frame_bytes
        last_seq, tally, frames = header.last_seq, header.tally, frames + (header.kind != KIND_TALLY)
    return Scan(end=at, last_seq=last_seq, tally=tally, frames=frames, fault=fault)


def check_order(header: Header, *, epoch: int, last_seq: int) -> None:
    """Refuse a frame of another writer, or one that does not go on from ``last_seq``. Raises ``BadFrame``."""
    if header.epoch != epoch:
        raise BadFrame(f"it is of epoch {header.epoch}, the segment of {epoch}")
    follows = header.last_seq == last_seq if header.kind == KIND_TALLY else header.first_seq > last_seq
    if not follows or header.last_seq < header.first_seq:
        raise BadFrame(f"its seqs {header.first_seq} to {header.last_seq} do not follow {last_seq}")


def valid_frames(data: bytes, at: int) -> Iterator[tuple[int, Header]]:
    """Find every valid frame from ``data[at]`` on, whatever stands between: offset and header of each."""
    while (at := data.find(MAGIC, at)) >= 0:
        try:
            header = parse_header(data, at)
            parse_payload(header, data, at)
        except BadFrame:
            at += 1
            continue
        yield at, header
        at += header.frame_bytes


def _is_followed_by_a_later_commit(data: bytes, at: int, epoch: int) -> bool:
    """Tell whether a commit began behind the broken frame at ``data[at]``: then its own commit had been synced."""
    try:
        behind = at + parse_header(data, at).frame_bytes
    except BadFrame:
        behind = at + 1
    return any(
        header.epoch == epoch and begin - header.group_bytes > at for begin, header in valid_frames(data, behind)
    )


def _corrupt(path: Path, found: Scan) -> JournalCorrupt:
    fault = found.fault or "the file ends too early"
    return JournalCorrupt(
        f"{path}:{found.end}", f"acknowledged bytes are damaged after seq {found.last_seq}: {fault}. {RESTORE}"
    )


def _nothing(epoch: int) -> Found:
    return Found(
        last=None,
        end=0,
        size=0,
        last_seq=0,
        tally=Tally(),
        epoch=epoch,
        unsure_at=0,
        unsure=b"",
        recovered=Recovered(),
    )
