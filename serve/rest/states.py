"""Last known states."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from ingestor.errors import NotFound, QueryError

from ..schemas import Listing, State
from . import answers
from .parameters import LIMIT, Cursor, Home, Id, LimitQuery, Strict, TheDesk, page

_TEXT = 255
_ENTITIES = 16_384

router = APIRouter(route_class=Strict, tags=["states"])


@router.get("/states", response_model=Listing[State], summary="Last known states")
async def states(
    desk: TheDesk,
    home: Home = None,
    domain: Annotated[str | None, Query(min_length=1, max_length=_TEXT, examples=["light"])] = None,
    area_id: Annotated[str | None, Query(min_length=1, max_length=_TEXT, examples=["kitchen"])] = None,
    entity_id: Annotated[
        str | None, Query(min_length=1, max_length=_ENTITIES, description="One entity id, or several with commas.")
    ] = None,
    limit: LimitQuery = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """States as of now, ordered by home and entity id."""
    entity_ids = None if entity_id is None else [part for part in entity_id.split(",") if part]
    found = await desk.states(home, domain, area_id, entity_ids)
    return answers.value(page(found, ("home", "entity_id"), limit, cursor))


@router.get("/states/{entity_id}", response_model=State, responses=answers.UNKNOWN, summary="One state")
async def state(desk: TheDesk, entity_id: Id, home: Home = None) -> Response:
    """State of one entity. `home` is needed only where several homes have it."""
    found = await desk.states(home, None, None, [entity_id])
    if not found:
        raise NotFound("entity", entity_id)
    if len(found) > 1:
        homes = ", ".join(sorted(str(item["home"]) for item in found))
        raise QueryError("home", "nothing", f"one of {homes}: each has {entity_id}")
    return answers.value(found[0])
