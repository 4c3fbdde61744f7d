"""The fast lane in: events by HTTP straight into the process that routes them, beside Ray Serve and not through it.

The same routes, limits, checks and answers as the API's own ``POST events``, without its proxy, its replica and the
call from there: a body of 2,000 events costs a few milliseconds less. Health and metrics answer here too, when Serve
does not.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import structlog
import uvicorn

from actors import handles
from actors.gate import Gate
from ingestor.settings import Settings

PATIENCE_S = 5.0
STOP_WITHIN_S = 1
IDLE_CONNECTION_S = 30
BACKLOG = 256

log = structlog.get_logger()


class Lane(Gate):
    """The Gate, which listens on ``ingest.port`` as well."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._where = (settings.http.host, settings.ingest.port)
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._fault = "it does not listen yet"

    async def run(self) -> None:
        """Learn how to route, and listen. Harmless when it does already; a taken port is tried again next time."""
        await super().run()
        if self._serving is not None and not self._serving.done():
            return
        try:
            listening = socket.create_server(self._where, backlog=BACKLOG, reuse_port=False)
        except OSError as error:
            self._fault = f"{self._where[0]}:{self._where[1]} cannot be used ({error.strerror})"
            log.warning("lane.deaf", fault=self._fault)
            return
        self._fault = ""
        self._server = uvicorn.Server(_config(self))
        self._serving = asyncio.get_running_loop().create_task(self._server.serve(sockets=[listening]))

    async def drain(self) -> None:
        """Take no more, and return once everything accepted is on disk and answered."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        await super().drain()

    async def status(self) -> dict[str, Any]:
        """Tell the account of events sent to us since this process began, and whether it listens."""
        return {**await super().status(), "listens": int(not self._fault), "detail": self._fault}


class _Counter:
    """See ``serve.desk.Counter``."""

    def __init__(self, lane: Lane) -> None:
        self.accept = lane.accept

    async def status(self) -> dict[str, Any]:
        """Ask the Supervisor."""
        answer: dict[str, Any] = await handles.supervisor().ask("status", patience_s=PATIENCE_S)
        return answer

    async def ready(self) -> tuple[bool, list[str]]:
        """Ask the Supervisor."""
        ready, reasons = await handles.supervisor().ask("ready", patience_s=PATIENCE_S)
        return ready, reasons


def _config(lane: Lane) -> uvicorn.Config:
    from .app import lane as application

    return uvicorn.Config(
        application(_Counter(lane)),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_CONNECTION_S,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
