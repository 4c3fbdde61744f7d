"""One WebSocket to Home Assistant. The read loop reads frames into a bounded queue and does nothing else.

Home Assistant throws out a client with 4,096 pending messages, so reading never waits for anyone, until the queue is
full: then it stops, and that is written down, for what Home Assistant drops meanwhile is a gap from that moment on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp
import msgspec

from ingestor.errors import AuthRejected, ConnectionLost
from ingestor.sources.homeassistant.frames import Message, cut
from ingestor.sources.homeassistant.queues import ByteQueue

LARGEST_FRAME_BYTES: Final = 128 * 1024 * 1024
Stream = Literal["events", "config_entries"]
Frame = tuple[bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """``silence_s``: after that long without a byte, though pinged every ``ping_every_s``, the connection is dead."""

    connect_s: float = 15.0
    ping_every_s: float = 10.0
    silence_s: float = 25.0
    command_s: float = 60.0
    close_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """How a connection ended. Events may be missing from ``from_us`` on."""

    reason: str
    detail: str
    from_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command brought: ``result`` as exact bytes, or the code and message of its error."""

    ok: bool
    result: bytes = b"null"
    code: str = ""
    message: str = ""


class Connection:
    """An open WebSocket. ``authenticate`` first, then ``run``; ``frames`` must be read and fed to ``answer``.

    ``proven_us``: all that was fired before then has arrived, for an answer stands behind it in the same queue.
    """

    def __init__(
        self,
        ws: aiohttp.ClientWebSocketResponse[Any],
        *,
        timing: Timing,
        queue_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._ws, self._timing, self._clock = ws, timing, clock
        self.frames: ByteQueue[Frame] = ByteQueue(queue_bytes)
        self.streams: dict[int, Stream] = {}
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last_id = 0
        self._lost = False
        self._heard_s = asyncio.get_running_loop().time()
        self.heard_us = self._now_us()
        self._reading = True
        self._stalled_us: int | None = None
        self._proofs: dict[int, bool] = {}
        self._sent_us: dict[int, int] = {}
        self.proven_us = self.heard_us

    async def authenticate(self, token: str) -> str:
        """Shake hands and return Home Assistant's version. Raises ``AuthRejected`` or ``ConnectionLost``."""
        try:
            async with asyncio.timeout(self._timing.connect_s):
                await self._next_handshake("auth_required")
                await self._send({"type": "auth", "access_token": token})
                hello = await self._next_handshake("auth_ok")
        except TimeoutError:
            raise ConnectionLost("Home Assistant", "did not finish the handshake in time") from None
        return hello.ha_version or "unknown"

    async def run(self) -> Loss:
        """Read until the connection is lost, and tell how. Cancelling stops the reading.

        However it ends, ``frames`` is closed after the last frame is in it.
        """
        tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._ping())]
        tasks[0].add_done_callback(lambda _: self.frames.close())
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            self._lost = True
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionLost("Home Assistant", "went away before it answered"))
                    future.exception()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def call(self, command: str, *, stream: Stream | None = None, **fields: Any) -> Answer:
        """Send a command and wait for its answer. ``stream``: what the events that carry its id are.

        Raises ``ConnectionLost``; an error that Home Assistant answers is an ``Answer`` that is not ``ok``.
        """
        if self._lost:
            raise ConnectionLost("Home Assistant", f"is not connected, {command} cannot be asked")
        number = self._next_id()
        self._sent_us[number] = self._now_us()
        if stream is not None:
            self.streams[number] = stream
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"id": number, "type": command, **fields})
            async with asyncio.timeout(self._timing.command_s):
                return await self._waiting[number]
        except TimeoutError:
            return Answer(ok=False, code="timeout", message=f"no answer in {self._timing.command_s:g} s")
        finally:
            self._waiting.pop(number, None)

    def answer(self, message: Message) -> None:
        """Hand a ``result`` or ``pong`` to whoever waits for it. Late or not, it proves what arrived before it."""
        self.proven_us = max(self.proven_us, self._sent_us.pop(message.id or 0, 0))
        if message.type == "pong":
            if self._proofs.pop(message.id or 0, False):
                self._stalled_us = None
            return
        future = self._waiting.get(message.id or 0)
        if future is None or future.done():
            return
        if message.success:
            future.set_result(Answer(ok=True, result=bytes(message.result) or b"null"))
        else:
            fault = message.error
            code, text = (fault.code, fault.message) if fault else ("unknown_error", "")
            future.set_result(Answer(ok=False, code=code, message=text))

    async def _read(self) -> Loss:
        while True:
            received = await self._ws.receive()
            if received.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                return self._closed(received)
            self._heard_s = asyncio.get_running_loop().time()
            self.heard_us = self._now_us()
            frame: bytes = received.data
            if self.frames.full:
                self._stall()
            await self.frames.put((frame, self.heard_us), len(frame))
            if not self._reading:
                self._reading = True
                self._heard_s = asyncio.get_running_loop().time()

    def _stall(self) -> None:
        """Remember since when reading stands still: pings sent before prove nothing about the time after."""
        self._reading = False
        self._stalled_us = self._stalled_us or self.heard_us
        self._proofs.clear()

    async def _ping(self) -> Loss:
        """Ask for a sign of life every ``ping_every_s``; give up after ``silence_s`` without one.

        If this process itself was held up, the silence proves nothing, and is counted from now.
        """
        loop = asyncio.get_running_loop()
        next_ping_s = loop.time() + self._timing.ping_every_s
        while True:
            due_s = min(next_ping_s, self._heard_s + self._timing.silence_s)
            await asyncio.sleep(max(0.0, due_s - loop.time()) if self._reading else 0.05)
            now_s = loop.time()
            if not self._reading:
                continue
            if now_s - due_s > self._timing.ping_every_s / 2:
                self._heard_s = next_ping_s = now_s
            if now_s >= self._heard_s + self._timing.silence_s:
                detail = f"no sign of life for {self._timing.silence_s:g} s, though pinged"
                return Loss(reason="half_open", detail=detail, from_us=self.heard_us)
            if now_s >= next_ping_s:
                next_ping_s = now_s + self._timing.ping_every_s
                number = self._next_id()
                self._proofs[number] = True
                self._sent_us[number] = self._now_us()
                with contextlib.suppress(TimeoutError, ConnectionLost):
                    async with asyncio.timeout(self._timing.ping_every_s):
                        await self._send({"id": number, "type": "ping"})

    def _closed(self, received: aiohttp.WSMessage) -> Loss:
        if received.type is aiohttp.WSMsgType.ERROR:
            fault = received.data
            broken = isinstance(fault, aiohttp.WebSocketError)
            detail = f"the connection broke: {fault}"
            return self._loss("broken_frame" if broken else "disconnect", detail)
        code = received.data if received.type is aiohttp.WSMsgType.CLOSE else self._ws.close_code
        return self._loss("disconnect", f"Home Assistant closed the connection (code {code})")

    def _loss(self, reason: str, detail: str) -> Loss:
        if self._stalled_us is not None:
            detail = f"{detail} after reading stood still because the queue was full"
            return Loss(reason="overflow", detail=detail, from_us=self._stalled_us)
        return Loss(reason=reason, detail=detail, from_us=self.heard_us)

    async def _next_handshake(self, expected: str) -> Message:
        received = await self._ws.receive()
        if received.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionLost("Home Assistant", "closed the connection during the handshake")
        first = next(iter(cut(received.data)), b"")
        if isinstance(first, Message) and first.type == expected:
            return first
        if isinstance(first, Message) and first.type == "auth_invalid":
            raise AuthRejected("Home Assistant", first.message or "refused the token")
        raise ConnectionLost("Home Assistant", f"sent something else where {expected} was expected")

    async def _send(self, command: dict[str, Any]) -> None:
        try:
            await self._ws.send_str(msgspec.json.encode(command).decode())
        except (ConnectionError, RuntimeError, aiohttp.ClientError) as error:
            raise ConnectionLost("Home Assistant", f"takes no more commands ({type(error).__name__})") from None

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)
