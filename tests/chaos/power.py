"""The power is cut on a real file system while a process writes: the journal alone, and journal and history together.

A child appends, commits and acknowledges through a pipe. At a random moment the file system is shut down under it; the
blocks are mounted again, another child recovers, and everything acknowledged must be there, once. A cut counts only if
it bit: the child was at work, and a file written just before without a sync is gone.

The child lives on for a moment, as nobody does whose power is gone. What it acknowledges then does not count: a sync
that was under way while ext4 shut down may return without an error and without effect.

    python -m tests.chaos.power --seconds 60 --seed 7
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final, Literal

from tests.chaos.disk_kills import FAULTS
from tests.chaos.disk_nursery import Nursery
from tests.chaos.power_image import Image, why_not
from tests.chaos.report import alone

#: After so many cuts a directory is begun anew, so that what is compared stays small.
CUTS_A_DIRECTORY: Final = 12

Kind = Literal["journal", "history"]


def power_cuts(count: int, seed: int, *, kind: Kind = "journal", seconds: float = 1e9) -> dict[str, Any]:
    """Cut so often, or for so long. Raises ``RuntimeError`` where no power can be cut."""
    if reason := why_not():
        raise RuntimeError(reason)
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    report: Counter[str] = Counter({"cuts": 0, "acknowledged": 0, **dict.fromkeys(FAULTS, 0)})
    violations: list[str] = []
    void: list[str] = []
    deadline = time.monotonic() + seconds
    with Nursery() as nursery, Image() as image:
        while report["cuts"] < count and time.monotonic() < deadline:
            told = {"acked": 0, "trimmed": 0, "moved": 0}
            for _ in range(min(CUTS_A_DIRECTORY, count - report["cuts"])):
                bit = _cut(nursery, image, kind, chance, told, report)
                report["cuts"] += 1
                if not bit:
                    void.append(f"cut {report['cuts']} of seed {seed} took nothing away")
                found = nursery.judge(f"judge_{kind}", image.path / "data", **told)
                for name in (*FAULTS, "torn", "adopted"):
                    report[name] += found.get(name, 0)
                violations += [f"cut {report['cuts']} of seed {seed}: {text}" for text in found["violations"]]
                told["acked"] = max(told["acked"], found["last"])
            shutil.rmtree(image.path / "data")
    return {**report, "violations": violations, "void": void}


def _cut(
    nursery: Nursery, image: Image, kind: Kind, chance: random.Random, told: dict[str, int], report: Counter[str]
) -> bool:
    """Let a child write, cut the power under it, bring it back. Returns whether the cut took something away."""
    child = nursery.start(f"write_{kind}", image.path / "data", seed=chance.getrandbits(32))
    lines = nursery.wait_for("acked", chance.randint(1, 12))
    time.sleep(chance.random() * 0.004)
    canary = image.path / "canary"
    canary.write_bytes(b"not synced")
    lines += nursery.told()
    image.cut()
    time.sleep(chance.random() * 0.01)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    nursery.wait()
    before = told["acked"]
    for word, rest in lines:
        if word in {"acked", "moved"}:
            told[word] = int(rest)
    for word, rest in lines + nursery.told():
        if word == "trim":
            told["trimmed"] = max(told["trimmed"], int(rest))
        report["commits_broken_off"] += word == "failed"
    report["acknowledged"] += told["acked"] - before
    image.restore()
    bit = not canary.exists() or canary.read_bytes() != b"not synced"
    canary.unlink(missing_ok=True)
    return bit


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Cut under a journal for half of the time, under journal and history for the other."""
    report: Counter[str] = Counter()
    violations: list[str] = []
    void: list[str] = []
    kinds: tuple[Kind, Kind] = ("journal", "history")
    for kind in kinds:
        found = power_cuts(1_000_000, seed, kind=kind, seconds=seconds / 2)
        violations += found.pop("violations")
        void += found.pop("void")
        report.update({**found, f"{kind}_cuts": found["cuts"]})
    return {**report, "violations": violations, "void": void}


if __name__ == "__main__":
    raise SystemExit(alone(run, __doc__))
