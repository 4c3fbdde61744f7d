"""Some events of the load, each as bytes of its own, for whoever measures without a network."""

from __future__ import annotations

import time

from benchmarks.load.blocks import Pool, Wrapping
from benchmarks.load.home import Home


def sample(count: int, *, entities: int = 5_000, block: int = 500) -> list[bytes]:
    """Give so many consecutive events of a home."""
    home = Home(entities, now_us=time.time_ns() // 1000)
    pool = Pool(home, home.lots(1)[0], block=block, events=count, wrapping=Wrapping(), probed=2, seed=1)
    events: list[bytes] = []
    while len(events) < count:
        events += bytes(pool.next(time.time_ns() // 1000).text).splitlines()
    return events[:count]
