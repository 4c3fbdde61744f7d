"""A writer is killed as it enters each of its system calls: everything acknowledged is there, once, and it goes on.

python -m tests.chaos.disk_kills --seconds 60 --seed 7
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from tests.chaos.disk_nursery import Nursery
from tests.chaos.disk_trace import CALLS, Traced, traced
from tests.chaos.report import alone, repeated

FAULTS: Final = ("missing", "duplicated", "corrupted", "spurious", "out_of_order")
#: Long enough for rotations, a trim and a second opening.
TASK: Final[dict[str, Any]] = {"commits": 14, "segment_bytes": 9_000}


def moments(nursery: Nursery, folder: Path, seed: int) -> list[tuple[str, int]]:
    """List every system call of the script with its number, from a run that nothing disturbs."""
    found = traced(nursery, "write_journal", folder / "0", folder / "log", seed=seed, **TASK)
    assert found.code == 0, found
    shutil.rmtree(folder / "0")
    counts = found.counts()
    return [(call, number) for call in CALLS for number in range(1, counts[call] + 1)]


def mixed(found: list[Any], kind: Callable[[Any], object], seed: int) -> list[Any]:
    """Draw an order from the seed in which the first of every kind come first, then the second ones, and so on."""
    found = list(found)
    random.Random(seed).shuffle(found)  # noqa: S311 - repeatable on purpose
    seen: Counter[object] = Counter()
    ranked = []
    for each in found:
        ranked.append((seen[kind(each)], each))
        seen[kind(each)] += 1
    return [each for _, each in sorted(ranked, key=itemgetter(0))]


def judged(nursery: Nursery, directory: Path, found: Traced, report: Counter[str]) -> list[str]:
    """Recover, compare, count. Returns what was broken."""
    answer = nursery.judge("judge_journal", directory, acked=found.acked, trimmed=found.trimmed, **TASK)
    for name in (*FAULTS, "torn"):
        report[name] += answer.get(name, 0)
    violations: list[str] = answer["violations"]
    return violations


def kills(count: int | None, seed: int, *, seconds: float = 1e9) -> dict[str, Any]:
    """Kill at so many of the script's system calls, drawn from the seed; None: at every one of them."""
    report: Counter[str] = Counter({"writer_kills": 0, "acknowledged": 0, **dict.fromkeys(FAULTS, 0)})
    violations: list[str] = []
    void: list[str] = []
    deadline = time.monotonic() + seconds
    with Nursery() as nursery, tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        chosen = moments(nursery, folder, seed)
        report["moments"] = len(chosen)
        for call, number in mixed(chosen, itemgetter(0), seed)[:count]:
            if time.monotonic() > deadline:
                break
            rule = f"{call}:signal=SIGKILL:when={number}"
            found = traced(nursery, "write_journal", folder / "0", folder / "log", rule, seed=seed, **TASK)
            report["writer_kills"] += 1
            report["acknowledged"] += found.acked
            if not found.bit:
                void.append(f"seed {seed}: {call} {number} killed nobody")
            if (folder / "0").exists():
                faults = judged(nursery, folder / "0", found, report)
                violations += [f"seed {seed}, killed at {call} {number}: {text}" for text in faults]
                shutil.rmtree(folder / "0")
    return {**report, "violations": violations, "void": void}


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Kill at every system call, then of other scripts, for about so long."""
    return repeated(lambda one, left_s: kills(None, one, seconds=left_s), seconds, seed)


if __name__ == "__main__":
    raise SystemExit(alone(run, __doc__))
