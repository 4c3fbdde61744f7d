"""What every source of events gives: a stream of four kinds of items, and nothing decided about them.

A source reads and cuts; it never filters, never validates, never drops. It yields

- ``Batch``: raw events, as bytes, of one home, in arrival order;
- ``Document``: one registry, configuration or state list of the home, whole, whenever it changed;
- ``GapOpened`` and ``GapClosed``: a span in which events may have been missed, and why.

An event is the JSON text of Home Assistant's own event object:
``{"event_type", "data", "origin"?, "time_fired"?, "context"?}``
(https://developers.home-assistant.io/docs/api/websocket). Text that is not JSON is passed on as it
is: the quarantine keeps it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Raw events of one home, in arrival order.

    ``received_at_us`` is when the newest of them was read (UTC, microseconds). ``backfilled`` marks events
    that were not seen live: the state list read after a connect, or a gap filled later.
    """

    home: str
    source: str
    received_at_us: int
    events: list[bytes]
    backfilled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One registry of a home, whole. ``name`` is one of ``DOCUMENT_NAMES``; ``content`` is JSON-like.

    ``content`` is exactly what Home Assistant's command answered, so that recorded answers are test data.
    """

    home: str
    name: str
    content: Any


#: Document name -> the WebSocket command whose ``result`` is its content. Those without a plain command are built
#: by the source: ``automations`` and ``scripts`` are ``{entity_id: config}`` from ``automation/config`` and
#: ``script/config``; ``missing`` lists ``{"kind", "event_type", "why", "remedy"}`` that the token does not allow.
DOCUMENT_NAMES: dict[str, str] = {
    "config": "get_config",
    "states": "get_states",
    "services": "get_services",
    "entities": "config/entity_registry/list",
    "devices": "config/device_registry/list",
    "areas": "config/area_registry/list",
    "floors": "config/floor_registry/list",
    "labels": "config/label_registry/list",
    "config_entries": "config_entries/get",
    "manifests": "manifest/list",
    "users": "config/auth/list",
    "persons": "person/list",
    "automations": "automation/config",
    "scripts": "script/config",
    "missing": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GapOpened:
    """From ``from_us`` on (UTC, microseconds) events may be missed. ``reason`` is a stable word, ``detail`` a sentence.

    Reasons: ``disconnect``, ``half_open``, ``home_restart``, ``overflow``, ``auth_rejected``, ``refused_subscription``,
    ``ingestor_stopped``, ``broken_frame``.
    """

    home: str
    source: str
    gap_id: str
    from_us: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GapClosed:
    """The gap ended at ``to_us`` (UTC, microseconds): events flow again."""

    home: str
    source: str
    gap_id: str
    to_us: int


SourceItem = Batch | Document | GapOpened | GapClosed


@dataclass(slots=True, kw_only=True)
class SourceHealth:
    """What ``status`` shows of a source. The source itself keeps it current."""

    state: str = "starting"  # starting, connected, reconnecting, refused, stopped
    detail: str = ""
    version: str | None = None
    connects: int = 0
    last_event_us: int | None = None
    missing: list[dict[str, str]] = field(default_factory=list)


class Source(Protocol):
    """One origin of events. ``items`` runs until ``stop`` and reconnects by itself.

    ``live``: it misses what happens while it does not run. Such a source also has ``begin_gap``.
    """

    live: bool
    health: SourceHealth

    def items(self) -> AsyncIterator[SourceItem]:
        """Yield items for ever. Back-pressure: nothing is read while the consumer is busy, beyond a bounded queue."""
        ...

    async def stop(self) -> None:
        """End ``items`` after what was already read has been yielded."""
        ...
