"""What the home consists of: devices, areas, floors, users, integrations; and the events of a device or a person."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from ..desk import Desk
from ..schemas import Area, Device, EventListing, Floor, Integration, Listing, Related, User
from . import answers, events
from .parameters import LIMIT, Ask, Cursor, Home, Id, LimitQuery, Strict, TheDesk, known, page

router = APIRouter(route_class=Strict, tags=["home"])


async def listing(desk: Desk, question: str, key: str, home: str | None, limit: int, cursor: str | None) -> Response:
    """Answer with one page of what the graph knows, ordered by home and ``key``."""
    return answers.value(page(await desk.graph(question, home=home), ("home", key), limit, cursor))


@router.get("/devices", response_model=Listing[Device], summary="Devices")
async def devices(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every device of the registry."""
    return await listing(desk, "devices", "id", home, limit, cursor)


@router.get("/devices/{device_id}", response_model=Device, responses=answers.UNKNOWN, summary="One device")
async def device(desk: TheDesk, device_id: Id, home: Home = None) -> Response:
    """One device with its entities."""
    return answers.value(known(await desk.graph("device", home=home, device_id=device_id), "device", device_id))


@router.get(
    "/devices/{device_id}/events",
    response_model=EventListing,
    responses={**answers.UNKNOWN, **answers.EVENTS},
    summary="Events of a device",
)
async def device_events(desk: TheDesk, device_id: Id, asked: Ask) -> Response:
    """Events of the entities that belonged to the device when they fired. Filters as in `events`."""
    found, headers = await events.find(desk, asked, device_id=device_id)
    if not found.rows.num_rows:  # a device that is gone keeps its events; only one that never was is unknown
        known(await desk.graph("device", home=asked.home, device_id=device_id), "device", device_id)
    return answers.events(found, headers)


@router.get(
    "/devices/{device_id}/relationships",
    response_model=Related,
    responses=answers.UNKNOWN,
    summary="What a device is tied to",
)
async def device_relationships(desk: TheDesk, device_id: Id, home: Home = None) -> Response:
    """Entities, area, integration, and the automations that read or write them."""
    return answers.value(
        known(await desk.graph("related", home=home, node_id=f"device:{device_id}"), "device", device_id)
    )


@router.get("/areas", response_model=Listing[Area], summary="Areas")
async def areas(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every area of the registry."""
    return await listing(desk, "areas", "area_id", home, limit, cursor)


@router.get("/floors", response_model=Listing[Floor], summary="Floors")
async def floors(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every floor of the registry."""
    return await listing(desk, "floors", "floor_id", home, limit, cursor)


@router.get("/users", response_model=Listing[User], summary="Users")
async def users(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every user the home told of."""
    return await listing(desk, "users", "id", home, limit, cursor)


@router.get(
    "/users/{user_id}/events",
    response_model=EventListing,
    responses={**answers.UNKNOWN, **answers.EVENTS},
    summary="Acts of a person",
)
async def user_events(desk: TheDesk, user_id: Id, asked: Ask) -> Response:
    """Events whose resolved user is this one. Filters as in `events`."""
    found, headers = await events.find(desk, asked, user_id=user_id)
    if not found.rows.num_rows:
        users = await desk.graph("users", home=asked.home)
        known(next((user for user in users if user["id"] == user_id), None), "user", user_id)
    return answers.events(found, headers)


@router.get("/integrations", response_model=Listing[Integration], summary="Integrations")
async def integrations(desk: TheDesk, home: Home = None, limit: LimitQuery = LIMIT, cursor: Cursor = None) -> Response:
    """Every integration of the home."""
    return await listing(desk, "integrations", "domain", home, limit, cursor)
