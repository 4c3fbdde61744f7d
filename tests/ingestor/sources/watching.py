"""Read a source in the background and wait for what a test expects of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from ingestor.sources.base import Batch, Document, GapClosed, GapOpened, SourceItem
from ingestor.sources.homeassistant import Backoff, Freshness, HomeAssistantSource, Timing
from tests.support.fake_home import TOKEN, FakeHome

QUICK = Backoff(first_s=0.02, cap_s=0.1, refused_first_s=0.1, refused_cap_s=0.4, stable_s=60.0)
BRISK = Timing(connect_s=10.0, ping_every_s=0.5, silence_s=10.0, command_s=10.0, close_s=0.2)
#: For tests of silence itself; all others must not take a busy machine for a dead home.
IMPATIENT = replace(BRISK, ping_every_s=0.2, silence_s=1.0)
FRESH = Freshness(quiet_s=0.05, persons_quiet_s=0.1, retry_s=0.2)
Item = TypeVar("Item", Batch, Document, GapOpened, GapClosed)


class Watch:
    """What a source has yielded so far. ``pause`` makes the consumer stand still."""

    def __init__(self, source: HomeAssistantSource) -> None:
        self.source = source
        self.items: list[SourceItem] = []
        self.running = asyncio.Event()
        self.running.set()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for item in self.source.items():
            await self.running.wait()
            self.items.append(item)

    def all(self, kind: type[Item]) -> list[Item]:
        """Return every item of one kind, in order."""
        return [item for item in self.items if isinstance(item, kind)]

    def events(self, *, backfilled: bool = False) -> list[bytes]:
        """Return every event, in order."""
        return [event for batch in self.all(Batch) if batch.backfilled is backfilled for event in batch.events]

    def document(self, name: str) -> Any:
        """Return the newest content of a document."""
        return [each.content for each in self.all(Document) if each.name == name][-1]

    def documents(self) -> set[str]:
        """Return the names of the documents seen."""
        return {each.name for each in self.all(Document)}

    async def until(self, holds: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
        """Wait for a condition on what was yielded."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                if self._task.done():
                    self._task.result()
                    assert holds(), "items() ended early"
                await asyncio.sleep(0.005)

    async def ready(self) -> None:
        """Wait until everything that is read after a connect has been yielded."""
        await self.until(lambda: "missing" in self.documents())
        await self.until(lambda: bool(self.events(backfilled=True)) or self.document("states") == [])

    async def stop(self) -> None:
        """Stop the source and read it to its end."""
        await self.source.stop()
        self.running.set()
        await asyncio.wait_for(self._task, 2.0)


def source_of(home: FakeHome, **options: Any) -> HomeAssistantSource:
    """Make a source of the fake home whose every interval is short."""
    return HomeAssistantSource(
        "casa", home.url, TOKEN, **{"backoff": QUICK, "timing": BRISK, "freshness": FRESH, **options}
    )


@asynccontextmanager
async def watched(source: HomeAssistantSource) -> AsyncIterator[Watch]:
    """Read a source until the end of the block."""
    watch = Watch(source)
    try:
        yield watch
    finally:
        await watch.stop()
