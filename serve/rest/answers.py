"""Answers as bytes, and what the documentation says of every answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
from starlette.responses import Response

from ingestor.formats.json import rows_to_json
from ingestor.history.question import Page

from ..schemas import BUCKET_EXAMPLE, EVENT_EXAMPLE

JSON = "application/json"
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME

PROBLEM: dict[str, Any] = {
    "description": "Not as asked. `type` names the problem, `errors` the fields.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {**PROBLEM, "description": "There is no such thing."}}
DEFAULT: dict[int | str, dict[str, Any]] = {
    400: PROBLEM,
    "default": {**PROBLEM, "description": "Not now, see `/problems`."},
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {JSON: {"example": {"items": [EVENT_EXAMPLE], "next": None}}},
        "headers": {
            "X-Min-Seq-Visible": {
                "description": "Only with `min_seq`: whether that event was visible within 1 s.",
                "schema": {"type": "boolean"},
            }
        },
    }
}
BUCKETS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {JSON: {"example": {"items": [BUCKET_EXAMPLE], "next": None}}},
        "headers": {
            "X-Time-Zone": {"description": "The zone whose clocks cut the buckets.", "schema": {"type": "string"}},
            **EVENTS[200]["headers"],
        },
    }
}


def events(page: Page, headers: dict[str, str] | None = None) -> Response:
    """Write a page of events."""
    content = b"".join((b'{"items":', rows_to_json(page.rows), b',"next":', orjson.dumps(page.next), b"}"))
    return Response(content, headers=headers, media_type=JSON)


def event(row: pa.Table) -> Response:
    """Write one event."""
    return Response(rows_to_json(row).strip()[1:-1], media_type=JSON)


def value(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write anything else."""
    return Response(orjson.dumps(content, default=_text, option=_OPTIONS), status, headers, media_type=JSON)


def _text(item: Any) -> Any:
    if isinstance(item, datetime):
        return item.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(item, set | frozenset):
        return sorted(item)
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    return str(item)
