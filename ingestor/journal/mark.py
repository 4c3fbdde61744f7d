"""How far the journal is on disk, for everybody to see without asking: 128 bytes of shared memory.

The file ``committed`` holds two slots; the valid one of the higher generation counts. The writer fills the other one
after each fdatasync, so a writer killed in the middle of it leaves the mark before. The mark itself is not synced:
after a power cut it may be old, and recovery reads the segments anyway.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c

from ingestor.journal.disk import Disk, create_whole

NAME: Final = "committed"
_SLOT = struct.Struct("<QQQQI")
_CRC = struct.Struct("<I")
_SLOT_BYTES = 64
FILE_BYTES: Final = 2 * _SLOT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """All before ``offset`` of the segment, and all segments before it, are on disk, through ``last_seq``."""

    generation: int
    segment: int
    offset: int
    last_seq: int
    epoch: int


def newest(raw: bytes) -> Mark | None:
    """Read the valid slot of the higher generation, if one is valid."""
    marks = [mark for at in (0, _SLOT_BYTES) if (mark := _slot(raw, at)) is not None]
    return max(marks, key=lambda mark: mark.generation, default=None)


def load(directory: Path) -> Mark | None:
    """Read the mark from its file, if there is a valid one."""
    try:
        return newest((directory / NAME).read_bytes())
    except FileNotFoundError:
        return None


class MarkWriter:
    """Publishes marks. There is one per shard, under the journal's lock."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        path = directory / NAME
        if not path.is_file() or path.stat().st_size != FILE_BYTES:
            create_whole(disk, path, bytes(FILE_BYTES))
        self._region = disk.map(path, FILE_BYTES)
        last = newest(self._region[0:FILE_BYTES])
        self._generation = last.generation if last else 0

    def publish(self, *, segment: int, offset: int, last_seq: int, epoch: int) -> None:
        """Let every reader see it. Never fails and never waits."""
        self._generation += 1
        fields = _SLOT.pack(self._generation, segment, offset, last_seq, epoch)
        slot = fields + _CRC.pack(google_crc32c.value(fields))
        at = self._generation % 2 * _SLOT_BYTES
        self._region[at : at + len(slot)] = slot

    def close(self) -> None:
        """Let go of the memory."""
        self._region.close()


class MarkReader:
    """Looks at the mark. Costs less than a microsecond once the file exists."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._region: mmap.mmap | None = None

    def raw(self) -> bytes:
        """Return the mark's bytes as they are now: equal bytes mean nothing new. Empty while there is no mark."""
        if self._region is None:
            try:
                fd = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return b""
            try:
                self._region = mmap.mmap(fd, FILE_BYTES, access=mmap.ACCESS_READ)
            except ValueError:
                return b""
            finally:
                os.close(fd)
        return self._region[:]

    def close(self) -> None:
        """Let go of the memory."""
        if self._region is not None:
            self._region.close()
            self._region = None


def _slot(raw: bytes, at: int) -> Mark | None:
    fields, check = raw[at : at + _SLOT.size], raw[at + _SLOT.size : at + _SLOT.size + _CRC.size]
    if len(check) < _CRC.size or _CRC.unpack(check) != (google_crc32c.value(fields),):
        return None
    generation, segment, offset, last_seq, epoch = _SLOT.unpack(fields)
    return Mark(generation=generation, segment=segment, offset=offset, last_seq=last_seq, epoch=epoch)
