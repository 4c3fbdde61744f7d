"""Questions while events come in: `benchmarks.answers` asks, in a process of its own, for as long as it needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.load.pace import Order
from benchmarks.machine import ROOT
from benchmarks.whole.account import account, arrive
from benchmarks.whole.harness import Rig
from benchmarks.whole.phases import journaled
from benchmarks.whole.watch import Watch, memory_mb

LONGEST_S: Final = 1800.0


def asked(rig: Rig, order: Order) -> dict[str, Any]:
    """Bring a fixed rate until all questions were answered as often as `benchmarks.answers` wants."""
    before, memory = rig.product.status(), memory_mb(rig)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "answers.json"
        watch = Watch(rig)
        end = rig.load.begin(replace(order, seconds=LONGEST_S))
        command = [sys.executable, "-m", "benchmarks.answers", "--url", rig.product.url, "--json", str(path)]
        done = subprocess.run(command, cwd=ROOT, timeout=LONGEST_S, check=False)  # noqa: S603 - our own
        rig.load.stop()
        sent = end()
        used = watch.used()
        if done.returncode:
            raise RuntimeError(f"benchmarks.answers ended with {done.returncode}; it says why above")
        answers = json.loads(path.read_text())
    arrived = arrive(rig, before, sent)
    del sent["answers_ms"]
    return {
        "events_per_s": round(sent["sent"] / sent["seconds"]),
        "answers": answers,
        "arrived": arrived,
        "journaled_ms": journaled(rig, sent),
        "memory_mb": {"before": memory, "after": memory_mb(rig)},
        "sent": sent,
        "used": used,
        "account": account(rig, before, sent),
    }
