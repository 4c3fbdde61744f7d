"""What is done to a running product: as much as it takes, or a fixed rate; each with its account."""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from benchmarks.load.pace import Order
from benchmarks.whole.account import account, arrive, ask
from benchmarks.whole.harness import Rig
from benchmarks.whole.probes import Seen, beside, listen, percentiles, poll
from benchmarks.whole.watch import Watch, memory_mb
from ingestor.history import Archive

SAMPLE_EVERY_S: Final = 1.0
WARM_S: Final = 3.0
_AFTER_S: Final = 1.0


def warm(rig: Rig, order: Order) -> None:
    """Bring a little before the clock starts, so that pools are made and caches hold what they hold in use."""
    before = rig.product.status()
    arrive(rig, before, rig.load.begin(replace(order, seconds=WARM_S))())


def maximum(rig: Rig, order: Order) -> dict[str, Any]:
    """Bring as much as is taken, all the time, and find how much that was: acknowledged, on disk and queryable.

    ``events_per_s`` is all that was sent over the time until an answer of the API had the last of it: nothing is
    faster than that for long. ``us_per_event`` is the processor time of all the product's processes in that span.
    """
    before, memory = rig.product.status(), memory_mb(rig)
    watch, began_s = Watch(rig), time.monotonic()
    samples: list[tuple[float, int]] = []

    def sample(stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_EVERY_S):
            with suppress(OSError, AssertionError, KeyError):
                samples.append((time.monotonic() - began_s, rig.product.status()["counts"]["stored"]))

    with beside(sample):
        sent = rig.load.begin(order)()
    arrived = arrive(rig, before, sent)
    took_s = time.monotonic() - began_s
    used = watch.used()
    steps = [(more - less) / (later - sooner) for (sooner, less), (later, more) in pairwise(samples) if later > sooner]
    return {
        "events_per_s": round(sent["sent"] / took_s),
        "arrived": arrived,
        "second_by_second": {
            "p10": round(_quantile(steps, 0.1)),
            "p50": round(_quantile(steps, 0.5)),
            "p90": round(_quantile(steps, 0.9)),
        },
        "us_per_event": round(used["product_cpu_s"] / max(1, sent["sent"]) * 1e6, 2),
        "load_us_per_event": round(sent["cpu_s"] / max(1, sent["sent"]) * 1e6, 2),
        "megabytes_per_s": round(sent["bytes"] / sent["seconds"] / 1e6, 1),
        "answers_ms": percentiles(sent.pop("answers_ms")),
        "journaled_ms": journaled(rig, sent),
        "memory_mb": {"before": memory, "after": memory_mb(rig)},
        "sent": sent,
        "used": used,
        "account": account(rig, before, sent),
    }


def steady(rig: Rig, order: Order) -> dict[str, Any]:
    """Bring a fixed rate, and find how long an event takes to the journal, to a question's answer, to a live stream.

    An event arrives the moment it was written for sending: waiting in sockets counts.
    """
    before, memory = rig.product.status(), memory_mb(rig)
    polled, streamed = Seen(), Seen()
    with beside(poll(rig, polled), listen(rig, streamed)):
        time.sleep(_AFTER_S)
        watch = Watch(rig)
        sent = rig.load.begin(order)()
        used = watch.used()
        time.sleep(_AFTER_S)
    after = memory_mb(rig)
    return {
        "events_per_s": round(sent["sent"] / sent["seconds"]),
        "arrived": arrive(rig, before, sent),
        "journaled_ms": journaled(rig, sent),
        "query_ms": percentiles(polled.latencies_ms),
        "stream_ms": percentiles(streamed.latencies_ms),
        "answers_ms": percentiles(sent.pop("answers_ms")),
        "questions": polled.requests,
        "faults": [*polled.faults[:5], *streamed.faults[:5]],
        "us_per_event": round(used["product_cpu_s"] / max(1, sent["sent"]) * 1e6, 2),
        "memory_mb": {"before": memory, "after": after},
        "sent": sent,
        "used": used,
        "account": account(rig, before, sent),
    }


def journaled(rig: Rig, sent: dict[str, Any]) -> dict[str, Any]:
    """Find how long after its writing each of these events was on disk, all of them."""
    age = "(epoch_us(journaled_at) - epoch_us(time_fired)) / 1000"
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    parts = [f'round(quantile_cont({age}, {share}), 1) AS "{name}"' for name, share in shares.items()]
    what = f"{', '.join(parts)}, round(max({age}), 1) AS most, count(*) AS count"
    return ask(Archive(rig.product.data_dir), what, sent)


def _quantile(values: list[float], share: float) -> float:
    if len(values) < 2:  # noqa: PLR2004 - quantiles need two
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
