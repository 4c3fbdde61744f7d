"""Which gaps of a home are open. Each is opened once, with its cause, and closed when events flow again."""

from __future__ import annotations

import random
import uuid
from typing import Final

from ingestor.sources.base import GapClosed, GapOpened

REFUSED: Final = "refused_subscription"


class Gaps:
    """The open gaps of one source. A gap is given out as an item by whoever opens and closes it."""

    def __init__(self, home: str, source: str, rng: random.Random) -> None:
        self._home, self._source, self._rng = home, source, rng
        self._open: dict[str, str] = {}
        self._refused: tuple[str, str] | None = None

    @property
    def any_open(self) -> bool:
        """Whether a gap of the connection is open."""
        return bool(self._open)

    def begin(self, *, from_us: int, reason: str, detail: str, gap_id: str | None = None) -> GapOpened | None:
        """Open a gap of the connection. ``None``: one is open that covers it (a refused token is always told)."""
        if reason in self._open.values() or (self._open and reason != "auth_rejected"):
            return None
        return self.open(from_us=from_us, reason=reason, detail=detail, gap_id=gap_id)

    def open(self, *, from_us: int, reason: str, detail: str, gap_id: str | None = None) -> GapOpened:
        """Open a gap, whatever else is open."""
        gap = self._opened(from_us=from_us, reason=reason, detail=detail, gap_id=gap_id)
        self._open[gap.gap_id] = reason
        return gap

    def end(self, to_us: int) -> list[GapClosed]:
        """Close every gap of the connection: it is subscribed again."""
        closed = [self._closed(gap_id, to_us) for gap_id in self._open]
        self._open.clear()
        return closed

    def refuse(self, *, at_us: int, detail: str) -> list[GapOpened | GapClosed]:
        """Hold open one gap for what the token may not subscribe to. An empty ``detail`` closes it."""
        items: list[GapOpened | GapClosed] = []
        if self._refused is not None and self._refused[1] != detail:
            items.append(self._closed(self._refused[0], at_us))
            self._refused = None
        if self._refused is None and detail:
            gap = self._opened(from_us=at_us, reason=REFUSED, detail=detail, gap_id=None)
            self._refused = (gap.gap_id, detail)
            items.append(gap)
        return items

    def _opened(self, *, from_us: int, reason: str, detail: str, gap_id: str | None) -> GapOpened:
        gap_id = gap_id or uuid.UUID(int=self._rng.getrandbits(128), version=4).hex
        return GapOpened(
            home=self._home, source=self._source, gap_id=gap_id, from_us=from_us, reason=reason, detail=detail
        )

    def _closed(self, gap_id: str, to_us: int) -> GapClosed:
        return GapClosed(home=self._home, source=self._source, gap_id=gap_id, to_us=to_us)
