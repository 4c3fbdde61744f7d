"""Subscribe to everything; where the token may not, to what it may, and say exactly what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """What is subscribed. ``refused`` are event types, empty when everything is let through."""

    everything: bool
    missing: tuple[Missing, ...] = ()


async def subscribe(connection: Connection) -> Subscribed:
    """Subscribe to all events, else one by one. Raises ``ConnectionLost`` if not even ``state_changed`` comes."""
    everything = await connection.call("subscribe_events", stream="events")
    if everything.ok:
        return Subscribed(everything=True)
    if everything.code != "unauthorized":
        raise ConnectionLost("Home Assistant", f"refused the subscription: {everything.message or everything.code}")
    answers = await asyncio.gather(
        *(connection.call("subscribe_events", stream="events", event_type=name) for name in OPEN_EVENT_TYPES),
    )
    allowed = {name for name, answer in zip(OPEN_EVENT_TYPES, answers, strict=True) if answer.ok}
    if "state_changed" not in allowed:
        raise ConnectionLost("Home Assistant", "refused the subscription even to state_changed")
    return Subscribed(everything=False, missing=tuple(_missing(allowed)))


def _missing(allowed: set[str]) -> Iterable[Missing]:
    known = sorted(({*KIND_OF_EVENT_TYPE, *OPEN_EVENT_TYPES} - allowed) - _NEVER_ON_THE_BUS)
    why = "Home Assistant lets only an administrator subscribe to this event type"
    for event_type in known:
        yield {"kind": kind_of(event_type).value, "event_type": event_type, "why": why, "remedy": REMEDY}
    why = "Home Assistant lets only an administrator subscribe to event types beyond its open list"
    yield {"kind": kind_of("*").value, "event_type": "*", "why": why, "remedy": REMEDY}
