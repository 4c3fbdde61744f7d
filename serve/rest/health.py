"""Is it alive, is it ready, how is it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from ingestor import telemetry

from ..schemas import Ready
from . import answers
from .parameters import Strict, TheDesk

router = APIRouter(route_class=Strict, tags=["health"])
probes = APIRouter(route_class=Strict, tags=["health"])


@router.get("/status", response_model=dict[str, Any], summary="How everything is")
async def status(desk: TheDesk) -> Response:
    """Show sources, shards, history, counts. Made to be read by people and scripts; names are added, not changed."""
    return answers.value(await desk.status())


@probes.get("/livez", response_class=PlainTextResponse, summary="Alive")
async def livez() -> Response:
    """Answer `ok` as long as this process answers at all. Asks nobody."""
    return PlainTextResponse("ok\n")


@probes.get(
    "/readyz", response_model=Ready, responses={503: {"model": Ready, "description": "Not ready."}}, summary="Ready"
)
async def readyz(desk: TheDesk) -> Response:
    """Tell whether events are taken in and questions answered: 200, or 503 with the reasons."""
    ready, reasons = await desk.ready()
    return answers.value({"ready": ready, "reasons": reasons}, 200 if ready else 503)


@probes.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
async def metrics(desk: TheDesk) -> Response:
    """Counters and gauges in Prometheus text, made from `status`. Never labelled by entity."""
    return Response(telemetry.exposition(await desk.status()), media_type=telemetry.EXPOSITION_TYPE)
