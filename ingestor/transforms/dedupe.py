"""Seen before? A bounded memory of event ids in two generations.

Guarantee: an id among the last ``size / 2`` remembered is always known; memory never holds more than ``size`` ids.
The window is the fast way to see a repeat. What it has forgotten, the history's unique id still catches.

A window remembers an id before the journal has it on disk. So whoever processes a batch either journals it or throws
the window away and restores it from the journal; nothing else keeps a retried event from being taken for a repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat


class Window:
    """Ids and, beside each, the digest of its attributes."""

    def __init__(self, size: int) -> None:
        if size < 2:  # noqa: PLR2004 - two generations of at least one
            raise ValueError(f"a window of {size} ids cannot have two generations")
        self._half = size // 2
        self._young: dict[bytes, int | None] = {}
        self._old: dict[bytes, int | None] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def seen(self, ids: Sequence[bytes]) -> list[bool]:
        """Tell for each id whether it was remembered, or stands earlier in ``ids``. Remembers nothing."""
        young, old = self._young, self._old
        if young.keys().isdisjoint(ids) and old.keys().isdisjoint(ids) and len(set(ids)) == len(ids):
            return [False] * len(ids)
        here: set[bytes] = set()
        mask = []
        for event_id in ids:
            mask.append(event_id in young or event_id in old or event_id in here)
            here.add(event_id)
        return mask

    def digest(self, event_id: bytes) -> int | None:
        """Give the digest remembered with an id; null when the id or its digest is not known."""
        return self._young[event_id] if event_id in self._young else self._old.get(event_id)

    def remember(self, ids: Iterable[bytes], digests: Iterable[int] | None = None) -> None:
        """Remember ids, the newest last. May forget the older half."""
        pairs = list(zip(ids, repeat(None) if digests is None else digests, strict=digests is not None))
        if len(self._young) + len(pairs) < self._half:
            self._young.update(pairs)
            return
        for event_id, digest in pairs:
            self._young[event_id] = digest
            if len(self._young) >= self._half:
                self._old, self._young = self._young, {}

    def restore(self, ids: Iterable[bytes], digests: Iterable[int] | None = None) -> None:
        """Remember ids found in history and journal, oldest first; may be called again with newer ones.

        Without digests, conflicts with them go unseen.
        """
        self.remember(ids, digests)
