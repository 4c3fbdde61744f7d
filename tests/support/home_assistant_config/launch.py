"""Start Home Assistant so that it reaches nothing but this machine, survives its own restart, and dies with its parent.

Run by Home Assistant's Python, never imported: ``python launch.py -c CONFIG --skip-pip``.
"""

import os
import signal
import socket
import sys
import threading
from typing import Any

RESTART = 100  # the exit code by which Home Assistant asks whoever runs it to start it again


def stay_at_home(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to connect or send to an address that is not loopback."""
    if event not in {"socket.connect", "socket.sendto"}:
        return
    connection, address = arguments
    if connection.family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(address, tuple):
        return
    if not (str(address[0]).startswith("127.") or address[0] in {"::1", "localhost"}):
        raise OSError(101, f"{address[0]} is not on this machine")


def listen_at_home() -> None:
    """Keep mDNS, which the shared HTTP client opens on every interface, on loopback."""
    try:
        import zeroconf  # type: ignore[import-not-found]  # in Home Assistant's environment only
    except ImportError:
        return  # older releases do without
    original = zeroconf.Zeroconf.__init__

    def on_loopback(self: Any, *_: Any, **__: Any) -> None:
        original(self, interfaces=["127.0.0.1"], ip_version=zeroconf.IPVersion.V4Only, unicast=True)

    zeroconf.Zeroconf.__init__ = on_loopback


def follow_parent() -> None:
    """Stop when standard input ends: the parent holds its other end, however it dies."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Run until stopped; a restart is a fresh program under the same process id."""
    sys.addaudithook(stay_at_home)
    threading.Thread(target=follow_parent, daemon=True).start()
    listen_at_home()
    from homeassistant.__main__ import main as run  # type: ignore[import-not-found]  # as above

    code = int(run())
    if code == RESTART:
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - itself, without a shell
    return code


if __name__ == "__main__":
    sys.exit(main())
