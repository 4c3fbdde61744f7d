"""What a part of the attack did and found, in one table; any violation, and any fault that did not bite, fails the run.

A part's ``run(seconds, seed)`` returns a dict. Names in ``DEEDS`` count what was done, names in ``FAULTS`` what must
stay zero; ``violations`` and ``void`` are lists of sentences: what was broken, and which fault never took effect. A
missing name is zero or empty; any other name is shown as it is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

#: ``kills`` are of processes of the whole product, ``writer_kills`` of a process that only writes a journal or table.
DEEDS: Final = ("acknowledged", "kills", "writer_kills", "cuts", "flips", "disk_faults", "checks")
#: ``silent`` counts wrong data that was handed out without an error.
FAULTS: Final = ("missing", "duplicated", "corrupted", "spurious", "out_of_order", "silent")
_LISTS: Final = ("violations", "void")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """One part: how long it took, and what its ``run`` returned, or how it failed."""

    name: str
    seed: int
    seconds: float
    found: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""

    @property
    def sound(self) -> bool:
        """Whether it ran, its faults bit, and nothing was broken."""
        return not self.complaints

    @property
    def complaints(self) -> list[str]:
        """Say, one sentence each, why it failed."""
        found = self.found
        said = [self.failure] if self.failure else []
        said += [f"{found[name]:,} {name.replace('_', ' ')}" for name in FAULTS if found.get(name)]
        said += [
            f"{text} ({count} times)" if count > 1 else text
            for text, count in Counter(map(str, found.get("violations", ()))).items()
        ]
        said += [f"void: {text}" for text in found.get("void", ())]
        if not self.failure and not any(found.get(name) for name in DEEDS):
            said.append("void: it did nothing that is counted")
        return said


def total(reports: list[PartReport], name: str) -> int:
    """Add up one count over all parts."""
    return sum(int(each.found.get(name, 0)) for each in reports)


def show(reports: list[PartReport], console: Console) -> None:
    """Print one line for each part, the sums, and every complaint."""
    shown = [name for name in (*DEEDS, *FAULTS) if total(reports, name) or name in {"acknowledged", *FAULTS}]
    table = Table(title=f"Chaos at {revision()}")
    for title in ("part", "seed", "seconds", *(name.replace("_", " ") for name in shown), "sound"):
        table.add_column(title, justify="left" if title == "part" else "right")
    for each in reports:
        counts = [f"{int(each.found.get(name, 0)):,}" for name in shown]
        verdict = "yes" if each.sound else "NO"
        table.add_row(each.name, str(each.seed), f"{each.seconds:.0f}", *counts, verdict)
    table.add_section()
    sums = [f"{total(reports, name):,}" for name in shown]
    table.add_row("all", "", f"{sum(each.seconds for each in reports):.0f}", *sums, "")
    console.print(table)
    for each in reports:
        extra = {
            name: value for name, value in each.found.items() if name not in (*DEEDS, *FAULTS, *_LISTS, "timeline")
        }
        if extra:
            console.print(f"{each.name}: {extra}", highlight=False, markup=False)
        for complaint in each.complaints:
            console.print(f"{each.name}: {complaint}", style="bold red", highlight=False, markup=False)


def revision() -> str:
    """Name the commit that is attacked."""
    root = Path(__file__).parents[2]
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "an unknown revision"


def repeated(attack: Callable[[int, float], dict[str, Any]], seconds: float, seed: int) -> dict[str, Any]:
    """Attack with one seed after another for about so long; ``attack`` is told its seed and the seconds left."""
    total: Counter[str] = Counter()
    violations: list[str] = []
    void: list[str] = []
    deadline = time.monotonic() + seconds
    while (left_s := deadline - time.monotonic()) > 0:
        found = attack(seed, left_s)
        violations += found.pop("violations")
        void += found.pop("void")
        total.update(found)
        seed += 1
    return {**total, "violations": violations, "void": void}


def alone(run: Callable[[float, int], dict[str, Any]], about: str | None) -> int:
    """Be the command of one part: attack, print what was found. Returns 1 when anything was wrong or void."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = run(options.seconds, options.seed)
    print(json.dumps(found, indent=1))  # noqa: T201 - a command's answer
    return 1 if found["violations"] or found["void"] or any(found.get(name) for name in FAULTS) else 0
