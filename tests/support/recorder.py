"""Read what Home Assistant's own recorder kept, as plain rows, straight from its SQLite file.

Schemas 42 (2024.3) and 50 (2025.4) and those between and shortly after keep the same columns. What the recorder leaves
out to save space is put back here: ``last_changed`` is null when it equals ``last_updated``, contexts are 16 bytes,
and a removed entity is a row with an empty state and no attributes.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

STATE_CHANGED = "state_changed"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_STATES = """
select m.entity_id, s.state, s.last_changed_ts, s.last_updated_ts, a.shared_attrs,
       s.context_id_bin, s.context_parent_id_bin, s.context_user_id_bin
from states s join states_meta m using (metadata_id) left join state_attributes a using (attributes_id)
order by s.state_id
"""
_EVENTS = """
select t.event_type, e.time_fired_ts, d.shared_data,
       e.context_id_bin, e.context_parent_id_bin, e.context_user_id_bin
from events e join event_types t using (event_type_id) left join event_data d using (data_id)
order by e.event_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event as the recorder, or another witness, has it. Times are UTC microseconds.

    ``time_us`` is ``last_updated`` of a state, and when the event was fired of everything else, a removal included.
    ``state`` is None for a removal; ``attributes`` belong to states, ``data`` to all other events.
    """

    event_type: str
    time_us: int
    entity_id: str | None = None
    state: str | None = None
    last_changed_us: int | None = None
    attributes: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    context_id: str | None = None
    context_parent_id: str | None = None
    user_id: str | None = None

    @classmethod
    def from_bus(cls, event: dict[str, Any]) -> Self:
        """Make the row of an event other than ``state_changed`` as Home Assistant sends it."""
        context = event["context"]
        return cls(
            event_type=event["event_type"],
            time_us=microseconds(event["time_fired"]),
            data=event["data"],
            context_id=context["id"],
            context_parent_id=context["parent_id"],
            user_id=context["user_id"],
        )


def read(database: Path) -> list[Row]:
    """Return every state and event that is committed, states first, each in the order of recording."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        rows = [_state(*found) for found in connection.execute(_STATES)]
        rows += [_event(*found) for found in connection.execute(_EVENTS)]
    return rows


def wait_recorded(database: Path, event_type: str, context_id: str, timeout_s: float = 60.0) -> None:
    """Wait until this event is committed: the recorder works in order, so all before it is committed too."""
    ends = time.monotonic() + timeout_s
    query = "select e.context_id_bin from events e join event_types t using (event_type_id) where t.event_type = ?"
    while time.monotonic() < ends:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            if any(ulid(found) == context_id for (found,) in connection.execute(query, (event_type,))):
                return
        time.sleep(0.2)
    raise TimeoutError(f"the recorder has no {event_type} with context {context_id} after {timeout_s:g} s")


def microseconds(moment: str | float) -> int:
    """Turn RFC 3339 text or seconds since the epoch into UTC microseconds.

    Seconds are rounded exactly as Home Assistant rounds the same number when it writes it as text.
    """
    time_utc = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
    return (time_utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def ulid(raw: bytes | None) -> str | None:
    """Write 16 bytes as the 26 letters Home Assistant shows for a context."""
    if raw is None:
        return None
    number = int.from_bytes(raw, "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def _state(
    entity_id: str,
    state: str | None,
    last_changed_s: float | None,
    last_updated_s: float,
    attributes: str | None,
    context: bytes | None,
    parent: bytes | None,
    user: bytes | None,
) -> Row:
    kept = json.loads(attributes) if attributes else {}
    removed = not state and not kept
    return Row(
        event_type=STATE_CHANGED,
        time_us=microseconds(last_updated_s),
        entity_id=entity_id,
        state=None if removed else state,
        last_changed_us=None if removed else microseconds(last_changed_s or last_updated_s),
        attributes=None if removed else kept,
        context_id=ulid(context),
        context_parent_id=ulid(parent),
        user_id=user.hex() if user else None,
    )


def _event(
    event_type: str,
    fired_s: float,
    data: str | None,
    context: bytes | None,
    parent: bytes | None,
    user: bytes | None,
) -> Row:
    return Row(
        event_type=event_type,
        time_us=microseconds(fired_s),
        data=json.loads(data) if data else {},
        context_id=ulid(context),
        context_parent_id=ulid(parent),
        user_id=user.hex() if user else None,
    )
