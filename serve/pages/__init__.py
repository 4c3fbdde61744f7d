"""The pages for people: a welcome, the API's documentation, the list of problems. All of it comes from this server.

The content policy allows a page its own files and nothing else: no inline script, no other origin. Links are relative,
so the pages work behind a path prefix too.
"""

from __future__ import annotations

import asyncio
import html
from pathlib import Path
from string import Template
from typing import Any

import fastapi_offline
import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from ingestor.version import VERSION

from ..desk import Desk
from ..door import PAGE_POLICY
from ..status import problems_page

PATIENCE_S = 1.0

_HERE = Path(__file__).parent
_SWAGGER = Path(fastapi_offline.__file__).parent / "static"
_ASSETS = {
    "page.css": _HERE / "page.css",
    "docs.css": _HERE / "docs.css",
    "docs.js": _HERE / "docs.js",
    "icon.svg": _HERE / "icon.svg",
    "swagger-ui.css": _SWAGGER / "swagger-ui.css",
    "swagger-ui-bundle.js": _SWAGGER / "swagger-ui-bundle.js",
}
_COUNTS = (
    ("events stored", "counts", "stored"),
    ("in flight", "counts", "in_flight"),
    ("in quarantine", "counts", "quarantined"),
    ("waiting for the table", "history", "waiting"),
)


def mount(app: FastAPI) -> None:
    """Add the pages and their files."""
    for path, page in (("/", _home), ("/docs", _docs), ("/problems", _problems)):
        app.add_route(path, page, include_in_schema=False)
    app.add_route("/openapi.json", _openapi, include_in_schema=False)
    app.add_route("/assets/{name}", _asset, include_in_schema=False)


async def _home(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    try:
        async with asyncio.timeout(PATIENCE_S):
            ready, reasons = await desk.ready()
            status = await desk.status()
    except Exception as error:  # noqa: BLE001 - the welcome must not depend on what it welcomes to
        ready, reasons, status = False, [type(error).__name__], {}
    base = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
    return _page(
        "home.html",
        base=html.escape(base),
        state="ready" if ready else "waiting",
        words="Taking events in and answering." if ready else html.escape("Not ready: " + "; ".join(reasons)),
        counts="".join(_count(label, status, section, key) for label, section, key in _COUNTS),
    )


def _count(label: str, status: dict[str, Any], section: str, key: str) -> str:
    inner = status.get(section)
    value = inner.get(key) if isinstance(inner, dict) else None
    return f"<li><b>{value:,}</b> {label}</li>" if isinstance(value, int) else ""


async def _docs(request: Request) -> Response:  # noqa: ARG001 - Starlette gives it
    return _page("docs.html")


async def _problems(request: Request) -> Response:  # noqa: ARG001 - Starlette gives it
    return _page("problems.html", problems=problems_page())


async def _openapi(request: Request) -> Response:
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


async def _asset(request: Request) -> Response:
    path = _ASSETS.get(request.path_params["name"])
    if path is None:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    return FileResponse(path, headers={"cache-control": "public, max-age=3600"})


def _page(name: str, **values: str) -> Response:
    text = Template((_HERE / name).read_text(encoding="utf-8")).substitute(values, version=html.escape(VERSION))
    return HTMLResponse(text, headers={"content-security-policy": PAGE_POLICY})
