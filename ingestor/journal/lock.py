"""One writer per journal: a lock of the operating system on the file ``lock``, gone with the process that held it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from ingestor.errors import JournalLocked
from ingestor.journal.disk import FILE_MODE

_POLL_S = 0.02


def acquire(directory: Path, timeout_s: float) -> int:
    """Wait for the lock. Returns the descriptor that holds it. Raises ``JournalLocked`` after ``timeout_s``."""
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        _wait(fd, directory, time.monotonic() + timeout_s)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def release(fd: int) -> None:
    """Give it up."""
    os.close(fd)


def _wait(fd: int, directory: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                raise JournalLocked(
                    str(directory), f"process {owner or '?'} writes it. Stop that one, or use another data_dir"
                ) from None
            time.sleep(_POLL_S)
        else:
            return
