"""How much room a shard's journal has left. At the quota nothing more is taken; what was taken is never dropped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ingestor.errors import JournalFull

LOOK_EVERY_S = 0.5


class Room:
    """Watches the size of a journal's directory; looks at most every half second."""

    def __init__(self, directory: Path, quota_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory, self._quota_bytes, self._clock = directory, quota_bytes, clock
        self._used_bytes = 0
        self._looked_at = -LOOK_EVERY_S

    def used_bytes(self) -> int:
        """Tell how large the journal is."""
        if self._clock() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._clock()
            self._used_bytes = sum(_size(path) for path in self._directory.glob("*.seg"))
        return self._used_bytes

    def full(self) -> bool:
        """Tell whether the quota is reached."""
        return self.used_bytes() >= self._quota_bytes

    def check(self) -> None:
        """Raise ``JournalFull`` when the quota is reached."""
        if self.full():
            fault = f"{self._used_bytes:,} of journal.quota_bytes = {self._quota_bytes:,} are used"
            raise JournalFull(str(self._directory), fault)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
