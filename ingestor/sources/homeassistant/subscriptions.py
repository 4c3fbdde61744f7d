"""Subscribe to everything; where the token may not, to what it may, and say exactly what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from ingestor.errors import ConnectionLost
from ingestor.event import KIND_OF_EVENT_TYPE, kind_of
from ingestor.sources.homeassistant.connection import Connection

#: Event types Home Assistant lets any user subscribe to, of all versions since 2024.3.
OPEN_EVENT_TYPES: Final = (
    "state_changed",
    "entity_registry_updated",
    "device_registry_updated",
    "area_registry_updated",
    "floor_registry_updated",
    "label_registry_updated",
    "category_registry_updated",
    "component_loaded",
    "core_config_updated",
    "service_registered",
    "service_removed",
    "repairs_issue_registry_updated",
    "lovelace_updated",
    "panels_updated",
    "persistent_notifications_updated",
    "recorder_5min_statistics_generated",
    "recorder_hourly_statistics_generated",
    "shopping_list_updated",
    "themes_updated",
)
#: Kinds in the published table that no subscription to the bus gives, whoever asks.
_NEVER_ON_THE_BUS: Final = frozenset({"state_reported", "config_entry_changed"})
REMEDY: Final = "Use a long-lived access token of an administrator"
Missing = dict[str, str]


async def subscribe(connection: Connection) -> list[Missing]:
    """Subscribe to all events, else one by one; return what stays missing.

    Raises ``ConnectionLost`` if not even ``state_changed`` comes.
    """
    everything = await connection.call("subscribe_events", stream="events")
    if everything.ok:
        return []
    if everything.code != "unauthorized":
        raise ConnectionLost("Home Assistant", f"refused the subscription: {everything.message or everything.code}")
    answers = await asyncio.gather(
        *(connection.call("subscribe_events", stream="events", event_type=name) for name in OPEN_EVENT_TYPES),
    )
    allowed = {name for name, answer in zip(OPEN_EVENT_TYPES, answers, strict=True) if answer.ok}
    if "state_changed" not in allowed:
        raise ConnectionLost("Home Assistant", "refused the subscription even to state_changed")
    return [*_missing(allowed)]


def missing_entries(code: str) -> Missing:
    """Tell why config entry changes are missing, from the error code of their subscription."""
    if code == "unknown_command":
        why, remedy = "Home Assistant is too old to tell of config entry changes", "Update Home Assistant"
    else:
        why, remedy = "Home Assistant lets only an administrator subscribe to config entry changes", REMEDY
    return {"kind": "integration", "event_type": "config_entry_changed", "why": why, "remedy": remedy}


def _missing(allowed: set[str]) -> Iterable[Missing]:
    known = sorted(({*KIND_OF_EVENT_TYPE, *OPEN_EVENT_TYPES} - allowed) - _NEVER_ON_THE_BUS)
    why = "Home Assistant lets only an administrator subscribe to this event type"
    for event_type in known:
        yield {"kind": kind_of(event_type).value, "event_type": event_type, "why": why, "remedy": REMEDY}
    why = "Home Assistant lets only an administrator subscribe to event types beyond its open list"
    yield {"kind": kind_of("*").value, "event_type": "*", "why": why, "remedy": REMEDY}
