"""Cut frames into batches of events, in order, exact to the byte, within milliseconds; hand answers to who waits.

A batch is closed by the first of: its age, its number of events, its size. Each event is shown to an ``observe``
function on its way, for what it says about the home itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from ingestor.sources.base import Batch
from ingestor.sources.homeassistant.connection import Connection, Frame
from ingestor.sources.homeassistant.entries import EntryChange, as_events
from ingestor.sources.homeassistant.frames import Message, cut

NAME: Final = "homeassistant"
TURN_BYTES: Final = 512 * 1024
_CHANGES = msgspec.json.Decoder(list[EntryChange])


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """When a batch is closed, whichever comes first."""

    age_s: float = 0.020
    events: int = 2_000
    size_bytes: int = 4 * 1024 * 1024


class Cutter:
    """Reads a connection's frames to the end. ``emit`` may wait: that is the back-pressure."""

    def __init__(
        self,
        connection: Connection,
        *,
        home: str,
        limits: BatchLimits,
        emit: Callable[[Batch, int], Awaitable[None]],
        observe: Callable[[bytes], None],
        observe_entries: Callable[[list[EntryChange]], None],
    ) -> None:
        self._connection, self._home, self._limits = connection, home, limits
        self._emit, self._observe, self._observe_entries = emit, observe, observe_entries
        self._events: list[bytes] = []
        self._bytes = 0
        self._newest_us = 0
        self._due_s = 0.0
        self._now_s = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Return when the connection's frames are closed and all of them have been emitted."""
        frames, turn_bytes = self._connection.frames, 0
        while True:
            if len(frames):
                got: Frame | None = frames.take()
            else:
                turn_bytes = 0
                try:
                    async with asyncio.timeout_at(self._due_s if self._events else None):
                        got = await frames.get()
                except TimeoutError:
                    await self._flush()
                    continue
            if got is None:
                await self._flush()
                return
            frame, received_us = got
            for piece in cut(frame):
                self._take(piece, received_us)
                if len(self._events) >= self._limits.events or self._bytes >= self._limits.size_bytes:
                    await self._flush()
            if self._events and self._now_s() >= self._due_s:
                await self._flush()
            turn_bytes += len(frame)
            if turn_bytes >= TURN_BYTES:
                turn_bytes = 0
                await asyncio.sleep(0)

    def _take(self, piece: Message | bytes, received_us: int) -> None:
        if isinstance(piece, bytes):
            self._add(piece, received_us)
        elif piece.type != "event":
            self._connection.answer(piece)
        elif self._connection.streams.get(piece.id or 0) == "config_entries":
            self._take_entries(bytes(piece.event), received_us)
        else:
            event = bytes(piece.event)
            self._observe(event)
            self._add(event, received_us)

    def _take_entries(self, text: bytes, received_us: int) -> None:
        try:
            changes = _CHANGES.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._add(text, received_us)
            return
        for event in as_events(changes, received_us):
            self._add(event, received_us)
        self._observe_entries(changes)

    def _add(self, event: bytes, received_us: int) -> None:
        if not self._events:
            self._due_s = self._now_s() + self._limits.age_s
        self._events.append(event)
        self._bytes += len(event)
        self._newest_us = received_us

    async def _flush(self) -> None:
        if not self._events:
            return
        events, size_bytes = self._events, self._bytes
        self._events, self._bytes = [], 0
        batch = Batch(home=self._home, source=NAME, received_at_us=self._newest_us, events=events)
        await self._emit(batch, size_bytes)
