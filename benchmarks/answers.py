"""How long answers take: `python -m benchmarks.answers --url http://127.0.0.1:8080 --json FILE`.

Questions of every sort are put to a running product by 1, 4 and 16 clients, each of which asks again when it was
answered (a closed loop), a fixed number of times. `--data-dir` starts a product of its own over that data first. Times
are as a client sees them, connection kept open; of an export also the time to its first byte.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from benchmarks.headline import line, text
from benchmarks.machine import facts

CLIENTS: Final = (1, 4, 16)
ASKED: Final = 120
ASKED_LONG: Final = 16
TIMEOUT_S: Final = 120.0
DAY_S: Final = 86_400
MONTH_S: Final = 30 * DAY_S
EXPORT_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, and how often it is asked by each number of clients. ``long``: its first byte counts too."""

    name: str
    path: str
    times: int = ASKED
    long: bool = False


class Product:
    """A running product, as far as questions need it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80

    def connect(self) -> http.client.HTTPConnection:
        """Give a connection of its own."""
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)

    def get(self, path: str, **parameters: Any) -> Any:
        """Answer of a question that succeeds, decoded."""
        connection = self.connect()
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != http.client.OK:
                raise SystemExit(f"{path} was answered {answer.status}: {content[:300].decode(errors='replace')}")
            return json.loads(content)
        finally:
            connection.close()


def questions(product: Product) -> list[Asked]:
    """Word the questions about the 30 days that hold the most events, and about an area and an entity of their end."""
    end_s = _end_of_busiest_month(product)
    day = {"start_time": _text(end_s - DAY_S), "end_time": _text(end_s)}
    month = {"start_time": _text(end_s - MONTH_S), "end_time": _text(end_s)}
    items = product.get("events", kind="state", limit=1000, **day)["items"]
    event = next((item for item in items if item["area_id"]), items[0])
    area = {"area_id": event["area_id"]} if event["area_id"] else {"domain": event["domain"]}
    hourly = {"interval": "1h", "aggregate": "count,min,max,mean", **area, **month}
    weighed = {**hourly, "aggregate": "time_weighted_mean"}
    entity = {"entity_id": event["entity_id"]}
    now = product.get("events", kind="state", limit=1)["items"][0]
    found = [
        _asked("history, area, 30 days hourly", "events/history", hourly),
        _asked("history, area, 30 days hourly, time-weighted", "events/history", weighed, times=ASKED // 2),
        _asked("history, entity, 24 h hourly", "events/history", {**hourly, **day, **entity}),
        _asked("events of one entity, 24 h", "events", {**entity, **day, "limit": 1000}),
        _asked("states", "states", {"limit": 100}),
        _asked("state of one entity", f"states/{now['entity_id']}", {}),
    ]
    if product.get("graph/nodes", limit=1)["items"]:
        node = product.get("graph/nodes", limit=1)["items"][0]["id"]
        found.append(_asked("graph/related", f"graph/related/{node}", {}))
    span = {"start_time": _text(_start_of_rows(product, end_s, EXPORT_ROWS)), "end_time": _text(end_s)}
    return [
        *found,
        _asked("export, ndjson", "export/ndjson", span, times=ASKED_LONG, long=True),
        _asked("export, parquet", "export/parquet", span, times=ASKED_LONG, long=True),
    ]


def _asked(name: str, path: str, parameters: dict[str, Any], *, times: int = ASKED, long: bool = False) -> Asked:
    return Asked(name=name, path=f"/api/v1/{path}?{urlencode(parameters)}", times=times, long=long)


def _end_of_busiest_month(product: Product) -> float:
    """Return when the last event was fired in those 30 days that hold the most."""
    days: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = product.get("events/history", interval="1d", aggregate="count", time_zone="UTC", **cursor)
        days += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    if not days:
        raise SystemExit("the product has no events to ask about")
    ends = [_seconds(day["end"]) for day in days]
    held = [sum(day["count"] for day, at in zip(days, ends, strict=True) if end - MONTH_S < at <= end) for end in ends]
    end_s = ends[held.index(max(held))]
    last = product.get("events", kind="state", limit=1, end_time=_text(end_s))["items"][0]
    return _seconds(last["time_fired"])


def _start_of_rows(product: Product, end_s: float, rows: int) -> float:
    """Return since when about so many events were fired, by what each hour of the last 30 days had."""
    start = _text(end_s - MONTH_S)
    hours = product.get("events/history", interval="1h", aggregate="count", start_time=start, end_time=_text(end_s))
    left = rows
    for hour in reversed(hours["items"]):
        if hour["count"] >= left:
            begin, end = _seconds(hour["start"]), min(_seconds(hour["end"]), end_s)
            return end - (end - begin) * left / int(hour["count"])
        left -= hour["count"]
    return end_s - MONTH_S


def ask(product: Product, asked: Asked, clients: int) -> dict[str, Any]:
    """Have this many clients ask in a closed loop. Returns percentiles in milliseconds, and how many were refused."""
    left = threading.Semaphore(asked.times)
    first_ms: list[float] = []
    total_ms: list[float] = []
    refused: list[int] = []
    sizes: list[int] = []

    def client() -> None:
        connection = product.connect()
        while left.acquire(blocking=False):
            began = time.perf_counter()
            connection.request("GET", asked.path)
            answer = connection.getresponse()
            size = len(answer.read(1))
            first = time.perf_counter()
            while part := answer.read(1 << 18):
                size += len(part)
            ended = time.perf_counter()
            if answer.status != http.client.OK:
                refused.append(answer.status)
                time.sleep(float(answer.headers.get("Retry-After") or 0))
                continue
            first_ms.append((first - began) * 1000)
            total_ms.append((ended - began) * 1000)
            sizes.append(size)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told: dict[str, Any] = {
        "clients": clients,
        "answered": len(total_ms),
        "refused": len(refused),
        **percentiles(total_ms),
    }
    if asked.long:
        told["first_byte"] = percentiles(first_ms)
    return told | {"bytes": round(statistics.fmean(sizes)) if sizes else 0}


def percentiles(values_ms: list[float]) -> dict[str, float | None]:
    """Return p50, p95 and p99."""
    ordered = sorted(values_ms)
    if not ordered:
        return {"p50_ms": None, "p95_ms": None, "p99_ms": None}
    return {
        f"p{part}_ms": round(ordered[min(len(ordered) - 1, len(ordered) * part // 100)], 2) for part in (50, 95, 99)
    }


def measure(product: Product, clients: tuple[int, ...]) -> dict[str, Any]:
    """Ask everything. The first answer of each question is not counted."""
    answers: dict[str, list[dict[str, Any]]] = {}
    lines = []
    for asked in questions(product):
        ask(product, Asked(name=asked.name, path=asked.path, times=1, long=asked.long), 1)
        answers[asked.name] = [ask(product, asked, count) for count in clients]
        for told in answers[asked.name]:
            lines.append(line(f"{asked.name}, {told['clients']} clients, p95", told["p95_ms"], "ms"))
            if asked.long:
                first = told["first_byte"]["p95_ms"]
                lines.append(line(f"{asked.name}, {told['clients']} clients, first byte p95", first, "ms"))
    return {"machine": facts(), "answers": answers, "headline": lines}


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def _text(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@contextmanager
def _started(data_dir: Path) -> Iterator[str]:
    """Start a product over this data, with a demo home that hardly moves."""
    from tests.support.product import Product as Started

    with tempfile.TemporaryDirectory() as directory:
        environment = {
            "HA_INGESTOR_DATA_DIR": str(data_dir.resolve()),
            "HA_INGESTOR_DEMO__PAST_H": "0",
            "HA_INGESTOR_DEMO__SPEED": "0.1",
        }
        started = Started(Path(directory), environment=environment)
        try:
            started.start()
            yield started.url
        finally:
            started.close()


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.answers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="a running product")
    where.add_argument("--data-dir", type=Path, help="data of a product that does not run")
    parser.add_argument("--clients", type=int, nargs="+", default=list(CLIENTS), help="how many ask at once")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    chosen = parser.parse_args()
    if chosen.url:
        result = measure(Product(chosen.url), tuple(chosen.clients))
    else:
        with _started(chosen.data_dir) as url:
            result = measure(Product(url), tuple(chosen.clients))
    print("\n".join(text(each) for each in result["headline"]))  # noqa: T201 - its job
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
