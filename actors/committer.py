"""Group commit: one fdatasync acknowledges everything that was appended before it began.

After a failed one the process ends: nothing later may be believed, and the next incarnation reads the disk.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final, Protocol

import structlog

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
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._latencies_ms: list[float] = []
        self.commits = 0

    async def commit(self) -> None:
        """Return when all that was appended before this call is on disk."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(done)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        await done

    def latency_ms(self, percentile: int) -> float | None:
        """Give this percentile of the last thousand commits' times, in milliseconds."""
        if not self._latencies_ms:
            return None
        ordered = sorted(self._latencies_ms)
        return round(ordered[min(len(ordered) - 1, len(ordered) * percentile // 100)], 3)

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            began = time.perf_counter()
            try:
                await asyncio.to_thread(self._journal.commit)
            except JournalFailed as error:
                log.critical("journal.failed", error=str(error))
                os._exit(EXIT_JOURNAL_FAILED)
            self.commits += 1
            self._latencies_ms.append((time.perf_counter() - began) * 1000)
            del self._latencies_ms[:-REMEMBERED]
            for done in waiting:
                if not done.done():
                    done.set_result(None)
