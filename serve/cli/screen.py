"""The screen of ``ha-ingestor run``: what runs, what was captured, where to look. Fits 80 columns, redrawn in place."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ingestor.settings import Settings

from .output import size

RATE_OVER_S = 10.0
NARROW = 76
GRAPH_WORDS = (
    ("device", "devices", "devices"),
    ("entity", "entities", "entities"),
    ("automation", "automations", "automations"),
    ("circle of automations", "circles of automations", "cycles"),
)


class Screen:
    """Shows one status after another. The rate is that of the last ``RATE_OVER_S`` seconds."""

    def __init__(self, console: Console, settings: Settings, addresses: dict[str, Any], took_s: float) -> None:
        self._console, self._settings = console, settings
        self._addresses, self._took_s = addresses, took_s
        self._seen: deque[tuple[float, int]] = deque()
        self._columns = console.width
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._live.stop()

    def rate(self, stored: int, *, now_s: float | None = None) -> float:
        """Take note of a count and return events a second."""
        now = time.monotonic() if now_s is None else now_s
        self._seen.append((now, stored))
        while len(self._seen) > 1 and self._seen[1][0] <= now - RATE_OVER_S:
            self._seen.popleft()
        began, first = self._seen[0]
        return (stored - first) / (now - began) if now > began else 0.0

    def show(self, status: dict[str, Any]) -> None:
        """Draw over what stood there. After a resize the terminal has folded the old frame: start on a clean one."""
        panel = self.panel(status, self.rate(status["counts"]["stored"]))
        if self._console.width != self._columns:
            self._columns = self._console.width
            self._console.clear()
        self._live.update(panel, refresh=True)

    def panel(self, status: dict[str, Any], rate: float) -> Panel:
        """Everything in one frame."""
        settings, kept, history = self._settings, status["counts"], status["history"]
        url = f"http://{settings.http.host}:{settings.http.port}"
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for source in status["sources"]:
            grid.add_row(escape(str(source.get("home", "home"))), source_line(source, demo=not settings.homes))
        grid.add_row("captured", f"{kept['stored']:,} events, {rate:,.1f} a second")
        grid.add_row("", f"[dim]{others(kept)}[/]")
        where = escape(str(settings.data_dir))
        grid.add_row("history", f"{history.get('rows', 0):,} rows, {size(history.get('bytes', 0))} in {where}/history")
        grid.add_row("graph", graph_line(status["graph"]))
        if status["away"]:
            grid.add_row("[red]away[/]", f"[red]{', '.join(status['away'])}: restarting, nothing is lost[/]")
        grid.add_row("", "")
        grid.add_row("look", f"{url}/")
        grid.add_row("", f"{url}/docs")
        if self._addresses.get("dashboard"):
            grid.add_row("Ray", f"http://{self._addresses['dashboard']}")
            grid.add_row("", f"[dim]its token: {where}/run/ray-token[/]")
        grid.add_row("send", f"http://{settings.http.host}:{settings.ingest.port}/api/v1/events")
        grid.add_row("ask", f"{command()} tail [dim](or status, query, gaps)[/]")
        if not settings.homes:
            grid.add_row("connect", f"this is a demo home; for yours: {command()} init")
        return Panel(
            grid,
            title=Text("HA Ingestor", "bold"),
            subtitle=f"started in {self._took_s:.0f} s · Ctrl-C drains and stops",
            expand=False,
            width=min(self._console.width, max(NARROW, self._console.measure(grid).maximum + 4)),
        )


def command() -> str:
    """How this program is called from here: by name when it is on the path, else as it was called."""
    called = Path(sys.argv[0])
    found = shutil.which("ha-ingestor")
    if called.name != "ha-ingestor" or (found and Path(found).resolve() == called.resolve()):
        return "ha-ingestor"
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def source_line(source: dict[str, Any], *, demo: bool) -> Text:
    """One home: what it is doing, and in red what is wrong with it."""
    state, detail = str(source.get("state") or "starting"), str(source.get("detail") or "")
    line = Text()
    if demo:
        line.append(f"a demo home, {detail if state == 'connected' and detail else state}")
        return line
    if state == "connected":
        line.append(f"connected to Home Assistant {source.get('version') or ''}".rstrip())
        if detail and detail != "live":
            line.append(f", {detail}")
    else:
        line.append(f"{state}: {detail}" if detail else state, "" if state in {"starting", "connecting"} else "red")
    if missing := source.get("missing"):
        words = "kind of event needs" if len(missing) == 1 else "kinds of events need"
        line.append(f"\n{len(missing)} {words} an administrator's token, see status", "yellow")
    return line


def graph_line(graph: dict[str, Any]) -> str:
    """How much of the home is known."""
    homes = list(graph.get("homes", {}).values())
    counts = [(one, many, sum(home[name] for home in homes)) for one, many, name in GRAPH_WORDS]
    return ", ".join(f"{count:,} {one if count == 1 else many}" for one, many, count in counts)


def others(kept: dict[str, int]) -> str:
    """Count what was received and not stored as new."""
    names = ("duplicate", "filtered", "quarantined", "in_flight")
    return ", ".join(f"{kept[name]:,} {name.replace('_', ' ')}" for name in names)
