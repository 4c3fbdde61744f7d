"""``ha-ingestor run``: start everything, show it, and end it without losing an event or leaving a process.

The first Ctrl-C (or SIGTERM) drains; a second one ends at once: what was acknowledged is on disk either way.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

from actors import cluster
from ingestor.data_dir import refuse_unusable
from ingestor.errors import ConfigError
from ingestor.settings import Settings

from .output import console, errors
from .screen import Screen

EXIT_CLUSTER_LOST = 1
REFRESH_S = 1.0
LINE_EVERY_S = 60.0
ANSWER_WITHIN_S = 10.0
LOOK_S = 0.2
SHOW_CURSOR = b"\x1b[?25h\n"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Waits for a signal. The second one does not wait for anything. ``breaks``: the first one breaks off what runs."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.breaks = False
        self.arm()

    def arm(self) -> None:
        """Take the signals. Again after Ray has started, which takes SIGTERM for itself and ends without draining."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def ask(self) -> None:
        """Stop as if by a signal."""
        self._asked.set()

    def wait(self, timeout_s: float) -> bool:
        """Return whether somebody asked, after ``timeout_s`` at the latest."""
        return self._asked.wait(timeout_s)

    def asked(self) -> bool:
        """Tell whether somebody asked."""
        return self._asked.is_set()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            if console.is_terminal:
                os.write(1, SHOW_CURSOR)
            os._exit(128 + number)
        self._asked.set()
        if self.breaks:
            raise SystemExit(128 + number)


def run(settings: Settings) -> int:
    """Run until a signal. Returns the exit code."""
    _refuse_unusable_data_dir(settings)
    with cluster.own_data(settings):
        refuse_unusable(settings.data_dir)
        _refuse_taken_ports(settings)
        os.register_at_fork(after_in_child=_deaf_to_ctrl_c)
        stop = Stop()
        began = time.monotonic()
        with console.status("Starting …") as status:
            addresses = _start_ray(settings, stop, status.update)
            try:
                supervisor = _start_product(settings, stop, status.update) if addresses else None
                started_s = time.monotonic() - began
                status.stop()
                if supervisor is None:
                    return _say_stopped_while_starting()
                return _run(settings, supervisor, addresses, stop, started_s)
            finally:
                if addresses:
                    cluster.stop()


def _start_ray(settings: Settings, stop: Stop, say: Any) -> dict[str, Any]:
    """Start Ray. Gives no address when somebody asked to stop meanwhile, and then nothing of it is left."""
    say("Starting Ray …")
    stop.breaks = True
    try:
        return {} if stop.asked() else cluster.start(settings)
    except SystemExit:
        stop.ask()
        cluster.end_leftovers(settings)
        return {}
    except cluster.RayNotStarted as error:
        errors.print(f"ha-ingestor: {error}")
        raise SystemExit(EXIT_CLUSTER_LOST) from None
    finally:
        stop.breaks = False
        stop.arm()


def _start_product(settings: Settings, stop: Stop, say: Any) -> Any:
    """Start part after part. Gives nothing when somebody asked to stop before there was anything to drain."""
    import ray

    from actors import options
    from actors.supervisor import Supervisor
    from serve import deploy
    from serve.lane import Lane

    say("Opening the journal and the history …")
    supervisor = options.start(Supervisor, "supervisor", "supervisor", settings, gate=Lane)
    started = supervisor.start.remote()
    while not ray.wait([started], timeout=LOOK_S)[0]:
        if stop.asked():
            return None
    ray.get(started)
    if not stop.asked():
        say("Opening the API …")
        deploy.start(settings)
    return supervisor


def _say_stopped_while_starting() -> int:
    console.print("Stopped while starting. Nothing that was acknowledged is lost.")
    return 0


def _run(settings: Settings, supervisor: Any, addresses: dict[str, Any], stop: Stop, started_s: float) -> int:
    code = _show_until_stopped(settings, supervisor, addresses, stop, started_s)
    if code:
        return code
    began = time.monotonic()
    with console.status("Draining: what was read goes to disk. (Ctrl-C again ends at once.)"):
        last = _drained(supervisor)
        cluster.stop()
    if last is not None:
        counts, took_s = last["counts"], time.monotonic() - began
        console.print(
            f"Stopped after {took_s:.1f} s. {counts['stored']:,} events stored, {counts['in_flight']} in flight, "
            f"{counts['balance']} unaccounted for."
        )
    return 0


def _deaf_to_ctrl_c() -> None:
    """Let Ray's processes ignore what the terminal sends to all of them: who is told to stop is this program alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _show_until_stopped(
    settings: Settings, supervisor: Any, addresses: dict[str, Any], stop: Stop, took_s: float
) -> int:
    import ray

    pillars = cluster.pillars()
    with Screen(console, settings, addresses, took_s) as screen:
        shown_at: float | None = None
        while True:
            try:
                status: dict[str, Any] = ray.get(supervisor.status.remote(), timeout=ANSWER_WITHIN_S)
            except ray.exceptions.RayError:
                status = {}
            now = time.monotonic()
            if status and console.is_terminal:
                screen.show(status)
            elif status and shown_at is None:
                shown_at = now
                console.print(screen.panel(status, 0.0))
            elif status and shown_at is not None and now - shown_at >= LINE_EVERY_S:
                shown_at = now
                stored = status["counts"]["stored"]
                console.print(f"{stored:,} events stored, {screen.rate(stored):.1f} a second")
            if stop.wait(REFRESH_S):
                return 0
            if lost := cluster.fallen(pillars):
                errors.print(
                    f"ha-ingestor: Ray lost its {' and '.join(lost)}. Start again: nothing acknowledged is lost."
                )
                return EXIT_CLUSTER_LOST


def _drained(supervisor: Any) -> dict[str, Any] | None:
    import ray

    try:
        status: dict[str, Any] = ray.get(supervisor.drain.remote(), timeout=15)
    except ray.exceptions.RayError as error:
        errors.print(f"ha-ingestor: draining failed ({type(error).__name__}); what was acknowledged is on disk.")
        return None
    return status


def _refuse_unusable_data_dir(settings: Settings) -> None:
    wanted = settings.data_dir
    try:
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        usable = os.access(wanted, os.R_OK | os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or str(error)
        raise ConfigError("data_dir", f"{wanted} cannot be made ({fault})", "Choose another") from None
    if not usable:
        raise ConfigError("data_dir", f"{wanted} may not be written", "Give yourself access, or choose another")


def _refuse_taken_ports(settings: Settings) -> None:
    wanted = [
        ("http.port", settings.http.host, settings.http.port),
        ("ingest.port", settings.http.host, settings.ingest.port),
    ]
    if settings.ray.dashboard:
        wanted.append(("ray.dashboard_port", "127.0.0.1", settings.ray.dashboard_port))
    for setting, host, port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                fault = f"{host}:{port} cannot be used ({error.strerror})"
                raise ConfigError(setting, fault, f"Stop what listens there, or set {setting}") from None
