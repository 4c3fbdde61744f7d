"""What the end-to-end tests ask of the running product: its HTTP API, and nothing behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tests.e2e.compare import Gap
from tests.support.recorder import microseconds


class Product(Protocol):
    """The whole product, started as a user would, watching one home."""

    def events(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Walk ``GET /api/v1/events`` with these query parameters, all pages, oldest first."""
        ...

    def gaps(self) -> list[dict[str, Any]]:
        """Return all items of ``GET /api/v1/gaps``."""
        ...

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the decoded answer of a GET that succeeds."""
        ...


def gap_of(item: Mapping[str, Any]) -> Gap:
    """Read one item of ``gaps``."""
    ends = item["to"]
    return Gap(from_us=microseconds(item["from"]), to_us=microseconds(ends) if ends else None, reason=item["reason"])
