"""Door 1: read one home, and see to it that whatever was read reaches its shards, its graph and its gap ledger."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, Protocol

import structlog

from actors import handles
from actors.intake import Intake
from actors.opening import Opening
from ingestor.errors import IngestorError
from ingestor.graph.snapshot import Snapshot
from ingestor.metadata import SqliteMetadata
from ingestor.settings import Settings
from ingestor.sources import make_source
from ingestor.sources.base import Batch, Document, GapClosed, GapOpened, SourceItem

ALIVE_EVERY_S = 5.0
DRAIN_S = 6.0

log = structlog.get_logger()


class GraphPort(Protocol):
    """What a source tells the Graph."""

    async def ask(self, method: str, *args: Any) -> Any:
        """``put(home, name, content)`` takes a document."""
        ...


class Source:
    """Reads ``home`` until it is drained. A restart continues where the store says the last one ended."""

    def __init__(self, settings: Settings, home: str, *, graph: GraphPort | None = None) -> None:
        self._settings, self._home = settings, home
        self._graph = graph or handles.graph()
        self._metadata = SqliteMetadata(settings.data_dir / "metadata" / "metadata.sqlite")
        self._source: Any = None
        self._intake: Intake | None = None
        self._reading: asyncio.Task[None] | None = None
        self._alive: asyncio.Task[None] | None = None
        self._documents = 0
        self._open_gaps: set[str] = set()

    async def run(self, newest_us: int | None) -> None:
        """Start reading. ``newest_us``: time of the home's newest stored event, for sources that can resume."""
        if self._reading is not None and not self._reading.done():
            return
        intake = self._intake = self._intake or Intake(self._settings)
        snapshots = await self._graph.ask("snapshots")
        for snapshot in snapshots:
            intake.set_snapshot(snapshot)
        opening = Opening(
            intake.put,
            lambda: self._graph.ask("settle"),
            known=any(snapshot.home == self._home for snapshot in snapshots),
        )
        self._source = make_source(self._settings, self._home, newest_us=newest_us)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._reopen_gap)
        self._reading = loop.create_task(self._read(opening))
        if self._alive is None:
            self._alive = loop.create_task(self._stay_alive())

    async def set_snapshot(self, snapshot: Snapshot) -> None:
        """Route by this picture of a home from now on."""
        if self._intake is not None:
            self._intake.set_snapshot(snapshot)

    async def drain(self) -> None:
        """Stop reading, and return once everything read is on disk (or after a few seconds, saying what was not)."""
        if self._source is None or self._intake is None or self._reading is None:
            return
        if self._alive is not None:
            self._alive.cancel()
        watched_until_us = _now_us()
        await self._source.stop()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._reading
                await self._intake.drain()
        except TimeoutError:
            log.warning("source.drain_incomplete", home=self._home, in_flight=self._intake.flow.in_flight)
            return
        if self._source.live:
            await asyncio.to_thread(self._note_alive, watched_until_us)

    async def status(self) -> dict[str, Any]:
        """Tell how the home is read, and the account of its events since this process began."""
        health = self._source.health if self._source is not None else None
        return {
            "home": self._home,
            "pid": os.getpid(),
            "state": health.state if health else "starting",
            "connected": int(bool(health and health.state == "connected")),
            "detail": health.detail if health else "",
            "version": health.version if health else None,
            "connects": health.connects if health else 0,
            "last_event_us": health.last_event_us if health else None,
            "silence_s": _since(health.last_event_us) if health else None,
            "missing": health.missing if health else [],
            "documents": self._documents,
            "open_gaps": sorted(self._open_gaps),
            "flow": self._intake.flow.as_dict() if self._intake else {},
        }

    async def _read(self, opening: Opening) -> None:
        try:
            async for item in self._source.items():
                await self._take(item, opening)
            await opening.release()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("source.failed", home=self._home, error=str(error))
            self._source.health.state, self._source.health.detail = "failed", str(error)
            raise

    async def _take(self, item: SourceItem, opening: Opening) -> None:
        if isinstance(item, Batch):
            await opening.batch(item)
        elif isinstance(item, Document):
            self._documents += 1
            await self._graph.ask("put", item.home, item.name, item.content)
            await opening.document(item.name)
        elif isinstance(item, GapOpened):
            self._open_gaps.add(item.gap_id)
            await asyncio.to_thread(
                self._metadata.open_gap,
                gap_id=item.gap_id,
                home=item.home,
                source=item.source,
                from_us=item.from_us,
                reason=item.reason,
                detail=item.detail,
            )
        elif isinstance(item, GapClosed):
            self._open_gaps.discard(item.gap_id)
            await asyncio.to_thread(self._metadata.close_gap, item.gap_id, item.to_us)

    async def _stay_alive(self) -> None:
        """Write down, every few seconds, until when the home was watched: a killed process leaves a gap from there on.

        That is the time of the look before this one, and only once all that was read since then is on disk.
        """
        while True:
            looked_us = _now_us()
            await asyncio.sleep(ALIVE_EVERY_S)
            if self._intake is not None and self._source.live and self._source.health.state == "connected":
                await self._intake.drain()
                try:
                    await asyncio.to_thread(self._note_alive, looked_us)
                except IngestorError as error:
                    log.warning("source.not_noted_alive", home=self._home, error=str(error))

    def _note_alive(self, watched_until_us: int) -> None:
        self._metadata.put(f"alive.{self._home}", watched_until_us)

    def _reopen_gap(self) -> None:
        """Have the source close, at its first subscription, what an earlier run left open, and the span between."""
        if not self._source.live:
            return
        for gap in self._metadata.gaps(home=self._home, open_only=True, limit=1000):
            self._source.begin_gap(
                from_us=gap["from_us"], reason=gap["reason"], detail=gap["detail"], gap_id=gap["gap_id"]
            )
        alive_us = self._metadata.get(f"alive.{self._home}")
        if alive_us is not None:
            self._source.begin_gap(from_us=int(alive_us), reason="ingestor_stopped", detail="the ingestor did not run")


def _since(us: int | None) -> float | None:
    return None if us is None else round(max(0.0, (_now_us() - us) / 1e6), 3)


def _now_us() -> int:
    return time.time_ns() // 1000
