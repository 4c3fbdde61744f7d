"""What the load itself costs: filled and thrown away, and against a taker that does nothing but keep it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks import machine
from benchmarks.headline import Line, line, text
from benchmarks.load.__main__ import Bringer
from benchmarks.load.blocks import Pool, Wrapping
from benchmarks.load.home import Home
from benchmarks.load.pace import Order, Way
from benchmarks.load.sample import sample

_ROUNDS: Final = 5
_FILLED: Final = 50_000


def report(entities: int, seconds: float, path: Path | None) -> None:
    """Measure, print and write."""
    base = machine.baseline(sample(2_000))
    home = Home(entities, now_us=time.time_ns() // 1000)
    lines: list[Line] = [
        line(
            f"filling {block} events at once",
            _filling(home, block),
            "µs/event",
            to=base["orjson_us"],
            of="orjson.loads",
        )
        for block in (100, 500)
    ]
    ways: tuple[Way, ...] = ("websocket", "http")
    for way in ways:
        sent = uvloop.run(_taken(home, way, seconds))
        lines += [
            line(f"taken by {way}, written and synced by a bare reader", sent["sent"] / sent["seconds"], "events/s"),
            line(
                f"load's processor by {way}",
                sent["cpu_s"] / sent["sent"] * 1e6,
                "µs/event",
                to=base["orjson_us"],
                of="orjson.loads",
            ),
        ]
    for one in lines:
        print(text(one))  # noqa: T201 - its job
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": machine.facts(), "baseline": base, "headline": lines}, indent=1))


def _filling(home: Home, block: int) -> float:
    pool = Pool(home, home.lots(1)[0], block=block, events=40_000, wrapping=Wrapping(), probed=2, seed=1)
    rounds = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_FILLED // block):
            pool.next(time.time_ns() // 1000)
        rounds.append((time.process_time() - began) / _FILLED * 1e6)
    return min(rounds)


async def _taken(home: Home, way: Way, seconds: float) -> dict[str, Any]:
    bringer = Bringer([home])
    fake = bringer.fakes[0]
    await fake.come_up()
    try:
        with _reader(way, fake.url, fake.token) as port:
            if way == "websocket":
                await fake.subscribed()
            return await bringer.carry_out(Order(way=way, seconds=seconds, port=port), asyncio.Event())
    finally:
        await fake.go_down()


@contextmanager
def _reader(way: Way, url: str, token: str) -> Iterator[int]:
    machine.CACHE.mkdir(parents=True, exist_ok=True)
    file = machine.CACHE / "reader.bytes"
    command = [sys.executable, "-m", "benchmarks.load.reader", way, "--url", url, "--token", token, "--file", str(file)]
    process = subprocess.Popen(command, cwd=machine.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
    try:
        yield int(process.stdout.readline()) if way == "http" and process.stdout else 0
    finally:
        process.kill()
        process.wait()
        file.unlink(missing_ok=True)
