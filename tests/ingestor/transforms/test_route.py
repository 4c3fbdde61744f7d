"""Same entity, same shard; and the filter is Home Assistant's, rule for rule."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.settings import Filter
from ingestor.transforms.route import EntityFilter, Router, ShardPart, shard_of, shard_of_event
from tests.ingestor.transforms.recorded import VERSIONS, batch, events, other_event, state_event


def oracle(include: Filter, exclude: Filter, entity_id: str) -> bool:  # noqa: C901, PLR0911 - six rules
    """Tell the six rules the long way, each as its own steps."""
    domain = entity_id.split(".", maxsplit=1)[0]
    glob_in = [g for g in include.entity_globs if fnmatch.fnmatchcase(entity_id, g)]
    glob_out = [g for g in exclude.entity_globs if fnmatch.fnmatchcase(entity_id, g)]
    includes = bool(include.domains or include.entities or include.entity_globs)
    excludes = bool(exclude.domains or exclude.entities or exclude.entity_globs)
    if not includes and not excludes:
        return True
    if includes and not excludes:
        return entity_id in include.entities or domain in include.domains or bool(glob_in)
    if excludes and not includes:
        return not (entity_id in exclude.entities or domain in exclude.domains or bool(glob_out))
    if include.domains or include.entity_globs:
        if entity_id in include.entities:
            return True
        if entity_id in exclude.entities:
            return False
        if glob_in:
            return True
        if glob_out:
            return False
        return domain in include.domains
    if exclude.domains or exclude.entity_globs:
        if entity_id in include.entities:
            return True
        if entity_id in exclude.entities:
            return False
        if glob_out:
            return False
        return domain not in exclude.domains
    return entity_id in include.entities


IDS = ["light.a", "light.b", "sensor.a", "sensor.ab", "switch.a_b"]
lists = st.builds(
    Filter,
    domains=st.lists(st.sampled_from(["light", "sensor"]), max_size=2),
    entities=st.lists(st.sampled_from(IDS), max_size=2),
    entity_globs=st.lists(st.sampled_from(["*.a", "sensor.a?", "light.*", "*_b"]), max_size=2),
)


@given(lists, lists, st.sampled_from(IDS))
def test_the_filter_follows_the_six_rules(include: Filter, exclude: Filter, entity_id: str) -> None:
    """Every combination of lists gives what the rules written out give."""
    assert EntityFilter(include, exclude)(entity_id) is oracle(include, exclude, entity_id)


def test_case_is_as_home_assistant_reads_it() -> None:
    """Entity ids are lowered when read from settings; domains and globs are not."""
    assert EntityFilter(Filter(entities=["Light.A"]), Filter())("light.a")
    assert not EntityFilter(Filter(domains=["Light"]), Filter())("light.a")
    assert not EntityFilter(Filter(entity_globs=["Light.*"]), Filter())("light.a")


def test_a_shard_is_the_same_in_every_process() -> None:
    """Another process with another hash seed sends an entity the same way; the numbers are part of the format."""
    assert [shard_of("home", f"light.l{n}", 7) for n in range(8)] == [6, 0, 4, 6, 0, 5, 6, 0]
    code = (
        "from ingestor.transforms.route import shard_of; print([shard_of('home', f'light.l{n}', 7) for n in range(8)])"
    )
    for seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == str([6, 0, 4, 6, 0, 5, 6, 0])


@pytest.mark.parametrize("version", VERSIONS)
def test_all_events_of_an_entity_go_one_way_in_order(version: str) -> None:
    """A real recording is split without loss, each entity to one shard, order kept."""
    raws = events(version)
    routed = Router(3).route(batch(raws))
    assert sorted(place for part in routed.parts.values() for place in part.places) == list(range(len(raws)))
    for shard, part in routed.parts.items():
        assert part.places == sorted(part.places)
        assert part.events == [raws[place] for place in part.places]
        assert all(shard_of_event("home", raw, 3) == shard for raw in part.events)
    assert len(routed.parts) == 3


def test_what_cannot_be_read_goes_to_shard_0_untouched() -> None:
    """Garbage is door 3's business."""
    garbage = [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"event_type":1}', b'{"data":{}}']
    routed = Router(4).route(batch(garbage))
    assert routed.parts[0].events == garbage
    assert (list(routed.parts), routed.filtered, routed.context) == ([0], 0, {})


def test_filtered_events_are_counted_and_go_nowhere() -> None:
    """Not even as context. An event with a list of entities is in when one of them is, as in the recorder."""
    router = Router(
        2,
        filters={"home": EntityFilter(Filter(), Filter(domains=["sensor"]))},
        measures={"home": frozenset({"sensor.a"})},
    )
    raws = [
        state_event("sensor.a"),
        state_event("light.a"),
        other_event("x", {"entity_id": ["sensor.a", "sensor.b"]}),
        other_event("x", {"entity_id": ["sensor.a", "light.b"]}),
        other_event("x", {}),
    ]
    routed = router.route(batch(raws))
    assert routed.filtered == 2
    assert sum(len(part.events) for part in routed.parts.values()) == 3
    assert routed.context == {}
    assert router.route(batch(raws, home="other")).filtered == 0


def test_every_shard_hears_of_environment_and_causes() -> None:
    """Sensors of an area, starts of automations and scripts, and persons' calls are copied to all other shards."""
    router = Router(3)
    router.set_measures("home", frozenset({"sensor.a"}))
    person = {"id": "u", "parent_id": None, "user_id": "p"}
    told = [
        state_event("sensor.a"),
        other_event("automation_triggered", {"entity_id": "automation.a"}),
        other_event("script_started", {"entity_id": "script.a"}),
        other_event("call_service", {"domain": "light"}, context=person),
    ]
    routed = router.route(batch([*told, state_event("sensor.b"), other_event("call_service", {"domain": "light"})]))
    for raw in told:
        own = {shard for shard, part in routed.parts.items() if raw in part.events}
        others = {shard for shard, copies in routed.context.items() if raw in copies}
        assert len(own) == 1
        assert own | others == {0, 1, 2}
        assert not own & others
    assert sum(len(copies) for copies in routed.context.values()) == 2 * len(told)


def test_memory_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless new entities do not fill the memory."""
    monkeypatch.setattr("ingestor.transforms.route._CACHE", 100)
    router = Router(2, filters={"home": EntityFilter(Filter(), Filter(domains=["x"]))})
    router.route(batch([state_event(f"sensor.s{n}") for n in range(1000)]))
    assert len(router._ways) <= 100
    assert len(router._verdicts) <= 100


@pytest.mark.parametrize("version", VERSIONS)
def test_a_known_beginning_goes_the_way_a_reading_finds(version: str) -> None:
    """Events that are only looked at go where a router that reads each would send them, and are copied alike."""
    raws = events(version)
    names = frozenset({"sensor.outside_temperature", "light.bed_light"})
    known = Router(3, measures={"home": names})
    known.route(batch(raws))
    again = known.route(batch(raws))
    read = [Router(3, measures={"home": names}).route(batch([raw])) for raw in raws]
    assert again.parts == {
        shard: ShardPart(
            events=[raw for raw, one in zip(raws, read, strict=True) if shard in one.parts],
            places=[place for place, one in enumerate(read) if shard in one.parts],
        )
        for shard in again.parts
    }
    for shard, copies in again.context.items():
        assert copies == [raw for raw, one in zip(raws, read, strict=True) if shard in one.context]


def test_new_measures_are_heard_of_at_once() -> None:
    """A router that knows an entity's way learns that all shards shall hear of it."""
    router = Router(2)
    assert router.route(batch([state_event("sensor.a")])).context == {}
    router.set_measures("home", frozenset({"sensor.a"}))
    assert len(router.route(batch([state_event("sensor.a")])).context) == 1
