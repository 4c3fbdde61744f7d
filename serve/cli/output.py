"""How the command line looks: rich tables for people, JSON lines for programs, local times for both eyes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

_STYLES = {
    "state": "cyan",
    "automation": "magenta",
    "service": "yellow",
    "device": "green",
    "user": "bold",
    "system": "dim",
}


def as_json(value: Any) -> None:
    """Print one JSON document on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def table(title: str, columns: list[str], rows: Iterable[list[Any]], *, empty: str) -> None:
    """Print a table, numbers to the right, or the sentence ``empty``. Only the last column is folded."""
    grid = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    kept = list(rows)
    for place, column in enumerate(columns):
        number = any(isinstance(row[place], int | float) for row in kept)
        last = place == len(columns) - 1
        grid.add_column(
            column, header_style="dim", overflow="fold", no_wrap=not last, justify="right" if number else "left"
        )
    for row in kept:
        grid.add_row(*(Text(_cell(cell)) for cell in row))
    if kept:
        console.print(grid)
    else:
        note(empty)


def note(sentence: str) -> None:
    """Tell people, beside the data: on standard error, so that a program that reads the output never meets it."""
    errors.print(sentence, soft_wrap=True)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def event_line(event: dict[str, Any]) -> Text:
    """One event on one line: when, what, where, and what became of it."""
    kind = event["kind"]
    line = Text()
    line.append(clock(event["time_fired"]), "dim")
    line.append(f"  {kind:<11}", _STYLES.get(kind, ""))
    line.append(f"{event['entity_id'] or event['event_type']:<44} ")
    if event["event_type"] == "state_changed":
        old, new = event["old_state"], event["state"]
        if old is not None and old != new:
            line.append(f"{short(old)} → ", "dim")
        line.append("removed" if new is None else short(new), "bold")
        if event["unit"]:
            line.append(f" {event['unit']}")
    else:
        line.append(short(json.dumps(event["data"], ensure_ascii=False), 60))
    if event["area_id"]:
        line.append(f"  {event['area_id']}", "green")
    if event["cause"]:
        line.append(f"  ← {event['cause']}", "magenta")
    return line


def clock(text: str) -> str:
    """Show a UTC time of the API as this machine's wall clock."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def from_us(us: int | None) -> str:
    """Show microseconds since 1970 as this machine's wall clock."""
    if us is None:
        return ""
    return datetime.fromtimestamp(us / 1e6, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: float) -> str:
    """Show bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - SI steps
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def short(text: str, width: int = 40) -> str:
    """Cut a text to ``width``, and show that it was cut."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
