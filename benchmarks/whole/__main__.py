"""One phase on one fresh product: `python -m benchmarks.whole maximum --way http --seconds 60 --json FILE`.

``maximum``: as much as it takes. ``steady``: a fixed rate; how long events take. ``answers``: a fixed rate over a
history built before, while `benchmarks.answers` asks. The product is started as ``make run`` starts it, dashboard and
all; settings that differ are listed. Ends with 1 when the account does not hold.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.load.pace import Order, Way
from benchmarks.load.sample import sample
from benchmarks.whole import phases, report
from benchmarks.whole.asked import asked
from benchmarks.whole.harness import Rig
from benchmarks.whole.watch import memory_mb


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.whole", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("phase", choices=("maximum", "steady", "answers"))
    parser.add_argument("--way", choices=("websocket", "http"), default="websocket")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10_000, help="events a second, of steady and answers")
    parser.add_argument("--entities", type=int, default=5_000)
    parser.add_argument("--homes", type=int, default=1, help="Home Assistants that share the entities")
    parser.add_argument("--connections", type=int, help="of HTTP, each with one body in flight (4, paced 12)")
    parser.add_argument("--body", type=int, default=1_000, help="events in a body of HTTP at full speed")
    parser.add_argument("--shards", type=int, help="other than the product's own default")
    parser.add_argument("--history", type=Path, help="data directory to begin with a copy of")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--keep", action="store_true", help="keep the product's data and log")
    return parser.parse_args()


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure one phase."""
    way: Way = chosen.way
    settings = {} if chosen.shards is None else {"HA_INGESTOR_SHARDS": str(chosen.shards)}
    facts, base = machine.facts(), machine.baseline(sample(2_000))
    rate = None if chosen.phase == "maximum" else chosen.rate
    rig = Rig(entities=chosen.entities, homes=chosen.homes, settings=settings, history=chosen.history, keep=chosen.keep)
    with rig:
        order = Order(
            way=way,
            rate=rate,
            seconds=chosen.seconds,
            port=rig.ingest_port,
            connections=chosen.connections or (4 if rate is None else 12),
            body=chosen.body,
        )
        start_mb = memory_mb(rig)
        phases.warm(rig, order)
        done = {"maximum": phases.maximum, "steady": phases.steady, "answers": asked}[chosen.phase](rig, order)
        done["memory_mb"] = {"start": start_mb, **done["memory_mb"]}
        differences = rig.differences()
    named = {name: str(value) for name, value in vars(chosen).items() if value not in (None, False)}
    return {
        "arguments": named,
        "machine": facts,
        "baseline": base,
        "settings_that_differ": differences,
        "start_s": rig.start_s,
        "quiet_after_s": rig.quiet_after_s,
        **done,
    }


def main() -> int:
    """Measure, print, write."""
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = measure(chosen)
    result["headline"] = report.headline(chosen.phase, result)
    report.show(result)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(result, indent=1))
    return 0 if result["account"]["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
