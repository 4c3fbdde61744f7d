"""What is stored is exactly what was sent; what cannot be stored is kept with its reason."""

from __future__ import annotations

import json
import re
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ingestor.sources.base import Batch
from ingestor.transforms import validate as door
from ingestor.transforms.exact import ExactReader
from ingestor.transforms.mend import context_time_us
from ingestor.transforms.models import EntityId, UtcTime
from ingestor.transforms.moments import exact_moments
from ingestor.transforms.numeric import number_in
from ingestor.transforms.rows import Rows
from ingestor.transforms.validate import Rejection, Validator
from ingestor.transforms.wire import Texts
from tests.ingestor.transforms.recorded import RECEIVED_AT_US, VERSIONS, batch, events, other_event, state_event

GOOD = state_event("light.good", "on")


class Single(Validator):
    """Reads every event one by one."""

    def _at_once(self, batch: Batch) -> tuple[Rows, list[int]]:
        return Rows(), list(range(len(batch.events)))


class Slow(Single):
    """Looks at every event alone, by the model of a whole event."""

    def _read(self, _index: int, _raw: bytes) -> None:
        return None


def validate(*raws: bytes) -> tuple[Rows, list[Rejection]]:
    return Validator().validate(batch(list(raws)))


def changed(path: str, value: Any, raw: bytes = GOOD) -> bytes:
    """Give an event with one member replaced; ``...`` takes it out."""
    event = json.loads(raw)
    *way, last = path.split(".")
    holder = event
    for part in way:
        holder = holder[part]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(event).encode()


def spliced(old: bytes, new: bytes, raw: bytes = GOOD) -> bytes:
    assert old in raw
    return raw.replace(old, new, 1)


OTHER = other_event("x", {"a": 1})
NAMELESS = changed("data.new_state.entity_id", ...)
DEEP = b'{"x":' * 241 + b"1" + b"}" * 241

HOSTILE: list[tuple[str, bytes, str]] = [
    ("empty", b"", "not_json"),
    ("cut short", GOOD[:-1], "not_json"),
    ("something after it", GOOD + b" x", "not_json"),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD, "not_json"),
    ("NaN", spliced(b'{"a":1}', b'{"a":NaN}', OTHER), "not_json"),
    ("Infinity", spliced(b'{"a":1}', b'{"a":-Infinity}', OTHER), "not_json"),
    ("bare control character", spliced(b'"on"', b'"o\x01n"'), "not_json"),
    ("a list", b"[]", "wrong_type"),
    ("text", b'"x"', "wrong_type"),
    ("null", b"null", "wrong_type"),
    ("invalid UTF-8 in a state", spliced(b'"on"', b'"\xff"'), "not_utf8"),
    ("invalid UTF-8 in data", spliced(b"1}", b'"\xff"}', OTHER), "not_utf8"),
    ("invalid UTF-8 in attributes", state_event(attributes={"a": "~"}).replace(b"~", b"\xc0\x80"), "not_utf8"),
    ("lone surrogate in data", spliced(b'{"a":1}', rb'{"a":"\ud800"}', OTHER), "lone_surrogate"),
    ("lone surrogate in a state", spliced(b'"on"', rb'"\ud800"'), "lone_surrogate"),
    ("number beyond a double", spliced(b'{"a":1}', b'{"a":1e999}', OTHER), "number_too_large"),
    ("key twice in data", spliced(b'{"a":1}', b'{"a":1,"a":2}', OTHER), "duplicate_key"),
    ("key twice in attributes", spliced(b'"attributes":{}', b'"attributes":{"a":1,"a":1}'), "duplicate_key"),
    ("key twice in the event", spliced(b'"origin":"LOCAL"', b'"origin":"LOCAL","origin":"LOCAL"'), "duplicate_key"),
    ("key twice, once with a blank", spliced(b'"state":"on"', b'"state" :"off","state":"on"'), "duplicate_key"),
    ("key twice in a state's context", spliced(b'{"id":"c",', b'{"id":"c","id":"d",'), "duplicate_key"),
    ("key twice, once escaped", spliced(b'"state":"on"', rb'"st\u0061te":"off","state":"on"'), "duplicate_key"),
    ("data 241 deep", spliced(b'{"a":1}', DEEP, OTHER), "too_deep"),
    ("attributes 100,000 deep", spliced(b'"attributes":{}', b'"attributes":{"a":' + b"[" * 100_000), "too_deep"),
    ("closed, 100,000 deep", spliced(b'{"a":1}', b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", OTHER), "too_deep"),
    ("more than 1 MiB", other_event("x", {"a": "y" * 1_048_576}), "too_large"),
    ("NUL in a state", spliced(b'"on"', rb'"\u0000"'), "nul"),
    ("NUL in a context", changed("context.id", "a\0b"), "nul"),
    ("no event_type", changed("event_type", ..., OTHER), "missing_field"),
    ("event_type a number", changed("event_type", 1, OTHER), "wrong_type"),
    ("event_type empty", changed("event_type", "", OTHER), "bad_event_type"),
    ("event_type of 65 characters", changed("event_type", "x" * 65, OTHER), "bad_event_type"),
    ("no data", changed("data", ...), "missing_field"),
    ("data a list", changed("data", [], OTHER), "wrong_type"),
    ("no entity_id", changed("data.entity_id", ...), "missing_field"),
    ("no new_state", changed("data.new_state", ...), "missing_field"),
    ("no state in it", changed("data.new_state.state", ...), "missing_field"),
    ("state null", changed("data.new_state.state", None), "wrong_type"),
    ("state a list", changed("data.new_state.state", []), "wrong_type"),
    ("state true", changed("data.new_state.state", True), "wrong_type"),
    ("attributes a list", changed("data.new_state.attributes", []), "wrong_type"),
    ("context text", changed("context", "abc"), "wrong_type"),
    ("user a number", changed("context.user_id", 7), "wrong_type"),
    ("origin a number", changed("origin", 7), "wrong_type"),
    ("origin of 65 characters", changed("origin", "x" * 65), "too_long"),
    ("context of 256 characters", changed("context.id", "x" * 256), "too_long"),
    ("another's new state", changed("data.new_state.entity_id", "light.other"), "entity_mismatch"),
    ("another's old state", changed("data.old_state.entity_id", "l.x", state_event(old="1")), "entity_mismatch"),
    *[
        (f"entity id {name!r:.20}", changed("data.entity_id", name, NAMELESS), "bad_entity_id")
        for name in (
            "", "light", "light.", ".a", "Light.a", "light.ä", "light.a__b", "_light.a", "light_.a", "light.a_",
            "light.a.b", "light.a b", "../etc.passwd", "light/a.b", "a__b.c", "light.a+", "light.#", "light.a\n",
            "light.\u0661", "l." + "x" * 300,
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile_input_is_kept_with_its_reason_and_harms_nobody(raw: bytes, reason: str) -> None:
    """The neighbours are stored, the bytes are kept, the reason is a word of the table."""
    rows, rejected = validate(GOOD, raw, OTHER)
    assert [rejection.reason for rejection in rejected] == [reason], rejected[0].detail if rejected else "accepted"
    assert (rejected[0].index, rejected[0].raw) == (1, raw)
    assert rows.index == [0, 2]
    assert re.search(rf"\b{reason}\b", door.__doc__ or "")
    assert len(rejected[0].detail) <= 400
    assert Slow().validate(batch([GOOD, raw, OTHER])) == (rows, rejected)


EXACT: list[tuple[str, bytes]] = [
    ("an integer beyond 64 bits", b'{"a":123456789012345678901234567890}'),
    ("minus zero, 2^53+1, many digits", b'{"a":-0.0,"b":9007199254740993,"c":0.1000000000000000055511151231257827}'),
    ("NUL and controls as escapes", rb'{"a":"\u0000\u001f"}'),
    ("blanks and order", b'{ "b" : 1,\t"a" : [ 1 , 2 ] }'),
    ("a surrogate pair", rb'{"a":"\ud83c\udfe0"}'),
    ("240 levels", b'{"x":' * 239 + b"[]" + b"}" * 239),
    ("10,000 keys", orjson.dumps({f"k{n}": n for n in range(10_000)})),
]


@pytest.mark.parametrize("text", [row[1] for row in EXACT], ids=[row[0] for row in EXACT])
def test_attributes_and_data_are_stored_to_the_byte(text: bytes) -> None:
    """No number is rounded, nothing is re-ordered."""
    rows, rejected = validate(spliced(b'"attributes":{}', b'"attributes":' + text), spliced(b'{"a":1}', text, OTHER))
    assert not rejected
    attributes, data = rows.attributes[0], rows.data[1]
    assert attributes is not None
    assert data is not None
    assert attributes.text.encode() == text == (data.text or "").encode()


T = "2026-11-23T08:43:53.327195+00:00"
T_US = 1_795_423_433_327_195
ULID = "01M83S6V9H33J1SBDCC614A9K8"


@pytest.mark.parametrize(
    ("time", "us"),
    [
        (T, T_US),
        ("2026-11-23T08:43:53.327195Z", T_US),
        ("2026-11-23T14:13:53.327195+05:30", T_US),
        ("2026-11-22T22:43:53.327195-10:00", T_US),
        (1_795_423_433.327195, T_US),
        (1_795_423_433, T_US - 327_195),
        ("1970-01-01T00:00:01.500000+00:00", 1_500_000),
        ("2099-12-31T23:59:59.999999Z", 4_102_444_799_999_999),
    ],
)
def test_times_are_read_to_the_microsecond(time: object, us: int) -> None:
    """RFC 3339 with any offset, and seconds since 1970."""
    rows, rejected = validate(changed("time_fired", time))
    assert (rows.time_fired_us, rejected, rows.quality) == ([us], [], {})


@pytest.mark.parametrize("bad", ["", "yesterday", "2026-11-23T08:43:53", "2026-11-23T25:00:00Z", "1969-12-31T23:59:59Z",
                                 "2100-01-01T00:00:00Z", True, [1], {"a": 1}, 1e300, -5])  # fmt: skip
def test_an_unreadable_time_fired_is_mended_and_told(bad: object) -> None:
    """The state's own time stands in, and what stood there is kept."""
    rows, rejected = validate(changed("time_fired", bad, state_event(at=T)))
    raw = bad if isinstance(bad, str) else orjson.dumps(bad).decode()
    assert not rejected
    assert rows.time_fired_us == [T_US]
    [(field, rule, was)] = rows.quality[0]
    assert (field, rule) == ("time_fired", "from_last_updated")
    assert was is not None
    assert was == raw or float(was) == float(raw)


def test_a_missing_time_fired_comes_from_the_next_best_witness() -> None:
    """last_updated, else the context id's own time, else the time of receipt."""
    ulid_us = context_time_us(ULID)
    assert ulid_us is not None
    assert abs(ulid_us - 1_795_423_431_985_751) < 1000, "the recorded event with this context was fired then"
    rows, _ = validate(
        changed("time_fired", ..., state_event(at=T)),
        changed("time_fired", ..., OTHER),
        changed("time_fired", None, changed("context", ..., OTHER)),
        changed("time_fired", ..., changed("context.id", "not a ulid", OTHER)),
    )
    assert rows.time_fired_us == [T_US, ulid_us, RECEIVED_AT_US, RECEIVED_AT_US]
    rules = ["from_last_updated", "from_context_id", "from_received_at", "from_received_at"]
    assert rows.quality == {n: [("time_fired", rule, None)] for n, rule in enumerate(rules)}


def test_state_times_are_mended_and_told() -> None:
    """A hand-written event without times still has an identity."""
    rows, _ = validate(
        b'{"event_type":"state_changed","time_fired":"%s","data":{"entity_id":"light.a","new_state":{"state":"on"}}}'
        % T.encode(),
        changed("data.new_state.last_changed", "x", state_event(at=T)),
    )
    assert rows.last_updated_us == rows.last_changed_us == [T_US, T_US]
    assert rows.quality == {
        0: [("last_updated", "from_time_fired", None), ("last_changed", "from_last_updated", None)],
        1: [("last_changed", "from_last_updated", "x")],
    }
    assert rows.context_id[0] is None


def test_removal_and_first_state() -> None:
    """new_state null is a removal: the event stays, its state is null. old_state null: the entity is new."""
    rows, rejected = validate(state_event(state=None, old="7"), state_event(state="8"))
    assert not rejected
    assert (rows.state, rows.old_state) == ([None, "8"], ["7", None])
    assert rows.last_updated_us[0] is None
    assert not rows.quality


def test_a_number_as_state_becomes_its_text() -> None:
    """Digits and all, and the repair is told."""
    rows, rejected = validate(spliced(b'"state":"on"', b'"state":21.50'))
    assert not rejected
    assert (rows.state, rows.state_numeric, rows.quality) == (
        ["21.50"],
        [21.5],
        {0: [("state", "number_as_text", "21.50")]},
    )


@pytest.mark.parametrize(
    ("state", "value", "rule", "unit"),
    [
        ("21.5", 21.5, None, None), ("-3", -3.0, None, None), ("1e3", 1000.0, None, None), (".5", 0.5, None, None),
        ("21,5", 21.5, "comma_decimal", None), ("-0,125", -0.125, "comma_decimal", None),
        ("21.5 °C", 21.5, "unit_in_state", "°C"), ("21,5°C", 21.5, "unit_in_state", "°C"),
        ("55%", 55.0, "unit_in_state", "%"),
        ("1,234", None, None, None), ("1e999", None, None, None), ("1_000", None, None, None),
        ("\u0661", None, None, None),
        ("nan", None, None, None), ("inf", None, None, None), ("2026-11-23", None, None, None),
        ("12:30", None, None, None),
        ("0.0/7", None, None, None), ("3rd", None, None, None), ("", None, None, None), ("-", None, None, None),
        (" 5", None, None, None), ("5 ", None, None, None), ("5\n", None, None, None), ("1.2.3", None, None, None),
    ],
)  # fmt: skip
def test_numbers_in_states(state: str, value: float | None, rule: str | None, unit: str | None) -> None:
    """Only what surely is a number becomes one."""
    assert number_in(state) == (value, rule, unit)
    rows, _ = validate(state_event(state=state))
    assert (rows.state, rows.state_numeric, rows.unit) == ([state], [value], [unit])
    assert rows.quality == ({0: [("state_numeric", rule, state)]} if rule else {})


def test_unit_and_device_class_come_from_attributes() -> None:
    """Where they are text; a unit in the attributes goes before one in the state."""
    rows, _ = validate(
        state_event(state="5 W", attributes={"unit_of_measurement": "kW", "device_class": "power"}),
        state_event(attributes={"unit_of_measurement": 7, "device_class": None}),
    )
    assert rows.unit == ["kW", None]
    assert [facts and facts.device_class for facts in rows.attributes] == ["power", None]


HA_RULE = re.compile(r"^(?!.+__)(?!_)[\da-z_]+(?<!_)\.(?!_)[\da-z_]+(?<!_)$", re.ASCII)


@given(st.text("a0_.Z-", max_size=9))
def test_entity_ids_are_judged_by_home_assistants_own_rule(name: str) -> None:
    """Our pattern without look-around accepts exactly what the published one does."""
    try:
        TypeAdapter(EntityId).validate_python(name)
        ours = True
    except ValidationError:
        ours = False
    assert ours == (HA_RULE.fullmatch(name) is not None)


@pytest.mark.parametrize("version", VERSIONS)
def test_columns_agree_with_the_event_alone_on_real_events(version: str) -> None:
    """Every recorded event gives the same row by either way."""
    raws = events(version)
    fast, slow = Validator().validate(batch(raws)), Slow().validate(batch(raws))
    assert fast == slow == Single().validate(batch(raws))
    assert fast[0].index == list(range(len(raws)))
    assert fast[0].quality == {}


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**70), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from(["light.a", "state_changed", T, "2026", "\0", "x" * 300, "21,5", {"id": 1}, {"state": "x"}]),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += _places(inner, (*path, key))
    return found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_columns_agree_with_the_event_alone_on_mutated_events(data: st.DataObject) -> None:
    """Whatever member is replaced, taken out or added, both ways decide alike and give the same row."""
    raws = []
    for _ in range(3):
        event = json.loads(data.draw(st.sampled_from(SAMPLE)))
        *way, last = data.draw(st.sampled_from(_places(event)))
        holder = event
        for part in way:
            holder = holder[part]
        if data.draw(st.booleans()):
            holder[last] = data.draw(ODD)
        else:
            del holder[last]
        raws.append(json.dumps(event).encode() if data.draw(st.booleans()) else _compact(event))
    one = batch([GOOD, *raws])
    assert Validator().validate(one) == Slow().validate(one) == Single().validate(one)


def _compact(event: Any) -> bytes:
    try:
        return msgspec.json.encode(event)
    except (msgspec.MsgspecError, OverflowError, UnicodeEncodeError):
        return json.dumps(event).encode()


SAMPLE = [
    state_event(old="1", attributes={"a": [1]}),
    state_event(state=None, old="1"),
    OTHER,
    *events("2025.4.4")[400:440],
]


def test_a_surprise_in_our_own_code_harms_one_event_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception while one event is examined sends that event to quarantine, and nothing else."""

    def explode(*_: object) -> None:
        raise ZeroDivisionError("poison")

    monkeypatch.setattr(door, "examine", explode)
    rows, [rejection] = validate(GOOD, b"poison", OTHER)
    assert rows.index == [0, 2]
    assert (rejection.reason, rejection.detail) == ("internal_error", "ZeroDivisionError: poison")


def test_quarantine_ids_are_stable_and_distinct() -> None:
    """A batch sent again names its rejections alike; two equal rejections of one batch differ."""
    first, again = validate(b"x", b"x")[1], validate(b"x", b"x")[1]
    assert first == again
    assert first[0].quarantine_id != first[1].quarantine_id
    assert all(re.fullmatch("[0-9a-f]{32}", rejection.quarantine_id) for rejection in first)


def test_checked_texts_are_remembered_within_bounds() -> None:
    """Endless new attributes do not fill the memory."""
    texts = Texts(budget_bytes=100_000)
    for number in range(2_000):
        texts.attributes(b'{"a":%d}' % number)
        texts.data(b'{"a":%d}' % number)
    held = len(texts._attributes) + len(texts._attributes_old) + len(texts._data) + len(texts._data_old)
    assert 0 < held * 400 <= 110_000


def test_moments_read_at_once_are_those_read_alone() -> None:
    """Whatever character stands in whatever place: what the fast way reads, the model of a moment reads, and alike."""
    adapter: TypeAdapter[Any] = TypeAdapter(UtcTime)
    tried = [T[:place] + character + T[place + 1 :] for place in range(len(T)) for character in string.printable]
    tried += [
        f"{T[:26]}{sign}{hours:02}:{minutes:02}" for sign in "+-" for hours in range(26) for minutes in (0, 59, 60)
    ]
    tried += [
        f"{year}-{month:02}-{day:02}{T[10:]}" for year in (1969, 2024, 2100) for month in (2, 13) for day in (29, 30)
    ]
    read = 0
    for text in tried:
        found = exact_moments([text])
        if found is not None:
            read += 1
            assert [datetime.fromtimestamp(0, UTC) + timedelta(microseconds=found[0])] == [
                adapter.validate_python(text)
            ]
    assert read > 200


def test_exact_events_take_the_fast_way() -> None:
    """Real events are read at once, and a bad one sends only itself the slow way."""
    reader, raws = ExactReader(Texts()), events("2025.4.4")[400:600]
    rows, left = reader.read(raws)
    assert len(rows) + len(left) == len(raws)
    removals = [place for place, raw in enumerate(raws) if b'"new_state":null' in raw]
    assert set(left) <= set(removals)
    assert reader.read([*raws[:5], b"x", *raws[5:10]])[1] == [5]


def test_two_halves_of_an_event_never_pass_as_two() -> None:
    """Texts that only together give events, in the right number and to the byte, are not read as if each were one."""
    whole = other_event("x", {"a": 1, "b": 2})
    cut = whole.index(b'"b"')
    halves = [whole[:cut], whole[cut:], OTHER + b"\n" + OTHER]
    rows, rejected = validate(*halves)
    assert (len(rows), [one.index for one in rejected]) == (0, [0, 1, 2])


def test_a_surprise_in_the_fast_way_costs_time_and_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the fast way fail, every event is read one by one, to the same rows."""

    def explode(*_: object) -> None:
        raise ZeroDivisionError("poison")

    expected = validate(GOOD, OTHER, b"x")
    monkeypatch.setattr(ExactReader, "read", explode)
    assert validate(GOOD, OTHER, b"x") == expected
