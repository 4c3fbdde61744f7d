"""On what a number was measured, and how disturbed: `python -m benchmarks.machine` prints it.

A baseline is taken beside every run: `orjson.loads` of the load's own events, and `fdatasync` of 64 KB on the disk the
product writes to. Both move with the machine, so a ratio to them is steadier than the number itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "benchmarks"
#: Cores that others may use before a run counts as disturbed.
OTHERS_MAY_USE: Final = 0.3
_SYNC_BYTES: Final = 64 * 1024
_SYNCS: Final = 60


def facts() -> dict[str, Any]:
    """Give what stays the same while a figure is measured, and the load average before it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        "commit": commit(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """Name the commit; ``+`` after it says that files differ from it."""
    name = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/README.md")
    return f"{name}+" if changed else name


def baseline(events: Sequence[bytes]) -> dict[str, float]:
    """Measure the machine: microseconds of processor to read an event with orjson, and milliseconds to a safe disk."""
    rounds = []
    for _ in range(5):
        began = time.process_time()
        for event in events:
            orjson.loads(event)
        rounds.append((time.process_time() - began) / len(events) * 1e6)
    synced = sorted(fdatasync_ms(CACHE, count=_SYNCS))
    return {
        "orjson_us": round(min(rounds), 3),
        "fdatasync_p50_ms": round(statistics.median(synced), 3),
        "fdatasync_p99_ms": round(synced[len(synced) * 99 // 100], 3),
    }


def fdatasync_ms(directory: Path, *, count: int) -> list[float]:
    """Append 64 KB and wait for the disk, so many times."""
    directory.mkdir(parents=True, exist_ok=True)
    path, took = directory / f"fdatasync-{os.getpid()}", []
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        for _ in range(count):
            os.write(file, os.urandom(_SYNC_BYTES))
            began = time.perf_counter()
            os.fdatasync(file)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(file)
        path.unlink()
    return took


def busy_s() -> float:
    """Processor seconds since the machine started, in all its cores; what a hypervisor took counts as busy."""
    times = psutil.cpu_times()
    guests: float = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    everything: float = sum(times)
    idle: float = times.idle + getattr(times, "iowait", 0.0)
    return everything - idle - guests


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607 - git of the path, our words
    return done.stdout.strip()


def main() -> None:
    """Print the facts and a baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    from benchmarks.load.sample import sample

    print(json.dumps(facts() | {"baseline": baseline(sample(2_000))}, indent=1))  # noqa: T201 - its job


if __name__ == "__main__":
    main()
