"""The contract of a metadata store. Every method is durable on return and safe from several processes and threads.

A call either happened wholly or not at all, whatever is killed meanwhile. Times are UTC microseconds. A store that
cannot be used raises ``MetadataError``; one whose file is damaged, ``MetadataCorrupt``, with the next step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol


class Metadata(Protocol):
    """What the ingestor remembers beside its events."""

    def lease_seqs(self, count: int, *, above: int = 0) -> int:
        """Return the first of ``count`` numbers that nobody was ever given before, all higher than ``above``.

        Strictly rising over all processes for ever, from 1. A lease whose caller dies leaves a hole, never a repeat.
        ``above`` is the highest number the caller found on disk: it counts when this store was lost, or is an old copy.
        """
        ...

    def put_document(self, home: str, name: str, content: Any) -> None:
        """Keep the latest content of a home's document, as JSON. What did not change is not written again."""
        ...

    def documents(self, home: str) -> dict[str, Any]:
        """Return the latest content of each document of a home, by name."""
        ...

    def homes(self) -> list[str]:
        """List the homes that have documents, in order of name."""
        ...

    def open_gap(self, *, gap_id: str, home: str, source: str, from_us: int, reason: str, detail: str) -> None:
        """Note that events may be missing from ``from_us`` on. A known ``gap_id`` stays as it is."""
        ...

    def close_gap(self, gap_id: str, to_us: int) -> None:
        """Note that the gap ended. Harmless when it is unknown or closed already: the first end stays.

        It ends no earlier than it began, also when the clock was set back meanwhile.
        """
        ...

    def add_backfilled(self, gap_id: str, count: int) -> None:
        """Note that ``count`` more events of a gap were filled in later. Harmless when it is unknown."""
        ...

    def gaps(
        self, *, home: str | None = None, open_only: bool = False, limit: int = 100, before: str | None = None
    ) -> list[dict[str, Any]]:
        """List gaps, the latest begun first; ``before`` is the ``gap_id`` of the last item of the page before.

        Items are ``gap_id, home, source, from_us, to_us`` (None while open) ``, reason, detail, backfilled`` (a count).
        Raises ``QueryError`` for a ``before`` that is not in the ledger.
        """
        ...

    def add_quarantined(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Index refused events, rows as in ``QUARANTINE_SCHEMA``, all or none. A known id stays as it is."""
        ...

    def quarantined(
        self,
        *,
        home: str | None = None,
        reason: str | None = None,
        open_only: bool = True,
        limit: int = 100,
        before_seq: int | None = None,
    ) -> list[dict[str, Any]]:
        """List refused events, newest first, without raw bytes. ``open_only``: without those stored since."""
        ...

    def quarantined_item(self, quarantine_id: str) -> dict[str, Any] | None:
        """Return one refused event with its ``raw`` bytes, also when it was resolved."""
        ...

    def resolve_quarantined(self, quarantine_id: str, event_id: str) -> None:
        """Note that a refused event was stored after all. Harmless when unknown or resolved: the first event stays."""
        ...

    def quarantine_counts(self) -> dict[str, int]:
        """Count the refused events that are not resolved, by reason."""
        ...

    def resolved_count(self) -> int:
        """Count the refused events that were stored after all."""
        ...

    def cursor(self, name: str) -> dict[int, int]:
        """Return a reader's positions: shard to seq. Empty when it never stood anywhere."""
        ...

    def set_cursor(self, name: str, positions: Mapping[int, int]) -> None:
        """Set a reader's positions, in one step. Shards not named are forgotten."""
        ...

    def get(self, name: str) -> Any:
        """Return a small value; None when it was never put."""
        ...

    def put(self, name: str, value: Any) -> None:
        """Keep a small JSON value under a name."""
        ...

    def close(self) -> None:
        """Let go of the store. Harmless the second time."""
        ...
