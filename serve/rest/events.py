"""Events: pages of them, and one by its id."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from ingestor.errors import NotFound, QueryError
from ingestor.event import Event
from ingestor.history.question import Page

from ..desk import Desk
from ..schemas import EventListing
from . import answers
from .parameters import Ask, EventQuestion, Strict, TheDesk, now_us

VISIBLE_PATIENCE_S = 1.0
_EVENT_ID_DIGITS = 32

router = APIRouter(route_class=Strict, tags=["events"])


async def find(desk: Desk, asked: EventQuestion, **fixed: Any) -> tuple[Page, dict[str, str] | None]:
    """Find a page of events and the headers that go with it; ``fixed`` are the filters that the path decides."""
    question = asked.question(now_us(), **fixed)
    headers = None
    if asked.min_seq is not None:
        seen = await desk.wait_visible(asked.min_seq, VISIBLE_PATIENCE_S)
        headers = {"x-min-seq-visible": "true" if seen else "false"}
    return await desk.events(question), headers


@router.get("/events", response_model=EventListing, responses=answers.EVENTS, summary="Find events")
async def find_events(desk: TheDesk, asked: Ask) -> Response:
    """Events that pass all filters, newest first unless `order=asc`, one page at a time.

    What was acknowledged is visible, whether or not it is in the history table yet. With `min_seq` the answer waits up
    to 1 s for that event and says in the header `X-Min-Seq-Visible` whether it is in view; it answers either way.
    """
    found, headers = await find(desk, asked)
    return answers.events(found, headers)


@router.get("/events/{event_id}", response_model=Event, responses=answers.UNKNOWN, summary="One event")
async def one_event(
    desk: TheDesk,
    event_id: Annotated[str, Path(description="32 hex digits.", examples=["5f0c6f2d9a7b4c1e8d3a2b1c0f9e8d7c"])],
) -> Response:
    """Find the event with this id."""
    if len(event_id) != _EVENT_ID_DIGITS or set(event_id.lower()) - set("0123456789abcdef"):
        raise QueryError("event_id", event_id, "32 hex digits")
    rows = await desk.event(event_id.lower())
    if not rows.num_rows:
        raise NotFound("event", event_id)
    return answers.event(rows.slice(0, 1))
