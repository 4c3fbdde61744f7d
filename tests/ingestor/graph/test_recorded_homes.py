"""The graph of two real homes: what their registries say, which loops they have, and which loops really ran."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingestor.errors import NotFound
from ingestor.graph.home import HomeGraph
from tests.ingestor.graph.recorded import VERSIONS, documents, frames, home_of

LOOPS = {
    ("automation.self_loop", "input_boolean.selfie"),
    ("automation.through_script", "script.flip_s", "input_boolean.s_a"),
    ("automation.event_a", "event:loop_ev_b", "automation.event_b", "event:loop_ev_a"),
    (
        "automation.loop_a_ping_makes_pong_follow",
        "input_boolean.pong",
        "automation.loop_b_pong_makes_ping_follow",
        "input_boolean.ping",
    ),
    ("automation.slow_a", "input_boolean.d_b", "automation.slow_b", "input_boolean.d_a"),
    (
        "automation.value_a_level_to_echo",
        "input_number.echo",
        "automation.value_b_echo_back_to_level",
        "input_number.level",
    ),
    (
        "automation.ring_a",
        "input_boolean.t3_b",
        "automation.ring_b",
        "input_boolean.t3_c",
        "automation.ring_c",
        "input_boolean.t3_a",
    ),
}
TEMPLATE_LOOP = ("automation.through_template", "binary_sensor.tp_inverse")
BENIGN = ("automation.fight_on", "automation.motion_light", "automation.on_custom_event", "automation.failing_action")


def _observe(graph: HomeGraph, events: list[dict[str, Any]]) -> int:
    learnt = 0
    for at, event in enumerate(events):
        if event["event_type"] in {"automation_triggered", "script_started"}:
            learnt += graph.observe(
                entity_id=event["data"]["entity_id"],
                context_id=event["context"]["id"],
                parent_id=event["context"]["parent_id"],
                time_us=1_795_423_433_000_000 + at,
                source=event["data"].get("source"),
            )
    return learnt


@pytest.mark.parametrize("when", ["first", "second"])
@pytest.mark.parametrize("version", VERSIONS)
def test_configured_loops_of_a_real_home_are_found_and_no_others(version: str, when: str) -> None:
    """Every loop built into the home is reported once, and no benign automation is accused."""
    graph = home_of(documents(version, when))

    assert {tuple(cycle["nodes"]) for cycle in graph.cycles()} == LOOPS
    assert graph.fault_count == 0
    assert not graph.truncated


@pytest.mark.parametrize("version", VERSIONS)
def test_benign_automations_are_on_no_loop(version: str) -> None:
    """Turning a switch off does not set off "to: on"; a script that fires an event nobody answers to is harmless."""
    graph = home_of(documents(version))
    _observe(graph, frames(version))

    assert [name for name in BENIGN if graph.automation(name)["in_cycle"]] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_loops_that_ran_are_counted_once_a_round(version: str) -> None:
    """A chain of n runs through a loop of k automations has gone round (n - 1) // k times."""
    graph = home_of(documents(version))
    events = frames(version)
    _observe(graph, events)

    for cycle in graph.cycles():
        members = [name for name in cycle["nodes"] if name.startswith("automation.")]
        lengths = _chain_lengths(events, set(members))
        assert cycle["fired_count"] == sum((n - 1) // len(members) for n in lengths) > 0, cycle["nodes"]
        assert cycle["last_fired"].startswith("2026-11-23T08:43:53.")


def _chain_lengths(events: list[dict[str, Any]], members: set[str]) -> list[int]:
    """Return how many runs follow one another in each chain of contexts among ``members``."""
    runs = [
        e["context"] for e in events if e["data"].get("entity_id") in members and e["event_type"].startswith("auto")
    ]
    depth: dict[str, int] = {}
    parents = set()
    for run in runs:
        depth[run["id"]] = depth.get(run["parent_id"], 0) + 1
        parents.add(run["parent_id"])
    return [length for name, length in depth.items() if name not in parents]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_loop_through_a_template_entity_is_learnt_from_contexts(version: str) -> None:
    """No command tells a template's text; the contexts of its runs show the loop, marked as observed."""
    graph = home_of(documents(version))
    before = graph.snapshot()
    assert not before.entities["binary_sensor.tp_inverse"].in_cycle

    _observe(graph, frames(version))

    found = {tuple(cycle["nodes"]): cycle for cycle in graph.cycles()}
    assert found.keys() == LOOPS | {TEMPLATE_LOOP}
    assert [step["origin"] for step in found[TEMPLATE_LOOP]["steps"]] == ["observed", "configured"]
    after = graph.snapshot()
    assert after.entities["binary_sensor.tp_inverse"].in_cycle
    assert after.version == before.version + 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cycle_says_who_does_what(version: str) -> None:
    """Each step names its automation, and either the action that brings it about or the trigger that answers."""
    graph = home_of(documents(version))
    cycle = next(cycle for cycle in graph.cycles() if cycle["nodes"][0] == "automation.slow_a")

    assert set(cycle) >= {"id", "nodes", "steps", "breakable", "fired_count", "last_fired"}
    assert cycle["breakable"]
    assert cycle["steps"][0] == {
        "from": "automation.slow_a",
        "to": "input_boolean.d_b",
        "automation": "automation.slow_a",
        "trigger": None,
        "action": "input_boolean.toggle",
        "entity": "input_boolean.d_b",
        "origin": "configured",
    }
    assert cycle["steps"][1]["automation"] == "automation.slow_b"
    assert cycle["steps"][1]["trigger"].startswith("state of input_boolean.d_b to o")
    assert [step["from"] for step in cycle["steps"]] == cycle["nodes"]
    assert [step["to"] for step in cycle["steps"]] == [*cycle["nodes"][1:], cycle["nodes"][0]]


def test_cycles_do_not_depend_on_the_order_of_documents() -> None:
    """Ids and order are the same however the documents arrive and however their rows are sorted."""
    found = documents("2025.4.4")
    turned: dict[str, Any] = {
        name: doc[::-1] if isinstance(doc, list) else doc for name, doc in reversed(found.items())
    }
    turned["automations"] = dict(reversed(turned["automations"].items()))

    one, other = home_of(found), home_of(turned)

    assert json.dumps(one.cycles()) == json.dumps(other.cycles())
    assert one.snapshot().entities == other.snapshot().entities
    assert json.dumps(one.nodes()) == json.dumps(other.nodes())


@pytest.mark.parametrize("version", VERSIONS)
def test_snapshot_holds_relations_of_the_real_home(version: str) -> None:
    """read_by, written_by and in_cycle come from the automations as written."""
    snapshot = home_of(documents(version)).snapshot()

    ping = snapshot.entities["input_boolean.ping"]
    assert ping.read_by == ("automation.loop_a_ping_makes_pong_follow",)
    assert ping.written_by == ("automation.loop_b_pong_makes_ping_follow",)
    assert ping.in_cycle
    loops = snapshot.entities["counter.loops"]
    assert len(loops.read_by) == 2
    assert loops.written_by == ("automation.loop_a_ping_makes_pong_follow",)
    assert not loops.in_cycle
    assert snapshot.entities["light.ceiling_lights"].written_by == ("script.flash",)
    assert snapshot.entities["light.bed_light"].integration == "demo"
    assert snapshot.entities["group.all_bools"].integration is None


def test_snapshot_places_entities_of_the_recorded_home() -> None:
    """Area from the entity, floor from the area, place from the home's own settings."""
    snapshot = home_of(documents("2025.4.4")).snapshot()

    bed = snapshot.entities["light.bed_light"]
    assert (bed.area_id, bed.floor_id, bed.integration) == ("living_room", "ground", "demo")
    assert snapshot.place.time_zone == "Europe/Amsterdam"
    assert (snapshot.place.latitude, snapshot.place.longitude, snapshot.place.elevation_m) == (52.1, 4.9, 2.0)
    assert snapshot.place.country == "NL"
    assert snapshot.place.units["temperature"] == "°C"
    assert snapshot.users["bf80ae38fb2c4cfebe04d312cb6f969d"] == "Owner"
    assert snapshot.persons == frozenset()


@pytest.mark.parametrize("version", VERSIONS)
def test_dead_references_are_those_built_into_the_home(version: str) -> None:
    """A light and a service that do not exist are named, and nothing else is."""
    assert home_of(documents(version)).dead_references() == [
        {
            "automation": "automation.failing_action",
            "kind": "entity",
            "reference": "light.does_not_exist",
            "role": "write",
        },
        {"automation": "automation.failing_action", "kind": "service", "reference": "nosuch.service", "role": "call"},
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_is_json_and_sorted(version: str) -> None:
    """All answers can be sent as they are."""
    graph = home_of(documents(version))
    _observe(graph, frames(version))

    for ask, key in (
        (graph.devices, "id"),
        (graph.areas, "area_id"),
        (graph.floors, "floor_id"),
        (graph.integrations, "domain"),
        (graph.automations, "entity_id"),
        (graph.users, "id"),
        (graph.nodes, "id"),
    ):
        items = ask()
        assert items == json.loads(json.dumps(items))
        assert [item[key] for item in items] == sorted(item[key] for item in items)
    for answer in (graph.dependencies(), graph.related("script.nested", 3), graph.sharing(), graph.cycles()):
        assert answer == json.loads(json.dumps(answer))


def test_related_walks_both_ways_and_knows_its_types() -> None:
    """From a script: what it calls and fires, who answers to that, and where all of it belongs."""
    graph = home_of(documents("2025.4.4"))

    near = graph.related("script.nested")
    assert {(edge["from"], edge["type"], edge["to"]) for edge in near["edges"]} >= {
        ("script.nested", "calls", "script.flash"),
        ("script.nested", "fires", "event:my_custom_event"),
    }
    far = graph.related("script.nested", depth=2)
    assert ("automation.on_custom_event", "listens", "event:my_custom_event") in {
        (edge["from"], edge["type"], edge["to"]) for edge in far["edges"]
    }
    assert {edge["type"] for edge in graph.related("living_room", 2)["edges"]} >= {"in_area", "on_floor"}
    with pytest.raises(NotFound):
        graph.related("light.is_not_there")


def test_groups_and_scenes_of_the_recorded_home_are_relations() -> None:
    """Members are edges to their group, and a scene writes what it sets."""
    graph = home_of(documents("2025.4.4"))

    group = {(e["from"], e["type"], e["to"]) for e in graph.related("group.all_bools")["edges"]}
    assert ("input_boolean.ping", "member_of", "group.all_bools") in group
    scene = {(e["from"], e["type"], e["to"]) for e in graph.related("scene.movie")["edges"]}
    assert ("scene.movie", "writes", "light.bed_light") in scene


def test_dependencies_without_circles_have_none() -> None:
    """``include_circular`` false leaves a graph that can be put in order."""
    import networkx as nx

    graph = home_of(documents("2025.4.4"))
    every, straight = graph.dependencies(include_circular=True), graph.dependencies(include_circular=False)

    assert not nx.is_directed_acyclic_graph(nx.DiGraph([(e["from"], e["to"]) for e in every["edges"]]))
    assert nx.is_directed_acyclic_graph(nx.DiGraph([(e["from"], e["to"]) for e in straight["edges"]]))
    assert {"from": "script.nested", "to": "script.flash", "via": [], "circular": False} in straight["edges"]
    assert straight["cycles"] == []


def test_an_automation_is_found_by_entity_id_and_by_its_own_id() -> None:
    """Both names lead to the same answer; an unknown one is an error that says so."""
    graph = home_of(documents("2025.4.4"))

    assert graph.automation("loop_a") == graph.automation("automation.loop_a_ping_makes_pong_follow")
    assert graph.automation("loop_a")["cycles"] != []
    with pytest.raises(NotFound):
        graph.automation("loop_z")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_document_that_says_nothing_new_changes_no_version(version: str) -> None:
    """States move all day and services come and go: the picture for the shards stays the same object."""
    found = documents(version)
    graph = home_of(found)
    snapshot = graph.snapshot()

    for state in found["states"]:
        state["state"] = "something else" if not state["entity_id"].startswith("automation.") else state["state"]
        state["last_updated"] = "2027-01-01T00:00:00+00:00"
    assert not graph.put("states", found["states"])
    assert graph.put("services", {"light": {"turn_on": {}}})
    assert graph.put("floors", [{"floor_id": "roof", "name": "Roof"}])

    assert graph.snapshot() is snapshot
    if version == "2025.4.4":
        assert graph.put("areas", [])
        assert graph.snapshot().version == snapshot.version + 1
