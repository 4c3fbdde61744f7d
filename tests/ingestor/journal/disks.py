"""A disk for attacks on the journal that fails at one operation."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ingestor.journal.disk import RealDisk


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

    def mkdir(self, path: Path) -> None:
        self._step()
        super().mkdir(path)

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

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._step()
        super().link(source, target)

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
