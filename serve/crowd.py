"""So many requests at once and no more: whoever comes too many is told when to come again, before a byte is read.

A request's body is held in memory until it is journaled, so their number bounds the memory that senders can take.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from ingestor.errors import Overloaded

from .status import answer

AT_ONCE = 64
RETRY_AFTER_S = 1.0
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Crowd:
    """Wrap an application. Counts requests that carry something; probes are always let through."""

    def __init__(self, app: ASGIApp, *, at_once: int = AT_ONCE) -> None:
        self._app, self._room = app, at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it."""
        if scope["type"] != "http" or scope["method"] in _SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        if self._room <= 0:
            await answer(Overloaded("the ingest door", RETRY_AFTER_S), scope["path"])(scope, receive, send)
            return
        self._room -= 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._room += 1
