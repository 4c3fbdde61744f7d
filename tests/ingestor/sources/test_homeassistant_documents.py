"""Documents are what Home Assistant answered, and follow it; what a token may not see is told exactly."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ingestor.event import KIND_OF_EVENT_TYPE
from ingestor.sources.base import DOCUMENT_NAMES, Batch, Document, GapClosed, GapOpened
from tests.ingestor.sources.watching import IMPATIENT, source_of, watched
from tests.support.fake_home import (
    OPEN_EVENT_TYPES,
    VERSIONS,
    FakeHome,
    Refuse,
    automation_configs,
    fake_home,
    recorded_answers,
    recorded_lines,
)


def fired(event_type: str, **data: Any) -> dict[str, Any]:
    """Build an event as Home Assistant sends it."""
    return {"event_type": event_type, "data": data, "origin": "LOCAL", "time_fired": "2026-11-23T08:43:51.985751+00:00"}


def state(entity_id: str, value: str, **more: Any) -> dict[str, Any]:
    """Build a state as ``get_states`` lists it."""
    context = {"id": "01M83S6V9H33J1SBDCC614A9K8", "parent_id": None, "user_id": None}
    times = dict.fromkeys(("last_changed", "last_updated"), "2026-11-23T08:00:00.123456+00:00")
    return {"entity_id": entity_id, "state": value, "attributes": {}, **times, "context": context, **more}


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_document_is_the_recorded_answer(version: str) -> None:
    """Nothing is added, dropped or renamed, in either version's shapes."""
    recorded = recorded_answers(version)
    async with fake_home(version) as home, watched(source_of(home)) as watch:
        await watch.ready()
    assert watch.documents() == set(DOCUMENT_NAMES)
    for name, command in DOCUMENT_NAMES.items():
        if name not in {"automations", "scripts", "missing"}:
            assert watch.document(name) == recorded[command], name
    assert watch.document("missing") == []
    known = recorded["automation/config"].known
    assert watch.document("automations") == {entity_id: answer["config"] for entity_id, answer in known.items()}
    assert list(watch.document("scripts")) == ["script.flash"]


async def test_registries_of_later_versions_pass_untouched() -> None:
    """One config entry a device, child devices with few fields: whatever stands there is passed on."""
    devices = [
        {"id": "c" * 32, "parent_device_id": "p" * 32, "name": "Child"},
        {"id": "p" * 32, "config_entry_id": "01M83S6S", "area_id": "kitchen", "surprise": {"deep": [1, None, 1.5]}},
    ]
    async with FakeHome(answers={"config/device_registry/list": devices}) as home, watched(source_of(home)) as watch:
        await watch.ready()
    assert watch.document("devices") == devices


@pytest.mark.parametrize("version", VERSIONS)
async def test_listed_states_become_the_changes_that_set_them(version: str) -> None:
    """One ``state_changed`` a state, at its own time and context, marked as not seen live."""
    states = recorded_answers(version)["get_states"]
    async with fake_home(version) as home, watched(source_of(home)) as watch:
        await watch.ready()
    events = [json.loads(event) for event in watch.events(backfilled=True)]
    assert [event["data"]["new_state"] for event in events] == states
    for event, listed in zip(events, states, strict=True):
        assert event["event_type"] == "state_changed"
        assert event["origin"] == "LOCAL"
        assert event["time_fired"] == listed["last_updated"]
        assert event["context"] == listed["context"]
        assert event["data"]["entity_id"] == listed["entity_id"]
        assert event["data"]["old_state"] is None


async def test_a_live_change_and_its_listed_state_agree_in_what_makes_their_id() -> None:
    """The recorded last change of an entity and its state in the list tell the same state and ``last_updated``."""
    states = {each["entity_id"]: each for each in recorded_answers("2025.4.4")["get_states"]}
    newest: dict[str, Any] = {}
    for line in recorded_lines("2025.4.4", "A_all.frames.ndjson"):
        if b'"event_type":"state_changed"' in line:
            data = json.loads(line)["event"]["data"]
            newest[data["entity_id"]] = data["new_state"]
    same = [entity_id for entity_id, last in newest.items() if last and states.get(entity_id) == last]
    assert len(same) > 20


async def test_odd_states_are_passed_on_and_do_not_end_the_connection() -> None:
    """A state without times, or with fields of another type, is still an event."""
    odd = [{"entity_id": "a.b", "state": "1"}, {"entity_id": 7, "last_updated": 8}, "text", state("c.d", "on")]
    async with FakeHome(answers={"get_states": odd}) as home, watched(source_of(home)) as watch:
        await watch.ready()
        assert watch.source.health.state == "connected"
    assert [json.loads(event)["data"]["new_state"] for event in watch.events(backfilled=True)] == odd
    assert not watch.all(GapOpened)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (fired("entity_registry_updated", action="create", entity_id="sensor.x"), "entities"),
        (fired("device_registry_updated", action="create", device_id="d"), "devices"),
        (fired("area_registry_updated", action="create", area_id="a"), "areas"),
        (fired("floor_registry_updated", action="create", floor_id="f"), "floors"),
        (fired("label_registry_updated", action="create", label_id="l"), "labels"),
        (fired("core_config_updated", latitude=1.0), "config"),
        (fired("service_registered", domain="x", service="y"), "services"),
        (fired("service_removed", domain="x", service="y"), "services"),
        (fired("component_loaded", component="x"), "manifests"),
        (fired("component_loaded", component="x"), "config"),
        (fired("user_added", user_id="u"), "users"),
        (fired("entity_registry_updated", action="update", entity_id="person.x"), "persons"),
        (fired("state_changed", entity_id="person.x", old_state={}, new_state={}), "persons"),
        (fired("homeassistant_started"), "services"),
    ],
)
async def test_what_an_event_makes_stale_is_read_again(event: dict[str, Any], name: str) -> None:
    """The new answer comes as a new document; an answer that did not change comes not again."""
    async with fake_home() as home, watched(source_of(home)) as watch:
        await watch.ready()
        before = len(watch.all(Document))
        home.answers[DOCUMENT_NAMES[name]] = {"new": name}
        home.emit([json.dumps(event, separators=(",", ":")).encode()])
        await watch.until(lambda: watch.document(name) == {"new": name})
        await asyncio.sleep(0.1)
        assert [each.name for each in watch.all(Document)[before:]] == [name]


async def test_a_burst_of_changes_is_not_read_once_for_each() -> None:
    """A hundred registrations in a row make a reading or, on a slow machine, a few, not a hundred."""
    async with fake_home() as home, watched(source_of(home)) as watch:
        await watch.ready()
        before = home.count("get_services")
        for number in range(100):
            home.emit([fired("service_registered", domain="x", service=f"s{number}")])
            if number % 10 == 0:
                await asyncio.sleep(0.01)
        await home.asked("get_services", before + 1)
        await asyncio.sleep(0.2)
        assert home.count("get_services") <= before + 4


async def test_reloaded_automations_are_read_again_with_those_that_came() -> None:
    """Each automation in the states has its configuration; one without is left out."""
    configs: dict[str, Any] = {"automation.a": {"alias": "A"}, "automation.none": None}
    answers: dict[str, Any] = {"automation/config": automation_configs(configs)}
    answers["get_states"] = [state(name, "on") for name in ("automation.a", "automation.none", "automation.unknown")]
    async with FakeHome(answers=answers) as home, watched(source_of(home)) as watch:
        await watch.ready()
        assert watch.document("automations") == {"automation.a": {"alias": "A"}}
        configs["automation.b"] = {"alias": "B"}
        answers["get_states"].append(state("automation.b", "on"))
        home.emit([fired("automation_reloaded")])
        await watch.until(lambda: len(watch.document("automations")) == 2)
        del configs["automation.a"]
        gone = fired("state_changed", entity_id="automation.a", old_state=state("automation.a", "on"), new_state=None)
        home.emit([json.dumps(gone, separators=(",", ":")).encode()])
        await watch.until(lambda: watch.document("automations") == {"automation.b": {"alias": "B"}})


async def test_a_config_entry_change_is_an_event_and_a_new_document() -> None:
    """Home Assistant fires no event for it, so the source writes one, at the time it was received."""
    async with fake_home() as home, watched(source_of(home, clock=lambda: 1_795_423_464.25)) as watch:
        await watch.ready()
        assert home.count("config_entries/get") == 0
        entry = {"entry_id": "e1", "domain": "demo", "state": "setup_retry"}
        home.answers["config_entries/get"] = [entry]
        home.change_entry("updated", entry)
        await watch.until(lambda: watch.document("config_entries") == [entry])
        await watch.until(lambda: len(watch.events()) == 1)
    assert json.loads(watch.events()[0]) == {
        "event_type": "config_entry_changed",
        "data": {"type": "updated", "entry": entry},
        "origin": "LOCAL",
        "time_fired": "2026-11-23T08:44:24.250000+00:00",
    }


async def test_a_command_that_fails_is_asked_again_and_one_unknown_is_passed_over() -> None:
    """One command's trouble keeps no other document back and never ends the connection."""
    failing = [True]

    def floors(_: dict[str, Any]) -> Any:
        if failing:
            raise Refuse("unknown_error", "Unknown error")
        return [{"floor_id": "f"}]

    answers = {**recorded_answers("2024.3.3"), "config/floor_registry/list": floors}
    del answers["config/label_registry/list"]
    async with FakeHome(answers=answers) as home, watched(source_of(home)) as watch:
        await watch.ready()
        assert set(DOCUMENT_NAMES) - watch.documents() == {"floors", "labels"}
        failing.clear()
        await watch.until(lambda: "floors" in watch.documents())
        assert watch.source.health.connects == 1


async def test_without_an_administrator_all_that_is_allowed_is_read_and_the_rest_is_told() -> None:
    """Allowed types arrive; every other known type and the users are listed with a remedy."""
    async with fake_home(admin=False) as home, watched(source_of(home)) as watch:
        await watch.ready()
        assert {each for each in home.clients[0].subscriptions.values() if each} == OPEN_EVENT_TYPES
        live = json.dumps(fired("state_changed", entity_id="a.b"), separators=(",", ":")).encode()
        home.emit([live, fired("call_service", domain="x")])
        await watch.until(lambda: watch.events() == [live])
        missing = watch.source.health.missing
        assert missing == watch.document("missing")
        types = {each["event_type"] for each in missing}
        known = set(KIND_OF_EVENT_TYPE) - {"state_reported"}
        assert known - OPEN_EVENT_TYPES <= types
        assert not OPEN_EVENT_TYPES & types
        assert "*" in types
        assert {"kind": "user", "event_type": ""}.items() <= missing[-1].items()
        assert all(set(each) == {"kind", "event_type", "why", "remedy"} for each in missing)
        assert all("administrator" in each["remedy"] for each in missing)
        assert "users" not in watch.documents()
        assert "config_entries" in watch.documents()
        (gap,) = watch.all(GapOpened)
        assert (gap.reason, "call_service" in gap.detail) == ("refused_subscription", True)
        await home.disconnect()
        await watch.until(lambda: watch.source.health.connects == 2)
        assert [each.gap_id for each in watch.all(GapClosed)] != [gap.gap_id]
        home.admin = True
        await home.disconnect()
        await watch.until(lambda: gap.gap_id in {each.gap_id for each in watch.all(GapClosed)})
        await watch.until(lambda: watch.source.health.missing == [])
    assert [each.reason for each in watch.all(GapOpened)].count("refused_subscription") == 1


async def test_a_slow_consumer_stops_the_reading_and_what_is_then_dropped_is_an_overflow() -> None:
    """All that was read comes out in order; the gap starts when reading stood still, not when the home gave up."""
    event = b'{"event_type":"big","data":{"n":1%05d,"text":"' + b"x" * 3_000 + b'"}}'
    source_options = {"queue_bytes": 100_000, "ready_bytes": 100_000}
    async with FakeHome(pending_limit=1_000) as home, watched(source_of(home, **source_options)) as watch:
        await watch.ready()
        watch.running.clear()
        number = 0
        while not home.thrown_out:
            home.emit([event % n for n in range(number, number + 200)])
            number += 200
            await asyncio.sleep(0.002)
        stood_still_for_s = 0.4
        await asyncio.sleep(stood_still_for_s)
        queued = watch.source._connection
        assert queued is not None
        assert queued.frames._bytes < 100_000 + 3_200 * 1_000
        watch.running.set()
        await watch.until(lambda: bool(watch.all(GapClosed)))
    (gap,), (closed,) = watch.all(GapOpened), watch.all(GapClosed)
    assert gap.reason == "overflow"
    assert closed.to_us - gap.from_us >= stood_still_for_s * 1_000_000
    numbers = [json.loads(each)["data"]["n"] - 100_000 for each in watch.events()]
    assert numbers == list(range(len(numbers)))
    assert 100 < len(numbers) < number
    assert home.thrown_out[0].lost_messages > 0
    assert max(batch.received_at_us for batch in watch.all(Batch)) <= closed.to_us


async def test_a_slow_consumer_is_not_taken_for_a_dead_home() -> None:
    """While reading stands still because of us, silence proves nothing."""
    event = b'{"event_type":"big","data":"' + b"x" * 3_000 + b'"}'
    async with (
        FakeHome() as home,
        watched(
            source_of(home, queue_bytes=50_000, ready_bytes=50_000, timing=IMPATIENT),
        ) as watch,
    ):
        await watch.ready()
        watch.running.clear()
        home.emit([event] * 600)
        await asyncio.sleep(2.5)
        watch.running.set()
        await watch.until(lambda: len(watch.events()) == 600)
        await asyncio.sleep(0.3)
    assert not watch.all(GapOpened)
