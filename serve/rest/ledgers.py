"""What is missing and what was refused: the ledger of gaps, and the quarantine."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..schemas import Gap, Listing, QuarantineItem, Retried
from . import answers
from .parameters import Cursor, Home, Id, LimitQuery, Strict, TheDesk, known, read_cursor, write_cursor

_DEFAULT = 100

router = APIRouter(route_class=Strict, tags=["completeness"])


@router.get("/gaps", response_model=Listing[Gap], summary="Spans in which events may be missing")
async def gaps(
    desk: TheDesk,
    home: Home = None,
    open_only: Annotated[bool, Query(alias="open", description="Only those that are still open.")] = False,  # noqa: FBT002 - a query parameter
    limit: LimitQuery = _DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Newest first, each with its reason."""
    found = await desk.gaps(home, open_only, limit + 1, _before(cursor))
    return answers.value(_page(found, "gap_id", limit))


@router.get("/quarantine", response_model=Listing[QuarantineItem], summary="What could not be mended")
async def quarantine(desk: TheDesk, home: Home = None, limit: LimitQuery = _DEFAULT, cursor: Cursor = None) -> Response:
    """Newest first, each with its reason. `quarantine/{id}` shows the raw text."""
    found = await desk.quarantined(home, limit + 1, _before(cursor))
    return answers.value(_page(found, "quarantine_id", limit))


@router.get(
    "/quarantine/{quarantine_id}", response_model=QuarantineItem, responses=answers.UNKNOWN, summary="One refused event"
)
async def quarantined_item(desk: TheDesk, quarantine_id: Id) -> Response:
    """One item, with the text as it came."""
    return answers.value(known(await desk.quarantined_item(quarantine_id), "quarantine item", quarantine_id))


@router.post(
    "/quarantine/{quarantine_id}/retry", response_model=Retried, responses=answers.UNKNOWN, summary="Try an item again"
)
async def retry(desk: TheDesk, quarantine_id: Id) -> Response:
    """Send it through validation again: for after an update that mends what it could not. `stored` moves it out."""
    return answers.value(await desk.retry(quarantine_id))


def _before(cursor: str | None) -> str | None:
    return None if cursor is None else read_cursor(cursor, 1)[0]


def _page(found: list[dict[str, Any]], key: str, limit: int) -> dict[str, Any]:
    more = len(found) > limit
    return {"items": found[:limit], "next": write_cursor([found[limit - 1][key]]) if more else None}
