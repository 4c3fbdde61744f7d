"""Remove what others keep by now: whole closed segments, oldest first, and say so durably before the first one goes.

The empty file ``<seq>.trimmed`` is how everybody else tells a trimmed segment from a lost one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

from ingestor.journal import segments
from ingestor.journal.disk import Disk, RealDisk, failed

_REAL: Final = RealDisk()


def trim(
    directory: Path,
    *,
    through_seq: int,
    keep_s: float,
    clock: Callable[[], float] = time.time,
    disk: Disk = _REAL,
) -> list[Path]:
    """Remove the closed segments that end at or before ``through_seq`` and were closed ``keep_s`` ago or longer.

    Returns what was removed. Durable on return; never the last segment. Safe beside the writer and beside readers, but
    for one caller at a time. Raises ``JournalFailed`` when the disk refuses; to call it again is harmless.
    A segment that was closed in the future was closed before the clock was set back: it is not kept for that.
    """
    now_us = int(clock() * 1e6)
    latest_us = now_us - int(keep_s * 1e6)
    removable: list[Path] = []
    through = 0
    try:
        for name, next_name in pairwise(segments.names_in(directory)):
            behind = segments.load(directory, next_name)
            if behind.follows > through_seq or latest_us < behind.created_at_us <= now_us:
                break
            removable.append(segments.path_of(directory, name))
            through = behind.follows
        if removable:
            _allow(directory, through, disk)
        for path in removable:
            disk.unlink(path)
            disk.fsync_dir(directory)
    except OSError as error:
        raise failed(directory, error) from error
    return removable


def _allow(directory: Path, through: int, disk: Disk) -> None:
    path = segments.trimmed_path(directory, through)
    if not path.exists():
        disk.close(disk.open(path, create=True))
    disk.fsync_dir(directory)
    for older in directory.glob("*.trimmed"):
        if older < path:
            disk.unlink(older)
