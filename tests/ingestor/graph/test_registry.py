"""Where entities are, what areas measure and what devices are, in the registry shapes of three generations."""

from __future__ import annotations

from typing import Any

import pytest

from ingestor.errors import NotFound
from ingestor.graph.home import HomeGraph
from tests.ingestor.graph.recorded import documents, home_of
from tests.ingestor.graph.synthetic import home_of_2026


def _home(**found: Any) -> HomeGraph:
    return home_of(found)


def test_area_is_the_entitys_own_else_its_devices_else_its_parents() -> None:
    """The chain of fallbacks, link by link, in the shape of 2026.8 and later."""
    snapshot = home_of(home_of_2026()).snapshot()

    assert {name: facts.area_id for name, facts in snapshot.entities.items()} == {
        "sensor.moved": "office",
        "sensor.strip_power": "kitchen",
        "switch.two": "attic",
        "switch.one": "kitchen",
        "light.lamp": None,
        "sensor.nowhere": None,
    }
    assert snapshot.entities["switch.one"].floor_id == "ground"
    assert snapshot.entities["switch.two"].floor_id is None
    assert snapshot.entities["switch.one"].device_id == "socket_1"
    assert snapshot.neighbours == {"attic": (), "kitchen": ("office",), "office": ("kitchen",)}


def test_devices_that_hang_on_each_other_in_a_circle_have_no_area() -> None:
    """A broken registry ends the search, not the program."""
    devices = [
        {"id": "a", "via_device_id": "b"},
        {"id": "b", "parent_device_id": "a"},
        {"id": "c", "via_device_id": "c"},
    ]
    entities = [{"entity_id": f"light.{key}", "device_id": key} for key in "abc"]

    snapshot = _home(devices=devices, entities=entities).snapshot()

    assert {facts.area_id for facts in snapshot.entities.values()} == {None}


@pytest.mark.parametrize("version", ["2024.3.3", "2025.4.4"])
def test_devices_of_recorded_homes_keep_their_config_entries(version: str) -> None:
    """The list of config entries of old homes leads to integrations."""
    graph = home_of(documents(version))
    devices = graph.devices()

    assert len(devices) == {"2024.3.3": 53, "2025.4.4": 58}[version]
    assert all(device["integrations"] for device in devices)
    assert {item["domain"] for item in graph.integrations()} >= {"demo", "mqtt", "kitchen_sink", "sun"}


@pytest.mark.parametrize("version", ["2024.3.3", "2025.4.4"])
def test_counts_are_those_of_the_lists(version: str) -> None:
    """Counting draws nothing up, and counts the same things."""
    graph = home_of(documents(version))
    lists = {"devices": graph.devices(), "areas": graph.areas(), "automations": graph.automations()}
    lists["cycles"] = graph.cycles()
    assert {name: graph.counts[name] for name in lists} == {name: len(items) for name, items in lists.items()}
    assert graph.counts["entities"] == len(graph.snapshot().entities)
    assert graph.counts["faults"] == graph.fault_count


def test_a_device_shows_what_it_is() -> None:
    """Make, model, versions and connections of the recorded fixture device; an unknown id is an error."""
    graph = home_of(documents("2025.4.4"))
    device = graph.device("82b25ec6d6e9ff1e18d9194990e7124e")

    assert (device["manufacturer"], device["model"], device["sw_version"], device["hw_version"]) == (
        "Acme",
        "X1",
        "1.2",
        "a",
    )
    assert device["connections"] == [["mac", "02:5b:26:a8:dc:12"]]
    assert (device["identifiers"], device["area_id"], device["integrations"]) == (
        [["mqtt", "fx_dev_1"]],
        "lab",
        ["mqtt"],
    )
    with pytest.raises(NotFound):
        graph.device("none")


def test_the_single_config_entry_of_newer_homes_counts() -> None:
    """A child device has few fields and still belongs to its integration, its parent and its area."""
    child = home_of(home_of_2026()).device("socket_1")

    assert (child["config_entries"], child["integrations"]) == (["e_zigbee"], ["zigbee"])
    assert (child["parent_device_id"], child["area_id"], child["manufacturer"]) == ("strip", "kitchen", None)
    assert child["entities"] == ["switch.one"]


def test_measures_are_the_plain_sensors_of_an_area() -> None:
    """By device class from state or registry; hidden, diagnostic, disabled and homeless sensors do not count."""
    rows: list[tuple[str, str | None, dict[str, Any]]] = [
        ("sensor.t", "temperature", {}),
        ("sensor.h", "humidity", {}),
        ("sensor.lux", "illuminance", {}),
        ("binary_sensor.occupied", "occupancy", {}),
        ("binary_sensor.motion", "motion", {}),
        ("binary_sensor.present", "presence", {}),
        ("binary_sensor.door", "door", {}),
        ("sensor.chip", "temperature", {"entity_category": "diagnostic"}),
        ("sensor.hidden", "temperature", {"hidden_by": "user"}),
        ("sensor.off", "temperature", {"disabled_by": "user"}),
        ("sensor.far", "temperature", {"area_id": None}),
        ("number.t", "temperature", {}),
        ("sensor.by_registry", None, {"original_device_class": "humidity"}),
    ]
    graph = _home(
        areas=[{"area_id": "hall", "name": "Hall"}],
        entities=[{"entity_id": name, "area_id": "hall", "platform": "x"} | extra for name, _, extra in rows],
        states=[{"entity_id": name, "attributes": {"device_class": kind} if kind else {}} for name, kind, _ in rows],
    )

    assert graph.snapshot().measures == {
        "sensor.t": ("hall", "temperature"),
        "sensor.h": ("hall", "humidity"),
        "sensor.lux": ("hall", "illuminance"),
        "binary_sensor.occupied": ("hall", "occupancy"),
        "binary_sensor.motion": ("hall", "occupancy"),
        "binary_sensor.present": ("hall", "occupancy"),
        "sensor.by_registry": ("hall", "humidity"),
    }
    graph.put("areas", [{"area_id": "hall", "name": "Hall", "humidity_entity_id": "sensor.h"}])
    assert "sensor.by_registry" not in graph.snapshot().measures


def test_persons_come_from_the_list_and_from_person_entities() -> None:
    """Either is enough: tokens of lesser users may not list persons."""
    graph = _home(
        users=[{"id": "u1", "name": "Ann", "is_owner": True}, {"id": "u3", "name": "Cloud", "system_generated": True}],
        persons={"storage": [{"id": "ann", "name": "Ann B", "user_id": "u1"}], "config": []},
        states=[{"entity_id": "person.bob", "attributes": {"user_id": "u2", "friendly_name": "Bob"}}],
    )

    assert graph.snapshot().persons == {"u1", "u2"}
    assert graph.snapshot().users == {"u1": "Ann", "u3": "Cloud"}
    assert [(user["id"], user["person"]) for user in graph.users()] == [("u1", "Ann B"), ("u2", "Bob"), ("u3", None)]


def test_entities_without_registry_entry_have_no_integration() -> None:
    """What is set up in YAML without an id is known by its state only."""
    facts = _home(states=[{"entity_id": "sensor.yaml", "attributes": {}}]).snapshot().entities["sensor.yaml"]
    assert (facts.integration, facts.area_id, facts.device_id) == (None, None, None)


def test_what_the_token_may_not_see_is_told() -> None:
    """The source's list of missing documents is kept as it is."""
    item = {"kind": "document", "event_type": "", "why": "unauthorized", "remedy": "use an administrator's token"}
    assert _home(missing=[item]).missing == [item]
