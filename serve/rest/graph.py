"""How things hang together: circles of automations, what a thing is tied to, and references to nothing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..schemas import Cycle, Listing, Node, Related
from . import answers
from .parameters import LIMIT, Cursor, Home, Id, LimitQuery, Strict, TheDesk, known, page

DEPTH = 4

router = APIRouter(prefix="/graph", route_class=Strict, tags=["graph"])


@router.get("/cycles", response_model=Listing[Cycle], summary="Automations that run in circles")
async def cycles(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every circle, with each step's automation, trigger, action and entity."""
    return answers.value(page(await desk.graph("cycles", home=home), ("home", "id"), limit, cursor))


@router.get("/related/{node_id}", response_model=Related, responses=answers.UNKNOWN, summary="What a thing is tied to")
async def related(
    desk: TheDesk,
    node_id: Id,
    home: Home = None,
    depth: Annotated[int, Query(ge=1, le=DEPTH, description="Within so many relations.")] = 1,
) -> Response:
    """Everything around an entity (`light.hall`), `area:kitchen`, `device:…`, or a bare id of the registry."""
    found = await desk.graph("related", home=home, node_id=node_id, depth=depth)
    return answers.value(known(found, "node", node_id))


@router.get("/nodes", response_model=Listing[Node], summary="All nodes, with positions")
async def nodes(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every node of the graph and where to draw it: the same place as long as the home is the same."""
    return answers.value(page(await desk.graph("nodes", home=home), ("home", "id"), limit, cursor))


@router.get("/dead-references", response_model=Listing[dict[str, Any]], summary="References to nothing")
async def dead_references(desk: TheDesk, home: Home = None) -> Response:
    """Automations that read or write what does not exist. All of them, in one page."""
    return answers.value({"items": await desk.graph("dead_references", home=home), "next": None})


@router.get("/sharing", response_model=Listing[dict[str, Any]], summary="Entities that several automations change")
async def sharing(desk: TheDesk, home: Home = None) -> Response:
    """Entities with more than one writer, the most contended first, with all writers and readers. In one page."""
    return answers.value({"items": await desk.graph("sharing", home=home), "next": None})
