"""A segment is one file of frames; a header ties it to its shard, its writer's epoch and the segment before it.

``<n>.seg`` holds seqs from ``n`` on, where ``n - 1`` is the last seq of the segment before. The header is durable
before the name is, so a segment with a broken header was damaged, never half made. A writer begins a new segment with
each epoch and when the last one has reached its size; a segment without rows is replaced by the next one.
"""

from __future__ import annotations

import re
import struct
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

import google_crc32c

from ingestor.errors import JournalCorrupt, JournalError
from ingestor.journal.disk import Disk, create_whole
from ingestor.journal.frames import Tally

SEGMENT_VERSION: Final = 1
_MAGIC = b"HAJSEGMT"
_HEADER = struct.Struct("<8sHHIIqQQ5Q")
_CRC = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size
_NAME = re.compile(r"\d{20}\.seg")
_TRIMMED = re.compile(r"(\d{20})\.trimmed")
RESTORE: Final = "Restore the file from a backup, or give up what is damaged with `python -m ingestor.journal repair`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment's header. ``follows``: last seq before it. ``previous``: the segment before, 0 for none.

    ``tally`` is as of its beginning.
    """

    shard: int
    epoch: int
    created_at_us: int
    previous: int
    follows: int
    tally: Tally

    @property
    def first_seq(self) -> int:
        """The lowest seq it may hold, which is its name."""
        return self.follows + 1

    def encode(self) -> bytes:
        """Return the header's bytes."""
        fields = _HEADER.pack(
            _MAGIC,
            SEGMENT_VERSION,
            0,
            self.shard,
            self.epoch,
            self.created_at_us,
            self.previous,
            self.follows,
            *astuple(self.tally),
        )
        return fields + _CRC.pack(google_crc32c.value(fields))


def path_of(directory: Path, first_seq: int) -> Path:
    """Return a segment's path."""
    return directory / f"{first_seq:020d}.seg"


def names_in(directory: Path) -> list[int]:
    """List the segments of a journal, oldest first. Empty when there is no journal yet."""
    try:
        return sorted(int(path.stem) for path in directory.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []


def shards_in(journal_dir: Path) -> list[int]:
    """List the shards that have a journal. Empty when there is none yet."""
    try:
        return sorted(int(path.name) for path in journal_dir.iterdir() if path.name.isdecimal() and path.is_dir())
    except FileNotFoundError:
        return []


def parse(path: Path, data: bytes) -> Segment:
    """Read and check a segment's header. Raises ``JournalCorrupt``, or ``JournalError`` for a newer format."""
    if len(data) < HEADER_BYTES:
        raise JournalCorrupt(f"{path}:0", f"the segment's header is cut off. {RESTORE}")
    fields, (crc,) = data[: _HEADER.size], _CRC.unpack(data[_HEADER.size : HEADER_BYTES])
    magic, version, _, shard, epoch, created_at_us, previous, follows, *tally = _HEADER.unpack(fields)
    if google_crc32c.value(fields) != crc or magic != _MAGIC:
        raise JournalCorrupt(f"{path}:0", f"the segment's header does not match its checksum. {RESTORE}")
    if version > SEGMENT_VERSION:
        raise JournalError(str(path), f"was written by a newer version (format {version}). Install that version again")
    segment = Segment(
        shard=shard,
        epoch=epoch,
        created_at_us=created_at_us,
        previous=previous,
        follows=follows,
        tally=Tally(**dict(zip(Tally.__slots__, tally, strict=True))),
    )
    if path.stem != f"{segment.first_seq:020d}":
        raise JournalCorrupt(f"{path}:0", f"the file was renamed from {segment.first_seq:020d}.seg. Rename it back")
    return segment


def load(directory: Path, first_seq: int) -> Segment:
    """Read and check a segment's header. Raises ``FileNotFoundError`` when it was trimmed away meanwhile."""
    path = path_of(directory, first_seq)
    with path.open("rb") as file:
        return parse(path, file.read(HEADER_BYTES))


def create(directory: Path, segment: Segment, disk: Disk) -> Path:
    """Make the file, durably, over a segment of the same name that held no rows."""
    path = path_of(directory, segment.first_seq)
    create_whole(disk, path, segment.encode())
    return path


def trimmed_mark(directory: Path) -> int:
    """Return the seq through which ``trim`` was last allowed to remove segments; 0 for never."""
    try:
        found = (_TRIMMED.fullmatch(path.name) for path in directory.iterdir())
        return max((int(match[1]) for match in found if match), default=0)
    except FileNotFoundError:
        return 0


def trimmed_path(directory: Path, seq: int) -> Path:
    """Return the path of the empty file that says: through ``seq`` segments were removed on purpose."""
    return directory / f"{seq:020d}.trimmed"


def missing(directory: Path, after_seq: int, through_seq: int) -> JournalCorrupt:
    """Word that a segment is gone that nobody trimmed."""
    return JournalCorrupt(
        str(directory),
        f"the segment with seqs {after_seq + 1} to {through_seq} is missing and was not trimmed. {RESTORE}",
    )
