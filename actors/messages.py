"""What actors say to each other: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors.turns import Turn
from ingestor.sources.base import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The events of one batch that belong to one shard, in order.

    ``context``: state events of the home's environment sensors that belong to other shards; looked at, not stored.
    ``turn``: its place among its sender's parts, when the sender does not wait for each.
    """

    batch: Batch
    context: list[bytes] = field(default_factory=list)
    turn: Turn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One event that went to quarantine; ``index`` is its place in the part."""

    index: int
    quarantine_id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A shard's acknowledgement: all of the part is on disk. ``received`` is the sum of the other three."""

    received: int
    stored: int
    duplicate: int
    quarantined: list[Refusal]
    last_seq: int


@dataclass(slots=True, kw_only=True)
class Flow:
    """A sender's own count of events. ``in_flight`` is measured, not derived, so that ``balance`` can fail."""

    received: int = 0
    filtered: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    in_flight: int = 0
    resent: int = 0

    @property
    def balance(self) -> int:
        """Events unaccounted for: 0 unless something was lost or counted twice."""
        return self.received - self.filtered - self.stored - self.duplicate - self.quarantined - self.in_flight

    def acknowledge(self, receipt: Receipt) -> None:
        """Book a receipt."""
        self.stored += receipt.stored
        self.duplicate += receipt.duplicate
        self.quarantined += len(receipt.quarantined)

    def as_dict(self) -> dict[str, Any]:
        """Give the counts by name, for ``status``."""
        names = ("received", "filtered", "stored", "duplicate", "quarantined", "in_flight", "resent", "balance")
        return {name: getattr(self, name) for name in names}
