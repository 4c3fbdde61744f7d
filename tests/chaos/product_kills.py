"""Processes of the product are killed one after the other under continuous load; all surfaces are judged now and then.

Shards mostly, at system calls and at random moments, then whoever else works for an event. The product is started once
and must recover from every kill by itself: the next one comes as soon as every lane of the load has moved on.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from tests.chaos.nemesis import Nemesis
from tests.chaos.oracle import Ledger, Verdict
from tests.chaos.product_load import Load
from tests.chaos.product_surfaces import (
    Follower,
    judge_disk,
    judge_files,
    judge_journal,
    judge_pages,
    judge_query,
    judge_states,
)
from tests.support.product import Product

RATE: Final = 4_000.0
CHECK_EVERY_KILLS: Final = 25
LAST_CHECKS_S: Final = 60.0
ENVIRONMENT: Final = {
    "HA_INGESTOR_DEMO__PAST_H": "0",
    "HA_INGESTOR_JOURNAL__SEGMENT_BYTES": str(1024 * 1024),
    "HA_INGESTOR_HISTORY__COMMIT_S": "1",
}


def run(seconds: float, seed: int, *, kills: int | None = None) -> dict[str, Any]:
    """Kill for so long, or so often."""
    with Attack(seed) as attack:
        deadline = time.monotonic() + max(seconds - LAST_CHECKS_S, seconds / 2)
        since = 0
        with attack.loaded():
            while time.monotonic() < deadline and (kills is None or attack.nemesis.kills < kills):
                attack.nemesis.strike()
                attack.recover()
                if len(attack.nemesis.strokes) % CHECK_EVERY_KILLS == 0:
                    since = attack.look(since)
        attack.judge_everything()
        return attack.found()


class Attack:
    """A product under load, with a follower of its stream, an oracle and a nemesis. A context manager."""

    def __init__(
        self, seed: int, *, rate: float = RATE, batch: int = 250, environment: dict[str, str] | None = None
    ) -> None:
        self._rate, self._batch = rate, batch
        self._directory = tempfile.TemporaryDirectory(prefix="chaos-")
        self.product = Product(Path(self._directory.name), environment={**ENVIRONMENT, **(environment or {})})
        self.nemesis = Nemesis(self.product, seed)
        self.ledger = Ledger()
        self.verdicts: list[Verdict] = []
        self.recoveries_s: list[float] = []
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        self.product.start()
        self.load = Load(lambda: self.product.port, self.ledger, batch=self._batch, rate=self._rate)
        self.follower = Follower(self.product)
        self.follower.wait_for_place()
        return self

    def __exit__(self, *fault: object) -> None:
        self.follower.close()
        self.load.close()
        self.product.close()
        self._directory.cleanup()

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """Send continuously as long as the block runs."""
        with self.load.running():
            self.load.wait_for_progress()
            yield

    def recover(self, *, batches: int = 2) -> None:
        """Wait until every lane goes on."""
        self.recoveries_s.append(self.load.wait_for_progress(batches))

    def look(self, since: int) -> int:
        """Judge, in the midst of everything, the pages from a number on. Returns where the next look begins."""
        self.load.settle()
        self.judge(judge_pages(self.product, self.ledger, since=since))
        end = self.ledger.end
        self.load.resume()
        return end

    def judge(self, verdict: Verdict) -> None:
        """Keep a verdict."""
        self.verdicts.append(verdict)

    def judge_everything(self) -> None:
        """Judge every surface, first of the running product, then of the stopped one's files."""
        self.load.settle()
        self.product.wait_until(all_well, within_s=90, what="recovery")
        self.judge(judge_pages(self.product, self.ledger))
        self.judge(judge_states(self.product, self.ledger))
        self.judge(self.follower.judge(self.ledger))
        self.judge(judge_query(self.product, self.ledger))
        self.product.wait_until(lambda status: status["history"]["waiting"] == 0, what="an empty journal tail")
        self.judge(judge_files(self.product.data_dir, self.ledger))
        self.judge(judge_journal(self.product.data_dir, self.ledger))
        self.stop()
        self.judge(judge_disk(self.product.data_dir, self.ledger))

    def stop(self, *, within_s: float = 20.0) -> None:
        """Stop the product as a user does, and complain when that does not work."""
        code, took_s = self.product.stop(within_s=within_s)
        if code or took_s > within_s:
            self.complaints.append(f"the product ended with code {code} after {took_s:.1f} s")

    def found(self) -> dict[str, Any]:
        """Report."""
        faults = ("missing", "duplicated", "corrupted", "spurious", "out_of_order")
        recoveries = sorted(self.recoveries_s) or [0.0]
        return {
            "acknowledged": self.ledger.acknowledged,
            "kills": self.nemesis.kills,
            "checks": len(self.verdicts),
            **{name: sum(getattr(verdict, name) for verdict in self.verdicts) for name in faults},
            "violations": [
                *(str(verdict) for verdict in self.verdicts if not verdict.sound),
                *self.complaints,
                *self.load.complaints,
            ],
            "void": self.nemesis.unbitten(),
            "recovered_s": {
                "median": round(recoveries[len(recoveries) // 2], 2),
                "p95": round(recoveries[len(recoveries) * 95 // 100], 2),
                "most": round(recoveries[-1], 2),
            },
            "repeats_removed": self.load.duplicates,
            "streams_resumed": self.follower.resumed,
            "answers": dict(self.load.answers),
            "timeline": self.nemesis.strokes,
        }


def all_well(status: dict[str, Any]) -> bool:
    """Tell from the status whether everyone is at work and everything is accounted for."""
    return bool(
        not status["away"]
        and status["phase"] == "running"
        and all("epoch" in shard for shard in status["shards"])
        and status["counts"]["balance"] == 0
    )
