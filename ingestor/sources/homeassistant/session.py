"""The life of one authenticated connection: subscribe, read everything, keep it current, until it is lost.

Subscribing comes before reading states: what changes in between is seen twice rather than not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from ingestor.errors import ConnectionLost
from ingestor.sources.base import Batch, Document
from ingestor.sources.homeassistant.connection import Connection, Loss
from ingestor.sources.homeassistant.cutter import NAME, BatchLimits, Cutter
from ingestor.sources.homeassistant.documents import EVERY, Documents, Freshness, keep_reading
from ingestor.sources.homeassistant.entries import EntryChange, states_as_events
from ingestor.sources.homeassistant.signals import Signals, fired_at_us
from ingestor.sources.homeassistant.subscriptions import Missing, missing_entries, subscribe

#: Whichever side notices first that the connection is gone, the reading side knows the cause within this time.
CLOSES_WITHIN_S: Final = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Whom a session tells. ``emit`` may wait: that is the back-pressure.

    ``subscribed`` is told once events flow, ``missing`` again once all is known that the token may not see.
    """

    emit: Callable[[Batch | Document, int], Awaitable[None]]
    subscribed: Callable[[list[Missing]], Awaitable[None]]
    missing: Callable[[list[Missing]], None]
    now_us: Callable[[], int]


class Session:
    """Lives through one connection. Run once."""

    def __init__(
        self, connection: Connection, *, home: str, limits: BatchLimits, freshness: Freshness, ports: Ports
    ) -> None:
        self._connection, self._home, self._limits, self._ports = connection, home, limits, ports
        self._documents = Documents(connection, home=home, freshness=freshness, emit=ports.emit)
        self._signals = Signals(asyncio.get_running_loop().time)
        self._newest = b""
        self._cutter = Cutter(
            connection,
            home=home,
            limits=limits,
            emit=ports.emit,
            observe=self._observe,
            observe_entries=self._observe_entries,
        )

    async def run(self, stop: asyncio.Event) -> Loss | None:
        """Return how the connection was lost, or ``None`` if ``stop`` ended it. All that was read was emitted."""
        cutting = asyncio.create_task(self._cutter.run())
        reading = asyncio.create_task(self._connection.run())
        setting_up = asyncio.create_task(self._set_up())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({cutting, reading, setting_up, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if setting_up.done() or cutting.done():
                await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED, timeout=CLOSES_WITHIN_S)
            reading.cancel()
            ended = (await asyncio.gather(reading, return_exceptions=True))[0]
            await cutting
        finally:
            for task in (setting_up, stopping, reading, cutting):
                task.cancel()
            failed = (await asyncio.gather(setting_up, stopping, reading, cutting, return_exceptions=True))[0]
        return self._outcome(ended, failed, stopped=stop.is_set())

    def _outcome(self, ended: object, failed: object, *, stopped: bool) -> Loss | None:
        if isinstance(failed, Exception) and not isinstance(failed, ConnectionLost):
            log.error("source.setup_failed", home=self._home, exc_info=failed)
        if isinstance(ended, Loss):
            return self._widened(self._explained(ended))
        if isinstance(ended, Exception):
            raise ended
        if stopped:
            return None
        detail = (
            str(failed) if isinstance(failed, ConnectionLost) else "reading the home's documents failed, see the log"
        )
        return self._widened(Loss(reason="disconnect", detail=detail, from_us=self._connection.heard_us))

    def _explained(self, loss: Loss) -> Loss:
        """Name the cause the home itself gave: it was told to restart or stop just before."""
        leaving = self._signals.leaving
        if leaving is None or loss.reason != "disconnect":
            return loss
        return Loss(reason="home_restart", detail=f"{leaving} was called; {loss.detail}", from_us=loss.from_us)

    def _widened(self, loss: Loss) -> Loss:
        """Begin the loss when the newest event that came was fired: the next may have waited in the home since then.

        A home whose clock is behind, or an event without a time, takes it back no further than what is proven.
        """
        fired_us, proven_us = fired_at_us(self._newest), self._connection.proven_us
        known_us = proven_us if fired_us is None else max(fired_us, proven_us)
        return replace(loss, from_us=min(loss.from_us, known_us))

    async def _set_up(self) -> None:
        connection, documents = self._connection, self._documents
        await connection.call("supported_features", features={"coalesce_messages": 1})
        missing = [*await subscribe(connection)]
        documents.expect_entries()
        entries = await connection.call("config_entries/subscribe", stream="config_entries")
        if not entries.ok:
            documents.list_entries(None)
            missing.append(missing_entries(entries.code))
        await self._ports.subscribed([*missing])
        states = await documents.read(EVERY)
        missing += documents.refused.values()
        self._ports.missing(missing)
        await self._ports.emit(Document(home=self._home, name="missing", content=missing), 256)
        if states is not None:
            await self._emit_states(states)
        log.info("source.read", home=self._home, missing=len(missing))
        await keep_reading(documents, self._home)

    async def _emit_states(self, states: bytes) -> None:
        events = [*states_as_events(states)]
        now_us = self._ports.now_us()
        for at in range(0, len(events), self._limits.events):
            part = events[at : at + self._limits.events]
            batch = Batch(home=self._home, source=NAME, received_at_us=now_us, events=part, backfilled=True)
            await self._ports.emit(batch, sum(map(len, part)))

    def _observe(self, event: bytes) -> None:
        self._newest = event
        self._documents.mark(self._signals.stale_after(event))

    def _observe_entries(self, changes: list[EntryChange]) -> None:
        if all(change.type is None for change in changes):
            self._documents.list_entries(b"[" + b",".join(bytes(change.entry) for change in changes) + b"]")
        else:
            self._documents.mark(["config_entries"])
