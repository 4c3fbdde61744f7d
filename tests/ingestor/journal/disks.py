"""Disks for attacks on the journal: one that fails at an operation, one that remembers what a power cut may leave."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from ingestor.journal.disk import RealDisk, Region

SECTOR = 512


class FailingDisk(RealDisk):
    """Fails the ``fail_at``-th operation, counted from 1, and all after it when ``for_good``."""

    def __init__(self, fail_at: int, *, code: int = errno.EIO, for_good: bool = False) -> None:
        self.operations = 0
        self.syncs_after_failure = 0
        self._fail_at, self._code, self._for_good = fail_at, code, for_good

    @property
    def failed(self) -> bool:
        """Whether the fault has bitten."""
        return self.operations >= self._fail_at

    def open(self, path: Path, *, create: bool) -> int:
        self._step()
        return super().open(path, create=create)

    def write(self, fd: int, data: bytes, at: int) -> None:
        try:
            self._step()
        except OSError:
            super().write(fd, data[: len(data) // 2], at)
            raise
        super().write(fd, data, at)

    def fdatasync(self, fd: int) -> None:
        self.syncs_after_failure += self.failed
        self._step()
        super().fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._step()
        super().truncate(fd, size)

    def close(self, fd: int) -> None:
        super().close(fd)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self._step()
        super().fsync_dir(path)

    def _step(self) -> None:
        self.operations += 1
        if self.operations == self._fail_at or (self._for_good and self.operations > self._fail_at):
            raise OSError(self._code, os.strerror(self._code))


@dataclass
class _File:
    """A file's bytes that are surely on disk, and the changes since: (offset, bytes), or a size to cut to."""

    durable: bytes = b""
    changes: list[tuple[int, bytes] | int] = field(default_factory=list)


class RememberingDisk(RealDisk):
    """Does all for real, and can tell at any moment every state in which a power cut may leave the directory.

    Names not synced: any number of the latest changes is undone. Bytes not synced: each write is kept, dropped, or torn
    at a sector on either side. The commit mark: as it was, or as of any store since.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.written: list[tuple[int, bytes]] = []
        self._files: list[_File] = []
        self._open: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self._synced_names: dict[str, int] = {}
        self._renames: list[dict[str, int]] = []
        self._region: _RememberedRegion | None = None

    def open(self, path: Path, *, create: bool) -> int:
        fd = super().open(path, create=create)
        if create or path.name not in self._names:
            self._files.append(_File())
            self._name({**self._names, path.name: len(self._files) - 1})
        self._open[fd] = self._names[path.name]
        return fd

    def write(self, fd: int, data: bytes, at: int) -> None:
        super().write(fd, data, at)
        self._files[self._open[fd]].changes.append((at, bytes(data)))
        self.written.append((at, bytes(data)))
        self._after()

    def truncate(self, fd: int, size: int) -> None:
        super().truncate(fd, size)
        self._files[self._open[fd]].changes.append(size)
        self._after()

    def fdatasync(self, fd: int) -> None:
        super().fdatasync(fd)
        file = self._files[self._open[fd]]
        for change in file.changes:
            file.durable = _apply(file.durable, change)
        file.changes = []
        self._after()

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        names = dict(self._names)
        names[target.name] = names.pop(source.name)
        self._name(names)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._name({name: file for name, file in self._names.items() if name != path.name})

    def fsync_dir(self, path: Path) -> None:
        super().fsync_dir(path)
        self._synced_names, self._renames = self._names, []
        self._after()

    def map(self, path: Path, size: int) -> Region:
        self._region = _RememberedRegion(super().map(path, size), size, self._after)
        return self._region

    def crash_states(self) -> Iterator[dict[str, bytes]]:
        """Yield each state as file name to bytes."""
        for names in (self._synced_names, *self._renames):
            files = [(name, _outcomes(self._files[file])) for name, file in sorted(names.items())]
            marks = self._region.stored if self._region is not None and self._mark in names else []
            for contents in product(*(outcomes for _, outcomes in files)):
                state = dict(zip((name for name, _ in files), contents, strict=True))
                yield state
                for stored in marks[-2:]:
                    yield {**state, self._mark: stored}

    def _after(self) -> None:
        """Do nothing. A test that watches the disk is called here after each operation."""

    def _name(self, names: dict[str, int]) -> None:
        self._names = names
        self._renames.append(names)
        self._after()


class _RememberedRegion:
    def __init__(self, region: Region, size: int, after: Callable[[], None]) -> None:
        self._region, self._size, self._after = region, size, after
        self.stored: list[bytes] = []

    def __getitem__(self, key: slice, /) -> bytes:
        return self._region[key]

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        self._region[key] = value
        self.stored.append(self._region[0 : self._size])
        self._after()

    def close(self) -> None:
        self._region.close()


def _apply(content: bytes, change: tuple[int, bytes] | int) -> bytes:
    if isinstance(change, int):
        return content[:change].ljust(change, b"\0")
    at, data = change
    return content[:at].ljust(at, b"\0") + data + content[at + len(data) :]


def _outcomes(file: _File) -> list[bytes]:
    """List what may be on disk of a file whose latest changes were not synced."""
    states = [file.durable]
    for change in file.changes:
        variants = [change] if isinstance(change, int) else [change, *_torn(*change)]
        states = [*states, *(_apply(state, variant) for state in states for variant in variants)]
    return list(dict.fromkeys(states))


def _torn(at: int, data: bytes) -> list[tuple[int, bytes]]:
    inside = range(SECTOR - at % SECTOR, len(data), SECTOR)
    return [(at, data[:cut]) for cut in inside] + [(at + cut, data[cut:]) for cut in inside]
