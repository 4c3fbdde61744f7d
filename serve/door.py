"""What every request passes first and last, in one pure ASGI step: address, host, origin, size, headers, errors.

- The path is absolute: whatever prefix the server routed by is forgotten.
- ``Host`` must be a loopback address or a configured name, else 421: a page may have rebound its DNS name to us.
- What changes something must not come from a page of another origin (403).
- Bodies are counted as they arrive, whatever their headers say (413).
- Every answer carries security headers; every error is answered by ``serve.status``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingestor import telemetry

from .status import ForeignHost, ForeignOrigin, TooLarge, answer, shorten

log = structlog.get_logger(__name__)

BODY_BYTES = 8 * 1024 * 1024
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

#: Content policy of answers that are data, and of the pages, which may load their own files and nothing else.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", DATA_POLICY.encode()),
    (b"cache-control", b"no-store"),
)


class Door:
    """Wrap an application. ``hosts``: names beside loopback that ``Host`` may hold, without a port."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = (), body_bytes: int = BODY_BYTES) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "root_path": ""}
        started = False

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _dress(message.get("headers", ()))
            await send(message)

        try:
            headers = dict(scope["headers"])
            self._check_host(headers.get(b"host", b"").decode("latin-1"))
            if scope["method"] not in _SAFE_METHODS:
                _check_origin(headers)
            await self._app(scope, self._counted(receive), dressed)
        except Exception as error:  # the last one to answer
            if started:
                log.error(telemetry.REQUEST_FAILED, path=scope["path"], error=repr(error))  # noqa: TRY400 - raised on
                raise
            await answer(error, scope["path"])(scope, receive, dressed)

    def _check_host(self, header: str) -> None:
        host = _host_of(header)
        if host in self._hosts or host == "localhost" or _is_loopback(host):
            return
        raise ForeignHost(
            f"This server does not answer to the name {shorten(header) or '(none)'}",
            "Use 127.0.0.1 or localhost, or name the host in http.host",
        )

    def _counted(self, receive: Receive) -> Receive:
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._body_bytes:
                raise TooLarge(f"The body is larger than {self._body_bytes:,} bytes", "Send it in smaller parts")
            return message

        return counted


def _check_origin(headers: dict[bytes, bytes]) -> None:
    host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
    at_home = not origin or _authority(origin) == host
    if not at_home or headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
        raise ForeignOrigin(f"A page of {shorten(origin) or 'another site'} may not change anything", "Use a program")


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _host_of(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _dress(headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    present = {name.lower() for name, _ in headers}
    return [*headers, *(pair for pair in _HEADERS if pair[0] not in present)]
