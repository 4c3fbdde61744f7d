"""All of it dies in one moment, or what Ray cannot replace does; the next start finds all that was acknowledged.

Between death and start the disk alone is judged. Streams of the time before are resumed in the time after.
"""

from __future__ import annotations

import time
from typing import Any, Final

import psutil

from tests.chaos.product_attack import Attack
from tests.chaos.product_surfaces import judge_disk

PILLARS: Final = ("gcs_server", "raylet", "ha-ingestor")
LAST_CHECKS: Final = 0.25
ENDS_WITHIN_S: Final = 30.0
ROUND_S: Final = 25.0


def run(seconds: float, seed: int, *, rounds: int | None = None) -> dict[str, Any]:
    """Kill all and start again, for so long or so often."""
    starts_s = []
    with Attack(seed) as attack:
        deadline = time.monotonic() + seconds * (1 - LAST_CHECKS) - ROUND_S
        done = 0
        with attack.loaded():
            while (time.monotonic() < deadline or not done) and (rounds is None or done < rounds):
                time.sleep(attack.nemesis.chance.uniform(0.0, 3.0))
                _kill(attack)
                attack.judge(judge_disk(attack.product.data_dir, attack.ledger))
                starts_s.append(attack.product.start())
                attack.recover()
                done += 1
        attack.judge_everything()
        return {**attack.found(), "starts": done, "slowest_start_s": round(max(starts_s), 1)}


def _kill(attack: Attack) -> None:
    """Kill everything, or a pillar on which the rest then ends by itself."""
    pillar = attack.nemesis.chance.choice((None, None, *PILLARS))
    if pillar is None:
        attack.nemesis.kill_everything()
        return
    family = attack.product.family()
    attack.nemesis.kill(pillar)
    _, alive = psutil.wait_procs(family[:1], timeout=ENDS_WITHIN_S)
    if alive:
        attack.complaints.append(f"the product goes on without its {pillar}")
        attack.product.kill_all()
