"""How things hang together: circles of automations, what a thing is tied to, and references to nothing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from ..schemas import Cycle, Listing
from . import answers
from .parameters import LIMIT, Cursor, Home, Id, LimitQuery, Strict, TheDesk, known, page

router = APIRouter(prefix="/graph", route_class=Strict, tags=["graph"])


@router.get("/cycles", response_model=Listing[Cycle], summary="Automations that run in circles")
async def cycles(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every circle, with each step's automation, trigger, action and entity."""
    return answers.value(page(await desk.graph("cycles", home=home), ("home", "id"), limit, cursor))


@router.get("/related/{node_id}", responses=answers.UNKNOWN, summary="What a thing is tied to")
async def related(desk: TheDesk, node_id: Id, home: Home = None) -> Response:
    """Everything one step away from an entity, device, area, automation or integration."""
    return answers.value(known(await desk.graph("related", home=home, node_id=node_id), "node", node_id))


@router.get("/nodes", summary="The whole graph")
async def nodes(desk: TheDesk, home: Home = None) -> Response:
    """All nodes and edges, for drawing."""
    return answers.value(await desk.graph("nodes", home=home))


@router.get("/dead-references", response_model=Listing[dict[str, Any]], summary="References to nothing")
async def dead_references(desk: TheDesk, home: Home = None) -> Response:
    """Automations that read or write what does not exist. All of them, in one page."""
    return answers.value({"items": await desk.graph("dead_references", home=home), "next": None})
