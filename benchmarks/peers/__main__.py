"""Peers on the same frames: `python -m benchmarks.peers [--json FILE] [--events N] [--runs N]` (a run: two minutes).

Every peer reads the same file of recorded-shape frames, one after the other, several times; medians count.

- ours: the core in one process: pipeline, journal with ``fdatasync``, history table; all columns;
- Bytewax and Pathway: the job a user would write on them (``job.py``, ``memory.py``: Pydantic, time zone, area and its
  environment, causes, ids, Parquet), with and without their own persistence, each in an environment of its own;
- the recorder of a real Home Assistant, on the first part of the file.

Ratios by processor time count, for the machine may be shared. Where a target is missed the table says so; the command
ends with 1 only when the rows of a peer are not those that the file has.
"""

# ruff: noqa: T201 - it prints its table
from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import recorder
from benchmarks.peers.environments import ROOT, NotInstalled, python_of
from benchmarks.peers.frames import Input, make
from benchmarks.peers.meter import Report
from tests.support.home_assistant import CannotInstall

TIMES_THE_RECORDER = 20.0
TIMES_THE_ENGINES = 3.0
BYTES_EACH = 65.0
PEER_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer: its name in the table, what it keeps safe on its way, and how it is run."""

    name: str
    safety: str
    run: Callable[[Path, Input], Report]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Medians over the runs of one peer."""

    name: str
    safety: str
    events_a_second: float
    events_a_core_second: float
    cpu_us: float
    bytes_each: float
    rows: int
    expected_rows: int | None


def module(name: str, python: Path, *arguments: str) -> Callable[[Path, Input], Report]:
    """Run a module of this package by an interpreter, in a process of its own."""

    def run(folder: Path, given: Input) -> Report:
        command = [str(python), "-m", f"benchmarks.peers.{name}", str(given.frames_path), str(given.places_path)]
        done = subprocess.run(  # noqa: S603 - our own module
            [*command, str(folder), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PEER_WITHIN_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{name} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
        return Report(**json.loads(done.stdout.strip().splitlines()[-1]))

    return run


def engines() -> tuple[list[Peer], dict[str, str]]:
    """Give the engines that install here, and why the others do not."""
    ways = {
        "bytewax": [("each", "one step an event", "recovery on"), ("batches", "one function a batch", "none")],
        "pathway": [("each", "one call an event", "persistence on"), ("batches", "calls of 1,000", "none")],
    }
    peers, missing = [], {}
    for engine, several in ways.items():
        try:
            python = python_of(engine)
        except NotInstalled as why:
            missing[engine] = str(why)
            continue
        for way, words, safety in several:
            run = module(f"on_{engine}", python, way)
            peers.append(Peer(name=f"{engine.title()}, {words}", safety=safety, run=run))
    return peers, missing


def recorders(most: int, missing: dict[str, str]) -> list[Peer]:
    """Give the recorder, where Home Assistant installs; else note why not."""
    from tests.support.home_assistant import install

    try:
        release = install().release
    except CannotInstall as why:
        missing["home assistant"] = str(why)
        return []

    def run(folder: Path, given: Input) -> Report:
        return recorder.run(folder / "home", given.frames_path, frames=min(most, given.frames))[0]

    return [Peer(name=f"recorder of Home Assistant {release}", safety="a commit each 5 s", run=run)]


def measure(peers: list[Peer], given: Input, *, runs: int) -> list[Result]:
    """Run all peers in turn, several times over, and give the medians."""
    reports: dict[str, list[Report]] = {peer.name: [] for peer in peers}
    for number in range(runs):
        for peer in peers:
            with tempfile.TemporaryDirectory(prefix="peer-") as folder:
                report = peer.run(Path(folder), given)
            reports[peer.name].append(report)
            each_us = report.cpu_s / report.read * 1e6
            print(f"run {number + 1}: {peer.name}: {each_us:.1f} us of processor an event", file=sys.stderr)
    return [_result(peer, reports[peer.name], given) for peer in peers]


def _result(peer: Peer, reports: list[Report], given: Input) -> Result:
    middle = statistics.median
    return Result(
        name=peer.name,
        safety=peer.safety,
        events_a_second=round(middle(one.read / one.wall_s for one in reports)),
        events_a_core_second=round(middle(one.read / one.cpu_s for one in reports)),
        cpu_us=round(middle(one.cpu_s / one.read * 1e6 for one in reports), 2),
        bytes_each=round(middle(one.kept_bytes / one.rows for one in reports), 1),
        rows=reports[-1].rows,
        expected_rows=given.distinct if "recorder" not in peer.name else None,
    )


def judge(results: list[Result]) -> dict[str, Any]:
    """Give the ratios, and whether each target is reached; null where a peer is not here."""
    ours, *others = results
    by_recorder = [one for one in others if "recorder" in one.name]
    by_engine = [one for one in others if "recorder" not in one.name]
    ratios = {
        "times the recorder": (_ratio(ours, by_recorder), TIMES_THE_RECORDER),
        "times the fastest engine": (_ratio(ours, by_engine), TIMES_THE_ENGINES),
    }
    found: dict[str, Any] = {
        name: {"is": ratio, "target": target, "reached": None if ratio is None else ratio >= target}
        for name, (ratio, target) in ratios.items()
    }
    found["bytes an event"] = {"is": ours.bytes_each, "target": BYTES_EACH, "reached": ours.bytes_each < BYTES_EACH}
    found["rows agree"] = {"reached": all(one.expected_rows in {None, one.rows} for one in results)}
    return found


def _ratio(ours: Result, others: list[Result]) -> float | None:
    if not others:
        return None
    return round(ours.events_a_core_second / max(one.events_a_core_second for one in others), 2)


def main() -> int:
    """Measure, print, write; 1 when a peer's rows are wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--events", type=int, default=200_000, help="frames in the file")
    parser.add_argument("--recorder-events", type=int, default=15_000, help="of these, how many for the recorder")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that homes end and folders go
    peers, missing = engines()
    ours = Peer(name="ours", safety="fdatasync a batch", run=module("ours", Path(sys.executable)))
    peers = [ours, *peers, *recorders(asked.recorder_events, missing)]
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        given = make(Path(folder), frames=asked.events, now=datetime.now(UTC))
        results = measure(peers, given, runs=asked.runs)
    verdict = judge(results)
    show(results, missing, verdict, given, asked.runs)
    if asked.json:
        content = {
            "frames": given.frames,
            "distinct": given.distinct,
            "frame_bytes": round(given.frame_bytes, 1),
            "runs": asked.runs,
            "peers": [asdict(one) for one in results],
            "not_here": missing,
            "verdict": verdict,
        }
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0 if verdict["rows agree"]["reached"] else 1


def show(results: list[Result], missing: dict[str, str], verdict: dict[str, Any], given: Input, runs: int) -> None:
    """Print the table."""
    print(f"{given.frames:,} frames, {given.frame_bytes:.0f} bytes each, {given.distinct:,} distinct, median of {runs}")
    print(f"{'peer':42}{'events/s':>10}{'a core':>10}{'CPU us':>8}{'bytes':>7}  {'kept safe by':20}rows")
    for one in results:
        print(
            f"{one.name:42}{one.events_a_second:10,.0f}{one.events_a_core_second:10,.0f}{one.cpu_us:8.1f}"
            f"{one.bytes_each:7.1f}  {one.safety:20}{one.rows:,}"
        )
    for name, why in missing.items():
        print(f"{name}: not here: {why}")
    for name, found in verdict.items():
        said = f"{found['is']}, target {found['target']:g}" if "is" in found else ""
        words = {True: "reached", False: "MISSED", None: "not measured"}
        print(f"{name}: {said} {words[found['reached']]}")


if __name__ == "__main__":
    raise SystemExit(main())
