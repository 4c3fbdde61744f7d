"""From the address a browser would use to that of the WebSocket."""

from __future__ import annotations

from typing import Final

from yarl import URL

#: In a Home Assistant app the Supervisor stands between, with a path of its own.
SUPERVISOR_HOST: Final = "supervisor"


def websocket_url(url: str) -> URL:
    """Return the WebSocket address of a home, for example ``ws://homeassistant.local:8123/api/websocket``."""
    base = URL(url)
    scheme = {"http": "ws", "https": "wss"}.get(base.scheme, base.scheme)
    path = base.path.rstrip("/")
    tail = "/websocket" if base.host == SUPERVISOR_HOST and path == "/core" else "/api/websocket"
    return base.with_path(path + tail).with_scheme(scheme)


def without_password(url: str) -> str:
    """Return the address as it may stand in a log."""
    return str(URL(url).with_user(None))
