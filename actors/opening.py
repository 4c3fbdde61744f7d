"""A home's first moments: its events wait, in order, until the registries that place them are known to the shards.

Only a home that was never seen before waits: all others are placed by the registries of the last run. Nothing waits
longer than ``hold_s`` or in greater number than ``hold_events``: an event without a place beats one too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from ingestor.sources.base import Batch

#: What enrichment places events by.
NEEDED: Final = frozenset({"config", "areas", "devices", "entities"})


class Opening:
    """Passes batches on to ``put``; holds them first when the home is not ``known``.

    ``settle`` is awaited once before the held batches go: it returns when the shards have the registries.
    """

    def __init__(
        self,
        put: Callable[[Batch], Awaitable[object]],
        settle: Callable[[], Awaitable[object]],
        *,
        known: bool,
        hold_s: float = 30.0,
        hold_events: int = 20_000,
    ) -> None:
        self._put, self._settle = put, settle
        self._held: list[Batch] | None = None if known else []
        self._missing = set(NEEDED)
        self._hold_events = hold_events
        self._order = asyncio.Lock()
        self._timer = None if known else asyncio.get_running_loop().create_task(self._release_after(hold_s))

    async def batch(self, batch: Batch) -> None:
        """Pass a batch on, now or with the others."""
        async with self._order:
            if self._held is None:
                await self._put(batch)
                return
            self._held.append(batch)
        if sum(len(held.events) for held in self._held) >= self._hold_events:
            await self.release()

    async def document(self, name: str) -> None:
        """Note that the Graph has this document."""
        self._missing.discard(name)
        if self._held is not None and not self._missing:
            await self.release()

    async def release(self) -> None:
        """Let everything go. Harmless when nothing is held."""
        async with self._order:
            if self._held is None:
                return
            await self._settle()
            for batch in self._held:
                await self._put(batch)
            self._held = None

    async def _release_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.release()
