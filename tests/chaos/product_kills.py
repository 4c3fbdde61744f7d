"""Processes of the product are killed one after the other under continuous load; all surfaces are judged now and then.

Shards mostly, at system calls and at random moments, then whoever else works for an event. The product is started once
and must recover from every kill by itself: the next one comes as soon as every lane of the load has moved on.
"""

from __future__ import annotations

import time
from typing import Any, Final

from tests.chaos.product_attack import Attack

CHECK_EVERY: Final = 25
LAST_CHECKS: Final = 0.2


def run(seconds: float, seed: int, *, strokes: int | None = None) -> dict[str, Any]:
    """Kill for so long, or so often."""
    with Attack(seed) as attack:
        deadline = time.monotonic() + seconds * (1 - LAST_CHECKS)
        since = 0
        with attack.loaded():
            while time.monotonic() < deadline and (strokes is None or len(attack.nemesis.strokes) < strokes):
                attack.nemesis.strike()
                attack.recover()
                if len(attack.nemesis.strokes) % CHECK_EVERY == 0:
                    since = attack.look(since)
        attack.judge_everything()
        return attack.found()
