"""Write an export of a running product to a file or to standard output, with a progress bar on standard error.

A file appears under its name only when it is whole.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.progress import DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from .client import EXIT_REFUSED, Api
from .output import errors


def export(api: Api, name: str, to: Path | None, /, **filters: Any) -> dict[str, Any]:
    """Fetch all that passes. Returns ``{format, file, bytes, seconds}``. Ends the program if it was cut off."""
    began = time.monotonic()
    draft = None if to is None else to.with_name(f".{to.name}.part")
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    count = 0
    try:
        with Progress(*columns, console=errors, transient=True, disable=to is None) as progress:
            task = progress.add_task(name, total=None)
            parts = api.content(f"/api/v1/export/{name}", **filters)
            with nullcontext(sys.stdout.buffer) if draft is None else draft.open("wb") as file:
                for part in parts:
                    file.write(part)
                    count += len(part)
                    progress.advance(task, len(part))
                file.flush()
        if draft is not None and to is not None:
            draft.replace(to)
    except OSError as error:
        fault = error.strerror or str(error) or type(error).__name__
        errors.print(f"ha-ingestor: the export ended early ({fault}). Nothing was kept; ask again.", soft_wrap=True)
        raise SystemExit(EXIT_REFUSED) from None
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
    seconds = round(time.monotonic() - began, 3)
    return {"format": name, "file": None if to is None else str(to), "bytes": count, "seconds": seconds}
