"""Automations: what they are, when they ran, and which of them bring each other about."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..schemas import Automation, Dependencies, EventListing, Listing
from . import answers, events
from .parameters import LIMIT, Ask, Cursor, Home, Id, LimitQuery, Strict, TheDesk, known
from .registry import listing

RAN = "automation_triggered"

router = APIRouter(route_class=Strict, tags=["automations"])


@router.get("/automations", response_model=Listing[Automation], summary="Automations")
async def automations(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every automation, with the entities it reads and writes."""
    return await listing(desk, "automations", "entity_id", home, limit, cursor)


@router.get("/automations/dependencies", response_model=Dependencies, summary="Which automation sets off which")
async def dependencies(
    desk: TheDesk,
    home: Home = None,
    include_circular: Annotated[bool, Query(description="Also the edges inside a circle, and the circles.")] = True,  # noqa: FBT002 - a query parameter
) -> Response:
    """Edges between automations: the run of `from` can start `to`. Without circular ones the answer has no circle."""
    return answers.value(await desk.graph("dependencies", home=home, include_circular=include_circular))


@router.get(
    "/automations/{automation_id}", response_model=Automation, responses=answers.UNKNOWN, summary="One automation"
)
async def automation(desk: TheDesk, automation_id: Id, home: Home = None) -> Response:
    """One automation, by entity id (`automation.night_light`) or by the id of its configuration."""
    found = await desk.graph("automation", home=home, entity_id=automation_id)
    return answers.value(known(found, "automation", automation_id))


@router.get(
    "/automations/{automation_id}/executions",
    response_model=EventListing,
    responses={**answers.UNKNOWN, **answers.EVENTS},
    summary="When an automation ran",
)
async def executions(desk: TheDesk, automation_id: Id, asked: Ask) -> Response:
    """List its `automation_triggered` events. Further filters as in `events`."""
    found = await desk.graph("automation", home=asked.home, entity_id=automation_id)
    entity_id = known(found, "automation", automation_id)["entity_id"]
    runs, headers = await events.find(desk, asked, event_type=RAN, entity_id=entity_id)
    return answers.events(runs, headers)
