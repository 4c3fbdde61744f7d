"""More is offered than can be taken: what is too much is refused or lies in a gap, and nothing grows without bound."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil
import pytest

from actors.gate import ANSWER_WITHIN_S
from tests.chaos.product_attack import Attack, all_well
from tests.chaos.product_surfaces import judge_pages, judge_states

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

#: The lanes together hold more in their hands at any moment than the door lets in.
BATCH = 8_000
OFFERED_FOR_S = 8.0
BURST = 6_000
#: Bounded by what each may hold: bodies of 64 MiB at the door, 200,000 rows twice in the Historian, and in each process
#: that answers or streams what the table does not have yet. A faster machine fills more of that within these seconds.
MORE_MEMORY_MB = 2_000
WORKERS = ("ray::Lane", "ray::Shard", "ray::Source", "ray::Hub", "ray::Historian", "ray::ServeReplica")


def test_what_is_too_much_is_refused_or_in_a_gap_and_all_recovers_by_itself() -> None:
    """Every refusal is a 503 with Retry-After, what is accepted is accepted in time, memory stays bounded, all is kept.

    Meanwhile the home fires faster than it is read, and once more in one tick than it queues, so it throws the client
    out: what was lost lies in a gap.
    """
    with Attack(1, rate=0, batch=BATCH) as attack:
        attack.load.retry_after_at_most_s = 0.02
        before_mb = most_mb = memory_mb(attack)
        with attack.loaded():
            attack.home.rate = 2_000
            end = time.monotonic() + OFFERED_FOR_S
            while time.monotonic() < end:
                most_mb = max(most_mb, memory_mb(attack))
                time.sleep(0.25)
            attack.home.burst(BURST)
            attack.home.rate = 50
            attack.load.wait_for_progress()
        assert set(attack.load.answers) == {200, 503}
        assert all(said.isdigit() and int(said) >= 1 for said in attack.load.retry_after), attack.load.retry_after
        assert max(attack.load.latencies_s) < 4 * ANSWER_WITHIN_S
        assert most_mb - before_mb < MORE_MEMORY_MB, f"from {before_mb:.0f} to {most_mb:.0f} MB"
        assert attack.home.fake.thrown_out
        attack.product.wait_until(all_well, what="recovery from overload")
        attack.judge_home()
        attack.judge(judge_pages(attack.product, attack.ledger))
        attack.judge(judge_states(attack.product, attack.ledger))
        assert attack.found()["violations"] == []


def memory_mb(attack: Attack) -> float:
    """Give the memory that belongs to the product's own processes alone."""
    total = 0
    for title in WORKERS:
        for each in attack.product.named(title):
            with suppress(psutil.NoSuchProcess):
                total += each.memory_full_info().uss
    return total / 1e6
