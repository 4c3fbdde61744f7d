"""The history under attack for as long as one likes: files damaged, bits turned, writers killed at every system call.

    python -m tests.chaos.history --seconds 60 --seed 7

In turns, one file of a home is damaged and the home judged; bits are turned and looked for; a writer is killed as it
enters a call. What was shown wrong while nobody said so is ``silent``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.chaos.history_damage import DAMAGES, attack, files_of, flip, flips, relied_on
from tests.chaos.history_kills import DEEDS, Victims, prepare
from tests.chaos.history_world import build
from tests.chaos.report import PartReport, show
from tests.chaos.tools import TEST, install

FLIPS_A_TURN: Final = 30
_HOMES: Final[dict[str, dict[str, Any]]] = {
    "whole": {},
    "trimmed": {"trimmed": True},
    "unmarked": {"unmarked": 3, "trimmed": True},
}


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Attack for about so long. Returns counts and lists under the names that ``report`` knows."""
    install(TEST)
    chance = random.Random(seed)  # noqa: S311 - an attack that can be repeated
    found: Counter[str] = Counter()
    violations: list[str] = []
    void: list[str] = []
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="history-chaos-") as folder:
        base = Path(folder)
        for name, shape in _HOMES.items():
            build(base / name, **shape)
        with Victims(prepare(base / "victim"), base / "killed") as victims:
            steps = [(deed, step) for deed in DEEDS for step in victims.steps(deed)]
            chance.shuffle(steps)
            turn = 0
            while turn == 0 or time.monotonic() < until:
                _damage(base, chance, found, violations)
                _flip(base, chance, found, violations)
                deed, step = steps[turn % len(steps)]
                wrong = victims.kill(deed, step)
                (void if wrong.startswith("void") else violations).extend([wrong] if wrong else [])
                found["writer_kills"] += not wrong.startswith("void")
                turn += 1
    return {**found, "steps": len(steps), "violations": violations, "void": void}


def _damage(base: Path, chance: random.Random, found: Counter[str], violations: list[str]) -> None:
    """Damage any file of any home in any way."""
    home = base / chance.choice(list(_HOMES))
    path, kind = chance.choice(files_of(home)), chance.choice(list(DAMAGES))
    size = (home / path).stat().st_size
    if size == 0 or (kind == "line" and path.suffix != ".json"):
        kind = "gone"
    damage = DAMAGES[kind]
    if kind == "flip":
        bit = chance.randrange(size * 8)
        damage = lambda file: flip(file, bit)  # noqa: E731 - the bit was drawn
    judgement = attack(home, base / "damaged", path, damage)
    found["disk_faults"] += 1
    found["checks"] += 2
    found["noticed"] += judgement.bit
    found["repaired_or_harmless"] += not judgement.bit
    if judgement.silent:
        told = f"{judgement.reader}; {judgement.writer}"
        found["silent"] += 1
        found["missing"] += "missing" in told
        found["duplicated"] += "twice" in told
        violations.append(f"{home.name}/{path} {kind}: {told}")


def _flip(base: Path, chance: random.Random, found: Counter[str], violations: list[str]) -> None:
    assert relied_on(base / "trimmed")
    for path, seen in flips(base / "trimmed", base / "flipped", chance, FLIPS_A_TURN):
        found["flips"] += 1
        if not seen:
            found["silent"] += 1
            violations.append(f"a turned bit of {path} was not found")


def main(arguments: list[str]) -> int:
    """Attack, print what was done and found, and return 1 when anything was wrong or void."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.history", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    found = run(options.seconds, options.seed)
    report = PartReport(name="history", seed=options.seed, seconds=time.monotonic() - began, found=found)
    show([report], Console(width=140))
    return 0 if report.sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
