"""The load is what it says it is: real events, none twice, of the stated sizes, kinds and repetition."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import orjson
import pytest

from benchmarks.load.blocks import RENEWED, STATES, Pool, Wrapping, coalesced
from benchmarks.load.clockwork import SECOND_US, room, stamps
from benchmarks.load.home import PROBE, Home
from benchmarks.load.pace import Order
from ingestor.sources.base import Batch
from ingestor.sources.homeassistant.frames import Message, cut
from ingestor.transforms.validate import Validator

ENTITIES = 400
NOW_US = 1_795_423_500_000_000


def pool(home: Home, *, wrapping: Wrapping | None = None, probed: int = 2, seed: int = 1) -> Pool:
    lot = home.lots(1)[0]
    return Pool(home, lot, block=100, events=4_000, wrapping=wrapping or Wrapping(), probed=probed, seed=seed)


def fired(source: Pool, count: int, *, now_us: int = NOW_US, step_us: int = 10_000) -> list[bytes]:
    events: list[bytes] = []
    while len(events) < count:
        now_us += step_us
        events += bytes(source.next(now_us).text).splitlines()
    return events


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """Two turns of a pool and a half, so that every text was sent again."""
    home = Home(ENTITIES, now_us=NOW_US)
    return [orjson.loads(event) for event in fired(pool(home), 10_000)]


def test_every_event_is_whole_json_without_a_hole_left() -> None:
    """Python's own reader takes each line, and no tilde, the mark of a hole, is left in any."""
    for line in fired(pool(Home(ENTITIES, now_us=NOW_US)), 1_000):
        assert json.loads(line)["time_fired"].endswith("+00:00")
        assert b"~" not in line


def test_no_two_events_share_an_id_and_none_goes_to_quarantine() -> None:
    """Doors 3 and 4 know all of them apart: texts come again, bringers take turns, and the clock stands still."""
    home = Home(ENTITIES, now_us=NOW_US)
    lots = home.lots(2)
    bringers = [
        Pool(home, lot, block=100, events=2_000, wrapping=Wrapping(), probed=0, seed=n) for n, lot in enumerate(lots)
    ]
    raw = [event for _ in range(3) for bringer in bringers for event in fired(bringer, 3_000, step_us=0)]
    rows, outcome = Validator().validate(
        Batch(home="home", source="load", received_at_us=time.time_ns() // 1000, events=raw)
    )
    assert not outcome
    assert len(rows) == len(raw)
    values = [orjson.loads(event) for event in raw]
    assert len({(one["event_type"], one["context"]["id"]) for one in values}) == len(raw)
    states = [one["data"]["new_state"] for one in values if one["event_type"] == "state_changed"]
    assert len({(one["entity_id"], one["last_updated"]) for one in states}) == len(states)


def test_an_event_tells_of_the_one_before_it(events: list[dict[str, Any]]) -> None:
    """The old state of an entity is, to the last digit, the new state of its event before."""
    last: dict[str, Any] = {}
    followed = 0
    for event in events:
        if event["event_type"] == "state_changed":
            data = event["data"]
            if data["entity_id"] in last:
                assert data["old_state"] == last[data["entity_id"]]
                followed += 1
            last[data["entity_id"]] = data["new_state"]
    assert followed > len(events) // 2


def test_times_rise_and_a_state_is_as_new_as_its_event(events: list[dict[str, Any]]) -> None:
    """Each event is fired after the one before it, and its state has the very same moments."""
    times = [event["time_fired"] for event in events]
    assert times == sorted(set(times))
    for event in events:
        if event["event_type"] == "state_changed":
            new = event["data"]["new_state"]
            assert {new["last_changed"], new["last_updated"], new["last_reported"]} == {event["time_fired"]}
            assert new["context"]["id"] == event["context"]["id"]


def test_kinds_sizes_and_repetition_are_as_stated(events: list[dict[str, Any]]) -> None:
    """95 of 100 change a state, an event has about 1.1 kB, and 89 to 92 of 100 attributes were seen before."""
    kinds = Counter(event["event_type"] for event in events)
    assert kinds["state_changed"] / len(events) == pytest.approx(STATES / 100, abs=0.01)
    assert {"call_service", "automation_triggered", "script_started", "zha_event"} <= set(kinds)
    mean = sum(len(orjson.dumps(event)) for event in events) / len(events)
    assert 1_050 < mean < 1_250
    known: set[bytes] = set()
    seen = again = 0
    for place, event in enumerate(events):
        if event["event_type"] == "state_changed":
            attributes = orjson.dumps(event["data"]["new_state"]["attributes"])
            if place >= len(events) // 2:
                seen += 1
                again += attributes in known
            known.add(attributes)
    assert again / seen == pytest.approx(1 - RENEWED / 100, abs=0.02)


def test_the_probe_comes_at_even_steps(events: list[dict[str, Any]]) -> None:
    """Every second block begins with the probe, and no other does."""
    places = [n for n, event in enumerate(events) if event["data"].get("entity_id") == PROBE]
    assert places == list(range(0, len(events), 200))


def test_coalesced_blocks_are_frames_of_home_assistant() -> None:
    """The product's own cutter reads a block as messages of one subscription, and finds the events of the plain one."""
    frame = bytes(pool(Home(ENTITIES, now_us=NOW_US), wrapping=coalesced(7)).next(NOW_US).text)
    plain = bytes(pool(Home(ENTITIES, now_us=NOW_US)).next(NOW_US).text).splitlines()
    messages = [each for each in cut(frame) if isinstance(each, Message)]
    assert [each.id for each in messages] == [7] * 100
    assert [bytes(each.event) for each in messages] == plain


def test_states_listed_are_the_last_ones_fired() -> None:
    """Who connects in the middle is told the states that the next events call old."""
    home = Home(ENTITIES, now_us=NOW_US)
    source = pool(home)
    fired(source, 5_000)
    listed = {state["entity_id"]: state for state in home.states()}
    assert len(listed) == ENTITIES
    for line in fired(source, 1, now_us=source.last_us):
        event = orjson.loads(line)
        if event["event_type"] == "state_changed":
            assert event["data"]["old_state"] == listed[event["data"]["entity_id"]]


def test_a_block_never_crosses_a_second() -> None:
    """Moments of a block share their second, so it begins in the next one when the room is too small."""
    late_us = NOW_US + SECOND_US - 50
    assert room(late_us, 50) == late_us
    assert room(late_us, 51) == NOW_US + SECOND_US
    assert stamps(late_us, 50)[-1].tobytes() == b"2026-11-23T08:45:00.999999"


def test_blocks_follow_the_rate() -> None:
    """A paced block holds what a tick brings; an open rate takes full ones."""
    assert Order(way="websocket", rate=10_000).block == 100
    assert Order(way="http", rate=10_000).block == 200
    assert Order(rate=None).block == 500
