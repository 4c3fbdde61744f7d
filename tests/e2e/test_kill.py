"""Kill -9 whatever runs, one after the other and all at once: nothing acknowledged is lost, nothing appears twice.

The oracle, the load and the nemesis are those of ``make chaos``; here each kind of process dies once, and then some at
system calls, by a fixed seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.nemesis import VICTIMS
from tests.chaos.product_attack import Attack, all_well
from tests.chaos.product_surfaces import judge_disk, judge_pages, judge_states
from tests.support.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SEED = 20_261_101
RATE = 1_500.0


@pytest.fixture(scope="module")
def attack() -> Iterator[Attack]:
    """Start a product under attack; one oracle for all the kills, so that each check looks at everything ever sent."""
    with Attack(SEED, rate=RATE, batch=50) as attack:
        yield attack


@pytest.fixture(autouse=True)
def judged(attack: Attack) -> Iterator[None]:
    """After each test: all that was acknowledged in it is there once and whole, and nothing else is."""
    since = attack.ledger.end
    yield
    if not attack.product.alive():
        return
    attack.product.wait_until(all_well, within_s=90, what="recovery")
    for verdict in (
        judge_pages(attack.product, attack.ledger, since=since),
        judge_states(attack.product, attack.ledger),
    ):
        assert verdict.sound, verdict
    assert attack.load.complaints == []
    assert attack.nemesis.unbitten() == []


@pytest.mark.parametrize("title", list(VICTIMS))
def test_any_one_process_may_be_killed(attack: Attack, title: str) -> None:
    """Under load one process is killed -9; all that was acknowledged is there once, and everything works again."""
    with attack.loaded():
        stroke = attack.nemesis.kill(title)
        attack.recover()
    _wait_for_another(attack.product, title, stroke.pid)


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "sendmsg"])
def test_a_shard_may_be_killed_at_any_step_of_its_work(attack: Attack, call: str) -> None:
    """Dead as it writes, as it syncs, as it answers: what was acknowledged is there, what was not is taken again."""
    with attack.loaded():
        _kill_at(attack, "ray::Shard", call, attack.nemesis.chance.randint(1, 5))


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_the_historian_may_be_killed_in_the_midst_of_a_commit(attack: Attack, call: str) -> None:
    """Dead between two steps of a commit: the table and the journal still hold each event once."""
    with attack.loaded():
        _kill_at(attack, "ray::Historian", call, 1)


@pytest.mark.parametrize("name", ["gcs_server", "raylet", "ha-ingestor"])
def test_a_process_that_ray_cannot_replace_ends_the_product_and_the_next_start_continues(
    attack: Attack, name: str
) -> None:
    """Ray's own pillars and the command itself: all ends by itself, and nothing acknowledged is lost."""
    with attack.loaded():
        family = attack.product.family()
        attack.nemesis.kill(name)
        psutil.wait_procs(family[:1], timeout=30)
        assert not attack.product.alive()
        verdict = judge_disk(attack.product.data_dir, attack.ledger)
        assert verdict.sound, verdict
        attack.product.start()
        attack.recover()


def test_everything_may_be_killed_at_once(attack: Attack) -> None:
    """All processes are killed -9 in the same moment; the disk holds all, and the next start continues."""
    with attack.loaded():
        attack.nemesis.kill_everything()
        verdict = judge_disk(attack.product.data_dir, attack.ledger)
        assert verdict.sound, verdict
        attack.product.start()
        attack.recover()


def test_a_second_program_on_the_same_data_is_refused(attack: Attack, tmp_path: Path) -> None:
    """Two programs on one data directory: the second ends with code 2 and says why."""
    second = Product(tmp_path, environment={"HA_INGESTOR_DATA_DIR": str(attack.product.data_dir)})
    answer = second.command("run")
    assert answer.returncode == 2
    assert "in use by another" in answer.stderr


def test_after_all_kills_every_surface_shows_the_same(attack: Attack) -> None:
    """Pages, states, stream, query, files, journal and the watched home agree with the oracle; then it stops with 0."""
    attack.judge_everything()
    found = attack.found()
    assert found["violations"] == []
    assert found["kills"] == len(attack.nemesis.strokes)
    assert found["streams_resumed"] > 0


def _kill_at(attack: Attack, title: str, call: str, nth: int) -> None:
    """Strike until it bites: on a busy machine a process may not come to the call in time."""
    while not attack.nemesis.kill_at(title, call, nth).bit:
        attack.recover()
    attack.recover()


def _wait_for_another(product: Product, title: str, pid: int) -> None:
    """Wait until a process with this title works again, and it is another one."""
    product.wait_until(
        lambda _: (now := {each.pid for each in product.named(title)}) and pid not in now, what=f"another {title}"
    )
