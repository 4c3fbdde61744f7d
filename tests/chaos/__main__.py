"""``python -m tests.chaos``: run the parts of the attack one after the other, and print what they did and found.

Exits 1 on any violation and for any part whose faults did not bite, 2 where a tool is missing. With a seed the same
schedule is run again; without one it is drawn and printed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.chaos import tools
from tests.chaos.report import PartReport, show, total

#: The shares of the time that parts get which need more or less than ``SHARE``.
SHARES: Final[Mapping[str, float]] = {"everything": 7.0, "hardships": 8.0, "kills": 28.0, "soak": 6.0}
SHARE: Final = 2.5
SECONDS: Final = 3_300.0
#: What a run of all parts for the default time has to reach.
TARGETS: Final = {"acknowledged": 1_000_000, "kills": 500, "cuts": 200}


def parts() -> dict[str, str]:
    """Find the parts, name -> module: every module here that has a ``run``."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {
        file.stem.removeprefix("product_"): f"tests.chaos.{file.stem}"
        for file in files
        if "\ndef run(" in file.read_text(encoding="utf-8")
    }


def main(arguments: list[str]) -> int:
    """Run. Returns the exit code."""
    known = parts()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--part", default="all", help=f"all, or some of: {', '.join(known)} (a comma list)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all chosen parts together")
    parser.add_argument("--seed", type=int, default=None, help="repeat a schedule")
    parser.add_argument("--log", type=Path, default=None, help="write seed, commit and timelines there, as JSON")
    given = parser.parse_args(arguments)
    chosen = list(known) if given.part == "all" else given.part.split(",")
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(known)}")
    console = Console(width=None if sys.stdout.isatty() else 180)
    try:
        tools.install(tools.CHAOS)
    except tools.CannotInstall as error:
        console.print(str(error), markup=False)
        return 2
    seed = secrets.randbelow(1 << 31) if given.seed is None else given.seed
    shares = {name: SHARES.get(name, SHARE) for name in chosen}
    reports = []
    for name in chosen:
        seconds = given.seconds * shares[name] / sum(shares.values())
        console.print(f"{name}: about {seconds:.0f} s, seed {seed}", markup=False)
        reports.append(_run(name, known[name], seconds, seed))
    show(reports, console)
    if given.log is not None:
        given.log.write_text(json.dumps([asdict(each) for each in reports], indent=1, default=_plain), encoding="utf-8")
    console.print(f"Again: python -m tests.chaos --part {given.part} --seconds {given.seconds:g} --seed {seed}")
    short = _short_of(reports) if given.part == "all" and given.seconds >= SECONDS else []
    for text in short:
        console.print(text, style="bold red")
    return int(bool(short) or not all(each.sound for each in reports))


def _run(name: str, module: str, seconds: float, seed: int) -> PartReport:
    began = time.monotonic()
    found: Mapping[str, Any] = {}
    failure = ""
    try:
        run: Callable[[float, int], Any] = importlib.import_module(module).run
        answer = run(seconds, seed)
        assert not inspect.isawaitable(answer), f"{module}.run is no plain function"
        found = answer
    except Exception:  # noqa: BLE001 - a part that fails is a finding, and the others still run
        failure = traceback.format_exc()
    return PartReport(name=name, seed=seed, seconds=time.monotonic() - began, found=found, failure=failure)


def _short_of(reports: list[PartReport]) -> list[str]:
    return [
        f"void: only {total(reports, name):,} {name}, at least {wanted:,} are wanted"
        for name, wanted in TARGETS.items()
        if total(reports, name) < wanted
    ]


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
