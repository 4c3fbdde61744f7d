"""A long, even load: memory, open files and threads stay level, the journal stays as long as it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from tests.chaos.product_attack import Attack

RATE: Final = 500.0
BATCH: Final = 25
SAMPLE_S: Final = 1.0
#: Least squares start after this part of the time: caches fill up first.
WARM: Final = 0.4
#: What a slope may add within an hour, per process and in all. A short soak sees noise, so only a clear slope counts.
RSS_MB_H: Final = 60.0
FILES_H: Final = 60.0
JOURNAL_S: Final = 150.0
SHORTEST_S: Final = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The whole product at one moment."""

    at_s: float
    rss_mb: float
    files: int
    threads: int
    journal_mb: float


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Send for so long, then judge all surfaces, and how the samples slope."""
    samples: list[Sample] = []
    with Attack(seed, rate=RATE, batch=BATCH) as attack:
        began = time.monotonic()
        with attack.loaded():
            while (at_s := time.monotonic() - began) < seconds * 0.85:
                samples.append(_sample(attack, at_s))
                time.sleep(SAMPLE_S)
        attack.judge_everything()
        found = attack.found()
    return {**found, **judge(samples, found["violations"])}


def judge(samples: Sequence[Sample], violations: list[str]) -> dict[str, Any]:
    """Fit a line through the second part of the samples, and complain of what is not level."""
    later = samples[int(len(samples) * WARM) :]
    hours = [sample.at_s / 3600 for sample in later]
    slopes = {
        name: statistics.linear_regression(hours, [getattr(sample, name) for sample in later]).slope
        for name in ("rss_mb", "files", "threads")
    }
    span_s = later[-1].at_s - later[0].at_s
    said = [*violations]
    for name, limit in (("rss_mb", RSS_MB_H), ("files", FILES_H), ("threads", FILES_H)):
        spread = statistics.pstdev([getattr(sample, name) for sample in later])
        rise = slopes[name] * span_s / 3600
        if span_s >= SHORTEST_S and slopes[name] > limit and rise > 2 * spread:
            said.append(f"{name} rises by {slopes[name]:.1f} an hour")
    steady_mb = max(sample.journal_mb for sample in later)
    return {
        "violations": said,
        "soaked_s": round(samples[-1].at_s),
        "slopes_per_h": {name: round(slope, 1) for name, slope in slopes.items()},
        "rss_mb": [round(samples[0].rss_mb), round(samples[-1].rss_mb)],
        "journal_mb_at_most": round(steady_mb, 1),
    }


def _sample(attack: Attack, at_s: float) -> Sample:
    rss = files = threads = 0
    for each in attack.product.family():
        with suppress(psutil.NoSuchProcess):
            rss += each.memory_full_info().uss
            files += each.num_fds()
            threads += each.num_threads()
    return Sample(
        at_s=at_s, rss_mb=rss / 1e6, files=files, threads=threads, journal_mb=_size(attack.product.data_dir) / 1e6
    )


def _size(data_dir: Path) -> int:
    total = 0
    for path in (data_dir / "journal").rglob("*.seg"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
