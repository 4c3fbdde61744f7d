"""What the history costs and how fast it answers: `python -m benchmarks.history [--events N]`.

Synthetic events of 5,000 entities in 12 areas over 30 days, built as columns and moved through the product's own
`HistoryTable`, a commit of 100,000 rows at a time; then merged, remembered and asked. Every time includes every sync.
What was built is kept under `--keep DIR` and gone on with, so 50 million can be built in several runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.machine import facts
from ingestor.event import SCHEMA
from ingestor.history import Archive, HistoryTable, Question

ENTITIES: Final = 5_000
AREAS: Final = 12
DAYS: Final = 30
DAY_US: Final = 86_400_000_000
START_US: Final = 1_790_035_200_000_000
COMMIT_ROWS: Final = 100_000
THREADS: Final = (1, 4, 16)
ASKED_EACH: Final = 40
RUNS: Final = 5
_UTC: Final = pa.timestamp("us", tz="UTC")
_BASE32: Final = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", "u1")


class Home:
    """A home whose events follow from their numbers: the same part is the same rows in every run."""

    def __init__(self) -> None:
        chance = np.random.default_rng(0)
        numbers = range(ENTITIES)
        self.names = pa.array([f"sensor.device_{n // 4}_value_{n % 4}" for n in numbers])
        self._devices = pa.array([chance.bytes(16).hex() for _ in range(ENTITIES // 4)])
        self._areas = pa.array([f"area_{n}" for n in range(AREAS)])
        self._texts = pa.array([f"{n / 10:.1f}" for n in range(1_000)])
        self._attributes = pa.array(
            [
                json.dumps({"state_class": "measurement", "unit_of_measurement": "W", "friendly_name": f"Value {n}"})
                for n in numbers
            ]
        )

    def part(self, number: int, rows: int, *, first_seq: int, start_us: int, span_us: int) -> Any:
        """Return the events of a span of time, in the order in which they were fired."""
        chance = np.random.default_rng(number)
        entity = chance.integers(0, ENTITIES, rows)
        place = entity // 4 % AREAS
        value = chance.integers(0, 1_000, rows)
        fired = np.sort(start_us + chance.integers(0, span_us, rows))
        hour = fired // 3_600_000_000 % 24
        never = np.zeros(rows, bool)
        columns: dict[str, Any] = {
            "event_id": _fixed(pa.binary(), chance.bytes(16 * rows), 16, rows),
            "seq": np.arange(first_seq, first_seq + rows),
            "time_fired": _times(fired),
            "received_at": _times(fired + chance.integers(1_000, 5_000, rows)),
            "journaled_at": _times(fired + chance.integers(5_000, 15_000, rows)),
            "entity_id": _picked(self.names, entity),
            "device_id": _picked(self._devices, entity // 4),
            "area_id": _picked(self._areas, place),
            "floor_id": _picked(self._areas, place % 3),
            "state": _picked(self._texts, value),
            "state_numeric": value / 10,
            "old_state": _picked(self._texts, chance.integers(0, 1_000, rows)),
            "last_changed": _times(fired),
            "last_updated": _times(fired),
            "attributes": _picked(self._attributes, entity),
            "context_id": _fixed(pa.string(), _ulids(fired, chance), 26, rows),
            "local_time": pa.array(fired + 3_600_000_000).view(pa.timestamp("us")),
            "hour": hour,
            "weekday": (fired // DAY_US + 3) % 7,
            "daylight": np.isin(hour, range(7, 18)),
            "peak": np.isin(hour, (17, 18, 19)),
            "peak_score": hour / 24,
            "since_last_change_s": chance.integers(1, 600_000, rows) / 1_000,
            "environment": pa.StructArray.from_arrays(
                [pa.array(value / 30), pa.array(value / 12), pa.nulls(rows, pa.float64()), pa.array(place % 3 == 0)],
                fields=list(SCHEMA.field("environment").type),
            ),
            "neighbours": pa.ListArray.from_arrays(
                np.arange(rows + 1, dtype="i4"), _picked(self._areas, (place + 1) % AREAS)
            ),
            "late": never,
            "backfilled": never,
        }
        alike = {
            "home": "home",
            "source": "homeassistant",
            "event_type": "state_changed",
            "kind": "state",
            "domain": "sensor",
            "integration": "mqtt",
            "unit": "W",
            "device_class": "power",
            "origin": "LOCAL",
            "season": "autumn",
            "utc_offset_s": 3_600,
        }
        arrays = []
        for field in SCHEMA:
            if field.name in columns:
                arrays.append(_as_type(columns[field.name], field.type))
            elif field.name in alike:
                arrays.append(pa.repeat(pa.scalar(alike[field.name], field.type), rows))
            else:
                arrays.append(pa.nulls(rows, field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def build(table: HistoryTable, home: Home, events: int, say: Callable[[str], None]) -> dict[str, float]:
    """Append what is missing up to ``events``. Returns what a row cost, in microseconds of processor."""
    span_us = DAYS * DAY_US * COMMIT_ROWS // events
    first, spent_s, made = table.watermarks.get(0, 0) // COMMIT_ROWS, 0.0, 0
    for number in range(first, events // COMMIT_ROWS):
        first_seq = 1 + number * COMMIT_ROWS
        batch = home.part(
            number, COMMIT_ROWS, first_seq=first_seq, start_us=START_US + number * span_us, span_us=span_us
        )
        began = time.process_time()
        table.append([batch], {0: first_seq + COMMIT_ROWS - 1})
        spent_s += time.process_time() - began
        made += COMMIT_ROWS
        if number % 20 == 0:
            say(f"{(number + 1) * COMMIT_ROWS:,} of {events:,} events")
    return {"append_us": spent_s / made * 1e6} if made else {}


def tidy(table: HistoryTable) -> dict[str, float]:
    """Merge what there is to merge. Returns what a row cost, and the longest that a step held the writer."""
    before = {file.path: file.rows for file in table.files()}
    began, longest_s = time.process_time(), 0.0
    while True:
        step_began = time.perf_counter()
        if not table.merge_step():
            break
        longest_s = max(longest_s, time.perf_counter() - step_began)
    spent_s = time.process_time() - began
    merged = sum(rows for path, rows in before.items() if path not in {file.path for file in table.files()})
    return {"merge_us": spent_s / merged * 1e6, "merge_step_s": longest_s} if merged else {}


def recall(table: HistoryTable) -> dict[str, float]:
    """Measure what a shard's restart waits for: from the table alone, and with the last states written down."""
    timed = {}
    for name in ("recall_whole_ms", "recall_ms"):
        began = time.process_time()
        table.recall(lambda *_: True, ids=200_000)
        timed[name] = (time.process_time() - began) * 1_000
        table.remember()
    return timed


def questions(home: Home) -> dict[str, Callable[[Archive, int], Any]]:
    """Return the questions, each for a number that makes it another one."""
    day = START_US + (DAYS - 10) * DAY_US

    def span(number: int) -> dict[str, Any]:
        start_us = day + number % 7 * DAY_US
        return {"start_us": start_us, "end_us": start_us + DAY_US}

    some = [home.part(number, COMMIT_ROWS, first_seq=1, start_us=0, span_us=1).column(0) for number in (0, 1)]
    ids = [some[number % 2][number * 97].as_py().hex() for number in range(ASKED_EACH * max(THREADS))]
    return {
        "one entity, 24 h": lambda archive, number: archive.events(
            Question(entity_id=home.names[number * 7 % ENTITIES].as_py(), limit=1_000, **span(number))
        ),
        "one entity, newest 100": lambda archive, number: archive.events(
            Question(entity_id=home.names[number * 7 % ENTITIES].as_py())
        ),
        "newest 100": lambda archive, _: archive.events(Question()),
        "one area, 24 h, newest 100": lambda archive, number: archive.events(
            Question(area_id=f"area_{number % AREAS}", **span(number))
        ),
        "one event by id": lambda archive, number: archive.event(ids[number]),
    }


def ask(archive: Archive, question: Callable[[Archive, int], Any], threads: int) -> dict[str, float]:
    """Ask in so many threads at once, each after the other's answer. Returns milliseconds, the median of the runs."""
    runs = []
    for run in range(RUNS):
        took: list[float] = []
        guard = threading.Lock()

        def one(number: int, took: list[float] = took, guard: threading.Lock = guard) -> None:
            began = time.perf_counter()
            question(archive, number)
            spent_ms = (time.perf_counter() - began) * 1_000
            with guard:
                took.append(spent_ms)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(run, run + ASKED_EACH)))
        runs.append(np.percentile(took, [50, 95, 99]))
    p50, p95, p99 = (statistics.median(column) for column in zip(*runs, strict=True))
    return {"p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99)}


def measure(data_dir: Path, events: int, say: Callable[[str], None], *, asked: bool = True) -> dict[str, Any]:
    """Build, merge, remember and, if ``asked``, ask."""
    home = Home()
    table = HistoryTable(data_dir / "history" / "events", clock=lambda: START_US / 1e6 + 366 * 86_400)
    found: dict[str, Any] = {"events": events, **build(table, home, events, say)}
    found["files_before"] = len(table.files())
    found |= tidy(table)
    found |= {"files": len(table.files()), "bytes_a_row": table.bytes / table.rows}
    say("recall")
    found |= recall(table)
    table.vacuum(older_than_s=0)
    table.close()
    if not asked:
        return found
    archive = Archive(data_dir)
    for name, question in questions(home).items():
        say(name)
        found[name] = {f"{threads} threads": ask(archive, question, threads) for threads in THREADS}
    return found


def _fixed(kind: Any, content: bytes, width: int, rows: int) -> Any:
    offsets = np.arange(rows + 1, dtype="i4") * width
    return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(offsets), pa.py_buffer(content)])


def _ulids(fired: Any, chance: Any) -> bytes:
    letters = np.empty((len(fired), 26), "u1")
    for at in range(10):
        letters[:, 9 - at] = _BASE32[(fired // 1_000 >> 5 * at) & 31]
    letters[:, 10:] = _BASE32[chance.integers(0, 32, (len(fired), 16))]
    return letters.tobytes()


def _times(us: Any) -> Any:
    return pa.array(us).view(_UTC)


def _picked(values: Any, places: Any) -> Any:
    return values.take(pa.array(places))


def _as_type(values: Any, kind: Any) -> Any:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return array if array.type == kind else array.cast(kind)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values()):
            for threads, times in value.items():
                yield f"{name}, {threads}: " + ", ".join(f"{key[:3]} {ms:.1f} ms" for key, ms in times.items())
        elif name != "machine":
            yield f"{name}: {value:,.2f}" if isinstance(value, float) else f"{name}: {value:,}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help=f"a multiple of {COMMIT_ROWS:,}")
    parser.add_argument("--keep", type=Path, help="build here, keep it, and go on with what is there")
    parser.add_argument("--build", action="store_true", help="build it, and ask nothing")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if options.events < 2 * COMMIT_ROWS or options.events % COMMIT_ROWS:
        parser.error(f"--events must be a multiple of {COMMIT_ROWS:,}, at least {2 * COMMIT_ROWS:,}")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress of long work

    with tempfile.TemporaryDirectory() as temporary:
        found = measure(options.keep or Path(temporary), options.events, say, asked=not options.build)
    found["machine"] = facts()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    for line in _lines(found):
        print(line)  # noqa: T201 - it is its job


if __name__ == "__main__":
    main()
