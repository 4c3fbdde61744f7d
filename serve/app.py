"""Compose the HTTP applications: ``api`` for questions and ingest, ``live`` for streams, ``lane`` for ingest alone.

Each open stream holds one of its deployment's request slots for its whole life: streams must not be able to starve
questions, and neither may cost the lane anything. All take absolute paths, so they can be mounted under any prefix, or
served beside each other.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

import ingestor.event
from ingestor.version import VERSION

from . import pages, status
from .crowd import Crowd
from .desk import Counter, Desk
from .door import Door
from .rest import (
    answers,
    automations,
    events,
    export,
    graph,
    health,
    history,
    ingest,
    ledgers,
    registry,
    states,
    stream,
)
from .schemas import ProblemDocument

PREFIX = "/api/v1"
DESCRIPTION = f"""
Everything that happens in a Home Assistant home, kept and answered. Schema version {ingestor.event.SCHEMA_VERSION}.

- Lists answer `{{"items": […], "next": cursor or null}}`; `limit` is at most 1000.
- Times are RFC 3339 in UTC. Questions also take a date, `now`, or back from now: `-30s -15m -24h -7d -4w`.
- A parameter that is not known is refused, and the nearest known one named.
- Errors are RFC 9457 problem documents. `type` leads to their list.
"""
TAGS = [
    {"name": "events", "description": "What happened."},
    {"name": "ingest", "description": "Send events in."},
    {"name": "states", "description": "How it is now."},
    {"name": "home", "description": "What the home consists of."},
    {"name": "automations", "description": "What acts by itself."},
    {"name": "graph", "description": "How things hang together."},
    {"name": "completeness", "description": "What is missing, and what was refused."},
    {"name": "health", "description": "How the ingestor is."},
]
_TOPICS = (history, export, events, ingest, states, registry, automations, graph, ledgers)


def api(desk: Desk, *, hosts: Collection[str] = ()) -> FastAPI:
    """Questions, ingest, health, metrics and the pages. ``hosts``: names the server answers to, beside loopback."""
    app = _application(desk, hosts)
    for topic in _TOPICS:
        app.include_router(topic.router, prefix=PREFIX, responses=answers.DEFAULT)
    app.include_router(health.router, prefix=PREFIX, responses=answers.DEFAULT)
    app.include_router(health.probes, responses=answers.DEFAULT)
    pages.mount(app)
    return app


def live(desk: Desk, *, hosts: Collection[str] = ()) -> FastAPI:
    """Streams: ``/api/v1/events/stream``."""
    app = _application(desk, hosts)
    app.include_router(stream.router, prefix=PREFIX, responses=answers.DEFAULT)
    return app


def lane(counter: Counter, *, hosts: Collection[str] = ()) -> FastAPI:
    """Take events in, and tell health and metrics; nothing else. More bodies at once than it can hold are refused."""
    app = _application(counter, hosts, crowd=True)
    app.include_router(ingest.router, prefix=PREFIX, responses=answers.DEFAULT)
    app.include_router(health.probes, responses=answers.DEFAULT)
    paths: dict[str, Any] = {path: {} for path in (f"{PREFIX}/events", "/livez", "/readyz", "/metrics")}
    app.openapi = lambda: {"paths": paths}  # type: ignore[method-assign]  # what an unknown path is compared with
    return app


def openapi() -> dict[str, Any]:
    """Describe both applications as one: OpenAPI 3.1."""
    everything = APIRouter(generate_unique_id_function=lambda route: route.name)
    for topic in (*_TOPICS, stream, health):
        everything.include_router(topic.router, prefix=PREFIX, responses=answers.DEFAULT)
    everything.include_router(health.probes, responses=answers.DEFAULT)
    document = get_openapi(
        title="HA Ingestor", version=VERSION, description=DESCRIPTION, routes=everything.routes, tags=TAGS
    )
    schemas = document["components"]["schemas"]
    problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**problem.pop("$defs"), "ProblemDocument": problem}
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _without_null(parameter["schema"])
    return document


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Say of a parameter that may be left out what it is when given: null cannot be given in a query."""
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    return {**schema, **kinds[0]} if len(kinds) == 1 else {**schema, **({"anyOf": kinds} if kinds else {})}


def _application(desk: Counter, hosts: Collection[str], *, crowd: bool = False) -> FastAPI:
    app = FastAPI(
        title="HA Ingestor",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: status.on_http_exception, RequestValidationError: status.on_invalid},
    )
    app.state.desk = desk
    if crowd:
        app.add_middleware(Crowd)
    app.add_middleware(Door, hosts=hosts)
    cached: list[dict[str, Any]] = []

    def document() -> dict[str, Any]:
        if not cached:
            cached.append(openapi())
        return cached[0]

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to replace it
    return app
