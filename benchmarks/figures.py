"""The figures: what is asked, and the commands that answer it. Each command stands on its own and has ``--help``.

Steps of a figure are measured in turn, run after run, so that what a machine does in between falls on all of them.
`make bench` asks in short: one run, less time, fewer steps; `make bench-full` measures all, five runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.machine import CACHE

RUNS: Final = 5
EFFORT: Final = ("processor time of the product", "acknowledged, on disk and queryable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One column of a figure's table: a module and its arguments; the house adds ``--json FILE``.

    ``before``: a path that it needs, and the command that makes it where it is not there.
    """

    name: str
    command: tuple[str, ...]
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A question and its steps. ``inner``: its command takes its own medians, so one run is enough.

    ``lines``: those that are shown, by their names; all when empty. ``short`` is empty where `make bench` has no time.
    """

    name: str
    question: str
    full: tuple[Step, ...]
    short: tuple[Step, ...] = ()
    lines: tuple[str, ...] = ()
    runs: int = RUNS
    inner: bool = False


def _both_ways(phase: str, seconds: float) -> tuple[Step, ...]:
    return tuple(
        Step(name=name, command=("benchmarks.whole", phase, "--way", way, "--seconds", f"{seconds:g}"))
        for name, way in (("WebSocket", "websocket"), ("HTTP", "http"))
    )


def _effort(option: str, values: tuple[int, ...], unit: str, seconds: float) -> tuple[Step, ...]:
    command = ("benchmarks.whole", "maximum", "--way", "http", "--seconds", f"{seconds:g}", option)
    return tuple(Step(name=f"{value:,} {unit}", command=(*command, str(value))) for value in values)


def _built(rows: int) -> tuple[str, tuple[str, ...]]:
    path = str(CACHE / f"history-{rows}")
    return path, (path, "benchmarks.history", "--events", str(rows), "--build", "--keep", path)


def _over(rows: int, name: str, command: tuple[str, ...]) -> Step:
    path, before = _built(rows)
    return Step(name=name, command=(*command, "--history", path), before=before)


_MILLION: Final = 1_000_000
_AT_FULL_SPEED: Final = ("benchmarks.whole", "maximum", "--way", "http", "--seconds", "10")

FIGURES: Final = (
    Figure(
        name="load",
        question="What does the load itself cost, and what can this machine take at all?",
        full=(Step(name="load", command=("benchmarks.load", "--cost", "--seconds", "5")),),
        short=(Step(name="load", command=("benchmarks.load", "--cost", "--seconds", "2")),),
    ),
    Figure(
        name="core",
        question="What does an event cost in doors 2 to 6, in one process?",
        full=(Step(name="core", command=("benchmarks.core",)),),
        short=(Step(name="core", command=("benchmarks.core",)),),
        inner=True,
        runs=1,
    ),
    Figure(
        name="maximum",
        question="How much does the whole product take?",
        full=_both_ways("maximum", 60),
        short=_both_ways("maximum", 12),
    ),
    Figure(
        name="steady",
        question="How long does an event take at 10,000 a second?",
        full=_both_ways("steady", 40),
        short=_both_ways("steady", 12),
    ),
    Figure(
        name="memory",
        question="What do ten minutes of 10,000 a second do to memory?",
        full=(Step(name="WebSocket", command=("benchmarks.whole", "steady", "--seconds", "600")),),
        runs=1,
    ),
    Figure(
        name="answers",
        question="How long do answers take over 10 million events, while 10,000 a second come in?",
        full=(_over(10 * _MILLION, "10 million events", ("benchmarks.whole", "answers")),),
        short=(_over(_MILLION, "1 million events", ("benchmarks.whole", "answers")),),
    ),
    Figure(
        name="shards",
        question="What does an event cost with more shards?",
        full=_effort("--shards", (1, 2, 4, 8), "shards", 10),
        short=_effort("--shards", (1, 4), "shards", 8),
        lines=EFFORT,
    ),
    Figure(
        name="entities",
        question="What does an event cost with more entities?",
        full=_effort("--entities", (1_000, 10_000, 100_000), "entities", 10),
        lines=EFFORT,
    ),
    Figure(
        name="stored",
        question="What does an event cost when much is stored already?",
        full=tuple(_over(n * _MILLION, f"{n} million stored", _AT_FULL_SPEED) for n in (1, 10, 50)),
        lines=EFFORT,
    ),
    Figure(
        name="peers",
        question="What do others do with the same events?",
        full=(Step(name="peers", command=("benchmarks.peers",)),),
        inner=True,
        runs=1,
    ),
    Figure(
        name="home",
        question="How much can one real Home Assistant deliver?",
        full=(Step(name="home", command=("benchmarks.home_limit",)),),
        inner=True,
        runs=1,
    ),
)


def named(names: list[str]) -> list[Figure]:
    """Give the figures of these names, in the order of the house; all when none is named."""
    known = [figure.name for figure in FIGURES]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"there is no figure {', '.join(unknown)}; there are {', '.join(known)}")
    return [figure for figure in FIGURES if not names or figure.name in names]
