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
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise JournalLocked(
                str(directory), f"process {owner or '?'} writes it. Stop that one, or use another data_dir"
            ) from None
        except BaseException:
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd


def release(fd: int) -> None:
    """Give it up."""
    os.close(fd)
