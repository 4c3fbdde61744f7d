"""The desk: all that the HTTP API asks of the rest of the house, and nothing of how it is answered.

Answers are values: Arrow tables of ``ingestor.event.SCHEMA`` for events, JSON-like dicts and lists (times as RFC 3339
text or UTC ``datetime``) for the rest. Errors come from ``ingestor.errors``; ``serve.status`` turns them to answers.
Every method may be called concurrently and may be cancelled at any ``await``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from ingestor.history.aggregate import AggregatePage, Aggregation
from ingestor.history.question import Page, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBatch:
    """Events of a live stream. ``cursor`` (shard -> seq) is the place *after* ``rows``: resuming there repeats nothing.

    Where a batch moves the cursor of one shard only, its rows stand in rising ``seq`` and each of them is a place to
    resume from (that shard's cursor set to the row's ``seq``). Where it moves several, only its end is.
    """

    rows: pa.Table
    cursor: dict[int, int]


class Counter(Protocol):
    """Who takes events in, and says how it goes."""

    async def accept(self, home: str | None, events: list[bytes], source: str) -> dict[str, Any]:
        """Take events in. On return they are on disk. ``events`` is never empty; None is the first configured home.

        Answers ``{received, accepted, duplicate, filtered, quarantined: [{index, quarantine_id, reason}], last_seq}``.
        Raises ``NotFound`` for an unknown home, ``Overloaded``, ``JournalFull``, ``JournalError``.
        """
        ...

    async def status(self) -> dict[str, Any]:
        """Say how everything is. Free-form JSON; ``ingestor.telemetry`` names the places that become metrics."""
        ...

    async def ready(self) -> tuple[bool, list[str]]:
        """Tell whether events are taken in and questions answered; if not, the reasons as sentences."""
        ...


class Desk(Counter, Protocol):
    """Who answers everything. The real one asks actors and the archive; tests have their own."""

    async def events(self, question: Question) -> Page:
        """One page of events, committed or not yet: what was acknowledged is seen. Raises ``QueryError``."""
        ...

    async def event(self, event_id: str) -> pa.Table:
        """Find the event with this id (32 hex digits): one row, or none."""
        ...

    async def history(self, asked: Aggregation) -> AggregatePage:
        """One page of time buckets, committed events or not yet. Raises ``QueryError``."""
        ...

    async def zones(self) -> dict[str, str]:
        """Home -> the IANA name of its time zone."""
        ...

    def export(self, question: Question) -> AsyncGenerator[pa.Table, None]:
        """All events that pass, oldest first, in tables of bounded size, none of them empty. The limit does not count.

        Nothing is read ahead while the consumer is busy. ``aclose`` ends it.
        """
        ...

    async def wait_visible(self, seq: int, timeout_s: float) -> bool:
        """Wait until ``events`` sees the event with this ``seq``; False after ``timeout_s``."""
        ...

    def live(self, cursor: dict[int, int] | None, question: Question) -> AsyncGenerator[LiveBatch, None]:
        """Events from after ``cursor`` (None: from now) on, that pass the question's filters, for ever.

        The first batch comes at once, empty, with the place the stream starts from; afterwards at least every 5 s a
        batch, empty if nothing happened. Nothing is read ahead beyond a bounded buffer while the consumer is busy.
        ``aclose`` ends it. Raises ``QueryError`` on the first step for a cursor that is too old.
        """
        ...

    async def states(
        self, home: str | None, domain: str | None, area_id: str | None, entity_ids: list[str] | None
    ) -> list[dict[str, Any]]:
        """Last known states, in any order, shaped as ``serve.schemas.State``. None is no restriction."""
        ...

    async def graph(self, question: str, **arguments: Any) -> Any:
        """Ask the graph. ``home`` (str or None) goes with every question. Raises ``NotFound``; None means the same.

        ============================ ======================== ====================================================
        question                     further arguments        answer
        ============================ ======================== ====================================================
        devices users nodes cycles                            list of dicts with ``id``, and ``home`` if several
        areas floors                                          the same with ``area_id``, ``floor_id``
        integrations automations                              the same with ``domain``, ``entity_id``
        device                       device_id                dict
        automation                   entity_id                dict with ``entity_id``; also by its configuration's id
        dependencies                 include_circular (bool)  dict ``{nodes, edges, cycles}``
        related                      node_id, depth?          dict ``{nodes, edges}``
        dead_references sharing                                list of dicts
        ============================ ======================== ====================================================
        """
        ...

    async def gaps(self, home: str | None, open_only: bool, limit: int, before: str | None) -> list[dict[str, Any]]:  # noqa: FBT001 - the ledger's own order
        """Spans in which events may be missing, newest first; ``before`` is the ``gap_id`` of the last one seen."""
        ...

    async def quarantined(self, home: str | None, limit: int, before: str | None) -> list[dict[str, Any]]:
        """List what could not be mended, newest first; ``before`` is the ``quarantine_id`` of the last one seen."""
        ...

    async def quarantined_item(self, quarantine_id: str) -> dict[str, Any] | None:
        """One item with its raw text, or None."""
        ...

    async def retry(self, quarantine_id: str) -> dict[str, Any]:
        """Send the item through the pipeline again: ``{quarantine_id, outcome, seq?, reason?}``. Raises ``NotFound``.

        ``outcome`` is ``stored``, ``duplicate``, ``filtered`` or ``quarantined``.
        """
        ...
