"""Group commit: one fdatasync acknowledges everything that was appended before it began.

After a failed one the process ends: nothing later may be believed, and the next incarnation reads the disk.
"""

from __future__ import annotations

import os
import time
from typing import Final, Protocol

import structlog

from actors.together import Together
from ingestor.errors import JournalFailed

EXIT_JOURNAL_FAILED: Final = 70
REMEMBERED: Final = 1_000

log = structlog.get_logger()


class Journal(Protocol):
    """What is committed."""

    def commit(self) -> None:
        """Return when all that was appended is on disk. Raises ``JournalFailed``."""
        ...


class Committer:
    """Commits in a thread, one commit at a time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._together = Together(self._commit)
        self._latencies_ms: list[float] = []
        self.commits = 0

    async def commit(self) -> None:
        """Return when all that was appended before this call is on disk."""
        await self._together.done()

    def latency_ms(self, percentile: int) -> float | None:
        """Give this percentile of the last thousand commits' times, in milliseconds."""
        if not self._latencies_ms:
            return None
        ordered = sorted(self._latencies_ms)
        return round(ordered[min(len(ordered) - 1, len(ordered) * percentile // 100)], 3)

    def _commit(self) -> None:
        began = time.perf_counter()
        try:
            self._journal.commit()
        except JournalFailed as error:
            log.critical("journal.failed", error=str(error))
            os._exit(EXIT_JOURNAL_FAILED)
        self.commits += 1
        self._latencies_ms.append((time.perf_counter() - began) * 1000)
        del self._latencies_ms[:-REMEMBERED]
