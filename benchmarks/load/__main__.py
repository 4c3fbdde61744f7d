"""The process that brings events. One line of JSON in, one out.

    python -m benchmarks.load --entities 5000

It says where its fake homes are, ``{"homes": [{"name", "url", "token"}]}``, then obeys its standard input: an order
(``Order`` in `benchmarks.load.pace`, as an object) is carried out and answered with what was sent and what it cost
this process; ``{"stop": true}`` ends the order under way. Ends with its standard input. With ``--cost`` it measures
itself instead: what an event costs before anybody takes it, and against a reader that does nothing but read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.load.by_http import Posting
from benchmarks.load.by_websocket import Firing, fake_of
from benchmarks.load.home import Home
from benchmarks.load.pace import Order, Sent, Stop, together
from tests.support.fake_home import FakeHome

POOLED = 40_000


class Bringer:
    """The homes of this process. The first is also the one that is posted to."""

    def __init__(self, homes: list[Home], *, pooled: int = POOLED) -> None:
        self.fakes = [fake_of(home) for home in homes]
        self._firing = [
            Firing(home, fake, homes=len(homes), events=pooled, seed=number)
            for number, (home, fake) in enumerate(zip(homes, self.fakes, strict=True))
        ]
        self._posting = Posting(homes[0], events=pooled, seed=1000)

    async def carry_out(self, order: Order, stop_when: asyncio.Event) -> dict[str, Any]:
        """Bring what is ordered. Pools are made before the clock starts."""
        logins = sum(len(fake.logins) for fake in self.fakes)
        work: Any
        if order.way == "http":
            pools = await asyncio.to_thread(self._posting.pools, order)
            stop, cpu_s = Stop(order.seconds), time.process_time()
            work = asyncio.to_thread(self._posting.fire, pools, order, stop)
        else:
            made = [firing.pool(order) for firing in self._firing]
            stop, cpu_s = Stop(order.seconds), time.process_time()
            work = asyncio.gather(*(one.fire(pool, order, stop) for one, pool in zip(self._firing, made, strict=True)))
        watch = asyncio.create_task(_until(stop_when, stop))
        sent: list[Sent] = [*await work]
        watch.cancel()
        said = together(sent, cpu_s=time.process_time() - cpu_s)
        return said | {"logins": sum(len(fake.logins) for fake in self.fakes), "logins_before": logins}


async def _until(told: asyncio.Event, stop: Stop) -> None:
    await told.wait()
    stop.now()


async def serve(entities: int, homes: int) -> None:
    """Be those homes until standard input ends."""
    now_us = time.time_ns() // 1000
    built = [Home(entities // homes, now_us=now_us, seed=number + 1) for number in range(homes)]
    bringer = Bringer(built, pooled=max(POOLED, 2 * entities))
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    for fake in bringer.fakes:
        await fake.come_up()
    _say({"homes": [_where(number, fake) for number, fake in enumerate(bringer.fakes)]})
    under_way: asyncio.Task[None] | None = None
    stop = asyncio.Event()

    async def obey(order: Order) -> None:
        try:
            _say(await bringer.carry_out(order, stop))
        except Exception as error:  # noqa: BLE001 - whoever ordered must hear of every fault
            _say({"fault": repr(error)})

    try:
        while line := await reader.readline():
            said = json.loads(line)
            if said.get("stop"):
                stop.set()
                continue
            if under_way is not None:
                await under_way
            stop.clear()
            under_way = asyncio.create_task(obey(Order(**said)))
    finally:
        for fake in bringer.fakes:
            await fake.go_down()


def _where(number: int, fake: FakeHome) -> dict[str, Any]:
    return {"name": f"home{number + 1}" if number else "home", "url": fake.url, "token": fake.token}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 - its way to talk


def main() -> None:
    """Read the arguments, then serve or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=5_000)
    parser.add_argument("--homes", type=int, default=1, help="fake Home Assistants that share the entities")
    parser.add_argument("--cost", action="store_true", help="measure this load itself")
    parser.add_argument("--seconds", type=float, default=3, help="with --cost: of each measurement")
    parser.add_argument("--json", type=Path, help="with --cost: write the result there")
    chosen = parser.parse_args()
    if chosen.cost:
        from benchmarks.load.cost import report

        report(chosen.entities, chosen.seconds, chosen.json)
    else:
        uvloop.run(serve(chosen.entities, chosen.homes))


if __name__ == "__main__":
    main()
