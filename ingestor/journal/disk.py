"""Every change the journal makes to the disk, in one small interface: what a test can fail, it can prove.

A file's bytes are durable after ``fdatasync``, its name after ``fsync_dir`` of its directory, and not before.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Protocol

from ingestor.errors import JournalFailed

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class Region(Protocol):
    """Bytes of a file in memory, shared with the processes that map the same file."""

    def __getitem__(self, key: slice, /) -> bytes: ...

    def __setitem__(self, key: slice, value: bytes, /) -> None: ...

    def close(self) -> None:
        """Let go of the memory."""
        ...


class Disk(Protocol):
    """What the journal asks of a disk. Each call raises ``OSError`` when it did not happen."""

    def mkdir(self, path: Path) -> None:
        """Create the directory, mode 0700. Harmless when it exists."""
        ...

    def open(self, path: Path, *, create: bool) -> int:
        """Open for reading and writing. ``create``: a new empty file of mode 0600 takes the name."""
        ...

    def write(self, fd: int, data: bytes, at: int) -> None:
        """Write all of it at this offset, or raise."""
        ...

    def fdatasync(self, fd: int) -> None:
        """Return when the file's bytes and size are on the disk."""
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file."""
        ...

    def close(self, fd: int) -> None:
        """Close the file."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name, in one step, over what had it."""
        ...

    def link(self, source: Path, target: Path) -> None:
        """Give the file a second name."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove the name."""
        ...

    def fsync_dir(self, path: Path) -> None:
        """Return when the names in the directory are on the disk."""
        ...

    def map(self, path: Path, size: int) -> Region:
        """Map the first ``size`` bytes, shared and writable. A store into them is no system call."""
        ...


class RealDisk:
    """The operating system's files."""

    def mkdir(self, path: Path) -> None:
        """See ``Disk``."""
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)

    def open(self, path: Path, *, create: bool) -> int:
        """See ``Disk``."""
        return os.open(path, os.O_RDWR | (os.O_CREAT | os.O_TRUNC if create else 0), FILE_MODE)

    def write(self, fd: int, data: bytes, at: int) -> None:
        """See ``Disk``."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, at)
            view, at = view[written:], at + written

    def fdatasync(self, fd: int) -> None:
        """See ``Disk``."""
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        """See ``Disk``."""
        os.ftruncate(fd, size)

    def close(self, fd: int) -> None:
        """See ``Disk``."""
        os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """See ``Disk``."""
        source.rename(target)

    def link(self, source: Path, target: Path) -> None:
        """See ``Disk``."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        """See ``Disk``."""
        path.unlink()

    def fsync_dir(self, path: Path) -> None:
        """See ``Disk``."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def map(self, path: Path, size: int) -> Region:
        """See ``Disk``."""
        fd = os.open(path, os.O_RDWR)
        try:
            return mmap.mmap(fd, size)
        finally:
            os.close(fd)


def make_directory(disk: Disk, path: Path) -> None:
    """Create the directory and its parents, durably. One that exists may be of a process killed before its sync."""
    if not path.is_dir():
        make_directory(disk, path.parent)
        disk.mkdir(path)
    disk.fsync_dir(path.parent)


def create_whole(disk: Disk, path: Path, content: bytes) -> None:
    """Make ``path`` a file of exactly this content, durably: nobody ever sees a part of it."""
    draft = path.with_name(path.name + ".new")
    fd = disk.open(draft, create=True)
    try:
        disk.write(fd, content, 0)
        disk.fdatasync(fd)
    finally:
        disk.close(fd)
    disk.rename(draft, path)
    disk.fsync_dir(path.parent)


_NEXT_STEPS = {
    errno.ENOSPC: "Free space on this disk",
    errno.EDQUOT: "Raise the user's disk quota",
    errno.EROFS: "Mount the file system writable; the kernel's log says why it is not",
    errno.EACCES: "Give the directory to the user that runs the ingestor",
    errno.EPERM: "Give the directory to the user that runs the ingestor",
    errno.EMFILE: "Raise the limit of open files",
    errno.EIO: "Check the disk: the kernel's log says more",
}


def failed(path: Path, error: OSError) -> JournalFailed:
    """Word a failed operation, with the next step."""
    step = _NEXT_STEPS.get(error.errno or 0, "Check the disk: the kernel's log says more")
    fault = error.strerror or str(error)
    return JournalFailed(str(path), f"cannot be written: {fault}; nothing after this was acknowledged. {step}")
