"""Events as Home Assistant writes them, with holes of fixed width where each has something of its own.

A hole is a run of tildes around a letter, as wide as what will stand there: 26 bytes for a moment (without its zone)
and for a context id, 4 for a number. The recorded texts hold no tilde.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import orjson

from benchmarks.load.shapes import Pair

WIDE: Final = 26
NARROW: Final = 4


class Hole(IntEnum):
    """What belongs into a wide hole. Old ones are what the entity's event before had."""

    NOW = 0
    CONTEXT = 1
    WAS = 2
    CONTEXT_WAS = 3
    SEEN_WAS = 4
    SEEN = 5
    PARENT = 6


_LETTERS: Final = {
    b"n": Hole.NOW,
    b"c": Hole.CONTEXT,
    b"w": Hole.WAS,
    b"d": Hole.CONTEXT_WAS,
    b"t": Hole.SEEN_WAS,
    b"s": Hole.SEEN,
    b"p": Hole.PARENT,
}
_HOLES: Final = re.compile(rb"~([a-z])~{24}|~([vu])~~")
_ZONE: Final = "+00:00"
_CALLED_BY_AUTOMATIONS: Final = 0.7
_USER: Final = "bf80ae38fb2c4cfebe04d312cb6f969d"


def _wide(letter: str) -> str:
    return f"~{letter}{'~' * 24}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """An event's text and its holes: byte offset -> what belongs there; for numbers, whether it is the old one."""

    text: bytes
    wide: tuple[tuple[int, Hole], ...]
    numbers: tuple[tuple[int, bool], ...]


def text_of(event: dict[str, Any]) -> Text:
    """Write an event and find its holes."""
    text = orjson.dumps(event)
    wide, numbers = [], []
    for found in _HOLES.finditer(text):
        if found[1] is not None:
            wide.append((found.start(), _LETTERS[found[1]]))
        else:
            numbers.append((found.start(), found[2] == b"u"))
    return Text(text=text, wide=tuple(wide), numbers=tuple(numbers))


def state_of(entity_id: str, pair: Pair) -> dict[str, Any]:
    """Write a state, as the newest of its entity."""
    moment = _wide("n") + _ZONE
    return {
        "entity_id": entity_id,
        "state": pair[0],
        "attributes": pair[1],
        "last_changed": moment,
        "last_reported": moment,
        "last_updated": moment,
        "context": {"id": _wide("c"), "parent_id": None, "user_id": None},
    }


def state_changed(entity_id: str, before: Pair, after: Pair) -> Text:
    """Write a change of state."""
    old = orjson.dumps(state_of(entity_id, before)).decode()
    for new, was in (("n", "w"), ("c", "d"), ("s", "t")):
        old = old.replace(_wide(new), _wide(was))
    data = {
        "entity_id": entity_id,
        "old_state": orjson.loads(old.replace("~v~~", "~u~~")),
        "new_state": state_of(entity_id, after),
    }
    return text_of(_event("state_changed", data, {"id": _wide("c"), "parent_id": None, "user_id": None}))


def other(event_type: str, data: dict[str, Any], *, caused: bool) -> Text:
    """Write an event of another type. ``caused``: by the event before it, else by a person."""
    own = {"id": _wide("c"), "parent_id": _wide("p") if caused else None, "user_id": None if caused else _USER}
    return text_of(_event(event_type, data, own))


def others(recorded: list[dict[str, Any]], entity_ids: dict[str, list[str]], chance: random.Random) -> list[Text]:
    """Write what comes beside changes of state, in recorded shapes, of this home's entities.

    Of a hundred: 52 service calls, 32 automations triggered, 6 scripts started, and 10 of what devices send. Changes
    of registries are left out: a home has a few a day.
    """
    calls = [one["data"] for one in recorded if one["event_type"] == "call_service"]
    device = [
        (one["event_type"], one["data"])
        for one in recorded
        if one["event_type"] in {"zha_event", "hue_event", "tag_scanned", "mobile_app_notification_action"}
    ]
    written = []
    for _ in range(52):
        data = orjson.loads(orjson.dumps(chance.choice(calls)))
        if "entity_id" in data.get("service_data", {}):
            data["service_data"]["entity_id"] = [chance.choice(entity_ids["light"])]
        written.append(other("call_service", data, caused=chance.random() < _CALLED_BY_AUTOMATIONS))
    for _ in range(32):
        name, cause = chance.choice(entity_ids["automation"]), chance.choice(entity_ids["binary_sensor"])
        data = {"name": name.partition(".")[2], "entity_id": name, "source": f"state of {cause}"}
        written.append(other("automation_triggered", data, caused=True))
    for _ in range(6):
        name = chance.choice(entity_ids["script"])
        written.append(other("script_started", {"name": name.partition(".")[2], "entity_id": name}, caused=True))
    for number in range(10):
        event_type, data = device[number % len(device)]
        written.append(other(event_type, data, caused=False))
    return written


def _event(event_type: str, data: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    moment = _wide("n") + _ZONE
    return {"event_type": event_type, "data": data, "origin": "LOCAL", "time_fired": moment, "context": context}
