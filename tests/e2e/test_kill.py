"""Kill -9 whatever runs, one after the other and all at once: nothing acknowledged is lost, nothing appears twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ENTITIES = 40
BATCH = 25
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Start a product that plays almost no demo, so that what the oracle sends is most of what happens."""
    product = Product(tmp_path_factory.mktemp("kill"), environment={"HA_INGESTOR_DEMO__PAST_H": "0"})
    product.start()
    yield product
    product.close()


@pytest.fixture(scope="module")
def oracle(product: Product) -> Oracle:
    """One oracle for all the kills, so that each check looks at everything ever sent."""
    return Oracle(product)


class Oracle:
    """Sends numbered events and notes which were acknowledged. Never told what happens inside."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._number = 0
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()
        self._stop = threading.Event()

    @contextmanager
    def load(self) -> Iterator[None]:
        """Send as long as the block runs."""
        self._stop.clear()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(timeout=60)

    def _run(self) -> None:
        while not self._stop.is_set():
            states = [str(self._number + offset) for offset in range(BATCH)]
            self._number += BATCH
            self.sent.update(states)
            events = [_event(int(state)) for state in states]
            while not self._stop.is_set():
                try:
                    answer = self._product.post_events(events)
                except (OSError, AssertionError):
                    time.sleep(0.1)
                    continue
                assert answer["accepted"] + answer["duplicate"] == BATCH, answer
                self.acknowledged.update(states)
                break
            time.sleep(0.02)


def _event(number: int) -> dict[str, Any]:
    time_fired = (START + timedelta(milliseconds=number)).isoformat()
    entity_id = f"sensor.oracle_{number % ENTITIES}"
    context = {"id": f"{number:026d}", "parent_id": None, "user_id": None}
    state = {
        "entity_id": entity_id,
        "state": str(number),
        "attributes": {"unit_of_measurement": "W", "device_class": "power"},
        "last_changed": time_fired,
        "last_reported": time_fired,
        "last_updated": time_fired,
        "context": context,
    }
    data = {"entity_id": entity_id, "old_state": None, "new_state": state}
    return {
        "event_type": "state_changed",
        "data": data,
        "origin": "LOCAL",
        "time_fired": time_fired,
        "context": context,
    }


def _check(product: Product, oracle: Oracle) -> None:
    """Compare the history with the oracle: all acknowledged once, none twice, none invented, order per entity."""
    seen: Counter[str] = Counter()
    last_seq: dict[str, int] = {}
    for event in product.events(domain="sensor", end_time="2026-11-02T00:00:00Z"):
        if not event["entity_id"].startswith("sensor.oracle_"):
            continue
        seen[event["state"]] += 1
        assert event["seq"] > last_seq.get(event["entity_id"], 0), event
        last_seq[event["entity_id"]] = event["seq"]
    assert oracle.acknowledged - seen.keys() == set(), "acknowledged, but missing"
    assert [state for state, count in seen.items() if count > 1] == [], "stored twice"
    assert seen.keys() - oracle.sent == set(), "never sent"
    newest: dict[str, int] = {}
    for state in seen:
        entity_id = f"sensor.oracle_{int(state) % ENTITIES}"
        newest[entity_id] = max(int(state), newest.get(entity_id, 0))
    states = {item["entity_id"]: item for item in _states(product)}
    assert {entity_id: int(states[entity_id]["state"]) for entity_id in newest} == newest


def _states(product: Product) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = product.get("/api/v1/states", domain="sensor", limit=1000)["items"]
    return items


def _all_well(status: dict[str, Any]) -> bool:
    return (
        not status["away"]
        and status["phase"] == "running"
        and all("epoch" in shard for shard in status["shards"])
        and status["counts"]["balance"] == 0
    )


@pytest.mark.parametrize(
    "title",
    [
        "ray::Shard",
        "ray::Historian",
        "ray::Graph",
        "ray::Hub",
        "ray::Gate",
        "ray::Source",
        "ray::Supervisor",
        "ray::ServeReplica:questions",
        "ray::ServeReplica:streams",
        "ray::ServeController",
        "haproxy",
    ],
)
def test_any_one_process_may_be_killed(product: Product, oracle: Oracle, title: str) -> None:
    """Under load one process is killed -9; all that was acknowledged is there once, and everything works again."""
    before = len(oracle.acknowledged)
    with oracle.load():
        _wait_for(lambda: len(oracle.acknowledged) >= before + 3 * BATCH)
        victims = product.named(title)
        assert victims, f"no process is called {title}"
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        killed_after = len(oracle.acknowledged)
        _wait_for(lambda: len(oracle.acknowledged) >= killed_after + 3 * BATCH)
    product.wait_until(_all_well, what=f"recovery after {title} was killed")
    pids = {victim.pid for victim in victims}
    _wait_for(lambda: (now := product.named(title)) and not pids & {each.pid for each in now})
    _check(product, oracle)


@pytest.mark.parametrize("name", ["gcs_server", "raylet", "ha-ingestor"])
def test_a_process_that_ray_cannot_replace_ends_the_product_and_the_next_start_continues(
    product: Product, oracle: Oracle, name: str
) -> None:
    """Ray's own pillars and the command itself: all ends by itself, and nothing acknowledged is lost."""
    before = len(oracle.acknowledged)
    with oracle.load():
        _wait_for(lambda: len(oracle.acknowledged) >= before + 3 * BATCH)
        family = product.family()
        product.named(name)[0].kill()
        psutil.wait_procs(family[:1], timeout=30)
        assert not product.alive()
    product.start()
    _check(product, oracle)


def test_everything_may_be_killed_at_once(product: Product, oracle: Oracle) -> None:
    """All processes are killed -9 in the same moment; the next start continues."""
    before = len(oracle.acknowledged)
    with oracle.load():
        _wait_for(lambda: len(oracle.acknowledged) >= before + 20 * BATCH)
        assert product.kill_all() > 10
    product.start()
    _check(product, oracle)
    product.wait_until(_all_well, what="recovery after everything was killed")


def test_a_second_program_on_the_same_data_is_refused(product: Product, tmp_path: Path) -> None:
    """Two programs on one data directory: the second ends with code 2 and says why."""
    second = Product(tmp_path, environment={"HA_INGESTOR_DATA_DIR": str(product.data_dir)})
    answer = second.command("run")
    assert answer.returncode == 2
    assert "in use by another" in answer.stderr


def _wait_for(condition: Any, *, within_s: float = 60.0) -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, "the oracle's events are not acknowledged any more"
        time.sleep(0.05)
