"""Bridges that post NDJSON: one keep-alive connection each, one body in flight on each, each with its own entities.

A body that is refused for now (503) is sent again, byte for byte, after the time the answer asks for.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from benchmarks.load.blocks import Block, Pool, Wrapping
from benchmarks.load.home import Home
from benchmarks.load.pace import PROBED, Order, Sent, Stop

PATH: Final = "/api/v1/events?home=home"
_ANSWER_WITHIN_S: Final = 120.0
_HEADERS: Final = {"Content-Type": "application/x-ndjson"}


class Posting:
    """One home's bridges, their pools kept from one stretch to the next."""

    def __init__(self, home: Home, *, events: int, seed: int) -> None:
        self._home, self._events, self._seed = home, events, seed
        self._pools: dict[tuple[int, int], list[Pool]] = {}

    def pools(self, order: Order) -> list[Pool]:
        """Give a pool for each connection of an order; the first has the probe."""
        key = (order.block, order.connections)
        if key not in self._pools:
            self._pools[key] = [
                Pool(
                    self._home,
                    lot,
                    block=order.block,
                    events=self._events // order.connections,
                    wrapping=Wrapping(),
                    probed=0 if number else PROBED["http"],
                    seed=self._seed + number,
                )
                for number, lot in enumerate(self._home.lots(order.connections))
            ]
        return self._pools[key]

    def fire(self, pools: list[Pool], order: Order, stop: Stop) -> list[Sent]:
        """Send until told to stop, and wait for the last answers."""
        began_s = time.monotonic()
        with ThreadPoolExecutor(len(pools)) as threads:
            bridges = [_Bridge(pool, order, number, began_s, stop) for number, pool in enumerate(pools)]
            return list(threads.map(_Bridge.run, bridges))


class _Bridge:
    def __init__(self, pool: Pool, order: Order, number: int, began_s: float, stop: Stop) -> None:
        self._pool, self._order, self._number, self._stop = pool, order, number, stop
        self._sent = Sent(began_s=began_s)
        self._connection = http.client.HTTPConnection("127.0.0.1", order.port, timeout=_ANSWER_WITHIN_S)

    def run(self) -> Sent:
        try:
            while not self._stop and not self._sent.faults:
                asked_us = time.time_ns() // 1000
                self._post(self._body(), asked_us)
        finally:
            self._connection.close()
        return self._sent

    def _body(self) -> list[Block]:
        """Gather blocks of this moment, when it is this bridge's turn."""
        order, sent = self._order, self._sent
        if order.rate is None:
            most = min(self._pool.blocks, max(1, order.body // self._pool.block))
            return [self._pool.next(time.time_ns() // 1000) for _ in range(most)]
        turn = self._number + order.connections * len(sent.answers_ms)
        early_s = sent.began_s + turn * self._pool.block / order.rate - time.monotonic()
        sent.late_s = max(sent.late_s, -early_s)
        self._stop.wait(early_s)
        return [self._pool.next(time.time_ns() // 1000)]

    def _post(self, body: list[Block], asked_us: int) -> None:
        count, size = sum(one.count for one in body), sum(len(one.text) for one in body)
        headers = {**_HEADERS, "Content-Length": str(size)}
        asked_s = time.monotonic()
        while True:
            try:
                self._connection.request("POST", PATH, [bytes(one.text) for one in body], headers)
                answer = self._connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._sent.faults.append(f"{threading.current_thread().name}: {error!r}")
                return
            if answer.status != http.client.SERVICE_UNAVAILABLE:
                break
            self._sent.refused += 1
            time.sleep(float(answer.headers.get("Retry-After", "0.1")))
        if answer.status != http.client.OK or json.loads(text)["accepted"] != count:
            self._sent.faults.append(f"{answer.status} for {count} events: {text[:200]!r}")
            return
        self._sent.answers_ms.append(round((time.monotonic() - asked_s) * 1000, 2))
        self._sent.note(count, size, asked_us, self._pool.last_us)
