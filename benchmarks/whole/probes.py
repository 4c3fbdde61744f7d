"""Readers beside the load: one asks for the probe's newest events again and again, one follows its live stream."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from benchmarks.load.home import PROBE
from benchmarks.whole.harness import Rig

POLL_PAUSE_S: Final = 0.01
POLLED: Final = 200
_STREAM_SILENT_S: Final = 30.0

Job = Callable[[threading.Event], None]


class Seen:
    """How long after it was fired each probe event was first seen, in milliseconds."""

    def __init__(self) -> None:
        self.latencies_ms: list[float] = []
        self.requests = 0
        self.faults: list[str] = []
        self._since_s = time.time()
        self._known: set[str] = set()

    def note(self, event: dict[str, Any], at_s: float) -> None:
        """Take an event that was seen at this moment, if it is new and was fired since this was made."""
        fired_s = datetime.fromisoformat(event["time_fired"]).timestamp()
        if fired_s >= self._since_s and event["event_id"] not in self._known:
            self._known.add(event["event_id"])
            self.latencies_ms.append((at_s - fired_s) * 1000)


@contextmanager
def beside(*jobs: Job) -> Iterator[None]:
    """Run jobs in threads until the block ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=job, args=(stop,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=15)


def poll(rig: Rig, seen: Seen) -> Job:
    """Ask for the newest probe events, again as soon as answered."""

    def job(stop: threading.Event) -> None:
        path = f"/api/v1/events?entity_id={PROBE}&limit={POLLED}"
        connection = http.client.HTTPConnection("127.0.0.1", rig.product.port, timeout=30)
        while not stop.wait(POLL_PAUSE_S):
            try:
                connection.request("GET", path)
                body = connection.getresponse().read()
                at_s = time.time()
                for event in json.loads(body)["items"]:
                    seen.note(event, at_s)
            except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
                seen.faults.append(repr(error))
                connection.close()
            seen.requests += 1
        connection.close()

    return job


def listen(rig: Rig, seen: Seen) -> Job:
    """Follow the probe's live stream."""

    def job(stop: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", rig.product.port, timeout=_STREAM_SILENT_S)
        try:
            connection.request("GET", f"/api/v1/events/stream?entity_id={PROBE}")
            answer = connection.getresponse()
            while not stop.is_set():
                line = answer.readline()
                if line.startswith(b"data: "):
                    seen.note(json.loads(line[6:]), time.time())
                elif not line:
                    seen.faults.append("the stream ended")
                    return
        except OSError as error:
            seen.faults.append(repr(error))
        finally:
            connection.close()

    return job


def percentiles(values: Sequence[float]) -> dict[str, Any]:
    """Give p50, p99 and p99.9, the most, and how many there were."""
    ordered = sorted(values)

    def at(share: float) -> float | None:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else None

    return {"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "most": at(1.0), "count": len(ordered)}
