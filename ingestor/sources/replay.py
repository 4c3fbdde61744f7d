"""Plays a recorded file again: the same events, the same bytes, the same order.

A file is NDJSON, plain or packed (zstd, gzip; told by its first bytes). A line is a WebSocket frame of Home Assistant,
an array of such frames, or a bare event object. Frames that carry no bus event are skipped and counted. A line that is
no JSON is passed on as it is, for the quarantine to keep. A packed file that ends too early gives all its whole lines,
then ``SourceError``.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
import zstandard

from ingestor.errors import SourceError
from ingestor.sources.base import Batch, SourceHealth, SourceItem

_CHUNK_BYTES = 256 * 1024
_NAP_S = 0.5
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b"


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a reading has come. Bytes are those of the file as it lies on disk."""

    read_bytes: int = 0
    total_bytes: int = 0
    events: int = 0
    skipped: int = 0


class _Frame(msgspec.Struct):
    """What is looked at of a line; the rest stays bytes."""

    type: str | msgspec.UnsetType = msgspec.UNSET
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event_type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    time_fired: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    def is_event(self) -> bool:
        """Whether it looks like an event object, if only in part."""
        return not (self.event_type is msgspec.UNSET and self.data is msgspec.UNSET)


_frame = msgspec.json.Decoder(_Frame)
_several = msgspec.json.Decoder(list[msgspec.Raw])
_time = msgspec.json.Decoder(datetime)


class _Unpack(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def read_events(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """Every event of a file as its exact bytes, in order, in constant memory; ``progress`` is kept current.

    Raises ``SourceError`` when the file cannot be opened, is damaged, or is packed and ends too early.
    """
    progress = Progress() if progress is None else progress
    for line in _lines(path, progress):
        for event in _events(line, progress):
            progress.events += 1
            yield event


class ReplaySource:
    """A recorded file as a source; ``items`` ends where the file ends.

    ``speed`` None plays as fast as the consumer takes; else the gaps between the events' ``time_fired`` are kept,
    divided by ``speed``. Batches are marked ``backfilled`` unless told otherwise: nobody saw these events live.
    """

    def __init__(
        self,
        path: Path,
        *,
        home: str,
        speed: float | None = None,
        backfilled: bool = True,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        batch_events: int = 2000,
    ) -> None:
        self.health = SourceHealth()
        self.progress = Progress()
        self._path, self._home, self._speed, self._backfilled = path, home, speed, backfilled
        self._clock, self._ticks, self._sleep, self._batch_events = clock, ticks, sleep, batch_events
        self._stopped = False

    async def stop(self) -> None:
        """End ``items`` after the batch it is at, within half a second."""
        self._stopped = True

    async def items(self) -> AsyncIterator[SourceItem]:
        """Yield the file's events in batches. Raises ``SourceError`` like ``read_events``, after what could be read."""
        self.health.state, self.health.connects = "connected", 1
        pace = _Pace(self._speed, self._ticks)
        batch: list[bytes] = []
        events = read_events(self._path, self.progress)
        try:
            for event in events:
                wait_s = pace.wait_s(event)
                if batch and (wait_s > 0 or len(batch) >= self._batch_events):
                    yield self._batch(batch)
                    batch = []
                    await asyncio.sleep(0)
                while wait_s > 0 and not self._stopped:
                    await self._sleep(min(wait_s, _NAP_S))
                    wait_s = pace.wait_s(event)
                if self._stopped:
                    break
                batch.append(event)
        except SourceError:
            if batch:
                yield self._batch(batch)
            raise
        finally:
            events.close()  # type: ignore[attr-defined]  # a generator: closes the file now, not when collected
            self.health.state = "stopped"
        if batch:
            yield self._batch(batch)

    def _batch(self, events: list[bytes]) -> Batch:
        now_us = int(self._clock() * 1e6)
        self.health.last_event_us = now_us
        self.health.detail = f"{self.progress.read_bytes} of {self.progress.total_bytes} bytes"
        return Batch(
            home=self._home, source="replay", received_at_us=now_us, events=events, backfilled=self._backfilled
        )


class _Pace:
    """When an event is due: the first one at once, each later one as long after it as it happened, over ``speed``."""

    def __init__(self, speed: float | None, ticks: Callable[[], float]) -> None:
        self._speed, self._ticks = speed, ticks
        self._first: tuple[float, float] | None = None

    def wait_s(self, event: bytes) -> float:
        """Seconds until the event is due; 0 or less when it is. Events without a time are due at once."""
        if self._speed is None:
            return 0.0
        fired_s = _fired_s(event)
        if fired_s is None:
            return 0.0
        if self._first is None:
            self._first = (fired_s, self._ticks())
        return self._first[1] + (fired_s - self._first[0]) / self._speed - self._ticks()


def _fired_s(event: bytes) -> float | None:
    try:
        raw = _frame.decode(event).time_fired
        if raw is msgspec.UNSET:
            return None
        fired = _time.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return (fired if fired.tzinfo else fired.replace(tzinfo=UTC)).timestamp()


def _events(line: bytes, progress: Progress) -> Iterator[bytes]:
    if not line.strip():
        return
    try:
        parts = [bytes(part) for part in _several.decode(line)] if line.lstrip().startswith(b"[") else [line]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        parts = [line]
    for part in parts:
        event = _event(part)
        if event is None:
            progress.skipped += 1
        else:
            yield event


def _event(part: bytes) -> bytes | None:
    """Return the event in a frame, the frame itself when it is one or is not understood, None when it carries none."""
    try:
        frame = _frame.decode(part)
        if frame.type is msgspec.UNSET or frame.event_type is not msgspec.UNSET:
            return part
        if frame.type != "event":
            return None
        if frame.event is msgspec.UNSET:
            return part
        return bytes(frame.event) if _frame.decode(frame.event).is_event() else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return part


def _lines(path: Path, progress: Progress) -> Iterator[bytes]:
    rest = b""
    for chunk in _unpacked(path, progress):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest


def _unpacked(path: Path, progress: Progress) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            progress.total_bytes = path.stat().st_size
            start = file.read(4)
            file.seek(0)
            if start == _ZSTD:
                yield from _unpack(path, file, progress, lambda: zstandard.ZstdDecompressor().decompressobj())
            elif start.startswith(_GZIP):
                yield from _unpack(path, file, progress, lambda: zlib.decompressobj(wbits=31))
            else:
                yield from _chunks(file, progress)
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror}") from error


def _chunks(file: BinaryIO, progress: Progress) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        progress.read_bytes += len(chunk)
        yield chunk


def _unpack(path: Path, file: BinaryIO, progress: Progress, new: Callable[[], _Unpack]) -> Iterator[bytes]:
    """Unpack one member after the other. An unfinished last line is not given out when the end is torn."""
    unpack, begun = new(), False
    try:
        for chunk in _chunks(file, progress):
            data = chunk
            while data:
                begun = True
                yield unpack.decompress(data)
                data = unpack.unused_data if unpack.eof else b""
                if unpack.eof:
                    unpack, begun = new(), False
    except (zstandard.ZstdError, zlib.error) as error:
        raise SourceError(
            str(path), f"is damaged near byte {progress.read_bytes}: {error}. All whole lines before were read"
        ) from error
    if begun:
        raise SourceError(
            str(path),
            f"ends too early, after {progress.read_bytes} bytes. All whole lines were read; fetch the file again",
        )
