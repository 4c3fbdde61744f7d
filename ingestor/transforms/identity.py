"""The name of an event: 16 bytes that anyone can compute again from the event alone.

``event_id`` is BLAKE2b with a digest of 16 bytes over this text in UTF-8. Lines end with one line feed,
the last does not.

A state (``state_changed`` with a new state)::

    ha-ingestor 1 state
    <home>
    <entity_id>
    <last_updated, microseconds since 1970 UTC, decimal>
    <state, may itself hold line feeds>

A removal (``state_changed`` whose new state is null)::

    ha-ingestor 1 removal
    <home>
    <entity_id>
    <time_fired, microseconds since 1970 UTC, decimal>

Every other event::

    ha-ingestor 1 event
    <home>
    <time_fired, microseconds since 1970 UTC, decimal>
    <canonical JSON of the list [event_type, context id or null, data]>

Canonical JSON: members sorted by name, no blanks, text unescaped but for what JSON demands, integers up to 64 bits in
digits, other numbers as the shortest text that reads back to the same double. Missing data is ``{}``.

What is not in it cannot change it: received_at, source, attributes, old state. So live, back-filled and imported
copies of one event have one name. Home names and entity ids hold no line feed, hence two events never share a text.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import orjson

ID_BYTES: Final = 16
EMPTY_DATA: Final = b"{}"


def state_id(home: str, entity_id: str, last_updated_us: int, state: str) -> bytes:
    """Name a state."""
    text = f"ha-ingestor 1 state\n{home}\n{entity_id}\n{last_updated_us}\n{state}"
    return blake2b(text.encode(), digest_size=ID_BYTES).digest()


def begun_state_id(home: str) -> Any:
    """Give a hash begun with what all states of a home begin with. Go on with a copy, and the rest of the text."""
    return blake2b(f"ha-ingestor 1 state\n{home}\n".encode(), digest_size=ID_BYTES)


def removal_id(home: str, entity_id: str, time_fired_us: int) -> bytes:
    """Name the removal of an entity."""
    text = f"ha-ingestor 1 removal\n{home}\n{entity_id}\n{time_fired_us}"
    return blake2b(text.encode(), digest_size=ID_BYTES).digest()


def other_id(home: str, event_type: str, time_fired_us: int, context_id: str | None, data: bytes) -> bytes:
    """Name any other event. ``data`` is canonical JSON (``canonical``)."""
    head = f"ha-ingestor 1 event\n{home}\n{time_fired_us}\n[".encode()
    middle = orjson.dumps(event_type) + b"," + orjson.dumps(context_id) + b","
    return blake2b(head + middle + data + b"]", digest_size=ID_BYTES).digest()


def canonical(text: bytes) -> bytes:
    """Write JSON anew, canonically. Raises ``ValueError`` where the text is not JSON."""
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
