"""A batch in, an outcome out: nothing lost, nothing invented, nothing twice."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.event import QUARANTINE_SCHEMA, SCHEMA
from ingestor.pipeline import LastStates, Outcome, Pipeline, quarantine_batch, seal
from ingestor.transforms.dedupe import Window
from ingestor.transforms.enrich import Enricher
from ingestor.transforms.identity import state_id
from ingestor.transforms.rows import Rows
from tests.ingestor.transforms.recorded import VERSIONS, batch, events, other_event, state_event
from tests.ingestor.transforms.test_enrich import HOME
from tests.ingestor.transforms.test_validate import HOSTILE


def pipeline(size: int = 1_000_000) -> Pipeline:
    one = Pipeline(shard=0, window=Window(size), states=LastStates())
    one.set_snapshot(HOME)
    return one


def count(outcome: Outcome) -> int:
    stored = 0 if outcome.events is None else outcome.events.num_rows
    return stored + len(outcome.rejected) + outcome.duplicates


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["A_all", "B_coalesced"])
def test_every_recorded_event_is_stored(version: str, name: str) -> None:
    """Of two real homes not one event is refused or mended, and a second pass stores nothing."""
    one, raws = pipeline(), events(version, name)
    outcome = one.process(batch(raws), first_seq=1)
    assert outcome.events is not None
    assert outcome.events.schema == SCHEMA
    outcome.events.validate(full=True)
    assert (outcome.events.num_rows, outcome.rejected, outcome.duplicates) == (len(raws), [], 0)
    assert outcome.events.column("quality").null_count == len(raws)
    again = one.process(batch(raws), first_seq=1)
    assert (again.events, again.duplicates, again.conflicts) == (None, len(raws), 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_batches_may_be_cut_anywhere(version: str) -> None:
    """One batch or many: the same rows."""
    raws = events(version)
    whole = pipeline().process(batch(raws)).events
    one = pipeline()
    parts = [one.process(batch(raws[start : start + 97])).events for start in range(0, len(raws), 97)]
    assert pa.Table.from_batches(parts).combine_chunks() == pa.Table.from_batches([whole]).combine_chunks()


POOL = [row[1] for row in HOSTILE if len(row[1]) < 10_000] + events("2025.4.4")[300:360] + [
    state_event("light.a", "on"),
    state_event("light.a", "on", attributes={"a": 1}),
    state_event("light.a", None),
    other_event("x", {}),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.one_of(st.sampled_from(POOL), st.binary(max_size=60)), max_size=25), max_size=4))
def test_every_event_is_stored_rejected_or_a_duplicate(batches: list[list[bytes]]) -> None:
    """Whatever bytes come, in whatever order, the account balances and no id is stored twice."""
    one, ids = pipeline(), []
    for raws in batches:
        outcome = one.process(batch(raws), raws[:2])
        assert count(outcome) == len(raws)
        assert outcome.conflicts <= outcome.duplicates
        if outcome.events is not None:
            outcome.events.validate(full=True)
            ids += outcome.events.column("event_id").to_pylist()
        rejected = quarantine_batch(outcome.rejected, batch=batch(raws), first_seq=1)
        assert [raws[rejection.index] for rejection in outcome.rejected] == rejected.column("raw").to_pylist()
    assert len(ids) == len(set(ids))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(events("2025.4.4")[:2000]), st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_damaged_bytes_never_harm_the_neighbours(raw: bytes, place: int, damage: bytes) -> None:
    """Any bytes of a real event may be overwritten: the events around it are stored."""
    place %= len(raw)
    damaged = raw[:place] + damage + raw[place + len(damage) :]
    before, after = state_event("light.a", "1"), state_event("light.b", "2")
    outcome = pipeline().process(batch([before, damaged, after]))
    assert count(outcome) == 3
    assert outcome.events is not None
    ids = outcome.events.column("entity_id").to_pylist()
    assert (ids[0], ids[-1]) == ("light.a", "light.b")


def row(one: Pipeline, *raws: bytes) -> dict[str, Any]:
    events = one.process(batch(list(raws))).events
    assert events is not None
    [only] = events.to_pylist()
    return dict(only)


def test_the_fuller_copy_stays_and_the_conflict_is_counted() -> None:
    """The same id with other attributes: within a batch the fuller one is kept, later ones are counted."""
    bare, full = state_event(), state_event(attributes={"unit_of_measurement": "W", "b": 1})
    one = pipeline()
    kept = row(one, bare, full, bare)
    assert (kept["attributes"], kept["unit"]) == ('{"unit_of_measurement":"W","b":1}', "W")
    other_order = state_event(attributes={"b": 1, "unit_of_measurement": "W"})
    outcome = one.process(batch([full, other_order, bare]))
    assert (outcome.events, outcome.duplicates, outcome.conflicts) == (None, 3, 1)


def test_the_same_state_from_elsewhere_is_the_same_event() -> None:
    """Another context, source, time of receipt, spelling of the time, old state: one id."""
    one = pipeline()
    first = row(one, state_event("light.a", "on", at="2026-11-23T08:00:00.000000+00:00"))
    twin = state_event("light.a", "on", at="2026-11-23T09:00:00+01:00", old="off", context={"id": "other"})
    assert one.process(batch([twin], backfilled=True)).duplicates == 1
    assert first["event_id"] == state_id("home", "light.a", 1_795_420_800_000_000, "on")
    assert one.process(batch([twin], home="other")).duplicates == 0


def test_one_home_never_sees_another() -> None:
    """Two homes may have the same entity."""
    one = pipeline()
    one.process(batch([state_event("light.a", "on")], home="home"))
    one.process(batch([state_event("light.a", "off")], home="cabin"))
    states = {state.home: state.state for state in one.states.all()}
    assert states == {"home": "on", "cabin": "off"}


def test_sealing_numbers_and_stamps() -> None:
    """Seq rises from the first number in arrival order, and is the number the last states hold."""
    one = pipeline()
    outcome = one.process(batch([state_event("light.a", "1"), b"x", state_event("light.b", "2")]), first_seq=41)
    assert outcome.events is not None
    assert outcome.events.column("seq").to_pylist() == [0, 0]
    sealed = seal(outcome.events, first_seq=41, journaled_at_us=1_795_423_500_000_123)
    assert sealed.schema == SCHEMA
    assert sealed.column("seq").to_pylist() == [41, 42]
    assert sealed.column("journaled_at").cast(pa.int64()).to_pylist() == [1_795_423_500_000_123] * 2
    assert {state.entity_id: state.seq for state in one.states.all()} == {"light.a": 41, "light.b": 42}
    refused = quarantine_batch(outcome.rejected, batch=batch([b""]), first_seq=43)
    assert refused.schema == QUARANTINE_SCHEMA
    refused.validate(full=True)
    [item] = refused.to_pylist()
    assert (item["seq"], item["reason"], item["raw"], item["backfilled"]) == (43, "not_json", b"x", False)


def test_a_restored_pipeline_goes_on_as_the_first_would_have() -> None:
    """Restart in mid-stream: what follows is deduplicated and enriched as if nothing had happened."""
    raws = events("2025.4.4")
    first, second = pipeline(), pipeline()
    stored = first.process(batch(raws[:4000]), first_seq=1).events
    assert stored is not None
    second.restore(pa.Table.from_batches([seal(stored, first_seq=1, journaled_at_us=1)]))
    rest = batch(raws[3900:])
    one, two = first.process(rest, first_seq=4001), second.process(rest, first_seq=4001)
    assert one.duplicates == two.duplicates == 100
    assert one.events == two.events


def test_causes_and_environment_survive_a_restart() -> None:
    """What a run started before the restart changes after it still names the run; sensors need not speak anew."""
    run = {"id": "c2", "parent_id": None, "user_id": None}
    person: dict[str, object] = {"id": "c1", "parent_id": None, "user_id": "anna"}
    before = [
        state_event("sensor.t", "20"),
        other_event("automation_triggered", {"entity_id": "automation.a"}, context=run),
        state_event("switch.s", "on", context=person),
    ]
    after = [
        state_event("light.a", "on", context={"id": "c3", "parent_id": "c2", "user_id": None}),
        state_event("light.b", "on", context={"id": "c4", "parent_id": "c1", "user_id": None}),
    ]
    stored = pipeline().process(batch(before)).events
    assert stored is not None
    again = pipeline()
    again.restore(pa.Table.from_batches([stored]))
    outcome = again.process(batch(after))
    assert outcome.events is not None
    lamp, other = outcome.events.to_pylist()
    assert (lamp["cause"], other["cause"]) == ("automation.a", "user:anna")
    assert lamp["environment"]["temperature"] == 20
    only_states = pipeline()
    only_states.states.restore(pa.Table.from_batches([stored]))
    outcome = only_states.process(batch(after))
    assert outcome.events is not None
    assert outcome.events.column("environment")[0].as_py()["temperature"] == 20


def test_an_event_that_breaks_enrichment_goes_alone_to_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbours are stored, numbered without a gap; sent again, it is tried again and no duplicate."""
    one, real = pipeline(), Enricher.enrich

    def poisoned(self: Enricher, rows: Rows, *args: Any, **named: Any) -> dict[str, Any]:
        if "light.poison" in rows.entity_id:
            raise ZeroDivisionError("poison")
        return real(self, rows, *args, **named)

    poison = state_event("light.poison", "1")
    raws = [state_event("light.a", "1"), b"x", poison, state_event("light.b", "1"), poison]
    with monkeypatch.context() as patch:
        patch.setattr(Enricher, "enrich", poisoned)
        outcome = one.process(batch(raws), first_seq=10)
    assert count(outcome) == len(raws)
    assert [(rejection.index, rejection.reason) for rejection in outcome.rejected] == [
        (1, "not_json"),
        (2, "internal_error"),
    ]
    assert outcome.events is not None
    assert outcome.events.column("entity_id").to_pylist() == ["light.a", "light.b"]
    assert {state.entity_id: state.seq for state in one.states.all()} == {"light.a": 10, "light.b": 11}
    again = one.process(batch(raws), first_seq=20)
    assert again.events is not None
    assert (again.events.column("entity_id").to_pylist(), again.duplicates) == (["light.poison"], 3)
