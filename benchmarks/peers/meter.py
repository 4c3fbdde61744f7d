"""What each peer's process reports about itself: one line of JSON on standard output."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``cpu_s``: processor time of all threads, without imports and start. ``kept_bytes``: on disk at the end."""

    read: int
    rows: int
    wall_s: float
    cpu_s: float
    kept_bytes: int


class Meter:
    """Started when made."""

    def __init__(self) -> None:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def tell(self, *, read: int, rows: int, kept: Path) -> None:
        """Stop and print the report. ``kept`` is the folder that has the result."""
        wall_s, cpu_s = time.perf_counter() - self._wall_s, time.process_time() - self._cpu_s
        kept_bytes = sum(file.stat().st_size for file in kept.rglob("*") if file.is_file())
        report = Report(read=read, rows=rows, wall_s=wall_s, cpu_s=cpu_s, kept_bytes=kept_bytes)
        print("\n" + json.dumps(asdict(report)))  # noqa: T201 - its parent reads it
