"""Fake Home Assistants that fire blocks of events as coalesced frames, to whoever subscribed to all of them.

Handshake, commands and subscriptions are those of the fake of the tests. Frames go past its queue: a slow reader holds
the sender back through TCP, and is not thrown out.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.load.blocks import Pool, coalesced
from benchmarks.load.home import Home
from benchmarks.load.pace import PROBED, Order, Sent, Stop
from tests.support.fake_home import FakeHome, recorded_answers


def fake_of(home: Home) -> FakeHome:
    """Give the fake of a home: recorded answers, but its own registries and states."""
    answers = {**recorded_answers("2025.4.4"), **home.registries(), "get_states": lambda _: home.states()}
    return FakeHome(answers=answers)


class Firing:
    """One of so many homes that share a rate. Keeps a pool for each size of block from one stretch to the next."""

    def __init__(self, home: Home, fake: FakeHome, *, homes: int, events: int, seed: int) -> None:
        self._home, self._fake, self._homes = home, fake, homes
        self._events, self._seed = events // homes, seed
        self._pools: dict[tuple[int, int], Pool] = {}

    def pool(self, order: Order) -> Pool:
        """Give the pool for an order."""
        subscription = next(number for number, kind in self._fake.clients[-1].subscriptions.items() if kind is None)
        block = max(1, order.block // self._homes) if order.rate else order.block
        if (block, subscription) not in self._pools:
            self._pools[block, subscription] = Pool(
                self._home,
                self._home.lots(1)[0],
                block=block,
                events=self._events,
                wrapping=coalesced(subscription),
                probed=PROBED["websocket"],
                seed=self._seed,
            )
        return self._pools[block, subscription]

    async def fire(self, pool: Pool, order: Order, stop: Stop) -> Sent:
        """Send until told to stop. ``late_s`` is by how much the worst block missed its time."""
        sent = Sent(began_s=time.monotonic())
        while not stop:
            if order.rate is not None:
                early_s = sent.began_s + sent.sent * self._homes / order.rate - time.monotonic()
                sent.late_s = max(sent.late_s, -early_s)
                await asyncio.sleep(max(0.0, early_s))
            now_us = time.time_ns() // 1000
            block = pool.next(now_us)
            await self._fake.send_frames([bytes(block.text)])
            sent.note(block.count, len(block.text), now_us, pool.last_us)
            if order.rate is None:
                await asyncio.sleep(0)
        return sent
