"""A run that is killed leaves a product and its data behind; the next run ends the one and removes the other.

A run's directory names its owner. Where the owner is gone, whatever still works in that directory is what it started.
"""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

_OWNER: Final = "owner.json"
_ENDS_WITHIN_S: Final = 30.0


def own(directory: Path) -> None:
    """Write down that a directory is this process's."""
    ours = psutil.Process()
    (directory / _OWNER).write_text(json.dumps([ours.pid, ours.create_time()]))


def sweep(cache: Path) -> None:
    """End and remove what runs left behind whose owner is gone."""
    for path in cache.glob(f"run-*/{_OWNER}"):
        if not _lives(*json.loads(path.read_text())):
            _end(_working_in(path.parent))
            shutil.rmtree(path.parent, ignore_errors=True)


def _working_in(directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(directory):
                found += [process, *process.children(recursive=True)]
    return list(dict.fromkeys(found))


def _end(processes: list[psutil.Process]) -> None:
    if processes:
        with suppress(psutil.NoSuchProcess):
            min(processes, key=lambda each: each.pid).send_signal(signal.SIGINT)
    for left in psutil.wait_procs(processes, timeout=_ENDS_WITHIN_S)[1]:
        with suppress(psutil.NoSuchProcess):
            left.kill()


def _lives(pid: int, created_s: float) -> bool:
    try:
        return psutil.Process(pid).create_time() == created_s
    except psutil.NoSuchProcess:
        return False
