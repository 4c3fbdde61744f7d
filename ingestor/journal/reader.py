"""Follow a journal from any process: committed frames only, in order, each checked, none twice and none skipped.

A reader never looks beyond the commit mark, so it needs no lock and disturbs nobody. It keeps the open file of its
segment: a segment trimmed meanwhile can still be read to its end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ingestor.errors import JournalCorrupt, JournalError
from ingestor.journal import mark as marks
from ingestor.journal import segments
from ingestor.journal.frames import HEADER_BYTES as FRAME_HEADER_BYTES
from ingestor.journal.frames import (
    KIND_TALLY,
    BadFrame,
    Frame,
    FrameKind,
    Header,
    is_absent,
    parse_header,
    parse_payload,
)
from ingestor.journal.mark import Mark, MarkReader
from ingestor.journal.recovery import check_order
from ingestor.journal.segments import HEADER_BYTES, RESTORE, Segment

READ_BYTES: Final = 1024 * 1024
ANSWER_BYTES: Final = 16 * 1024 * 1024
_LISTINGS = 5


class JournalReader:
    """Reads on from ``after_seq``; without it, from the oldest frame still kept. For one thread at a time.

    ``position`` is the last seq read. Nothing is opened before the first ``read``; the directory need not exist yet.
    """

    def __init__(self, directory: Path, *, after_seq: int | None = None) -> None:
        self._directory = directory
        self._mark = MarkReader(directory)
        self._from_oldest = after_seq is None
        self.position = after_seq or 0
        self._seen = b""
        self._segment: Segment | None = None
        self._fd = -1
        self._offset = self._tail_seq = 0
        self._chunk, self._chunk_at = b"", 0

    def read(self, *, max_frames: int = 256) -> list[Frame]:
        """Return the next committed frames beyond ``position``; none when nothing is new, at the cost of one look.

        At most ``max_frames``, and about 16 MiB. Raises ``JournalError`` when what comes next was trimmed,
        ``JournalCorrupt`` where bytes are damaged, after all frames before that have been returned.
        """
        raw = self._mark.raw()
        if raw == self._seen:
            return []
        mark = marks.newest(raw)
        found: list[Frame] = []
        answer_bytes = 0
        try:
            while mark is not None and len(found) < max_frames and answer_bytes < ANSWER_BYTES:
                frame = self._next(mark)
                if frame is None:
                    self._seen = raw
                    break
                found.append(frame)
                answer_bytes += len(frame.payload)
                self.position = frame.last_seq
        except JournalError:
            if not found:
                raise
        return found

    def committed_seq(self) -> int:
        """Return the last seq on disk; 0 when there is none."""
        mark = marks.newest(self._mark.raw())
        return mark.last_seq if mark else 0

    @property
    def trimmed_through(self) -> int:
        """The highest seq that ``trim`` removed; 0 when it never did."""
        for _ in range(_LISTINGS):
            names = segments.names_in(self._directory)
            try:
                return segments.load(self._directory, names[0]).follows if names else 0
            except FileNotFoundError:
                continue
        return segments.trimmed_mark(self._directory)

    def close(self) -> None:
        """Let go of files and memory. Also done when the reader is forgotten."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._mark.close()
        self._segment, self._chunk, self._seen = None, b"", b""

    def __del__(self) -> None:
        fd = getattr(self, "_fd", -1)
        if fd >= 0:
            os.close(fd)

    def _next(self, mark: Mark) -> Frame | None:
        """Return the next frame of rows beyond ``position``; None when all that is committed was read."""
        while True:
            segment = self._segment or self._enter_first(mark)
            if segment is None:
                return None
            if self._offset >= self._end(segment, mark):
                if segment.first_seq >= mark.segment or not self._enter_next(segment, mark):
                    return None
                continue
            frame = self._take(segment, self._end(segment, mark), closed=segment.first_seq < mark.segment)
            if frame is None:
                return None
            if isinstance(frame, Frame):
                return frame

    def _end(self, segment: Segment, mark: Mark) -> int:
        """Return where the committed bytes of the segment end: at the mark, or at the end of a closed file."""
        return mark.offset if segment.first_seq == mark.segment else os.fstat(self._fd).st_size

    def _take(self, segment: Segment, end: int, *, closed: bool) -> Frame | Header | None:
        """Read one frame and go on behind it. A header alone: it was skipped. None: it is not there after all."""
        at = self._offset
        try:
            header = parse_header(self._bytes(at, FRAME_HEADER_BYTES, end))
            check_order(header, epoch=segment.epoch, last_seq=self._tail_seq)
            skipped = header.last_seq <= self.position or header.kind == KIND_TALLY
            payload = b"" if skipped else parse_payload(header, self._bytes(at, header.frame_bytes, end))
        except BadFrame as error:
            if not closed and is_absent(self._rest(at)):
                return None
            raise JournalCorrupt(
                f"{self._path(segment)}:{at}",
                f"acknowledged bytes are damaged after seq {self._tail_seq}: {error}. {RESTORE}",
            ) from None
        self._offset, self._tail_seq = at + header.frame_bytes, header.last_seq
        if skipped:
            return header
        return Frame(
            shard=segment.shard,
            epoch=segment.epoch,
            kind=FrameKind(header.kind),
            first_seq=header.first_seq,
            last_seq=header.last_seq,
            rows=header.rows,
            payload=payload,
        )

    def _enter_first(self, mark: Mark) -> Segment | None:
        """Open the segment where the frames beyond ``position`` begin. None while nothing there is committed."""
        if not self._from_oldest and mark.last_seq <= self.position:
            return None
        for _ in range(_LISTINGS):
            names = segments.names_in(self._directory)
            if not names:
                return None
            name = names[0]
            if not self._from_oldest:
                name = max((name for name in names if name <= self.position + 1), default=name)
            try:
                return self._enter_checked(name, mark)
            except FileNotFoundError:  # trimmed while looking
                continue
        raise self._gone(segments.trimmed_mark(self._directory))

    def _enter_checked(self, name: int, mark: Mark) -> Segment | None:
        segment = segments.load(self._directory, name)
        if self._from_oldest and segment.follows <= segments.trimmed_mark(self._directory):
            self.position, self._from_oldest = segment.follows, False
        if segment.follows > self.position:
            raise self._gone(segment.follows)
        return self._enter(segment, mark)

    def _enter_next(self, before: Segment, mark: Mark) -> Segment | None:
        """Go on to the segment behind a closed one that was read to its end."""
        for _ in range(_LISTINGS):
            name = min((name for name in segments.names_in(self._directory) if name > before.first_seq), default=None)
            if name is None:
                raise segments.missing(self._directory, self._tail_seq, mark.last_seq)
            try:
                segment = segments.load(self._directory, name)
            except FileNotFoundError:
                continue
            if segment.previous != before.first_seq:
                raise self._gone(segment.follows)
            if segment.follows != self._tail_seq:
                raise JournalCorrupt(
                    f"{self._path(before)}:{self._offset}",
                    f"the file ends too early: seqs {self._tail_seq + 1} to {segment.follows} are missing. {RESTORE}",
                )
            return self._enter(segment, mark)
        raise self._gone(segments.trimmed_mark(self._directory))

    def _enter(self, segment: Segment, mark: Mark) -> Segment | None:
        """Open it, unless the mark says that nothing in it is committed: such a segment may yet be replaced."""
        if segment.first_seq > mark.segment or (segment.first_seq == mark.segment and mark.offset <= HEADER_BYTES):
            return None
        fd = os.open(self._path(segment), os.O_RDONLY)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._segment = fd, segment
        self._offset, self._tail_seq = HEADER_BYTES, segment.follows
        self._chunk, self._chunk_at = b"", 0
        return segment

    def _bytes(self, at: int, size: int, end: int) -> bytes:
        """Return ``size`` bytes at an offset, or fewer at ``end``. Reads ahead."""
        begin = at - self._chunk_at
        if begin < 0 or begin + size > len(self._chunk):
            self._chunk, self._chunk_at = os.pread(self._fd, min(max(size, READ_BYTES), end - at), at), at
            begin = 0
        return self._chunk[begin : begin + size]

    def _rest(self, at: int) -> bytes:
        return os.pread(self._fd, max(0, os.fstat(self._fd).st_size - at), at)

    def _path(self, segment: Segment) -> Path:
        return segments.path_of(self._directory, segment.first_seq)

    def _gone(self, through_seq: int) -> JournalError:
        """Word that the frames after ``position`` are gone: trimmed on purpose, or missing."""
        if through_seq > segments.trimmed_mark(self._directory):
            return segments.missing(self._directory, max(self.position, self._tail_seq), through_seq)
        return JournalError(
            str(self._directory),
            f"frames after seq {self.position} were trimmed, the oldest kept follow seq {through_seq}. "
            "Read on from there; the history has what was trimmed",
        )
