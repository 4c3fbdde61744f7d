"""What doors 2 to 6 cost an event: `python -m benchmarks.core [--batch N ...] [--load ENTITIES] [--json FILE]`.

Recorded events of a real home, or with ``--load`` those of the load generator (1.2 kB each). Processor time of one
process, medians of paired runs: in each, `orjson.loads` of the same bytes is measured first, and the ratio to it is
steadier than microseconds across machines. In a real home nine of ten texts of attributes are known; in the recording,
half of them are new. ``journal`` is the encoding of a frame, without the disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import orjson
import zstandard

from benchmarks.load.blocks import Pool, Wrapping
from benchmarks.load.home import Home
from ingestor.graph.snapshot import EntityFacts, Place, Snapshot
from ingestor.journal.frames import FrameKind, encode
from ingestor.pipeline import LastStates, Pipeline, _ids, _record_batch, seal
from ingestor.sources.base import Batch
from ingestor.transforms.dedupe import Window
from ingestor.transforms.enrich import Enricher
from ingestor.transforms.route import Router
from ingestor.transforms.rows import Rows
from ingestor.transforms.validate import Validator

FRAMES = Path(__file__).parent.parent / "tests/fixtures/frames/2025.4.4/A_all.frames.ndjson.zst"
RUNS = 5
FLOOR = "orjson.loads"
RECEIVED_AT_US = 1_795_423_500_000_000


class _Frame(msgspec.Struct):
    type: str
    event: msgspec.Raw = msgspec.Raw(b"")


def recorded() -> list[bytes]:
    """Give the recorded events, as bytes."""
    with FRAMES.open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
    frames = (msgspec.json.decode(line, type=_Frame) for line in lines)
    return [bytes(frame.event) for frame in frames if frame.type == "event"]


def generated(entities: int, count: int = 20_000) -> list[bytes]:
    """Give events as the load generator fires them."""
    home = Home(entities, now_us=RECEIVED_AT_US)
    pool = Pool(home, home.lots(1)[0], block=100, events=4_000, wrapping=Wrapping(), probed=0, seed=1)
    events: list[bytes] = []
    while len(events) < count:
        events += bytes(pool.next(RECEIVED_AT_US).text).splitlines()
    return events


def picture(events: list[bytes]) -> Snapshot:
    """Give a snapshot in which every entity has an area and each eighth one measures."""
    values = [orjson.loads(event) for event in events]
    names = sorted({value["data"]["entity_id"] for value in values if value["event_type"] == "state_changed"})
    entities = {
        name: EntityFacts(device_id=f"d{n % 80}", area_id=f"a{n % 12}", floor_id=f"f{n % 3}", integration="demo")
        for n, name in enumerate(names)
    }
    measures = {name: (f"a{n % 12}", "temperature") for n, name in enumerate(names) if n % 8 == 0}
    return Snapshot(
        home="home",
        version=1,
        place=Place(time_zone="Europe/Amsterdam", latitude=52.1, longitude=4.9),
        entities=entities,
        measures=measures,  # type: ignore[arg-type]  # the literal is a plain str to mypy
    )


def main() -> None:
    """Print microseconds an event for each step and size of batch; keep them when told where."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core")
    parser.add_argument("--batch", type=int, nargs="+", default=[100, 500, 1_000, 2_000], metavar="EVENTS")
    parser.add_argument("--load", type=int, metavar="ENTITIES", help="generated events of so many entities")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    told = parser.parse_args()
    events = recorded() if told.load is None else generated(told.load)
    snapshot = picture(events)
    bytes_each = sum(map(len, events)) / len(events)
    print(f"{len(events)} events, {bytes_each:.0f} bytes each, medians of {told.runs} paired runs")  # noqa: T201
    figures = []
    for size in told.batch:
        runs = [measured(events, snapshot, size) for _ in range(told.runs)]
        print(f"\n{size} a batch")  # noqa: T201
        for name in runs[0]:
            us = statistics.median(run[name] for run in runs)
            ratio = statistics.median(run[name] / run[FLOOR] for run in runs)
            figures.append({"batch": size, "step": name, "us_per_event": round(us, 3), "ratio": round(ratio, 3)})
            print(f"{name:24}{us:8.2f} us/event {ratio:6.2f} x {FLOOR}")  # noqa: T201 - it is its job
    if told.json is not None:
        content = {
            "events": len(events),
            "bytes_each": bytes_each,
            "runs": told.runs,
            "figures": figures,
            "headline": [
                {
                    "name": f"{figure['step']}, {figure['batch']:,} a batch",
                    "value": figure["us_per_event"],
                    "unit": "µs/event",
                    "ratio": figure["ratio"] if figure["step"] != FLOOR else None,
                    "of": FLOOR if figure["step"] != FLOOR else "",
                }
                for figure in figures
            ],
        }
        told.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def measured(events: list[bytes], snapshot: Snapshot, size: int) -> dict[str, float]:
    """Run everything once. Gives microseconds an event by step."""
    batches = [
        Batch(home="home", source="bench", received_at_us=RECEIVED_AT_US, events=events[start : start + size])
        for start in range(0, len(events), size)
    ]
    steps: dict[str, float] = {}

    @contextmanager
    def clocked(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        steps[name] = steps.get(name, 0.0) + (time.process_time() - began) / len(events) * 1e6

    router = Router(2, measures={"home": frozenset(snapshot.measures)})
    validator, window, enricher = Validator(), Window(200_000), Enricher(LastStates())
    enricher.set_snapshot(snapshot)
    with clocked(FLOOR):
        for event in events:
            orjson.loads(event)
    for batch in batches:
        with clocked("route"):
            router.route(batch)
        with clocked("validate, texts new"):
            rows = validator.validate(batch)[0]
        with clocked("event_id"):
            ids = _ids("home", rows)
        with clocked("dedupe"):
            window.seen(ids)
            window.remember(ids)
        with clocked("enrich"):
            added = enricher.enrich(rows, ids, home="home", context=Rows(), first_seq=1, backfilled=False)
        with clocked("to Arrow"):
            record = seal(_record_batch(batch, rows, ids, added), first_seq=1, journaled_at_us=RECEIVED_AT_US)
        with clocked("journal"):
            encode(FrameKind.EVENTS, record)
    for name, known in (("doors 3 to 5, texts new", Validator()), ("doors 3 to 5, texts known", validator)):
        pipeline = Pipeline(shard=0, window=Window(200_000), states=LastStates(), validator=known)
        pipeline.set_snapshot(snapshot)
        with clocked(name):
            for batch in batches:
                new = pipeline.process(batch, first_seq=1).events
                if new is not None:
                    seal(new, first_seq=1, journaled_at_us=RECEIVED_AT_US)
    return steps


if __name__ == "__main__":
    main()
