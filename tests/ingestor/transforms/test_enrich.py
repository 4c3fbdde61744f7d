"""Place, time and cause of an event, as of its own moment."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ingestor.graph.snapshot import EntityFacts, Place, Snapshot
from ingestor.pipeline import LastStates, Pipeline, seal
from ingestor.transforms.causes import Causes
from ingestor.transforms.dedupe import Window
from ingestor.transforms.states import Known
from tests.ingestor.transforms.recorded import VERSIONS, batch, events, other_event, state_event


def at(second: float) -> str:
    return f"2026-11-23T08:00:{second:09.6f}+00:00"


def pipeline(snapshot: Snapshot | None = None) -> Pipeline:
    one = Pipeline(shard=0, window=Window(1_000_000), states=LastStates())
    if snapshot is not None:
        one.set_snapshot(snapshot)
    return one


def rows(one: Pipeline, *raws: bytes, context: list[bytes] | None = None, first_seq: int = 1) -> list[dict[str, Any]]:
    events = one.process(batch(list(raws)), context or [], first_seq=first_seq).events
    assert events is not None
    events.validate(full=True)
    return list(events.to_pylist())


HOME = Snapshot(
    home="home",
    version=1,
    place=Place(time_zone="Europe/Amsterdam", latitude=52.1, longitude=4.9, units={"temperature": "°C"}),
    entities={
        "light.a": EntityFacts(
            device_id="d1", area_id="kitchen", floor_id="ground", integration="hue",
            read_by=("automation.x",), written_by=("script.y",), in_cycle=True,
        ),
        "sensor.t": EntityFacts(area_id="kitchen", integration="zha"),
        "sensor.f": EntityFacts(area_id="kitchen"),
        "binary_sensor.m": EntityFacts(area_id="kitchen"),
        "light.b": EntityFacts(area_id="hall"),
    },
    measures={
        "sensor.t": ("kitchen", "temperature"),
        "sensor.f": ("kitchen", "temperature"),
        "binary_sensor.m": ("kitchen", "occupancy"),
    },
    neighbours={"kitchen": ("hall", "living"), "hall": ()},
)  # fmt: skip


def test_an_event_knows_its_place() -> None:
    """Device, area, floor, integration, neighbours and relations come from the snapshot; unknown entities have none."""
    known, foreign = rows(pipeline(HOME), state_event("light.a"), state_event("light.zzz"))
    assert (known["device_id"], known["area_id"], known["floor_id"], known["integration"]) == (
        "d1", "kitchen", "ground", "hue",
    )  # fmt: skip
    assert known["neighbours"] == ["hall", "living"]
    assert known["relations"] == {"read_by": ["automation.x"], "written_by": ["script.y"], "in_cycle": True}
    assert known["domain"] == "light"
    place = ("device_id", "area_id", "floor_id", "integration", "neighbours", "relations", "environment")
    assert [foreign[name] for name in place] == [None] * 7


def test_a_device_named_in_data_is_the_device() -> None:
    """Events of buttons and radios name their device themselves."""
    [row] = rows(pipeline(HOME), other_event("zha_event", {"device_id": "abc", "command": "toggle"}))
    assert (row["device_id"], row["kind"], row["entity_id"]) == ("abc", "device", None)


def test_an_event_knows_its_time() -> None:
    """Local wall clock, offset, hour, weekday, season and daylight of the home's place."""
    [row] = rows(pipeline(HOME), state_event(at=at(0)))
    assert row["local_time"].isoformat() == "2026-11-23T09:00:00"
    assert (row["utc_offset_s"], row["hour"], row["weekday"], row["season"], row["daylight"]) == (
        3600, 9, 0, "autumn", True,
    )  # fmt: skip
    assert (row["peak"], row["peak_score"]) == (None, None)
    [row] = rows(pipeline(), state_event(at=at(0)))
    assert row["local_time"] is None


def test_the_environment_is_that_of_the_moment() -> None:
    """Each event sees what the area's sensors had said up to then: the mean, in the home's unit; silence is null."""
    fahrenheit: dict[str, object] = {"unit_of_measurement": "°F"}
    got = rows(
        pipeline(HOME),
        state_event("light.a", "on", at=at(1)),
        state_event("sensor.t", "20", at=at(2)),
        state_event("light.a", "off", at=at(3)),
        state_event("sensor.f", "71.6", at=at(4), attributes=fahrenheit),
        state_event("binary_sensor.m", "on", at=at(5)),
        state_event("light.a", "on", at=at(6)),
        state_event("sensor.t", "unavailable", at=at(7)),
        state_event("binary_sensor.m", "off", at=at(8)),
        state_event("light.a", "off", at=at(9)),
        state_event("light.b", "on", at=at(9)),
    )
    seen = [row["environment"] and (row["environment"]["temperature"], row["environment"]["occupancy"]) for row in got]
    assert seen == [
        None, (20, None), (20, None), (21, None), (21, True), (21, True), (22, True), (22, False), (22, False), None,
    ]  # fmt: skip


def test_other_shards_sensors_are_seen_in_the_order_of_time() -> None:
    """A copy of another shard's event counts from its own moment on, and is no event here."""
    one = pipeline(HOME)
    copies = [state_event("sensor.t", "30", at=at(5)), state_event("sensor.t", "10", at=at(1)), b"garbage"]
    got = rows(one, *(state_event("light.a", str(n), at=at(n)) for n in (0, 2, 6)), context=copies)
    assert [row["environment"] and row["environment"]["temperature"] for row in got] == [None, 10, 30]
    assert one.states.get("home", "sensor.t") is None


def test_a_new_snapshot_keeps_what_was_measured() -> None:
    """Publishing a picture does not blind the shard; a sensor it newly measures speaks with its last state."""
    one = pipeline(HOME)
    rows(one, state_event("sensor.t", "20", at=at(1)), state_event("sensor.new", "40", at=at(1)))
    one.set_snapshot(
        Snapshot(
            home="home", version=2, place=HOME.place, entities=HOME.entities,
            measures={"sensor.t": ("kitchen", "temperature"), "sensor.new": ("kitchen", "humidity")},
        ),
    )  # fmt: skip
    one.set_snapshot(HOME)
    [row] = rows(one, state_event("light.a", at=at(2)))
    assert (row["environment"]["temperature"], row["environment"]["humidity"]) == (20, 40)


def test_time_since_the_last_change() -> None:
    """From the old state's own time, else from the shard's memory; null for what was never seen."""
    one = pipeline()
    got = rows(
        one,
        state_event("light.a", "on", at=at(1)),
        state_event("light.a", "off", at=at(3.5)),
        state_event("light.a", None, at=at(4)),
        state_event("light.c", "on", old="off", at=at(4)),
    )
    assert [row["since_last_change_s"] for row in got] == [None, 2.5, 0.5, 0.0]


def test_a_late_event_is_marked_and_changes_nothing() -> None:
    """An older state never replaces a newer one; equal times are not late."""
    one = pipeline()
    got = rows(
        one,
        state_event("light.a", "new", at=at(5)),
        state_event("light.a", "old", at=at(4)),
        state_event("light.a", "newer", at=at(5)),
        state_event("light.b", "x", at=at(1)),
    )
    assert [row["late"] for row in got] == [False, True, False, False]
    state = one.states.get("home", "light.a")
    assert state is not None
    assert (state.state, state.seq, state.event_id) == ("newer", 3, got[2]["event_id"])


def test_a_removed_entity_stays_removed_for_late_states() -> None:
    """The marker of a removal is not shown, but keeps a late state out; a newer state brings the entity back."""
    one = pipeline()
    rows(one, state_event("light.a", "on", at=at(1)), state_event("light.a", None, at=at(5)))
    assert (one.states.get("home", "light.a"), len(one.states), list(one.states.all())) == (None, 0, [])
    [late] = rows(one, state_event("light.a", "off", at=at(3)))
    assert late["late"]
    assert one.states.get("home", "light.a") is None
    rows(one, state_event("light.a", "on", at=at(6)))
    assert len(one.states) == 1


def test_last_states_come_back_from_stored_rows() -> None:
    """A shard rebuilt from its rows in any order answers as before, removals included."""
    one = pipeline(HOME)
    outcome = one.process(batch(events("2025.4.4")), first_seq=7)
    assert outcome.events is not None
    table = pa.Table.from_batches([seal(outcome.events, first_seq=7, journaled_at_us=1)])
    again = LastStates()
    again.restore(table)

    def shown(states: LastStates) -> list[dict[str, Any]]:
        return sorted((state.as_dict() for state in states.all()), key=lambda state: str(state["entity_id"]))

    assert shown(again) == shown(one.states)
    assert len(again) > 200
    backwards = LastStates()
    backwards.restore(table.take(list(range(table.num_rows - 1, -1, -1))))
    assert [s["state"] for s in shown(backwards)] == [s["state"] for s in shown(one.states)]


def test_last_states_are_bounded() -> None:
    """Neither endless entities nor huge attributes fill the memory; what was updated longest ago goes first."""
    states = LastStates(entities=100, attribute_bytes=1_000_000)

    def known(moment: int, attributes: str = "{}") -> Known:
        return Known(moment, moment, moment, "x", None, None, None, attributes, None, None, b"", 0)

    for number in range(1000):
        states.put("home", f"sensor.s{number}", known(number))
        states.put("home", "sensor.busy", known(number))
        assert len(states) <= 100
    assert states.get("home", "sensor.busy") is not None
    assert states.get("home", "sensor.s999") is not None
    assert states.get("home", "sensor.s0") is None
    assert states.evicted > 0
    for number in range(50):
        states.put("home", f"sensor.big{number}", known(1000 + number, "x" * 100_000))
    assert sum(len(state.attributes or "") for state in states.all()) <= 1_000_000


def by_context(recorded: list[dict[str, Any]]) -> dict[str, str]:
    runs = {"automation_triggered", "script_started"}
    return {row["context_id"]: row["entity_id"] for row in recorded if row["event_type"] in runs}


@pytest.mark.parametrize("version", VERSIONS)
def test_causes_of_real_events(version: str) -> None:
    """What runs under a run's context is caused by the run, the run by its trigger, a person's act by the person."""
    got = rows(pipeline(), *events(version))
    run_of: dict[str, str] = {}
    checked = {"run": 0, "parent": 0, "person": 0}
    for row in got:
        is_run = row["event_type"] in {"automation_triggered", "script_started"}
        context_id, parent_id, user_id = row["context_id"], row["context_parent_id"], row["user_id"]
        if context_id in run_of:
            assert row["cause"] == run_of[context_id]
            checked["run"] += 1
        elif user_id is not None:
            assert row["cause"] == f"user:{user_id}"
            checked["person"] += 1
        elif parent_id in run_of:
            assert row["cause"] == run_of[parent_id]
            checked["parent"] += 1
        if is_run:
            run_of[context_id] = row["entity_id"]
    assert min(checked.values()) > 25, checked


def test_a_person_starts_an_automation_that_starts_a_script() -> None:
    """The chain of one act: person, automation, script, lamp, and a template that follows the lamp."""

    def context(own: str, parent: str | None = None, user: str | None = None) -> dict[str, object]:
        return {"id": own, "parent_id": parent, "user_id": user}

    got = rows(
        pipeline(),
        other_event("call_service", {"service": "toggle"}, context=context("c1", None, "anna")),
        state_event("switch.a", "on", context=context("c1", None, "anna")),
        other_event("automation_triggered", {"entity_id": "automation.a"}, context=context("c2", "c1")),
        other_event("call_service", {"service": "s"}, context=context("c2", "c1")),
        other_event("script_started", {"entity_id": "script.s"}, context=context("c3", "c2")),
        state_event("light.l", "on", context=context("c3", "c2")),
        state_event("sensor.template", "on", context=context("c4", "c3")),
        state_event("sensor.follows", "on", context=context("c5", "c4")),
        state_event("sensor.alone", "on", context=context("c9")),
    )
    assert [row["cause"] for row in got] == [
        "user:anna", "user:anna", "user:anna", "automation.a", "automation.a", "script.s", "script.s", "script.s", None,
    ]  # fmt: skip


def test_causes_are_known_across_shards() -> None:
    """The run was routed to another shard: its copy tells this one."""
    copy = other_event("automation_triggered", {"entity_id": "automation.a"}, context={"id": "c2", "parent_id": "c1"})
    [row] = rows(
        pipeline(), state_event("light.l", context={"id": "c2", "parent_id": "c1", "user_id": None}), context=[copy]
    )
    assert row["cause"] == "automation.a"


def test_causes_are_bounded() -> None:
    """Endless contexts do not fill the memory; the newest are known."""
    causes = Causes(size=100)
    for number in range(1000):
        causes.learn(f"c{number}", "automation.a")
        assert len(causes) <= 100
    assert causes.known("c999") == "automation.a"
    assert causes.known("c0") is None
