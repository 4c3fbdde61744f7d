"""A real home at its limit: `python -m benchmarks.home_limit [--json FILE]` (four minutes on a quiet machine).

Starts a real Home Assistant twice, without and with its recorder, and changes states from inside it: in one tick, at
rising rates, and as fast as it goes. Two questions:

a) what arrives by which subscription, what it costs Home Assistant, and when it throws the subscriber out;
b) what our own source makes of being thrown out: every event that did not arrive must lie in a gap record that was
   closed again, and every entity must end with its last state; if not, the command ends with 1.

Home Assistant, the driver in it and the listeners share the machine's cores. All is bounded in number and time.
"""

# ruff: noqa: T201 - it prints its tables
from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.home_limit_home import DrivenHome, Fired, driven_home
from benchmarks.home_limit_listener import WAYS, Way, listening
from benchmarks.home_limit_source import ORDEALS, Ordeal, undergo

TICK_S = 0.01
RATES = (2_000, 10_000)
RATE_S = 1.0
FASTEST = 10_000
FASTEST_TICK = 50
BURSTS = (4_000, 5_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many events in each tick, and the time from one tick to the next; 0: none."""

    name: str
    ticks: list[int]
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way under one load. ``cpu_us``: of Home Assistant an event, firing included.

    Beside the recorder, which works on long after, it means nothing.
    """

    recorder: bool
    way: str
    load: str
    fired: int
    rate: float
    arrived: int
    thrown_out: int
    cpu_us: float
    bytes_each: float


def loads_of(way: Way | None) -> Iterator[Load]:
    """Give the loads for one way, or for a home that nobody listens to."""
    for rate in RATES:
        ticks = [round(rate * TICK_S)] * round(RATE_S / TICK_S)
        yield Load(name=f"{rate:,} a second", ticks=ticks, every_s=TICK_S)
    yield Load(name="as fast as it goes", ticks=[FASTEST_TICK] * (FASTEST // FASTEST_TICK), every_s=0.0)
    for burst in BURSTS if way else ():
        yield Load(name=f"{burst:,} in one tick", ticks=[burst], every_s=0.0)


async def run_load(way: Way | None, driven: DrivenHome, load: Load, *, recorder: bool) -> Row:
    """Put one load on one way, on a new connection."""

    async def fire() -> Fired:
        return await asyncio.to_thread(driven.fire, load.ticks, every_s=load.every_s)

    arrived = thrown_out = size_bytes = 0
    if way is None:
        before_s = driven.cpu_s()
        fired = await fire()
    else:
        async with listening(way, driven) as heard:
            before_s = driven.cpu_s()
            fired = await fire()
            await heard.settle(len(fired))
            arrived, size_bytes = heard.changes, heard.size_bytes
        thrown_out = len(heard.thrown_out)
    cpu_s = driven.cpu_s() - before_s
    return Row(
        recorder=recorder,
        way=way.name if way else "nobody",
        load=load.name,
        fired=len(fired),
        rate=round(len(fired) / fired.seconds),
        arrived=arrived,
        thrown_out=thrown_out,
        cpu_us=round(cpu_s / len(fired) * 1e6, 1),
        bytes_each=round(size_bytes / arrived, 1) if arrived else 0.0,
    )


async def measure(folder: Path, *, recorder: bool) -> tuple[list[Row], list[Ordeal], str]:
    """Start a home, put everything on it, stop it."""
    with driven_home(folder, recorder=recorder) as driven:
        release = driven.home.installation.release
        driven.fire([200] * 10, every_s=TICK_S)
        rows = [await run_load(way, driven, load, recorder=recorder) for way in (None, *WAYS) for load in loads_of(way)]
        return rows, [await undergo(name, driven, recorder=recorder) for name in ORDEALS], release


def show(rows: list[Row]) -> None:
    """Print what arrived."""
    print(
        f"{'recorder':9}{'subscription':34}{'load':20}"
        f"{'fired/s':>8}{'arrived':>9}{'thrown out':>11}{'CPU us':>8}{'bytes':>7}"
    )
    for row in rows:
        share = f"{row.arrived / row.fired:.0%}" if row.way != "nobody" else "-"
        print(
            f"{'on' if row.recorder else 'off':9}{row.way:34}{row.load:20}{row.rate:8,.0f}{share:>9}"
            f"{row.thrown_out or '-':>11}{row.cpu_us:6.0f}{row.bytes_each:7.0f}"
        )


def show_ordeals(found: list[Ordeal]) -> None:
    """Print what became of our source."""
    print(
        f"\n{'recorder':9}{'what our source meets':48}"
        f"{'fired':>7}{'live':>7}{'missed':>7}{'listed':>7}{'gaps':>6}{'outside':>8}  verdict"
    )
    for one in found:
        gaps = f"{one.gaps_opened}/{one.gaps_closed}"
        print(
            f"{'on' if one.recorder else 'off':9}{one.name:48}{one.fired:7,}{one.live:7,}{one.missed:7,}{one.listed:7,}"
            f"{gaps:>6}{one.outside:8,}  {'told' if one.held else 'SILENT LOSS'} {', '.join(sorted(set(one.reasons)))}"
        )


def main() -> int:
    """Measure, print, write; 1 when our source lost something without telling."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--recorder", choices=("on", "off", "both"), default="both")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that homes end and folders go
    rows: list[Row] = []
    found: list[Ordeal] = []
    release = ""
    with tempfile.TemporaryDirectory(prefix="home-limit-") as folder:
        for recorder in {"on": (True,), "off": (False,), "both": (False, True)}[asked.recorder]:
            more, told, release = asyncio.run(measure(Path(folder) / str(recorder), recorder=recorder))
            rows += more
            found += told
    print(f"Home Assistant {release}")
    show(rows)
    show_ordeals(found)
    if asked.json:
        content: dict[str, Any] = {
            "home_assistant": release,
            "loads": [asdict(row) for row in rows],
            "ordeals": [asdict(one) for one in found],
        }
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0 if all(one.held for one in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
