"""A real home is driven through its own API, restarts in the middle, and is then compared row by row with its recorder.

The recorder is Home Assistant's own and shares nothing with the product. A second witness, a plain subscription of the
driver's own, vouches for automation runs and service calls.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.compare import Differences, Gap, compare
from tests.e2e.product import Product, gap_of
from tests.support import product as whole
from tests.support.drive import Drive, Witness
from tests.support.home_assistant import HomeAssistant
from tests.support.recorder import Row, microseconds, read, wait_recorded

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

LEAST_EVENTS = 4_000
SETTLE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """One drive, over: what the driver saw, what the recorder and the product have of it."""

    witness: Witness
    recorded: list[Row]
    captured: list[dict[str, Any]]
    gaps: list[Gap]
    pids: tuple[int, int]

    @property
    def since_us(self) -> int:
        """The moment from which everything counts."""
        return microseconds(self.witness.began["time_fired"])

    @property
    def until_us(self) -> int:
        """The moment up to which everything counts."""
        return microseconds(self.witness.ended["time_fired"])

    @property
    def restart_gaps(self) -> list[Gap]:
        """The gaps that touch the restart and ended: no other one excuses anything."""
        first_us, last_us = self.witness.restarted_at_us, self.witness.running_again_at_us
        return [gap for gap in self.gaps if gap.to_us and gap.from_us <= last_us and gap.to_us >= first_us]

    def compare(self, rows: list[Row], *, complete: bool = True) -> Differences:
        """Compare ``rows`` with what the product has, within the drive."""
        span = {"since_us": self.since_us, "until_us": self.until_us}
        return compare(rows, self.captured, self.restart_gaps, **span, complete=complete)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    """Start a real Home Assistant, installed first where it is not."""
    with HomeAssistant(tmp_path_factory.mktemp("recorder") / "home") as home:
        home.start()
        home.wait_running()
        yield home


@pytest.fixture(scope="module")
def product(home: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Start the product with nothing but the home's address and a token."""
    product = whole.Product(
        tmp_path_factory.mktemp("product"),
        environment={"HA_URL": home.url, "HA_TOKEN": home.token, "HA_INGESTOR_SHARDS": "2"},
    )
    product.start()
    yield product
    product.close()


@pytest.fixture(scope="module")
def driven(home: HomeAssistant, product: Product) -> Driven:
    """Drive the home once; wait until recorder and product both have the last event of it."""

    def captured(context_id: str) -> bool:
        return any(product.events(context_id=context_id))

    pid = home.pid
    witness = asyncio.run(Drive(home, captured=captured).run(least_events=LEAST_EVENTS))
    wait_recorded(home.db_path, "drive_ended", witness.ended["context"]["id"])
    recorded = read(home.db_path)
    ends = time.monotonic() + SETTLE_S
    while True:
        done = Driven(
            witness=witness,
            recorded=recorded,
            captured=list(product.events()),
            gaps=[gap_of(item) for item in product.gaps()],
            pids=(pid, home.pid),
        )
        if not done.compare(recorded) or time.monotonic() > ends:
            return done
        time.sleep(1)  # other shards may still be writing what came before the last event


def test_the_drive_was_worth_comparing(driven: Driven) -> None:
    """Thousands of events of a dozen types, captured live on both sides of a restart under one process id."""
    live = [event for event in driven.captured if not event["backfilled"]]
    within = [e for e in live if driven.since_us <= microseconds(e["time_fired"]) <= driven.until_us]
    again_us = driven.witness.running_again_at_us
    assert len(within) >= 3_000
    assert len({event["event_type"] for event in within}) >= 12
    assert sum(microseconds(event["time_fired"]) > again_us for event in within) >= 1_000
    assert driven.pids[0] == driven.pids[1]


def test_every_row_of_the_recorder_is_in_the_history_once_and_alike(driven: Driven) -> None:
    """Same state, times, context and every attribute the recorder kept; nothing doubled and nothing made up."""
    outcome = driven.compare(driven.recorded)
    print(f"{outcome.matched} rows equal, {len(outcome.in_gap)} in a gap, {len(driven.captured)} events captured")  # noqa: T201 - the figure of this run
    assert not outcome, str(outcome)
    assert outcome.matched >= 3_000


def test_every_automation_run_and_service_call_of_the_witness_is_in_the_history_once(driven: Driven) -> None:
    """The witness is a plain subscription of the driver's own, not the product's and not the recorder's."""
    rows = [Row.from_bus(event) for event in driven.witness.of("automation_triggered", "call_service")]
    outcome = driven.compare(rows, complete=False)
    assert not outcome, str(outcome)
    assert Counter(row.event_type for row in rows)["automation_triggered"] >= 300


def test_what_happened_while_the_socket_was_down_lies_in_a_closed_gap(driven: Driven) -> None:
    """Home Assistant records its own start before anybody can connect; the gap ends once events arrive again."""
    assert driven.restart_gaps, f"no closed gap around the restart, only {driven.gaps}"
    assert driven.compare(driven.recorded).in_gap
    again = [microseconds(e["time_fired"]) for e in driven.captured if e["event_type"] == "drive_resumed"]
    assert all(gap.to_us <= min(again) for gap in driven.restart_gaps if gap.to_us)


def test_the_reload_of_an_integration_is_an_event(driven: Driven) -> None:
    """No bus event tells of it; the product asks for it, so that both reloads of the drive are in the history."""
    changes = [event for event in driven.captured if event["event_type"] == "config_entry_changed"]
    within = [e for e in changes if driven.since_us <= microseconds(e["time_fired"]) <= driven.until_us]
    assert len([event for event in within if "demo" in str(event["data"])]) >= 2, changes[:3]


def test_nothing_was_quarantined(driven: Driven, product: Product) -> None:
    """Every event of a real home is understood."""
    assert product.get("/api/v1/quarantine")["items"] == []
