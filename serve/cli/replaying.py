"""Send a recorded file to a running product in batches, with a progress bar on standard error."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ingestor.errors import SourceError
from ingestor.sources.replay import read_events

from .client import EXIT_REFUSED, Api
from .output import errors

BATCH_EVENTS = 2_000
BATCH_BYTES = 4 * 1024 * 1024


def send(api: Api, file: Path, *, home: str | None) -> dict[str, Any]:
    """Send all events of a file in order. Returns the sum of the answers."""
    total: dict[str, Any] = {"received": 0, "accepted": 0, "duplicate": 0, "filtered": 0, "quarantined": 0}
    began = time.monotonic()
    try:
        count = sum(1 for _ in read_events(file))
    except (OSError, SourceError) as error:
        errors.print(f"ha-ingestor: {error}", soft_wrap=True)
        raise SystemExit(EXIT_REFUSED) from None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(file.name, total=count)
        for batch in _batches(file):
            answer = api.post("/api/v1/events", b"\n".join(batch), home=home)
            for name in ("received", "accepted", "duplicate", "filtered"):
                total[name] += answer[name]
            total["quarantined"] += len(answer["quarantined"])
            progress.advance(task, len(batch))
    total["rate"] = total["received"] / max(time.monotonic() - began, 1e-3)
    return total


def _batches(file: Path) -> Any:
    events = read_events(file)
    while batch := list(itertools.islice(events, BATCH_EVENTS)):
        part: list[bytes] = []
        size = 0
        for event in batch:
            if part and size + len(event) > BATCH_BYTES:
                yield part
                part, size = [], 0
            part.append(event)
            size += len(event)
        yield part
