"""The Home Assistant source: connect, read, and come back for ever; every span unseen is a gap record."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
import structlog
from pydantic import SecretStr

from ingestor.errors import AuthRejected, ConnectionLost
from ingestor.sources.base import Batch, Document, GapClosed, GapOpened, SourceHealth, SourceItem
from ingestor.sources.homeassistant.address import websocket_url, without_password
from ingestor.sources.homeassistant.backoff import Backoff
from ingestor.sources.homeassistant.connection import LARGEST_FRAME_BYTES, Connection, Loss, Timing
from ingestor.sources.homeassistant.cutter import NAME, BatchLimits
from ingestor.sources.homeassistant.documents import Freshness
from ingestor.sources.homeassistant.gaps import Gaps
from ingestor.sources.homeassistant.queues import ByteQueue
from ingestor.sources.homeassistant.session import Ports, Session
from ingestor.sources.homeassistant.subscriptions import REMEDY, Missing

READY_BYTES: Final = 2 * 1024 * 1024
STOP_S: Final = 2.0
CLOSES_WITHIN_S: Final = 1.0
RENEW: Final = "Create a new long-lived access token in Home Assistant (Profile, Security) and set it"
_WebSocket = aiohttp.ClientWebSocketResponse[Any]

log = structlog.get_logger()


class HomeAssistantSource:
    """Reads one home. The token is sent to Home Assistant and shown nowhere else.

    Memory: at most ``queue_bytes`` of unread frames, ``ready_bytes`` of unread items, and one frame (up to 128 MiB).
    When both are full, reading stops; what Home Assistant then drops is a gap of reason ``overflow``.
    """

    #: A live source misses what happens while it does not run.
    live = True

    def __init__(  # noqa: PLR0913 - sizes, clock and chance are arguments, each with a default
        self,
        home: str,
        url: str,
        token: str,
        *,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        backoff: Backoff | None = None,
        timing: Timing | None = None,
        freshness: Freshness | None = None,
        batch_ms: float = 20,
        batch_events: int = 2_000,
        queue_bytes: int = 96 * 1024 * 1024,
        ready_bytes: int = READY_BYTES,
    ) -> None:
        self.health = SourceHealth()
        self._home, self._token, self._where = home, SecretStr(token), without_password(url)
        self._url = websocket_url(url)
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._backoff, self._timing = backoff or Backoff(), timing or Timing()
        self._freshness = freshness or Freshness()
        self._limits = BatchLimits(age_s=batch_ms / 1000, events=batch_events)
        self._queue_bytes = queue_bytes
        self._ready: ByteQueue[SourceItem] = ByteQueue(ready_bytes)
        self._gaps = Gaps(home, NAME, self._rng)
        self._begun: list[GapOpened] = []
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._subscribed_s: float | None = None

    def __repr__(self) -> str:
        return f"HomeAssistantSource(home={self._home!r}, url={self._where!r})"

    def begin_gap(self, *, from_us: int, reason: str, detail: str, gap_id: str | None = None) -> None:
        """Tell, before ``items`` is read, of a span nobody watched. It is closed at the first subscription.

        With ``gap_id``, a gap that an earlier run left open is taken over.
        """
        self._begun.append(self._gaps.open(from_us=from_us, reason=reason, detail=detail, gap_id=gap_id))

    async def items(self) -> AsyncIterator[SourceItem]:
        """Yield items until ``stop``. May be read once."""
        self._running = asyncio.create_task(self._run())
        try:
            while (item := await self._ready.get()) is not None:
                yield item
            await self._running
        finally:
            self._stopping.set()
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def stop(self) -> None:
        """Stop reading within 2 s. ``items`` then gives what was read, and ends. Waits for no consumer."""
        self._stopping.set()
        self._ready.lift_limit()
        if self._connection is not None:
            self._connection.frames.lift_limit()
        if self._running is None:
            self._ready.close()
            self.health.state = "stopped"
            return
        _, late = await asyncio.wait([self._running], timeout=STOP_S - 0.25)
        for task in late:
            task.cancel()
            log.warning("source.stop_forced", home=self._home)
            await asyncio.wait([task], timeout=0.2)

    async def _run(self) -> None:
        try:
            for gap in self._begun:
                await self._emit(gap)
            await self._stay_connected()
        finally:
            self.health.state = "stopped"
            self._ready.close()
            log.info("source.stopped", home=self._home)

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        since_us, tries, refusals, back_by_s = self._now_us(), 0, 0, 0.0
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timing.connect_s)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while not self._stopping.is_set():
                self._subscribed_s = None
                loss = await self._connect_once(http)
                if loss is None:
                    return
                if self._subscribed_s is not None and loop.time() - self._subscribed_s >= self._backoff.stable_s:
                    tries = 0
                if loss.reason == "auth_rejected":
                    wait_s = self._backoff.after_refusal_s(refusals, self._rng)
                    refusals += 1
                else:
                    if loss.reason == "home_restart":
                        back_by_s = loop.time() + self._backoff.restart_s
                    restarting = loop.time() < back_by_s
                    wait_s, refusals = self._backoff.after_loss_s(tries, self._rng, restarting=restarting), 0
                    tries += 1
                await self._note_lost(loss, since_us, wait_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait_s)

    async def _note_lost(self, loss: Loss, since_us: int, wait_s: float) -> None:
        """Open the gap. A connection that never was subscribed saw nothing since the source began, or since now."""
        self.health.state = "refused" if loss.reason == "auth_rejected" else "reconnecting"
        self.health.detail = detail = self._clean(loss.detail)
        from_us = loss.from_us
        if self._subscribed_s is None:
            from_us = self._now_us() if self._gaps.any_open else since_us
        gap = self._gaps.begin(from_us=from_us, reason=loss.reason, detail=detail)
        if gap is not None:
            await self._emit(gap)
        log.warning("source.disconnected", home=self._home, reason=loss.reason, detail=detail, retry_s=wait_s)

    async def _connect_once(self, http: aiohttp.ClientSession) -> Loss | None:
        """Live through one connection from its handshake on, and tell how it was lost. ``None``: ``stop`` ended it."""
        opening = asyncio.create_task(self._open(http))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            opening.cancel()
        opened = (await asyncio.gather(opening, stopping, return_exceptions=True))[0]
        if isinstance(opened, Loss):
            return opened
        if isinstance(opened, asyncio.CancelledError):
            return None
        if isinstance(opened, BaseException):
            raise opened
        connection, ws = opened
        ports = Ports(emit=self._emit, subscribed=self._note_connected, missing=self._note_missing, now_us=self._now_us)
        session = Session(connection, home=self._home, limits=self._limits, freshness=self._freshness, ports=ports)
        self._connection = connection
        try:
            return await session.run(self._stopping)
        finally:
            self._connection = None
            await ws.close()

    async def _open(self, http: aiohttp.ClientSession) -> tuple[Connection, _WebSocket] | Loss:
        """Connect and authenticate. What is expected to go wrong is returned."""
        now_us = self._now_us()
        try:
            async with asyncio.timeout(self._timing.connect_s):
                ws: _WebSocket = await http.ws_connect(
                    self._url,
                    max_msg_size=LARGEST_FRAME_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=self._timing.close_s),
                    decode_text=False,
                )
        except aiohttp.WSServerHandshakeError as error:
            return Loss(reason="disconnect", detail=_refusal(self._where, error.status), from_us=now_us)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Loss(reason="disconnect", detail=_unreachable(self._where, error), from_us=now_us)
        connection = Connection(ws, timing=self._timing, queue_bytes=self._queue_bytes, clock=self._clock)
        authenticated = False
        try:
            self.health.version = await connection.authenticate(self._token.get_secret_value())
            authenticated = True
        except AuthRejected as error:
            return Loss(reason="auth_rejected", detail=f"{error}. {RENEW}", from_us=now_us)
        except ConnectionLost as error:
            return Loss(reason="disconnect", detail=str(error), from_us=now_us)
        finally:
            if not authenticated:
                await ws.close()
        return connection, ws

    async def _note_connected(self, missing: list[Missing]) -> None:
        self._subscribed_s = asyncio.get_running_loop().time()
        self.health.state, self.health.detail = "connected", ""
        self.health.connects += 1
        self._note_missing(missing)
        log.info("source.connected", home=self._home, version=self.health.version, connects=self.health.connects)
        now_us = self._now_us()
        for closed in self._gaps.end(now_us):
            await self._emit(closed)
        names = ", ".join(each["event_type"] for each in missing)
        detail = f"the token may not subscribe to: {names}. {REMEDY}" if names else ""
        for item in self._gaps.refuse(at_us=now_us, detail=detail):
            await self._emit(item)

    def _note_missing(self, missing: list[Missing]) -> None:
        self.health.missing = missing

    async def _emit(self, item: Batch | Document | GapOpened | GapClosed, size_bytes: int = 256) -> None:
        if isinstance(item, Batch) and not item.backfilled:
            self.health.last_event_us = item.received_at_us
        await self._ready.put(item, size_bytes)

    def _clean(self, text: str) -> str:
        return text.replace(self._token.get_secret_value(), "REDACTED")

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


def _unreachable(where: str, error: Exception) -> str:
    system = getattr(error, "os_error", error)
    number = getattr(system, "errno", None) or 0
    fault = (
        os.strerror(number) if number > 0 else getattr(system, "strerror", None) or str(system) or "no answer in time"
    )
    return f"{where} cannot be reached: {fault}. Check the address, and that Home Assistant runs"


def _refusal(where: str, status: int) -> str:
    hints = {
        403: "Home Assistant may have banned this address; see ip_bans.yaml",
        404: "no WebSocket API there; check the address",
    }
    return f"{where} answered HTTP {status}: {hints.get(status, 'it may be starting, or a proxy stands before it')}"
