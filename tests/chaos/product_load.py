"""Continuous load on a running product: each lane sends its batches one after the other until they are acknowledged.

What is not answered with 200 is sent again as it was, for as long as it takes: a refusal, a lost connection or a
product that is just being started again loses nothing and skips nothing. An answer of the product that refuses sound
events, or claims something else than what was sent, is a complaint.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Final

from ingestor.settings import Settings
from tests.chaos.oracle import LANES, Ledger, body_of
from tests.support.product import Product

PATH: Final = "/api/v1/events"
PROBLEM: Final = "application/problem+json"
RETRY_S: Final = 0.1
RETRY_AFTER_AT_MOST_S: Final = 1.0
TIMEOUT_S: Final = 20.0
REFUSALS: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE})


class Load:
    """``LANES`` threads of ``batch`` events a request, together ``rate`` events a second, or as fast as it goes if 0.

    The lanes use the ``ports`` in turn. ``answers`` counts status codes (0: no answer), ``latencies_s`` holds the times
    of the accepted requests. ``retry_after_at_most_s``: how long a lane heeds ``Retry-After``.
    """

    def __init__(self, ports: Sequence[int], ledger: Ledger, *, batch: int = 250, rate: float = 0.0) -> None:
        self._ports, self._ledger, self._batch = ports, ledger, batch
        self.rate, self.retry_after_at_most_s = rate, RETRY_AFTER_AT_MOST_S
        self.answers: Counter[int] = Counter()
        self.latencies_s: list[float] = []
        self.retry_after: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.duplicates = 0
        self._batches = [0] * LANES
        self._go = threading.Event()
        self._end = threading.Event()
        self._lanes = [threading.Thread(target=self._run, args=(lane,), daemon=True) for lane in range(LANES)]
        for thread in self._lanes:
            thread.start()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send as long as the block runs, and until all that was sent in it is acknowledged."""
        self.resume()
        try:
            yield
        finally:
            self._go.clear()
        self.settle()

    def resume(self) -> None:
        """Send."""
        self._go.set()

    def settle(self, *, within_s: float = 90.0) -> None:
        """Send nothing new, and return when all that was sent is acknowledged."""
        self._go.clear()
        give_up_at = time.monotonic() + within_s
        while not self._ledger.settled:
            assert time.monotonic() < give_up_at, f"events are not acknowledged any more: {dict(self.answers)}"
            time.sleep(0.01)

    def wait_for_progress(self, batches: int = 1, *, within_s: float = 60.0) -> float:
        """Return the seconds until every lane had so many further batches acknowledged."""
        began = time.monotonic()
        wanted = [count + batches for count in self._batches]
        while any(now < then for now, then in zip(self._batches, wanted, strict=True)):
            waited_s = time.monotonic() - began
            assert waited_s < within_s, f"for {waited_s:.0f} s nothing was acknowledged: {dict(self.answers)}"
            time.sleep(0.01)
        return time.monotonic() - began

    def close(self) -> None:
        """End the lanes. What is claimed and not acknowledged stays so."""
        self._end.set()
        self._go.set()
        for thread in self._lanes:
            thread.join(timeout=TIMEOUT_S + 5)

    def _run(self, lane: int) -> None:
        connection: http.client.HTTPConnection | None = None
        due = time.monotonic()
        while self._go.wait() and not self._end.is_set():
            numbers = self._ledger.claim(lane, self._batch)
            body = body_of(numbers)
            while not self._end.is_set():
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self._ports[lane % len(self._ports)], timeout=TIMEOUT_S
                )
                if self._send(connection, body):
                    self._ledger.acknowledge(lane)
                    self._batches[lane] += 1
                    break
                connection.close()
                connection = None
            if self.rate:
                due = max(due + self._batch * LANES / self.rate, time.monotonic() - 1.0)
                time.sleep(max(0.0, due - time.monotonic()))
        if connection is not None:
            connection.close()

    def _send(self, connection: http.client.HTTPConnection, body: bytes) -> bool:
        """Send once. Returns whether it was acknowledged; waits a little when it was not."""
        began = time.monotonic()
        try:
            connection.request("POST", PATH, body, {"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse()
            told = answer.read()
        except (OSError, http.client.HTTPException):
            self.answers[0] += 1
            time.sleep(RETRY_S)
            return False
        self.answers[answer.status] += 1
        if answer.status == HTTPStatus.OK:
            self.latencies_s.append(time.monotonic() - began)
            self._check(told)
            return True
        ours = answer.headers.get_content_type() == PROBLEM
        if ours and HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self.complaints.append(f"sound events were refused: {answer.status} {told[:200]!r}")
        wait_s = RETRY_S
        if answer.status in REFUSALS:
            said = answer.headers.get("Retry-After", "")
            self.retry_after[said] += 1
            with suppress(ValueError):
                wait_s = min(float(said), self.retry_after_at_most_s)
        time.sleep(wait_s)
        return False

    def _check(self, told: bytes) -> None:
        answer = json.loads(told)
        known = answer["accepted"] + answer["duplicate"]
        self.duplicates += answer["duplicate"]
        if answer["received"] != self._batch or known != self._batch or answer["quarantined"]:
            self.complaints.append(f"{self._batch} sound events were answered with {told[:300]!r}")


def ports_of(product: Product) -> list[int]:
    """Give the ports at which the product takes events in: the API's, and the one made for it where there is one."""
    return [product.port, product.ingest_port] if "ingest" in Settings.model_fields else [product.port]
