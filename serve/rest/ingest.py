"""Take events in by HTTP. The answer comes when all of them are on disk."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..bodies import check_headers, events_of
from ..schemas import Accepted
from ..status import UnreadableBody
from . import answers
from .parameters import Strict, TheDesk

SOURCE = "http"
_SMALL_BYTES = 64 * 1024
_EXAMPLE = {
    "event_type": "state_changed",
    "time_fired": "2026-11-24T06:12:31.104233+00:00",
    "data": {
        "entity_id": "sensor.greenhouse",
        "new_state": {
            "entity_id": "sensor.greenhouse",
            "state": "18.2",
            "attributes": {"unit_of_measurement": "°C"},
            "last_changed": "2026-11-24T06:12:31.104233+00:00",
            "last_updated": "2026-11-24T06:12:31.104233+00:00",
        },
    },
}
_OBJECT = {
    "type": "object",
    "required": ["event_type"],
    "description": "Home Assistant's event object, or a version-1 row.",
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "One event, an array, or NDJSON; plain, or with Content-Encoding gzip or zstd. At most 8 MiB.",
        "content": {
            answers.JSON: {"schema": {"oneOf": [_OBJECT, {"type": "array", "items": _OBJECT}]}, "example": _EXAMPLE},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {**answers.PROBLEM, "description": text}
    for code, text in {
        404: "There is no such home.",
        413: "Too large, packed or unpacked.",
        415: "A Content-Type or Content-Encoding that is not read here.",
        503: "Overloaded: repeat after Retry-After seconds.",
        507: "The journal reached its quota.",
    }.items()
}

Into = Annotated[
    str | None, Query(min_length=1, max_length=255, description="The home they belong to. Left out: the first one.")
]

router = APIRouter(route_class=Strict, tags=["ingest"])


@router.post("/events", response_model=Accepted, responses=_REFUSALS, openapi_extra=_BODY, summary="Send events in")
async def post_events(desk: TheDesk, request: Request, home: Into = None) -> Response:
    """Store events. A bad event goes to quarantine and never fails its neighbours; repeats are recognised by their id.

    Limits: 8 MiB as sent, 32 MiB unpacked, 100 times unpacked to sent. `home` left out: the first configured one.
    After any other answer than 200, send the same body again: what was stored counts as duplicate.
    """
    content_type = request.headers.get("content-type", "")
    coding = request.headers.get("content-encoding", "")
    check_headers(content_type, coding)
    try:
        body = await request.body()
    except ClientDisconnect:
        raise UnreadableBody("The client left before the body was complete", "Send it again") from None
    if len(body) < _SMALL_BYTES and not coding:
        events = events_of(body, content_type, coding)
    else:
        events = await asyncio.to_thread(events_of, body, content_type, coding)
    if not events:
        nothing = Accepted(received=0, accepted=0, duplicate=0, filtered=0, quarantined=[], last_seq=None)
        return answers.value(nothing.model_dump())
    return answers.value(await desk.accept(home, events, SOURCE))
