"""Who used the processor, and how much memory is taken: product by process, load, this reader, and everybody else."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from typing import Any, Final

import psutil

from benchmarks.machine import OTHERS_MAY_USE, busy_s
from benchmarks.whole.harness import Rig

SHOWN_CORES: Final = 0.005
_PARTS_OF_RAY: Final = (
    ("dashboard/agent", "Ray dashboard agent"),
    ("dashboard/dashboard", "Ray dashboard"),
    ("runtime_env_agent", "Ray runtime_env agent"),
    ("runtime_env/agent", "Ray runtime_env agent"),
    ("log_monitor", "Ray log monitor"),
    ("monitor.py", "Ray monitor"),
)

Times = dict[int, tuple[str, float]]


class Watch:
    """Counts from its making on."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self._began_s = rig, time.monotonic()
        self._product, self._load, self._reader = self._times()
        self._everybody_s = busy_s()

    def used(self) -> dict[str, Any]:
        """Give cores used since then, by whom; ``disturbed`` when others took more than their share."""
        took_s, everybody_s = time.monotonic() - self._began_s, busy_s() - self._everybody_s
        product, load, reader = self._times()
        by_name: dict[str, float] = defaultdict(float)
        for pid, (name, seconds) in product.items():
            by_name[name] += seconds - self._product.get(pid, ("", 0.0))[1]
        product_s = sum(by_name.values())
        load_s, reader_s = load - self._load, reader - self._reader
        cores = {name: round(spent / took_s, 3) for name, spent in by_name.items() if spent / took_s >= SHOWN_CORES}
        others = (everybody_s - product_s - load_s - reader_s) / took_s
        return {
            "seconds": round(took_s, 2),
            "product_cpu_s": round(product_s, 2),
            "product_cores": round(product_s / took_s, 3),
            "by_process": dict(sorted(cores.items(), key=lambda item: -item[1])),
            "load_cores": round(load_s / took_s, 3),
            "reader_cores": round(reader_s / took_s, 3),
            "others_cores": round(others, 3),
            "disturbed": others > OTHERS_MAY_USE,
        }

    def _times(self) -> tuple[Times, float, float]:
        product: Times = {}
        for process in self._rig.product.family():
            with suppress(psutil.Error):
                times = process.cpu_times()
                product[process.pid] = (title(process), times.user + times.system)
        ours = psutil.Process()
        reader = _spent(ours) + sum(
            _spent(child)
            for child in ours.children(recursive=True)
            if child.pid not in product and child.pid != self._rig.load.pid
        )
        return product, _spent(psutil.Process(self._rig.load.pid)), reader


def memory_mb(rig: Rig) -> float:
    """Proportional set size of all the product's processes."""
    total = 0
    for process in rig.product.family():
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return round(total / 1e6, 1)


def title(process: psutil.Process) -> str:
    """Name what a process of the product is for."""
    name = process.name()
    line = " ".join(" ".join(process.cmdline()).split())
    if line.startswith("ray::"):
        words = line.removeprefix("ray::").split(":")
        return ":".join(words[:2]).split(".")[0] if words[0] == "ServeReplica" else words[0].split(".")[0]
    if "ha-ingestor" in line and " run" in line and name != "haproxy":
        return "ha-ingestor run"
    return next((known for part, known in _PARTS_OF_RAY if part in line), name)


def _spent(process: psutil.Process) -> float:
    """Processor seconds of a process and of its children that ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
