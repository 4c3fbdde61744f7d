"""The demo source: past, live, speed and resuming, against a clock that only sleeping moves."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any

import orjson
import pytest

from ingestor.sources.base import DOCUMENT_NAMES, Batch, Document, SourceItem
from ingestor.sources.demo import DemoSource

HOUR_US = 3_600_000_000
NOW_S = datetime.fromisoformat("2026-11-24T06:20:00+00:00").timestamp()


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0.05
        self.now_s += seconds


async def _play(clock: Clock, *, live_s: float = 0.0, **options: Any) -> tuple[list[SourceItem], DemoSource]:
    """Everything a source gives until it has been live for so long, always checked against the clock."""
    source = DemoSource(clock=clock, sleep=clock.sleep, **options)
    items, end_s = [], clock.now_s + live_s
    async for item in source.items():
        items.append(item)
        if isinstance(item, Batch):
            assert len(item.events) <= 2000
            assert item.received_at_us <= int(clock.now_s * 1e6)
            assert _fired_us(item.events[-1]) <= item.received_at_us, "nothing from the future"
            if not item.backfilled and clock.now_s >= end_s:
                await source.stop()
    return items, source


def _fired_us(event: bytes) -> int:
    fired = datetime.fromisoformat(orjson.loads(event)["time_fired"])
    return round(fired.timestamp() * 1e6)


def _batches(items: list[SourceItem]) -> list[Batch]:
    return [item for item in items if isinstance(item, Batch)]


def _events(items: list[SourceItem], *, skip_states: bool = True) -> list[bytes]:
    return [event for batch in _batches(items)[skip_states:] for event in batch.events]


async def test_documents_and_states_come_first() -> None:
    """All documents, then every state as a new one, then events that go on from those states."""
    items, source = await _play(Clock(), past_us=2 * HOUR_US, home="demo")
    names = [item.name for item in items[: len(DOCUMENT_NAMES)] if isinstance(item, Document)]
    assert names == list(DOCUMENT_NAMES)
    first = _batches(items)[0]
    assert first.backfilled
    known = {}
    for text in first.events:
        event = orjson.loads(text)
        state = event["data"]["new_state"]
        assert event["data"]["old_state"] is None
        assert event["time_fired"] == state["last_updated"]
        known[state["entity_id"]] = state
    states = next(item.content for item in items if isinstance(item, Document) and item.name == "states")
    assert {state["entity_id"]: state for state in states} == known
    for text in _events(items):
        event = orjson.loads(text)
        if event["event_type"] == "state_changed":
            assert event["data"]["old_state"] == known.get(event["data"]["entity_id"])
            known[event["data"]["entity_id"]] = event["data"]["new_state"]
    assert source.health.state == "stopped"
    assert source.health.last_event_us == _fired_us(_events(items)[-1])


async def test_past_reaches_from_its_start_to_now() -> None:
    """The past starts where it was asked to and ends at the clock, in batches of up to 2,000 marked backfilled."""
    items, _ = await _play(Clock(), past_us=3 * HOUR_US)
    past = [event for batch in _batches(items)[1:] if batch.backfilled for event in batch.events]
    assert len(past) > 4_000
    now_us = int(NOW_S * 1e6)
    assert 0 <= _fired_us(past[0]) - (now_us - 3 * HOUR_US) < 30_000_000
    assert 0 <= now_us - _fired_us(past[-1]) < 30_000_000


async def test_live_goes_on_where_the_past_ends() -> None:
    """Ten live minutes at speed 1 are the same bytes as ten minutes of past, and something happens all the time."""
    live, _ = await _play(Clock(), past_us=HOUR_US, live_s=600)
    past, _ = await _play(Clock(NOW_S + 600), past_us=HOUR_US + 600_000_000)
    one, other = _events(live), _events(past)
    shared = min(len(one), len(other))
    assert one[:shared] == other[:shared]
    assert abs(len(one) - len(other)) < 50
    fresh = [event for batch in _batches(live) if not batch.backfilled for event in batch.events]
    assert len(fresh) > 300


async def test_resume_repeats_nothing_and_leaves_nothing_out() -> None:
    """Stopped and started an hour later, the two parts together are what one long run gives."""
    whole, _ = await _play(Clock(NOW_S + 3600), past_us=3 * HOUR_US)
    first, _ = await _play(Clock(), past_us=2 * HOUR_US, live_s=30)
    last_us = _fired_us(_events(first)[-1])
    second, _ = await _play(Clock(NOW_S + 3600), past_us=60_000_000, start_after_us=last_us)
    joined, wanted = _events(first) + _events(second), _events(whole)
    shared = min(len(joined), len(wanted))
    assert joined[:shared] == wanted[:shared]
    assert len(set(joined)) == len(joined)


async def test_resume_works_from_any_moment() -> None:
    """Even a stop between two events of one chain is resumed at the very next event."""
    whole, _ = await _play(Clock(), past_us=HOUR_US // 2)
    events = _events(whole)
    chain = next(n for n, text in enumerate(events) if b'"automation_triggered"' in text)
    for at in range(chain, chain + 6):
        again, _ = await _play(Clock(), past_us=HOUR_US, start_after_us=_fired_us(events[at]))
        assert _events(again)[:40] == events[at + 1 : at + 41]


async def test_restart_of_the_night_is_passed() -> None:
    """A past over four in the morning has the restart once, and new states begin again from nothing."""
    morning = datetime.fromisoformat("2026-11-24T03:30:00+00:00").timestamp()
    items, _ = await _play(Clock(morning), past_us=HOUR_US)
    kinds = Counter(orjson.loads(text)["event_type"] for text in _events(items))
    assert kinds["homeassistant_started"] == 1
    assert kinds["service_registered"] > 40
    known: dict[str, Any] = {}
    for text in _events(items):
        event = orjson.loads(text)
        if event["event_type"] == "state_changed":
            old = event["data"]["old_state"]
            assert old is None or old == known.get(event["data"]["entity_id"], old)
            known[event["data"]["entity_id"]] = event["data"]["new_state"]
    assert all(a < b for a, b in pairwise(map(_fired_us, _events(items))))


@pytest.mark.parametrize("speed", [60.0, 5_000.0])
async def test_speed_lives_faster_by_the_same_clock(speed: float) -> None:
    """At speed N a live minute holds about N minutes of life, dated within that minute, all times different."""
    live_s = 60.0 if speed < 100 else 4.0
    items, _ = await _play(Clock(), past_us=60_000_000, live_s=live_s, speed=speed)
    fresh = [event for batch in _batches(items) if not batch.backfilled for event in batch.events]
    fired = [_fired_us(event) for event in fresh]
    assert all(a < b for a, b in pairwise(fired))
    assert fired[0] >= int(NOW_S * 1e6)
    assert 0.25 < len(fresh) / (live_s * speed) < 1.6
    known: dict[str, Any] = {}
    for text in fresh:
        event = orjson.loads(text)
        if event["event_type"] == "state_changed":
            old = event["data"]["old_state"]
            assert old is None or old == known.get(event["data"]["entity_id"], old)
            known[event["data"]["entity_id"]] = event["data"]["new_state"]


async def test_start_in_the_future_gives_nothing_before_it() -> None:
    """When the newest stored event is ahead of a clock that was set back, nothing up to it is given twice."""
    ahead_us = int((NOW_S + 120) * 1e6)
    items, _ = await _play(Clock(), past_us=HOUR_US, start_after_us=ahead_us, live_s=200)
    events = _events(items)
    assert events
    assert _fired_us(events[0]) > ahead_us


async def test_a_day_of_past_is_quick() -> None:
    """A day of past takes a few seconds of this process's time, so a first look does not wait."""
    begin = time.process_time()
    items, _ = await _play(Clock(), past_us=24 * HOUR_US)
    assert len(_events(items)) > 20_000
    assert time.process_time() - begin < 15
