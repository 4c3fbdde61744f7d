"""Two homes at once, one with a filter, one whose token is no administrator's: what is kept, and what is said."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
import yaml

from tests.support.fake_home import FakeHome, recorded_answers
from tests.support.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

Result = TypeVar("Result")
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)


class Loop:
    """An event loop in a thread, so that homes live while tests ask."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run to the end and give the result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def call(self, function: Any, *arguments: Any) -> None:
        """Call in the loop's own thread."""

        async def call() -> None:
            function(*arguments)

        self.run(call())

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Both homes and the product that watches them."""

    loop: Loop
    upstairs: FakeHome
    downstairs: FakeHome
    product: Product


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    """Start two fake homes, and a product configured by a file to watch both."""
    loop = Loop()
    answers = recorded_answers("2025.4.4")
    upstairs = FakeHome(answers=answers)
    downstairs = FakeHome(answers=recorded_answers("2024.3.3"), version="2024.3.3", admin=False)
    directory = tmp_path_factory.mktemp("homes")
    loop.run(upstairs.come_up())
    loop.run(downstairs.come_up())
    config = {
        "homes": [
            {
                "name": "upstairs",
                "url": upstairs.url,
                "token": upstairs.token,
                "include": {"domains": ["light", "sensor"]},
                "exclude": {"entity_globs": ["sensor.noise_*"], "entities": ["light.secret"]},
            },
            {"name": "downstairs", "url": downstairs.url, "token": downstairs.token},
        ],
    }
    (directory / "ha-ingestor.yaml").write_text(yaml.safe_dump(config))
    product = Product(directory)
    product.start()
    product.wait_until(lambda status: all(s["state"] == "connected" for s in status["sources"]), what="both homes")
    yield Homes(loop=loop, upstairs=upstairs, downstairs=downstairs, product=product)
    product.close()
    for home in (upstairs, downstairs):
        loop.run(home.go_down())
    loop.close()


def _change(entity_id: str, state: str, number: int) -> dict[str, Any]:
    fired = (BEGIN + timedelta(seconds=number)).isoformat()
    context = {"id": f"{number:026d}", "parent_id": None, "user_id": None}
    new = {
        "entity_id": entity_id,
        "state": state,
        "attributes": {},
        "last_changed": fired,
        "last_updated": fired,
        "context": context,
    }
    data = {"entity_id": entity_id, "old_state": None, "new_state": new}
    return {
        "event_type": "state_changed",
        "data": data,
        "origin": "LOCAL",
        "time_fired": fired,
        "context": context,
    }


def test_the_filter_keeps_out_what_the_recorder_would_and_counts_it(homes: Homes) -> None:
    """Included domains enter, excluded globs and entities do not; what was kept out is counted, not stored."""
    before = homes.product.status()["counts"]["filtered"]
    wanted, unwanted = ["light.a", "sensor.b"], ["light.secret", "sensor.noise_1", "switch.c"]
    events = [_change(entity_id, "on", number) for number, entity_id in enumerate(wanted + unwanted)]
    homes.loop.call(homes.upstairs.emit, events)
    homes.product.wait_until(lambda status: status["counts"]["filtered"] == before + 3, what="three filtered events")
    kept = [
        event["entity_id"]
        for event in homes.product.events(home="upstairs", start_time="2026-11-20", end_time="2026-11-21")
    ]
    assert sorted(kept) == wanted
    assert homes.product.status()["counts"]["balance"] == 0


def test_a_token_without_rights_captures_what_it_may_and_says_what_is_missing(homes: Homes) -> None:
    """States come in; the status names each kind that is missing and how to get it; a gap stands open for it."""
    homes.loop.call(homes.downstairs.emit, [_change("light.kitchen", "on", 100)])
    homes.product.wait_until(
        lambda _: list(homes.product.events(home="downstairs", entity_id="light.kitchen", source="homeassistant")),
        what="the state",
    )
    sources = {source["home"]: source for source in homes.product.status()["sources"]}
    assert sources["upstairs"]["missing"] == []
    missing = {item["event_type"] for item in sources["downstairs"]["missing"]}
    assert {"call_service", "automation_triggered"} <= missing
    assert all("administrator" in item["remedy"] for item in sources["downstairs"]["missing"])
    reasons = {gap["reason"] for gap in homes.product.gaps() if gap["home"] == "downstairs" and gap["to"] is None}
    assert "refused_subscription" in reasons


def test_a_lost_connection_is_a_gap_that_ends_when_events_flow_again(homes: Homes) -> None:
    """The cable is cut: a gap opens, the source returns, the gap is closed, and the next event is captured."""
    known = {gap["gap_id"] for gap in homes.product.gaps()}
    homes.loop.call(homes.upstairs.cut_cables)
    homes.product.wait_until(
        lambda _: any(gap["to"] for gap in homes.product.gaps() if gap["gap_id"] not in known), what="a closed gap"
    )
    homes.loop.call(homes.upstairs.emit, [_change("light.after", "on", 200)])
    homes.product.wait_until(lambda _: list(homes.product.events(entity_id="light.after")), what="the next event")


def test_the_time_in_which_nobody_watched_is_a_gap(homes: Homes) -> None:
    """The product is killed and started again: the span between lies in a closed gap that says so."""
    homes.product.kill_all()
    homes.product.start()
    homes.product.wait_until(
        lambda status: all(s["state"] == "connected" for s in status["sources"]), what="both homes again"
    )
    gaps = [gap for gap in homes.product.gaps() if gap["reason"] == "ingestor_stopped"]
    assert {gap["home"] for gap in gaps} == {"upstairs", "downstairs"}
    assert all(gap["to"] for gap in gaps)
    refused = [g for g in homes.product.gaps() if g["reason"] == "refused_subscription" and g["to"] is None]
    assert len(refused) == 1
