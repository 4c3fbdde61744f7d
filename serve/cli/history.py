"""Show time buckets of a running product: a table for people, JSON lines for programs."""

from __future__ import annotations

import itertools
import json
from typing import Any

from . import output
from .client import Api


def show(api: Api, *, limit: int, as_json: bool, **asked: Any) -> None:
    """Ask page after page, up to ``limit`` items, oldest first."""
    items = api.pages("/api/v1/events/history", **asked, limit=min(limit, 1000))
    shown = itertools.islice(items, limit)
    if as_json:
        for item in shown:
            output.as_json(item)
        return
    rows = list(shown)
    names = list(rows[0]) if rows else []
    output.table("", names, [[_cell(name, item[name]) for name in names] for item in rows], empty="No event fits.")


def _cell(name: str, value: Any) -> Any:
    if name in ("start", "end"):
        return output.clock(value)[:19]
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
