"""A product under attack: started as a user starts it, under load, watched on every surface, judged, and put away.

The oracle's events come by HTTP; beside them a home is watched that fires its own.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from tests.chaos.nemesis import Nemesis
from tests.chaos.oracle import Ledger, Verdict
from tests.chaos.product_home import WatchedHome, gaps_of, judge_home
from tests.chaos.product_load import Load, ports_of
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
BATCH: Final = 250
FAULTS: Final = ("missing", "duplicated", "corrupted", "spurious", "out_of_order")
ENVIRONMENT: Final = {
    "HA_INGESTOR_JOURNAL__SEGMENT_BYTES": str(1024 * 1024),
    "HA_INGESTOR_HISTORY__COMMIT_S": "1",
    "HA_INGESTOR_SHARDS": "2",
}


def mount_disk(directory: Path, image: Path, size_mb: int) -> None:
    """Make a small ext4 disk and mount it. Needs root."""
    with image.open("wb") as file:
        file.truncate(size_mb * 1_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", image], check=True)
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)


class Attack:
    """A product under load, with a follower of its stream, an oracle and a nemesis. A context manager."""

    def __init__(
        self, seed: int, *, rate: float = RATE, batch: int = BATCH, disk_mb: int = 0, **environment: str
    ) -> None:
        self._rate, self._batch, self._disk_mb = rate, batch, disk_mb
        self.directory = Path(tempfile.mkdtemp(prefix="chaos-"))
        self.home = WatchedHome()
        told = {**ENVIRONMENT, **self.home.environment, **environment}
        self.product = Product(self.directory, environment=told)
        self.nemesis = Nemesis(self.product, seed)
        self.ledger = Ledger()
        self.verdicts: list[Verdict] = []
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        try:
            if self._disk_mb:
                mount_disk(self.product.data_dir, self.directory / "disk", self._disk_mb)
            self.product.start()
            self.home.run(self.home.fake.subscribed())
            self.follower = Follower(self.product)
            self.follower.wait_for_place()
            self.home.begin()
        except BaseException:
            self._put_away()
            raise
        self.load = Load(ports_of(self.product), self.ledger, batch=self._batch, rate=self._rate)
        return self

    def __exit__(self, *fault: object) -> None:
        self.follower.close()
        self.load.close()
        self._put_away()

    def _put_away(self) -> None:
        self.product.close()
        self.home.close()
        if self._disk_mb:
            subprocess.run(["umount", "--lazy", self.product.data_dir], check=False)
        shutil.rmtree(self.directory)

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """Send continuously as long as the block runs."""
        with self.load.running():
            self.load.wait_for_progress()
            yield

    def recover(self, *, batches: int = 2) -> None:
        """Wait until every lane goes on."""
        self.nemesis.recovered(self.load.wait_for_progress(batches))

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
        self.judge_home()
        self.judge(judge_pages(self.product, self.ledger))
        self.judge(judge_states(self.product, self.ledger))
        self.judge(self.follower.judge(self.ledger))
        self.judge(judge_query(self.product, self.ledger))
        self.product.wait_until(lambda status: status["history"]["waiting"] == 0, what="an empty journal tail")
        self.judge(judge_files(self.product.data_dir, self.ledger))
        self.judge(judge_journal(self.product.data_dir, self.ledger))
        self.stop()
        self.judge(judge_disk(self.product.data_dir, self.ledger))

    def judge_home(self) -> None:
        """Judge what the watched home fired, once it is subscribed to again and has been quiet for a moment."""
        self.home.run(self.home.fake.subscribed())
        self.home.end()
        self.home.run(self.home.fake.drained())
        self.product.wait_until(lambda status: status["counts"]["in_flight"] == 0, what="an empty queue")
        shown = sorted(self.product.events(domain="sensor", source="homeassistant"), key=lambda event: event["seq"])
        self.judge(judge_home(self.home.fired_us, shown, gaps_of(self.product.gaps())))

    def stop(self, *, within_s: float = 20.0) -> None:
        """Stop the product as a user does, and complain when that does not work."""
        code, took_s = self.product.stop(within_s=within_s)
        if code or took_s > within_s:
            self.complaints.append(f"the product ended with code {code} after {took_s:.1f} s")

    def found(self) -> dict[str, Any]:
        """Report."""
        recoveries = sorted(each.recovered_s for each in self.nemesis.strokes if each.recovered_s is not None) or [0.0]
        return {
            "acknowledged": self.ledger.acknowledged,
            "kills": self.nemesis.kills,
            "checks": len(self.verdicts),
            **{name: sum(getattr(verdict, name) for verdict in self.verdicts) for name in FAULTS},
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
            "fired_by_the_home": len(self.home.fired_us),
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
