"""What doors 2 to 5 cost an event: `python -m benchmarks.core [events a batch]`.

Recorded events of a real home, in batches of 500 unless told otherwise. CPU time of one process, median of five runs,
and the ratio to reading the same bytes with orjson, which is steadier than microseconds across machines. In a real home
nine of ten texts of attributes are known; in this recording, half of them are new.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import orjson
import zstandard

from ingestor.graph.snapshot import EntityFacts, Place, Snapshot
from ingestor.pipeline import LastStates, Pipeline, _ids, _record_batch, seal
from ingestor.sources.base import Batch
from ingestor.transforms.dedupe import Window
from ingestor.transforms.enrich import Enricher
from ingestor.transforms.route import Router
from ingestor.transforms.rows import Rows
from ingestor.transforms.validate import Validator

FRAMES = Path(__file__).parent.parent / "tests/fixtures/frames/2025.4.4/A_all.frames.ndjson.zst"
RUNS = 5
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
    """Print microseconds an event for each step."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    events = recorded()
    snapshot = picture(events)
    batches = [
        Batch(home="home", source="bench", received_at_us=RECEIVED_AT_US, events=events[start : start + size])
        for start in range(0, len(events), size)
    ]
    steps: dict[str, list[float]] = {}

    @contextmanager
    def clocked(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        steps.setdefault(name, []).append((time.process_time() - began) / len(events) * 1e6)

    for _ in range(RUNS):
        router = Router(2, measures={"home": frozenset(snapshot.measures)})
        validator, window, enricher = Validator(), Window(200_000), Enricher(LastStates())
        enricher.set_snapshot(snapshot)
        pipeline = Pipeline(shard=0, window=Window(200_000), states=LastStates())
        pipeline.set_snapshot(snapshot)
        settled = Pipeline(shard=0, window=Window(200_000), states=LastStates(), validator=validator)
        settled.set_snapshot(snapshot)
        with clocked("orjson.loads"):
            for event in events:
                orjson.loads(event)
        with clocked("route"):
            for batch in batches:
                router.route(batch)
        with clocked("validate"):
            rows = [validator.validate(batch)[0] for batch in batches]
        with clocked("event_id"):
            ids = [_ids("home", one) for one in rows]
        with clocked("dedupe"):
            for names in ids:
                window.seen(names)
                window.remember(names)
        with clocked("enrich"):
            added = [
                enricher.enrich(one, names, home="home", context=Rows(), first_seq=1, backfilled=False)
                for one, names in zip(rows, ids, strict=True)
            ]
        with clocked("to Arrow"):
            for parts in zip(batches, rows, ids, added, strict=True):
                _record_batch(*parts)
        del rows, ids, added, parts
        for name, one in (("whole, all texts new", pipeline), ("whole, texts known", settled)):
            with clocked(name):
                for batch in batches:
                    new = one.process(batch, first_seq=1).events
                    if new is not None:
                        seal(new, first_seq=1, journaled_at_us=RECEIVED_AT_US)

    floor = statistics.median(steps["orjson.loads"])
    bytes_each = sum(map(len, events)) / len(events)
    print(f"{len(events)} recorded events, {bytes_each:.0f} bytes each, {size} a batch, median of {RUNS}")  # noqa: T201
    for name, times in steps.items():
        middle = statistics.median(times)
        print(f"{name:24}{middle:8.2f} us/event {middle / floor:6.2f} x orjson.loads")  # noqa: T201 - it is its job


if __name__ == "__main__":
    main()
