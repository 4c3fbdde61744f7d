"""Nothing a home sends raises, nothing makes it slow, nothing makes it grow without bound."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.graph.home import HomeGraph
from ingestor.graph.observed import Observed
from ingestor.sources.base import DOCUMENT_NAMES
from tests.ingestor.graph.recorded import home_of
from tests.ingestor.graph.synthetic import big_home, home_of_2026

NAMES = sorted(DOCUMENT_NAMES)
WRONG: list[Any] = [
    None,
    0,
    "x",
    [],
    {},
    [1, None, "x"],
    {"x": 1},
    [[]],
    {"storage": 3},
    [{"id": 5}],
    float("nan"),
    2**70,
]
IDS = ["light.a", "automation.a", "script.s", "group.g", "scene.s", "a", "b", "all", "", "{{ states(x) }}"]
KEYS = [
    "entity_id",
    "device_id",
    "area_id",
    "floor_id",
    "label_id",
    "id",
    "attributes",
    "trigger",
    "triggers",
    "platform",
    "condition",
    "conditions",
    "and",
    "or",
    "action",
    "actions",
    "service",
    "target",
    "data",
    "event",
    "event_type",
    "event_data",
    "choose",
    "sequence",
    "default",
    "if",
    "then",
    "else",
    "parallel",
    "repeat",
    "while",
    "until",
    "for_each",
    "variables",
    "scene",
    "enabled",
    "use_blueprint",
    "input",
    "path",
    "value_template",
    "to",
    "from",
    "for",
    "above",
    "below",
    "config_entries",
    "config_entry_id",
    "via_device_id",
    "parent_device_id",
    "connections",
    "identifiers",
    "labels",
    "unit_system",
    "latitude",
    "storage",
    "user_id",
    "domain",
    "type",
    "topic",
    "wait_for_trigger",
    "state",
    "source",
    "config",
    "at",
    "zone",
    "aliases",
    "level",
    "name",
    "hidden_by",
]
WORDS = [
    *IDS,
    "state",
    "event",
    "mqtt",
    "device",
    "time",
    "zone",
    "light.turn_on",
    "script.s",
    "scene.turn_on",
    "on",
    "{{ 1 }}",
]
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(WORDS))
json_like = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.sampled_from(IDS)), inner, max_size=6),
    ),
    max_leaves=30,
)

PARTS = (
    "triggers",
    "trigger",
    "conditions",
    "condition",
    "actions",
    "action",
    "sequence",
    "variables",
    "use_blueprint",
)
programs_like = st.dictionaries(
    st.sampled_from(["automation.a", "automation.b", "script.s"]),
    st.dictionaries(st.sampled_from(PARTS), json_like, max_size=4),
    max_size=3,
)


def _ask_everything(graph: HomeGraph) -> None:
    graph.snapshot()
    asked = (graph.cycles, graph.dependencies, graph.devices, graph.areas, graph.floors, graph.integrations)
    answers = [
        ask() for ask in (*asked, graph.automations, graph.users, graph.nodes, graph.sharing, graph.dead_references)
    ]
    json.dumps([answers, graph.faults, graph.missing, graph.truncated])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), json_like), max_size=5))
def test_any_json_is_taken_without_raising(found: list[tuple[str, Any]]) -> None:
    """Whatever documents say, every question still gets an answer."""
    graph = HomeGraph("home")
    for name, content in found:
        assert graph.put(name, content) in (True, False)
    _ask_everything(graph)


@settings(max_examples=150, deadline=None)
@given(programs_like, json_like)
def test_any_configuration_is_taken_without_raising(programs: dict[str, Any], row: Any) -> None:
    """Programs of any shape, in a home of any shape."""
    graph = HomeGraph("home")
    graph.put("states", [row, {"entity_id": "light.a", "attributes": row}])
    graph.put("entities", [row, {"entity_id": "light.a", "device_id": "a", "labels": row}])
    graph.put("devices", [row, {"id": "a", "via_device_id": "a", "identifiers": row}])
    graph.put("automations", programs)
    graph.put("scripts", programs)
    _ask_everything(graph)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_types_are_faults_that_name_their_document(name: str) -> None:
    """A document that is not what it should be is read as far as it goes, and the rest is counted."""
    for content in WRONG:
        graph = home_of(home_of_2026())
        graph.put(name, content)

        _ask_everything(graph)
        assert all(fault["document"].startswith(name) for fault in graph.faults)
        if content in ("x", 0) or content == [1, None, "x"]:
            assert graph.fault_count > 0


def test_a_good_row_survives_its_bad_neighbours() -> None:
    """Bad rows are left out one by one."""
    graph = HomeGraph("home")
    graph.put(
        "entities", [{"entity_id": 5}, None, {"entity_id": "no id"}, {"entity_id": "light.good", "labels": "x"}, {}]
    )

    assert list(graph.snapshot().entities) == ["light.good"]
    assert graph.fault_count == 6


def test_faults_are_replaced_with_their_document_and_bounded() -> None:
    """A thousand faults are counted and fifty are kept; a mended document has none."""
    graph = HomeGraph("home")
    graph.put("devices", [None] * 1000)
    assert (graph.fault_count, len(graph.faults)) == (1000, 50)
    graph.put("devices", [])
    assert (graph.fault_count, graph.faults) == (0, [])
    assert not graph.put("unheard_of", [])
    assert graph.faults[0]["document"] == "unheard_of"


def test_nesting_without_end_is_a_fault() -> None:
    """Depth is bounded, so that no configuration can exhaust the stack."""
    node: Any = {"action": "light.turn_on", "target": {"entity_id": "light.deep"}}
    for _ in range(5_000):
        node = {"sequence": [node]}
    graph = HomeGraph("home")
    graph.put("automations", {"automation.deep": {"actions": node}})

    assert graph.automation("automation.deep")["writes"] == []
    assert any("nested deeper" in fault["fault"] for fault in graph.faults)


def test_snapshot_of_a_big_home_takes_less_than_50_ms() -> None:
    """5,000 entities and 400 automations: the best of several changes of each kind, in CPU time."""
    found = big_home(5_000, 400)
    graph = home_of(found)
    graph.snapshot()
    best: dict[str, float] = {}
    for at in range(6):
        found["entities"][at]["area_id"] = f"area_{at + 7}"
        rule = found["automations"][f"automation.rule_{at}"]
        rule["actions"] = [{"action": "light.turn_on", "target": {"entity_id": f"light.thing_{3 * at}"}}]
        for name in ("entities", "automations"):
            assert graph.put(name, found[name])
            started = time.process_time()
            graph.snapshot()
            best[name] = min(best.get(name, 9.0), time.process_time() - started)

    assert max(best.values()) < 0.05, best


def test_a_home_where_everything_sets_off_everything_is_cut_short() -> None:
    """Cycles are capped and say so; the answer comes in bounded time."""
    rule = {
        "triggers": {"trigger": "state", "entity_id": [f"input_boolean.b{at}" for at in range(60)]},
        "actions": {"action": "input_boolean.toggle", "entity_id": [f"input_boolean.b{at}" for at in range(60)]},
    }
    graph = HomeGraph("home")
    graph.put("automations", {f"automation.a{at}": rule for at in range(60)})

    started = time.process_time()
    cycles = graph.cycles()

    assert graph.truncated
    assert 0 < len(cycles) <= 500
    assert time.process_time() - started < 10
    assert all(facts.in_cycle for facts in graph.snapshot().entities.values())


def test_the_search_for_cycles_stops_at_its_limit_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with more edges than may be looked at is answered in part."""
    rule = {
        "triggers": {"trigger": "state", "entity_id": "light.a"},
        "actions": {"action": "light.toggle", "entity_id": "light.a"},
    }
    graph = home_of({"automations": {"automation.a": rule, "automation.b": rule}})
    assert (len(graph.cycles()), graph.truncated) == (2, False)

    monkeypatch.setattr("ingestor.graph.cycles.MAX_EDGES", 1)
    graph = home_of({"automations": {"automation.a": rule, "automation.b": rule}})
    assert (len(graph.cycles()), graph.truncated) == (1, True)


VARIANTS: dict[str, list[Any]] = {
    "states": [
        [],
        [{"entity_id": "light.a", "attributes": {}}, {"entity_id": "sensor.maybe", "attributes": {}}],
        [{"entity_id": "light.g", "attributes": {"entity_id": ["light.a", "light.b"]}}],
        [
            {"entity_id": "light.g", "attributes": {"entity_id": ["light.b"]}},
            {"entity_id": "scene.s", "attributes": {}},
        ],
        [
            {"entity_id": "scene.s", "attributes": {"entity_id": ["light.a"]}},
            {"entity_id": "light.g", "attributes": {}},
        ],
    ],
    "services": [{}, {"light": {"toggle": {}}, "scene": {"turn_on": {}}}],
    "entities": [
        [],
        [{"entity_id": "light.a", "id": "one", "device_id": "d"}, {"entity_id": "light.b", "id": "two"}],
        [
            {"entity_id": "light.a", "id": "two", "device_id": "d"},
            {"entity_id": "light.b", "id": "one", "area_id": "hall"},
        ],
    ],
    "devices": [[], [{"id": "d", "area_id": "hall"}], [{"id": "d", "area_id": "attic"}]],
    "areas": [[], [{"area_id": "hall", "name": "Hall", "floor_id": "f"}]],
    "automations": [
        {},
        {
            "automation.x": {
                "triggers": {"trigger": "state", "entity_id": "light.g"},
                "variables": {"v": "sensor.maybe"},
                "actions": [{"action": "light.toggle", "target": {"area_id": "hall", "entity_id": "one"}}],
            },
            "automation.y": {
                "triggers": {"trigger": "state", "entity_id": "light.a"},
                "actions": [
                    {"action": "scene.turn_on", "entity_id": "scene.s"},
                    {"action": "light.toggle", "entity_id": "light.g"},
                ],
            },
        },
        {"automation.x": {"triggers": {"trigger": "state", "entity_id": "light.b"}, "actions": {"scene": "scene.s"}}},
    ],
}
changes = st.sampled_from([(name, at) for name, found in VARIANTS.items() for at in range(len(found))])


@settings(max_examples=150, deadline=None)
@given(st.lists(changes, max_size=14))
def test_what_is_kept_between_changes_is_never_stale(puts: list[tuple[str, int]]) -> None:
    """After each change the graph answers like one that was built afresh from the same documents."""
    graph, found = HomeGraph("home"), {}
    for name, at in puts:
        found[name] = VARIANTS[name][at]
        graph.put(name, found[name])
        fresh = home_of(found)
        assert graph.snapshot() == replace(fresh.snapshot(), version=graph.snapshot().version)
        for ask in ("cycles", "automations", "dead_references", "dependencies", "nodes", "sharing"):
            assert getattr(graph, ask)() == getattr(fresh, ask)(), ask


def test_memory_of_observation_is_bounded() -> None:
    """However many contexts, hops and loops come by, only the newest are kept."""
    observed = Observed(contexts=100, hops=50, loops=10)
    graph = HomeGraph("home", observed=observed)
    for at in range(3_000):
        parent = f"c{at - 1}" if at % 3 else None
        for actor in (f"automation.a{at % 700}", "automation.hub"):
            context = f"c{at}{actor[-1]}"
            graph.observe(
                entity_id=actor, context_id=context, parent_id=parent and parent + "b", time_us=at, source=f"s{at}"
            )

    assert len(observed._runs) <= 100
    assert max(len(observed.hops), len(observed.runs), len(observed.calls)) <= 50
    assert len(observed.loops) <= 10
    _ask_everything(graph)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["automation.a", "automation.b", "x"]), *[st.sampled_from([None, "1", "2", "3"])] * 2
        ),
        max_size=25,
    )
)
def test_any_order_of_contexts_is_taken(runs: list[tuple[str, str | None, str | None]]) -> None:
    """Contexts that repeat, that name themselves or that come before their parents do no harm."""
    graph = home_of({"automations": {"automation.a": {}, "automation.b": {}}})
    for at, (actor, context, parent) in enumerate(runs):
        graph.observe(entity_id=actor, context_id=context, parent_id=parent, time_us=at, source="state of light.a")
    _ask_everything(graph)
