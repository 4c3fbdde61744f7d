"""Small questions get small answers: an entity's state costs no look at the others, a picture travels once."""

from __future__ import annotations

from pathlib import Path

from actors.graph import Graph
from ingestor.settings import Settings
from ingestor.transforms.states import Known, LastState, LastStates


def known(state: str | None) -> Known:
    return Known(1, 1, 1, state, None, None, None, None, None, None, b"", 1)


def shown(states: list[LastState]) -> list[tuple[str, str, str | None]]:
    return [(state.home, state.entity_id, state.state) for state in states]


def test_named_states_are_those_that_all_would_give() -> None:
    """Of one home or of both; what is unknown or removed is left out."""
    states = LastStates()
    states.put("cabin", "light.a", known("on"))
    states.put("house", "light.a", known("off"))
    states.put("house", "light.b", known("on"))
    states.put("house", "light.gone", known(None))
    wanted = ["light.a", "light.gone", "light.unknown"]
    assert shown([*states.named(wanted)]) == [("cabin", "light.a", "on"), ("house", "light.a", "off")]
    assert shown([*states.named(wanted, "house")]) == [("house", "light.a", "off")]
    assert not [*states.named(wanted, "nowhere")]
    everything = sorted(shown([*states.all()]))
    assert sorted(shown([*states.named(["light.a", "light.b", "light.gone"])])) == everything


async def test_a_picture_the_asker_has_is_not_sent_again(tmp_path: Path) -> None:
    """Its version is enough; after a change, or from an asker who knows nothing, it comes whole."""
    graph = Graph(Settings(data_dir=tmp_path))
    await graph.put("home", "areas", [{"area_id": "hall", "name": "Hall"}])
    (picture,) = await graph.snapshots()
    assert await graph.snapshots({"home": picture.version}) == []
    assert await graph.snapshots({"home": picture.version - 1}) == [picture]
    entity = {"entity_id": "light.a", "area_id": "hall", "platform": "demo", "device_id": None}
    await graph.put("home", "entities", [entity])
    (newer,) = await graph.snapshots({"home": picture.version})
    assert newer.version > picture.version
    assert newer.entities["light.a"].area_id == "hall"
