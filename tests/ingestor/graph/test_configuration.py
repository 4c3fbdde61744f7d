"""What automations and scripts read, write and set off, in every way Home Assistant lets them be written."""

from __future__ import annotations

from typing import Any

import pytest

from ingestor.graph.home import HomeGraph
from ingestor.graph.templates import names_in
from tests.ingestor.graph.synthetic import home_of_2026

X, Y = "input_boolean.x", "input_boolean.y"
ON_X = {"trigger": "state", "entity_id": X}
TOGGLE_X = {"action": "input_boolean.toggle", "target": {"entity_id": X}}


def _home(*rules: dict[str, Any], scripts: dict[str, Any] | None = None, states: Any = ()) -> HomeGraph:
    graph = HomeGraph("home")
    graph.put("states", [{"entity_id": name, "state": "on", "attributes": {}} for name in (X, Y)] + list(states))
    graph.put("automations", {f"automation.a{at}": rule for at, rule in enumerate(rules)})
    graph.put("scripts", scripts or {})
    return graph


def _writes(*actions: Any, **home: Any) -> list[str]:
    written: list[str] = _home({"actions": list(actions)}, **home).automation("automation.a0")["writes"]
    return written


def _loops(*rules: dict[str, Any], **home: Any) -> list[list[str]]:
    return [cycle["nodes"] for cycle in _home(*rules, **home).cycles()]


@pytest.mark.parametrize(
    "rule",
    [
        {
            "trigger": {"platform": "state", "entity_id": X},
            "action": {"service": "input_boolean.toggle", "entity_id": X},
        },
        {"triggers": [{"trigger": "state", "entity_id": [Y, X]}], "actions": [TOGGLE_X]},
        {"triggers": [{"triggers": [ON_X]}], "actions": [{"sequence": [{"parallel": [TOGGLE_X]}]}]},
        {"triggers": ON_X, "actions": {"action": "homeassistant.toggle", "data": {"entity_id": f"{Y}, {X}"}}},
        {"triggers": ON_X, "actions": {"service": "input_boolean.toggle", "data_template": {"entity_id": X}}},
        {"triggers": ON_X, "actions": [{"repeat": {"count": 2, "sequence": [TOGGLE_X]}}]},
        {"triggers": ON_X, "actions": [{"if": [], "then": [], "else": [{"parallel": {"sequence": [TOGGLE_X]}}]}]},
        {"triggers": ON_X, "actions": [{"choose": {"conditions": [], "sequence": TOGGLE_X}}]},
        {"triggers": ON_X, "actions": [{"choose": [], "default": [[TOGGLE_X]]}]},
        {"triggers": ON_X, "actions": [{"action": "input_boolean.toggle", "target": {"entity_id": "all"}}]},
        {"triggers": ON_X, "actions": [{"action": "{{ 'input_boolean.toggle' }}", "target": {"entity_id": X}}]},
        {
            "triggers": {"trigger": "template", "value_template": f"{{{{ is_state('{X}', 'on') }}}}"},
            "actions": TOGGLE_X,
        },
        {"triggers": f"{{{{ states.{X}.state == 'on' }}}}", "actions": TOGGLE_X},
        {"triggers": {"trigger": "input_boolean.turned_on", "target": {"entity_id": X}}, "actions": TOGGLE_X},
        {"triggers": {"trigger": "device", "device_id": "d", "type": "turned_on", "entity_id": X}, "actions": TOGGLE_X},
        {"triggers": ON_X, "actions": {"device_id": "d", "domain": "input_boolean", "type": "toggle", "entity_id": X}},
        {
            "triggers": {"trigger": "event", "event_type": "state_changed", "event_data": {"entity_id": X}},
            "actions": TOGGLE_X,
        },
        {"config": {"triggers": ON_X, "actions": TOGGLE_X}},
        {"use_blueprint": {"path": "p", "input": {"when": [ON_X], "then": [TOGGLE_X]}}},
    ],
)
def test_each_way_of_writing_a_self_loop_is_understood(rule: dict[str, Any]) -> None:
    """Old keys and new, lists and single values, nesting, shorthand and devices: the loop is the same."""
    assert ["automation.a0", X] in _loops(rule)


@pytest.mark.parametrize(
    ("trigger", "action"),
    [
        ({"to": "on"}, "input_boolean.turn_off"),
        ({"to": ["on", "unavailable"]}, "homeassistant.turn_off"),
        ({"from": "on"}, "input_boolean.turn_on"),
        ({"not_to": "off"}, "input_boolean.turn_off"),
    ],
)
def test_an_action_that_cannot_satisfy_the_trigger_closes_no_loop(trigger: dict[str, Any], action: str) -> None:
    """The state an action leaves behind is weighed against what the trigger waits for."""
    assert _loops({"triggers": ON_X | trigger, "actions": {"action": action, "target": {"entity_id": X}}}) == []


@pytest.mark.parametrize(
    ("trigger", "value", "closes"),
    [
        ({"above": 20}, 10, False),
        ({"above": 20}, 30, True),
        ({"below": "20"}, "25", False),
        ({"above": 20}, "{{ 5 }}", True),
        ({"above": 20, "attribute": "step"}, 10, True),
    ],
)
def test_a_bound_is_weighed_against_a_plain_value(trigger: dict[str, Any], value: Any, *, closes: bool) -> None:
    """A number outside the bounds sets nothing off; a computed one may."""
    rule = {
        "triggers": {"trigger": "numeric_state", "entity_id": "input_number.n"} | trigger,
        "actions": {
            "action": "input_number.set_value",
            "target": {"entity_id": "input_number.n"},
            "data": {"value": value},
        },
    }
    assert bool(_loops(rule)) is closes


@pytest.mark.parametrize(
    "rule",
    [
        {"triggers": ON_X | {"enabled": False}, "actions": TOGGLE_X},
        {"triggers": ON_X, "actions": TOGGLE_X | {"enabled": False}},
        {"triggers": ON_X, "actions": [{"enabled": False, "sequence": [TOGGLE_X]}]},
        {"triggers": [], "conditions": {"condition": "state", "entity_id": X, "state": "on"}, "actions": TOGGLE_X},
        {"triggers": [], "conditions": f"{{{{ is_state('{X}', 'on') }}}}", "actions": TOGGLE_X},
        {"triggers": [], "actions": [{"wait_for_trigger": [ON_X]}, TOGGLE_X]},
        {"triggers": ON_X, "actions": {"action": "homeassistant.update_entity", "target": {"entity_id": X}}},
        {"triggers": ON_X, "actions": {"action": "light.turn_on", "target": {"entity_id": X}}},
        {"triggers": ON_X, "actions": {"action": "notify.send_message", "target": {"entity_id": X}}},
    ],
)
def test_what_is_off_or_only_looked_at_closes_no_loop(rule: dict[str, Any]) -> None:
    """Disabled parts, conditions, waits, silent services and services of another domain are no way round."""
    assert _loops(rule) == []


def test_conditions_and_templates_are_reads() -> None:
    """What is looked at is listed, wherever it stands; what is computed is listed as computed."""
    item = _home(
        {
            "triggers": {"trigger": "numeric_state", "entity_id": "sensor.t", "above": "input_number.limit"},
            "conditions": [
                {"or": [{"condition": "state", "entity_id": "sensor.a"}, "{{ states('sensor.b') }}"]},
                {"condition": "zone", "entity_id": "person.p", "zone": "zone.home"},
            ],
            "variables": {"mine": Y, "no_entity": "sensor.unheard_of"},
            "actions": [
                {"delay": "{{ states('sensor.c') }}"},
                {
                    "action": "notify.x",
                    "data": {"message": "{{ states('sensor.' ~ name) }} {{ state_attr('sensor.d', 'u') }}"},
                },
                {"if": [{"not": [{"condition": "numeric_state", "entity_id": "sensor.e"}]}], "then": []},
                {"repeat": {"until": "{{ is_state('sensor.f', 'on') }}", "sequence": []}},
                {"wait_template": "{{ has_value('sensor.g') }}"},
            ],
        }
    ).automation("automation.a0")

    letters = {f"sensor.{letter}" for letter in "abcdefgt"}
    assert set(item["reads"]) == letters | {"input_number.limit", "person.p", "zone.home", Y}
    assert item["triggered_by"] == ["sensor.t"]
    assert item["computed"] == ["states('sensor.' ~ name)"]
    assert item["writes"] == []


@pytest.mark.parametrize(
    ("template", "sure", "literal", "computed"),
    [
        ("{{ states('a.b') }}", {"a.b"}, set(), 0),
        ('{{ states("a.b") | int }}', {"a.b"}, set(), 0),
        ("{{ states.light.kitchen.state }}", {"light.kitchen"}, set(), 0),
        ("{{ expand('group.g', 'group.h') }}", {"group.g"}, {"group.h"}, 0),
        ("{{ ['light.a', 'light.b'] | select('is_state', 'on') }}", set(), {"light.a", "light.b"}, 0),
        ("{% for s in states.light %}{% endfor %}", set(), set(), 1),
        ("{{ states[name].state }}", set(), set(), 1),
        ("{{ states['light.a'].state }}", set(), {"light.a"}, 0),
        ("{{ area_entities('kitchen') | list }}", set(), set(), 1),
        ("{# states('a.b') #}{{ 1 }}", set(), set(), 0),
        ("{{ trigger.to_state.state }} {{ this.states.light.x }}", set(), set(), 0),
        ("states('a.b')", set(), set(), 0),
        ("light.kitchen", set(), {"light.kitchen"}, 0),
    ],
)
def test_templates_name_entities(template: str, sure: set[str], literal: set[str], computed: int) -> None:
    """Names are found where they are written, and never invented where they are computed."""
    names = names_in(template)
    assert (set(names.sure), set(names.literal), len(names.computed)) == (sure, literal, computed)


def test_targets_reach_what_home_assistant_would_reach() -> None:
    """Devices, areas, floors and labels mean plain entities of the service's domain, and no hub's neighbours."""
    found = home_of_2026()
    graph = HomeGraph("home")
    for name, content in found.items():
        graph.put(name, content)
    rules = {
        "device": {"device_id": "socket_1"},
        "area": {"area_id": "kitchen"},
        "own": {"area_id": ["attic"]},
        "floor": {"floor_id": "ground"},
        "label": {"label_id": "power"},
        "uuid": {"entity_id": "id_switch.two"},
        "hub": {"area_id": "office"},
    }
    actions = {
        name: {"actions": {"action": "homeassistant.turn_on", "target": target}} for name, target in rules.items()
    }
    graph.put("automations", {f"automation.{name}": rule for name, rule in actions.items()})

    written = {name: graph.automation(f"automation.{name}")["writes"] for name in rules}
    assert written == {
        "device": ["switch.one"],
        "area": ["sensor.strip_power", "switch.one"],
        "own": ["switch.two"],
        "floor": ["sensor.moved", "sensor.strip_power", "switch.one"],
        "label": ["sensor.moved", "sensor.strip_power"],
        "uuid": ["switch.two"],
        "hub": ["sensor.moved"],
    }


def test_hidden_diagnostic_and_disabled_entities_are_not_reached_by_area() -> None:
    """Only what is named one by one is written when it is none of a room's plain entities."""
    graph = HomeGraph("home")
    graph.put("areas", [{"area_id": "hall", "name": "Hall"}])
    rows = [("switch.a", {}), ("switch.b", {"hidden_by": "user"}), ("switch.c", {"entity_category": "config"})]
    rows.append(("switch.d", {"disabled_by": "user"}))
    graph.put("entities", [{"entity_id": name, "area_id": "hall", "platform": "p"} | extra for name, extra in rows])
    target = {"area_id": "hall", "entity_id": "switch.c"}
    graph.put("automations", {"automation.a": {"actions": {"action": "switch.turn_on", "target": target}}})

    assert graph.automation("automation.a")["writes"] == ["switch.a", "switch.c"]


def test_groups_are_written_with_their_members_and_change_with_them() -> None:
    """Writing a group writes its members; a trigger on the group answers to a member's change."""
    states = [{"entity_id": "group.g", "state": "on", "attributes": {"entity_id": [X]}}]
    states.append({"entity_id": "group.outer", "state": "on", "attributes": {"entity_id": ["group.g"]}})

    action = {"action": "homeassistant.turn_on", "entity_id": "group.outer"}
    assert _writes(action, states=states) == ["group.g", "group.outer", X]
    on_group = {"trigger": "state", "entity_id": "group.outer"}
    assert _loops({"triggers": on_group, "actions": TOGGLE_X}, states=states) == [
        ["automation.a0", X, "group.g", "group.outer"]
    ]
    off = {"action": "input_boolean.turn_off", "entity_id": X}
    assert _loops({"triggers": on_group | {"to": "on"}, "actions": off}, states=states) == []


def test_a_scene_writes_what_it_sets() -> None:
    """A scene on the way is a node of the loop, and its writes are the automation's."""
    states = [{"entity_id": "scene.s", "state": "x", "attributes": {"entity_id": [X, "light.l"], "id": "s"}}]
    for action in ({"scene": "scene.s"}, {"action": "scene.turn_on", "target": {"entity_id": "scene.s"}}):
        assert _writes(action, states=states) == [X, "light.l", "scene.s"]
        assert _loops({"triggers": ON_X, "actions": action}, states=states) == [["automation.a0", "scene.s", X]]
    assert _writes({"action": "scene.apply", "data": {"entities": {X: "on"}}}) == [X]


def test_scripts_and_automations_that_are_called_carry_the_loop() -> None:
    """By their own service, by ``script.turn_on`` and by ``automation.trigger``."""
    scripts = {"script.s": {"sequence": [TOGGLE_X]}}
    for call in ({"service": "script.s"}, {"action": "script.turn_on", "target": {"entity_id": "script.s"}}):
        assert _loops({"triggers": ON_X, "actions": call}, scripts=scripts) == [["automation.a0", "script.s", X]]
    trigger = {"action": "automation.trigger", "target": {"entity_id": "automation.a1"}}
    assert _loops({"triggers": ON_X, "actions": trigger}, {"actions": TOGGLE_X}) == [
        ["automation.a0", "automation.a1", X]
    ]
    assert _loops(scripts={"script.s": {"sequence": {"service": "script.s"}}}) == [["script.s"]]


def test_turning_an_automation_on_or_off_runs_nothing() -> None:
    """It changes the automation's own state, and only who waits for that is set off."""
    off = {"action": "automation.turn_off", "target": {"entity_id": "automation.a1"}}
    assert _loops({"triggers": ON_X, "actions": off}, {"triggers": [], "actions": TOGGLE_X}) == []
    on_run = {"trigger": "state", "entity_id": "automation.a0"}
    assert _loops({"triggers": on_run, "actions": []}) == [["automation.a0"]]
    assert _loops({"triggers": on_run | {"to": "off"}, "actions": []}) == []


def test_events_and_topics_link_who_sends_with_who_listens() -> None:
    """Data that is fired must be able to satisfy what the trigger asks for; topic patterns match."""

    def ring(fired: Any, wanted: Any) -> bool:
        event = {"event": "e", "event_data": fired}
        return bool(
            _loops({"triggers": {"trigger": "event", "event_type": "e", "event_data": wanted}, "actions": event})
        )

    assert ring({}, {})
    assert ring({"a": 1}, {"a": 1})
    assert ring({"a": "{{ x }}"}, {"a": 1})
    assert not ring({"a": 2}, {"a": 1})
    assert not ring({}, {"a": 1})

    publish = {"action": "mqtt.publish", "data": {"topic": "home/a/set", "payload": "1"}}
    for topic, closes in (("home/a/set", True), ("home/+/set", True), ("#", True), ("home/+", False)):
        assert bool(_loops({"triggers": {"trigger": "mqtt", "topic": topic}, "actions": publish})) is closes, topic


def test_listening_to_every_state_change_or_call_is_a_loop_when_it_acts() -> None:
    """An automation that answers to everything answers to itself."""
    assert _loops({"triggers": {"trigger": "event", "event_type": "state_changed"}, "actions": TOGGLE_X})
    calls = {"trigger": "event", "event_type": "call_service", "event_data": {"domain": "light"}}
    assert _loops({"triggers": calls, "actions": {"action": "light.turn_on"}})
    assert not _loops({"triggers": calls, "actions": TOGGLE_X})


def test_breakable_says_whether_anything_could_stop_it() -> None:
    """A condition, a branch, or a trigger that waits for a state or time could; a bare loop runs for ever."""
    bare = {"triggers": ON_X, "actions": TOGGLE_X}
    assert [cycle["breakable"] for cycle in _home(bare).cycles()] == [False]
    for rule in (
        bare | {"conditions": "{{ true }}"},
        bare | {"triggers": ON_X | {"to": "on"}},
        bare | {"triggers": ON_X | {"for": "00:01:00"}},
        bare | {"actions": [{"condition": "state", "entity_id": Y, "state": "on"}, TOGGLE_X]},
        bare | {"actions": [{"if": "{{ true }}", "then": TOGGLE_X}]},
    ):
        assert [cycle["breakable"] for cycle in _home(rule).cycles()] == [True], rule


def test_an_automation_that_is_switched_off_marks_its_cycle() -> None:
    """The loop is still shown, as one that does not run now."""
    graph = _home({"triggers": ON_X, "actions": TOGGLE_X})
    assert [cycle["enabled"] for cycle in graph.cycles()] == [True]
    graph.put("states", [{"entity_id": "automation.a0", "state": "off", "attributes": {"id": "7"}}])
    assert [cycle["enabled"] for cycle in graph.cycles()] == [False]
    assert graph.automation("7")["enabled"] is False


def test_shared_entities_are_listed_with_their_writers() -> None:
    """Two automations that change one thing contend for it."""
    graph = _home({"actions": TOGGLE_X}, {"triggers": ON_X, "actions": [TOGGLE_X]})
    writers = ["automation.a0", "automation.a1"]
    assert graph.sharing() == [{"entity_id": X, "writers": writers, "readers": ["automation.a1"]}]
