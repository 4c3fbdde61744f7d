"""The oracle can fail: it finds a dropped, doubled, altered, invented or reordered event, and passes the faultless."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos import oracle, product_home
from tests.chaos.oracle import ENTITIES, LANES, Ledger, Sight, body_of, entity_of, sight_of


@pytest.fixture
def ledger() -> Ledger:
    """Make a ledger of 400 acknowledged events and 100 that may or may not be there."""
    ledger = Ledger()
    for lane in range(LANES):
        ledger.claim(lane, 100)
        ledger.acknowledge(lane)
    ledger.claim(0, 100)
    return ledger


def shown(ledger: Ledger) -> list[Sight]:
    """Give what a faultless surface shows."""
    return [Sight(number, number + 1, intact=True) for number in range(ledger.end) if ledger.owed(number)]


def test_a_faultless_surface_passes(ledger: Ledger) -> None:
    """All that was acknowledged, and any of what was sent, is sound."""
    verdict = ledger.judge("pages", shown(ledger))
    assert verdict.sound, verdict
    assert (verdict.acknowledged, verdict.delivered) == (400, 400)
    unanswered = Sight(100 * LANES, 1000, intact=True)
    assert ledger.judge("pages", [*shown(ledger), unanswered]).sound


def test_a_dropped_event_is_missing(ledger: Ledger) -> None:
    """An acknowledged event that is not shown is named."""
    verdict = ledger.judge("pages", [sight for sight in shown(ledger) if sight.number != 123])
    assert verdict.missing == 1
    assert "number 123" in str(verdict)


def test_a_doubled_event_is_found(ledger: Ledger) -> None:
    """An event that is shown again, as a copy or under another seq, is duplicated."""
    assert ledger.judge("pages", [*shown(ledger), Sight(7, 8, intact=True)]).duplicated == 1
    assert ledger.judge("pages", [*shown(ledger), Sight(7, 5000, intact=True)]).duplicated == 1


def test_an_invented_event_is_spurious(ledger: Ledger) -> None:
    """An event that was never sent, or names no number, is spurious."""
    assert ledger.judge("pages", [*shown(ledger), Sight(999_999, 5000, intact=True)]).spurious == 1
    assert ledger.judge("pages", [*shown(ledger), Sight(-1, 5000, intact=False)]).spurious == 1


def test_a_reordered_entity_is_found(ledger: Ledger) -> None:
    """Two events of one entity that changed places are out of order, by place as by seq; of two entities they may."""
    sights = shown(ledger)
    sights[3], sights[3 + ENTITIES] = sights[3 + ENTITIES], sights[3]
    assert ledger.judge("pages", sights).out_of_order == 1
    by_seq = [sight._replace(seq=2) if sight.number == 3 + ENTITIES else sight for sight in shown(ledger)]
    assert ledger.judge("pages", by_seq).out_of_order == 1
    sights = shown(ledger)
    sights[3], sights[4] = sights[4], sights[3]
    assert ledger.judge("pages", sights).sound


def event(number: int) -> dict[str, Any]:
    """Give the event as the API shows it."""
    sent = json.loads(body_of([number]))
    state = sent["data"]["new_state"]
    return {
        "seq": number + 1,
        "entity_id": state["entity_id"],
        "state": state["state"],
        "state_numeric": float(state["state"]),
        "attributes": state["attributes"],
        "time_fired": state["last_updated"].replace("+00:00", "Z"),
        "context_id": sent["context"]["id"],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "43"),
        ("state_numeric", 42.5),
        ("entity_id", "sensor.oracle_1"),
        ("attributes", {"unit_of_measurement": "W", "device_class": "power", "check": 1}),
        ("attributes", {}),
        ("time_fired", "2026-11-01T00:00:00.043000Z"),
    ],
)
def test_an_altered_event_is_corrupted(ledger: Ledger, field: str, value: Any) -> None:
    """Whatever in an event differs from what was sent is found."""
    whole = sight_of(event(42))
    assert whole == Sight(42, 43, intact=True)
    altered = sight_of({**event(42), field: value})
    assert altered is not None
    assert ledger.judge("pages", [*shown(ledger)[:42], altered, *shown(ledger)[43:]]).corrupted == 1


def test_an_event_without_its_number_is_spurious_and_what_it_was_is_missing(ledger: Ledger) -> None:
    """An altered context names another event, or none."""
    altered = sight_of({**event(42), "context_id": None})
    assert altered is not None
    verdict = ledger.judge("pages", [*shown(ledger)[:42], altered, *shown(ledger)[43:]])
    assert (verdict.spurious, verdict.missing) == (1, 1)


def test_events_of_others_are_not_the_oracles() -> None:
    """What the home itself does is left out."""
    assert sight_of({**event(42), "entity_id": "sensor.other"}) is None


def test_states_must_be_the_newest() -> None:
    """An old state, a missing entity and a second one are found."""
    ledger = Ledger()
    for lane in range(LANES):
        ledger.claim(lane, 100)
        ledger.acknowledge(lane)
    states = [{"entity_id": entity_of(number), "state": str(number)} for number in range(360, 400)]
    assert ledger.judge_states(states).sound
    assert ledger.judge_states([{**states[0], "state": "320"}, *states[1:]]).corrupted == 1
    assert ledger.judge_states(states[1:]).missing == 1
    assert ledger.judge_states([*states, states[0]]).duplicated == 1


def test_sums_must_add_up() -> None:
    """A surface that only counts is found out by count, by difference and by sum."""
    ledger = Ledger()
    for lane in range(LANES):
        ledger.claim(lane, 10 + lane)
        ledger.acknowledge(lane)
    numbers = [number for number in range(ledger.end) if ledger.owed(number)]
    count, total = len(numbers), sum(numbers)
    assert ledger.judge_sums("sql", count=count, distinct=count, total=total).sound
    assert ledger.judge_sums("sql", count=count - 1, distinct=count - 1, total=total).missing == 1
    assert ledger.judge_sums("sql", count=count + 1, distinct=count, total=total).duplicated == 1
    assert ledger.judge_sums("sql", count=count + 1, distinct=count + 1, total=total).spurious == 1
    assert ledger.judge_sums("sql", count=count, distinct=count, total=total + 1).corrupted == 1


def test_all_events_of_an_entity_belong_to_one_lane() -> None:
    """Lanes send side by side, so only then has an entity one order."""
    assert ENTITIES % LANES == 0
    assert oracle.entity_of(5) == oracle.entity_of(5 + ENTITIES)


def fired(number: int, **altered: Any) -> dict[str, Any]:
    """Give an event of the watched home, one a second, as the API shows it."""
    at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number)
    entity_id = f"{product_home.PREFIX}{number % product_home.ENTITIES}"
    return {
        "entity_id": entity_id,
        "state": str(number),
        "seq": number,
        "time_fired": at.isoformat(),
        "late": False,
        **altered,
    }


def test_what_a_watched_home_fired_is_there_once_or_in_a_gap() -> None:
    """Only a gap record excuses an event that is missing; nothing excuses a second, altered, or reordered one."""
    fired_us = [oracle.START_US + number * 1_000_000 for number in range(60)]
    shown = [fired(number) for number in range(60)]
    gap = (fired_us[20], fired_us[25])
    judge = product_home.judge_home
    assert judge(fired_us, shown, []).sound
    assert judge(fired_us, shown[:20] + shown[26:], [gap]).sound
    assert judge(fired_us, shown[:20] + shown[27:], [gap]).missing == 1
    assert judge(fired_us, shown[:55], [(fired_us[55], None)]).sound
    assert judge(fired_us, [*shown, shown[3]], [gap]).duplicated == 1
    assert judge(fired_us, [*shown, fired(60)], [gap]).spurious == 1
    assert judge(fired_us, [*shown[:59], fired(59, time_fired=shown[58]["time_fired"])], []).corrupted == 1
    assert judge(fired_us, [*shown[10:], *shown[:10]], []).out_of_order == 10
    assert judge(fired_us, [*shown[10:], *(fired(number, late=True) for number in range(10))], []).sound
