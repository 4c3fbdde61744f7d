"""The demo home: what it promises to hold, and that its events are true to Home Assistant and to themselves."""

from __future__ import annotations

import gc
import io
import json
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from ingestor.sources.demo import documents
from ingestor.sources.demo.book import AUTOMATIONS, SCENES, SCRIPTS
from ingestor.sources.demo.bus import Stamp
from ingestor.sources.demo.catalogue import AREAS, DEVICES, ENTITIES, FLOORS, PEOPLE
from ingestor.sources.demo.day import ZONE, Day

FRAMES = Path(__file__).parents[2] / "fixtures" / "frames" / "2025.4.4"
TUESDAY, SATURDAY = date(2026, 11, 24), date(2026, 11, 28)


@pytest.fixture(scope="module", autouse=True)
def calm() -> Iterator[None]:
    """Keep the collector from walking through days of events again and again; let them go at the end."""
    gc.disable()
    yield
    lived.cache_clear()
    recorded.cache_clear()
    gc.enable()


def _live(day: date, seed: int = 1, until_h: float = 28.0) -> Day:
    lived = Day(seed=seed, day=day, stamp=Stamp())
    lived.run(lived.at(until_h))
    return lived


@cache
def lived(day: date, until_h: float = 28.0) -> list[dict[str, Any]]:
    return [orjson.loads(event) for _, event in _live(day, until_h=until_h).bus.out]


def changes(
    day: date, until_h: float = 28.0
) -> Iterator[tuple[str, dict[str, Any] | None, dict[str, Any], dict[str, Any]]]:
    for event in lived(day, until_h):
        if event["event_type"] == "state_changed":
            yield event["data"]["entity_id"], event["data"]["old_state"], event["data"]["new_state"], event


@cache
def recorded() -> list[dict[str, Any]]:
    with (FRAMES / "A_all.frames.ndjson.zst").open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    frames = [json.loads(line) for line in text.splitlines()]
    return [frame["event"] for frame in frames if frame["type"] == "event"]


def test_home_is_as_large_as_promised() -> None:
    """Floors, areas, devices, entities, automations, scripts and people reach the promised numbers."""
    assert len(FLOORS) >= 3
    assert len(AREAS) >= 8
    assert len(DEVICES) >= 35
    assert len(documents.entities()) >= 120
    assert len({row["entity_id"] for row in documents.entities()}) == len(documents.entities())
    assert len(AUTOMATIONS) >= 14
    assert len(SCRIPTS) + len(SCENES) >= 3
    assert 3 <= len(PEOPLE) <= 4


def test_day_is_lively_and_varied() -> None:
    """A day has 20,000 to 70,000 events of at least 12 types, and every entity of the registry has a state."""
    events = lived(TUESDAY)
    assert 20_000 < len(events) < 70_000
    assert len({event["event_type"] for event in events}) >= 12
    shown = {entity_id for entity_id, _, _, _ in changes(TUESDAY)}
    assert {row["entity_id"] for row in documents.entities()} <= shown


def test_same_seed_and_day_give_the_same_bytes() -> None:
    """A day lived twice is the same to the byte; another seed gives another day."""
    first, again, other = (_live(TUESDAY, seed, until_h=8.5).bus.out for seed in (1, 1, 2))
    assert len(first) > 5_000
    assert first == again
    assert {event for _, event in first}.isdisjoint(event for _, event in other)


def test_day_does_not_depend_on_the_machines_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands elsewhere plays the same bytes."""

    def played() -> list[bytes]:
        day = _live(SATURDAY, until_h=4.01)
        data = {"entity_id": ["timer.oven"], "duration": "0:01:00"}
        day.services.call("timer", "start", data, day.bus.context())
        day.run(day.at(4.05))
        return [event for _, event in day.bus.out]

    here = played()
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert played() == here
        assert any(b'"timer.finished"' in event for event in here)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_old_state_is_the_new_state_before() -> None:
    """For each entity the old state is, whole, the new state of its event before."""
    last: dict[str, Any] = {}
    for entity_id, old, new, event in changes(TUESDAY):
        assert old == last.get(entity_id)
        assert new["entity_id"] == entity_id
        assert event["time_fired"] == new["last_updated"]
        assert (old is not None and old["state"] == new["state"]) == (new["last_changed"] != new["last_updated"])
        assert old is None or old["state"] != new["state"] or old["attributes"] != new["attributes"]
        last[entity_id] = new


def test_times_rise_strictly() -> None:
    """No two events share a time, so no two can be taken for one."""
    times = [event["time_fired"] for event in lived(TUESDAY)]
    parsed = [datetime.fromisoformat(text) for text in times]
    assert all(a < b for a, b in pairwise(parsed))


def test_automation_runs_have_a_cause() -> None:
    """A run's parent is the context of what its trigger names; what the run does carries its context."""
    seen: dict[str, set[str]] = defaultdict(set)
    runs: dict[str, str] = {}
    acts: Counter[str] = Counter()
    for event in lived(TUESDAY):
        context, data = event["context"], event["data"]
        assert len(context["id"]) == 26
        if event["event_type"] == "automation_triggered":
            runs[context["id"]] = data["entity_id"]
            source = data["source"]
            if " of " in source:
                assert source.split(" of ")[1] in seen[context["parent_id"]]
            elif source.startswith("event "):
                assert source.removeprefix("event ").strip("'") in seen[context["parent_id"]]
            else:
                assert context["parent_id"] is None
        elif context["id"] in runs and event["event_type"] == "call_service":
            acts[runs[context["id"]]] += 1
        seen[context["id"]].add(data.get("entity_id", event["event_type"]))
        seen[context["id"]].add(event["event_type"])
    assert len(acts) >= 14, "at least fourteen automations act on an ordinary Tuesday"


def test_people_act_with_their_user_id() -> None:
    """Services called by people carry the user's id, and those users are persons."""
    users = {row["user_id"] for row in documents.persons()["storage"] if row["user_id"]}
    by_people = {event["context"]["user_id"] for event in lived(TUESDAY) if event["event_type"] == "call_service"}
    assert by_people - {None} <= users
    assert len(by_people - {None}) >= 2


def _edges() -> dict[str, set[str]]:
    """Automation -> automations that listen to what it writes, through scripts and scenes."""

    def writes(steps: list[dict[str, Any]]) -> set[str]:
        found: set[str] = set()
        for step in steps:
            target = step.get("target", {}).get("entity_id", [])
            found |= {target} if isinstance(target, str) else set(target)
            if step.get("action", "").startswith("script."):
                found |= writes(SCRIPTS[step["action"]]["sequence"])
            for branch in ("then", "else"):
                found |= writes(step.get(branch, []))
            found |= {f"event {step['event']}"} if "event" in step else set()
        for scene in found & set(SCENES):
            found |= set(SCENES[scene][2])
        return found

    def reads(config: dict[str, Any]) -> set[str]:
        found: set[str] = set()
        for trigger in config["triggers"]:
            entity = trigger.get("entity_id", [])
            found |= {entity} if isinstance(entity, str) else set(entity)
            found |= {f"event {trigger['event_type']}"} if "event_type" in trigger else set()
        return found

    return {
        key: {other for other, heard in AUTOMATIONS.items() if writes(config["actions"]) & reads(heard)}
        for key, config in AUTOMATIONS.items()
    }


def test_exactly_two_automations_form_a_circle() -> None:
    """By their configurations, the stair lights follow each other, and nothing else runs in a circle."""
    edges = _edges()

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        todo = [start]
        while todo:
            for after in edges[todo.pop()] - found:
                found.add(after)
                todo.append(after)
        return found

    assert {key for key in edges if key in reachable(key)} == {"automation.stairs_up", "automation.stairs_down"}


def test_circle_runs_and_is_stopped() -> None:
    """Each press of the remote starts a chain of stair runs that follow from each other, at most five long."""
    parents, chains = {}, Counter[int]()
    for event in lived(TUESDAY):
        if event["event_type"] == "automation_triggered":
            parents[event["context"]["id"]] = (event["context"]["parent_id"], event["data"]["entity_id"])
    stairs = {"automation.stairs_up", "automation.stairs_down"}
    for context_id, (_, entity_id) in parents.items():
        length, at, last = 0, context_id, None
        while at in parents and parents[at][1] in stairs:
            assert parents[at][1] != last, "they take turns"
            length, last, at = length + 1, parents[at][1], parents[at][0]
        if entity_id in stairs:
            chains[length] += 1
    assert max(chains) == 5
    assert chains[5] >= 2
    ends = {key: new["state"] for key, _, new, _ in changes(TUESDAY) if key.startswith("light.stairs")}
    assert ends["light.stairs_lower"] == ends["light.stairs_upper"]


@pytest.mark.parametrize(("day", "at_work"), [(TUESDAY, True), (SATURDAY, False)])
def test_week_has_a_rhythm(day: date, at_work: bool) -> None:  # noqa: FBT001 - parametrised
    """On weekdays some go to work and school, at the weekend nobody does; every night is quiet."""
    places = {new["state"] for key, _, new, _ in changes(day) if key.startswith("person.")}
    assert ("Work" in places) == at_work
    assert ("School" in places) == at_work
    motion: Counter[int] = Counter()
    for key, _, new, event in changes(day):
        if key.endswith("_motion") and new["state"] == "on":
            motion[datetime.fromisoformat(event["time_fired"]).astimezone(ZONE).hour] += 1
    night = sum(motion[hour] for hour in (2, 3, 4, 5))
    assert night * 10 < sum(motion[hour] for hour in (18, 19, 20, 21))


def test_seasons_show() -> None:
    """July is warmer and brighter than January, and only January heats."""

    def mean(day: date, entity_id: str) -> float:
        values = [float(new["state"]) for key, _, new, _ in changes(day, 13.0) if key == entity_id]
        return sum(values) / len(values)

    january, july = date(2026, 1, 14), date(2026, 7, 15)
    assert mean(july, "sensor.garden_temperature") > mean(january, "sensor.garden_temperature") + 8
    assert mean(july, "sensor.solar_power") > 2 * mean(january, "sensor.solar_power")
    heated = {
        day: sum(new["state"] == "on" for key, _, new, _ in changes(day, 13.0) if key.endswith("compressor"))
        for day in (january, july)
    }
    assert heated[january] > 5
    assert heated[july] == 0


def test_meters_only_rise_even_over_the_restart() -> None:
    """Lifetime meters never fall, within a day and from one day to the next."""
    last: dict[str, float] = {}
    for day, until_h in ((TUESDAY, 28.0), (TUESDAY + timedelta(days=1), 4.1)):
        for key, _, new, _ in changes(day, until_h):
            if key in {"sensor.grid_import_energy", "sensor.solar_energy"}:
                assert float(new["state"]) >= last.get(key, 0.0)
                last[key] = float(new["state"])
    assert len(last) == 2


def test_flaky_sensor_is_lost_and_found() -> None:
    """The bathroom sensor becomes unavailable and comes back the same day."""
    states = [new["state"] for key, _, new, _ in changes(TUESDAY) if key == "sensor.bathroom_humidity"]
    assert "unavailable" in states
    assert states[-1] != "unavailable"


def test_events_have_the_recorded_shape() -> None:
    """Events, states, contexts and the data of each type have the keys, and their order, of recorded ones."""
    real = recorded()
    assert {tuple(event) for event in lived(TUESDAY)} == {tuple(event) for event in real}
    states = {tuple(event["data"]["new_state"]) for event in real if (event["data"].get("new_state"))}
    assert {tuple(new) for _, _, new, _ in changes(TUESDAY)} == states
    assert {tuple(event["context"]) for event in lived(TUESDAY)} == {tuple(event["context"]) for event in real}
    by_type = defaultdict(set)
    for event in real:
        by_type[event["event_type"]].add(tuple(event["data"]))
    for event_type in (
        "state_changed",
        "call_service",
        "automation_triggered",
        "script_started",
        "component_loaded",
        "service_registered",
        "area_registry_updated",
        "timer.started",
        "timer.finished",
    ):
        ours = {tuple(event["data"]) for event in lived(TUESDAY) if event["event_type"] == event_type}
        assert ours, event_type
        assert ours <= by_type[event_type], event_type


@pytest.mark.parametrize("domain", ["sun", "automation", "script", "scene", "counter", "input_select", "zone", "timer"])
def test_attributes_have_the_recorded_names(domain: str) -> None:
    """The attributes of helpers, automations and the sun have the names that recorded ones have."""
    real: set[str] = set()
    for event in recorded():
        for state in (event["data"].get("new_state"), event["data"].get("old_state")):
            if isinstance(state, dict) and state["entity_id"].startswith(f"{domain}."):
                real |= set(state["attributes"])
    ours: set[str] = set()
    for key, _, new, _ in changes(TUESDAY):
        if key.startswith(f"{domain}."):
            ours |= set(new["attributes"])
    assert ours <= real | {"icon"}


@pytest.mark.parametrize(
    "name", ["config", "entities", "devices", "areas", "floors", "labels", "config_entries", "users"]
)
def test_documents_have_the_recorded_keys(name: str) -> None:
    """Each registry's rows have the keys of a recorded answer."""
    files = {
        "config": "get_config",
        "entities": "config_entity_registry_list",
        "devices": "config_device_registry_list",
        "areas": "config_area_registry_list",
        "floors": "config_floor_registry_list",
        "labels": "config_label_registry_list",
        "config_entries": "config_entries_get",
        "users": "config_auth_list",
    }
    real = _answers()[files[name]]
    built = documents.devices(documents.updates(TUESDAY)) if name == "devices" else documents.PLAIN[name]()
    ours = built if isinstance(built, list) else [built]
    theirs = real if isinstance(real, list) else [real]
    assert {frozenset(row) for row in ours} <= {frozenset(row) for row in theirs}


@cache
def _answers() -> dict[str, Any]:
    with (FRAMES / "commands.tar.zst").open("rb") as file:
        packed = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for member in tar.getmembers():
            name = Path(member.name).name
            body = tar.extractfile(member) if member.isfile() and name.startswith("second.") else None
            if body is not None:
                answer = json.loads(body.read())
                response = answer.get("response", {})
                found[name.removeprefix("second.").removesuffix(".json")] = response.get("result")
    return found


def test_references_between_documents_hold() -> None:
    """Every id that one registry names exists in the other."""
    devices = {row["id"]: row for row in documents.devices(documents.updates(TUESDAY))}
    areas = {row["area_id"] for row in documents.areas()}
    entries = {row["entry_id"] for row in documents.config_entries()}
    floors = {row["floor_id"] for row in documents.floors()}
    assert all(row["device_id"] is None or row["device_id"] in devices for row in documents.entities())
    assert all(row["area_id"] is None or row["area_id"] in areas for row in devices.values())
    assert all(set(row["config_entries"]) <= entries for row in devices.values())
    assert all(row["via_device_id"] is None or row["via_device_id"] in devices for row in devices.values())
    assert all(row["floor_id"] is None or row["floor_id"] in floors for row in documents.areas())
    known = {row["entity_id"] for row in documents.entities()} | {"zone.home", "sun.sun"}
    text = json.dumps([AUTOMATIONS, SCRIPTS])
    for entity_id in [*ENTITIES]:
        assert entity_id in known
    named = {word for word in text.replace('"', " ").replace(",", " ").split() if "." in word}
    domains = {entity_id.partition(".")[0] for entity_id in ENTITIES} | {"zone", "counter", "input_select", "scene"}
    services = {f"{domain}.{name}" for domain, names in documents.services().items() for name in names}
    assert {word for word in named if word.partition(".")[0] in domains} - services <= known
