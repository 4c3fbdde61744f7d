"""The house of benchmarks: `python -m benchmarks` in short, `--full` for the published figures.

Each figure's steps run as commands of their own, in turn, run after run. What is done is in the state file at once:
killed in the middle, the same command goes on where it was. In full, a figure that is done is not measured again unless
``--again`` names it, or ``--anew`` asks for all.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks import machine, table
from benchmarks.borrowed import lines_of
from benchmarks.figures import FIGURES, Figure, Step, named
from benchmarks.headline import text
from benchmarks.state import State

_PR_SET_PDEATHSIG: Final = 1


class House:
    """Runs figures into a state."""

    def __init__(self, state: State, *, full: bool, until_s: float | None) -> None:
        self._state, self._full, self._until_s = state, full, until_s
        self._commit = machine.commit()
        self.left_out: list[str] = []
        self.wrong: list[str] = []

    def measure(self, figure: Figure) -> None:
        """Measure what a figure still lacks."""
        steps, runs = (figure.full, figure.runs) if self._full else (figure.short, 1)
        if not steps:
            self.left_out.append(f"{figure.name} (only in full)")
            return
        kept = self._state.begin(figure.name, commit=self._commit, runs=runs, steps=[step.name for step in steps])
        for number in range(runs):
            for step in steps:
                if number < len(kept) and step.name in kept[number]:
                    continue
                title = f"{figure.name}: {step.name}, run {number + 1} of {runs}"
                if self._until_s is not None and time.monotonic() >= self._until_s:
                    self.left_out.append(f"{title} (no time)")
                    continue
                _say(f"\n{title}")
                result = self._run(step)
                if result is None:
                    self.wrong.append(title)
                    continue
                if result.get("failed"):
                    self.wrong.append(title)
                self._state.keep(figure.name, number, step.name, result)

    def _run(self, step: Step) -> dict[str, Any] | None:
        """Run a step's command. ``None`` when it gave no result."""
        if step.before and not _there(Path(step.before[0]), step.before[1:]):
            return None
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "result.json"
            facts, began_s, everybody_s, ours_s = machine.facts(), time.monotonic(), machine.busy_s(), _children_s()
            code, said = _command((*step.command, "--json", str(path)))
            took_s = time.monotonic() - began_s
            if not path.exists():
                _say(f"{said}  no result: it ended with {code}")
                return None
            result: dict[str, Any] = json.loads(path.read_text())
        result = {"command": f"python -m {' '.join(step.command)}", "machine": facts, **result}
        result["headline"] = lines_of(result)
        if "used" not in result:
            others = (machine.busy_s() - everybody_s - (_children_s() - ours_s)) / took_s
            result |= {"others_cores": round(others, 3), "disturbed": others > machine.OTHERS_MAY_USE}
        if code:
            result["failed"] = code
            _say(said)
        for line in result["headline"]:
            _say(text(line))
        mark = ", disturbed" if table.disturbed(result) else ""
        _say(f"  {took_s:.0f} s{mark}{', FAILED' if code else ''}")
        return result


def _command(words: tuple[str, ...]) -> tuple[int, str]:
    """Run one of our modules to its end. Whatever ends this process ends it too, in good order."""
    process = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", *words],
        cwd=machine.ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has no other thread
    )
    try:
        said, _ = process.communicate()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process.returncode, said


def _there(path: Path, words: tuple[str, ...]) -> bool:
    """Make what a step needs, where it is not there. It gets its name when it is whole: this may be killed too."""
    if path.exists():
        return True
    new = path.with_name(f"{path.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    _say(f"  first: python -m {' '.join(words)}")
    code, said = _command(tuple(str(new) if word == str(path) else word for word in words))
    if code:
        _say(f"{said}  it was not made: the command ended with {code}")
        return False
    new.rename(path)
    return True


def _end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> int:
    """Read the arguments, measure, print the table, say what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the published figures, resumable")
    parser.add_argument("--only", nargs="+", default=[], metavar="FIGURE", help="only these")
    parser.add_argument(
        "--again",
        nargs="+",
        default=[],
        metavar="FIGURE",
        help="measure these anew; to go on, leave it out",
    )
    parser.add_argument("--anew", action="store_true", help="measure everything anew; to go on, leave it out")
    parser.add_argument("--minutes", type=float, help="begin no step after so many (short: 9)")
    parser.add_argument("--json", type=Path, help="state file and result (.cache/benchmarks/full.json or short.json)")
    parser.add_argument("--write", action="store_true", help="write the table into benchmarks/README.md")
    parser.add_argument("--list", action="store_true", help="list figures and commands, measure nothing")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if chosen.list:
        _list(full=chosen.full)
        return 0
    path = chosen.json or machine.CACHE / ("full.json" if chosen.full else "short.json")
    state = State(path)
    wanted = named([*chosen.only, *chosen.again])
    for figure in wanted:
        if chosen.anew or not chosen.full or figure.name in chosen.again:
            state.forget(figure.name)
    minutes = chosen.minutes or (None if chosen.full else 9.0)
    house = House(state, full=chosen.full, until_s=None if minutes is None else time.monotonic() + minutes * 60)
    for figure in wanted:
        house.measure(figure)
    state.save()
    drawn = table.markdown(state.figures, short=not chosen.full)
    _say(f"\n{drawn}\n\nwritten to {path}")
    if chosen.write:
        table.write(table.README, drawn)
    for words, which in (("left out", house.left_out), ("NO RESULT OR FAILED", house.wrong)):
        if which:
            _say(f"{words}: {', '.join(which)}")
    return 1 if house.wrong else 0


def _list(*, full: bool) -> None:
    for figure in FIGURES:
        _say(f"{figure.name}: {figure.question}")
        for step in figure.full if full else figure.short:
            _say(f"    {step.name}: python -m {' '.join(step.command)} --json FILE")


def _children_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - its way to talk


if __name__ == "__main__":
    sys.exit(main())
