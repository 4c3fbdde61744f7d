"""``ha-ingestor run``: start everything, show it, and end it without losing an event or leaving a process.

The first Ctrl-C (or SIGTERM) drains; a second one ends at once: what was acknowledged is on disk either way.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from actors import cluster
from ingestor.errors import ConfigError
from ingestor.settings import Settings

from .output import console, errors, size

EXIT_CLUSTER_LOST = 1
REFRESH_S = 1.0
LINE_EVERY_S = 60.0
ANSWER_WITHIN_S = 10.0


class Stop:
    """Waits for a signal. The second one does not wait for anything."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def wait(self, timeout_s: float) -> bool:
        """Return whether somebody asked, after ``timeout_s`` at the latest."""
        return self._asked.wait(timeout_s)

    def asked(self) -> bool:
        """Tell whether somebody asked."""
        return self._asked.is_set()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            os._exit(128 + number)
        self._asked.set()


def run(settings: Settings) -> int:
    """Run until a signal. Returns the exit code."""
    with cluster.own_data(settings):
        _refuse_taken_ports(settings)
        stop = Stop()
        try:
            return _run(settings, stop)
        finally:
            cluster.stop()


def _run(settings: Settings, stop: Stop) -> int:
    began = time.monotonic()
    with console.status("Starting …") as status:
        addresses, supervisor = _start(settings, stop, status.update)
    if supervisor is None:
        return 0
    code = _show_until_stopped(settings, supervisor, addresses, stop, time.monotonic() - began)
    if code:
        return code
    console.print("Draining: everything that was read goes to disk. (Ctrl-C again ends at once.)")
    began = time.monotonic()
    last = _drained(supervisor)
    cluster.stop()
    if last is not None:
        counts, took_s = last["counts"], time.monotonic() - began
        console.print(
            f"Stopped after {took_s:.1f} s. {counts['stored']:,} events stored, {counts['in_flight']} in flight, "
            f"{counts['balance']} unaccounted for."
        )
    return 0


def _start(settings: Settings, stop: Stop, say: Any) -> tuple[dict[str, Any], Any]:
    say("Starting Ray …")
    addresses = cluster.start(settings)
    import ray

    from actors import options
    from actors.supervisor import Supervisor
    from serve import deploy

    if stop.asked():
        return addresses, None
    say("Opening the journal and the history …")
    supervisor = options.start(Supervisor, "supervisor", "supervisor", settings)
    ray.get(supervisor.start.remote())
    if stop.asked():
        return addresses, None
    say("Opening the API …")
    deploy.start(settings)
    return addresses, supervisor


def _show_until_stopped(
    settings: Settings, supervisor: Any, addresses: dict[str, Any], stop: Stop, took_s: float
) -> int:
    import ray

    printed_at = time.monotonic()
    pillars = cluster.pillars()
    status: dict[str, Any] = ray.get(supervisor.status.remote(), timeout=ANSWER_WITHIN_S)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        if not console.is_terminal:
            console.print(_screen(settings, status, addresses, 0.0, took_s))
        previous, previous_at = status["counts"]["stored"], time.monotonic()
        while not stop.wait(REFRESH_S):
            if lost := cluster.fallen(pillars):
                errors.print(
                    f"ha-ingestor: Ray lost its {' and '.join(lost)}. Start again: nothing acknowledged is lost."
                )
                return EXIT_CLUSTER_LOST
            try:
                status = ray.get(supervisor.status.remote(), timeout=ANSWER_WITHIN_S)
            except ray.exceptions.RayError:
                continue
            stored, now = status["counts"]["stored"], time.monotonic()
            rate = (stored - previous) / max(now - previous_at, 1e-3)
            previous, previous_at = stored, now
            if console.is_terminal:
                live.update(_screen(settings, status, addresses, rate, took_s), refresh=True)
            elif now - printed_at >= LINE_EVERY_S:
                printed_at = now
                console.print(f"{stored:,} events stored, {rate:.1f}/s")
    return 0


def _drained(supervisor: Any) -> dict[str, Any] | None:
    import ray

    try:
        status: dict[str, Any] = ray.get(supervisor.drain.remote(), timeout=15)
    except ray.exceptions.RayError as error:
        errors.print(f"ha-ingestor: draining failed ({type(error).__name__}); what was acknowledged is on disk.")
        return None
    return status


def _screen(settings: Settings, status: dict[str, Any], addresses: dict[str, Any], rate: float, took_s: float) -> Panel:
    kept, historian = status["counts"], status["history"]
    url = f"http://{settings.http.host}:{settings.http.port}"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    for source in status["sources"]:
        grid.add_row(f"home {source.get('home', '?')}", _source_line(source))
    grid.add_row("captured", f"{kept['stored']:,} events, {rate:,.1f}/s   {_others(kept)}")
    grid.add_row(
        "history",
        f"{historian.get('rows', 0):,} rows, {size(historian.get('bytes', 0))} in {settings.data_dir}/history",
    )
    grid.add_row("graph", _graph_line(status["graph"]))
    running = f"{len(status['shards'])} shards, {len(status['sources'])} source(s), graph, historian, hub, gate"
    grid.add_row("running", running + (f"   [red]away: {', '.join(status['away'])}[/]" if status["away"] else ""))
    grid.add_row("", "")
    grid.add_row("look", f"{url}/  ·  {url}/docs  ·  {url}/api/v1/events?limit=5")
    if addresses.get("dashboard"):
        grid.add_row("Ray", f"http://{addresses['dashboard']}  (token: {settings.data_dir}/run/ray-token)")
    grid.add_row("type", "ha-ingestor status  ·  tail  ·  query  ·  gaps  ·  quarantine list")
    if not settings.homes:
        grid.add_row("connect", "This is a demo home. For your own: ha-ingestor init, or set HA_URL and HA_TOKEN.")
    return Panel(
        grid,
        title=Text("HA Ingestor", "bold"),
        subtitle=f"started in {took_s:.0f} s · Ctrl-C drains and stops",
        expand=False,
    )


def _source_line(source: dict[str, Any]) -> str:
    version = f" Home Assistant {source['version']}" if source.get("version") else ""
    missing = f"; {len(source['missing'])} event types need an administrator's token" if source.get("missing") else ""
    return f"{source.get('state')}{version} {source.get('detail') or ''}{missing}".strip()


def _graph_line(graph: dict[str, Any]) -> str:
    homes = graph.get("homes", {}).values()
    names = ("devices", "entities", "automations", "cycles")
    return ", ".join(f"{sum(home[name] for home in homes):,} {name}" for name in names)


def _others(kept: dict[str, int]) -> str:
    names = ("duplicate", "filtered", "quarantined", "in_flight")
    return "[dim]" + ", ".join(f"{kept[name]:,} {name.replace('_', ' ')}" for name in names) + "[/]"


def _refuse_taken_ports(settings: Settings) -> None:
    import socket

    wanted = [("http.port", settings.http.host, settings.http.port)]
    if settings.ray.dashboard:
        wanted.append(("ray.dashboard_port", "127.0.0.1", settings.ray.dashboard_port))
    for setting, host, port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                fault = f"{host}:{port} cannot be used ({error.strerror})"
                raise ConfigError(setting, fault, "Stop what listens there, or choose another port") from None
