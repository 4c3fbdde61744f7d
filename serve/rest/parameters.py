"""Query parameters: each is known, given once, and of the right form, or the answer says which is not (400).

``Strict`` is the route class that refuses what a route does not know and names the nearest it does. ``EventFilter`` is
the one set of filters that every route about events takes.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import Depends, Path, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from ingestor.errors import NotFound, QueryError
from ingestor.event import Kind
from ingestor.history.question import Question

from ..desk import Desk
from ..times import parse_time

LIMIT = 1000
SEQ_MAX = 2**63 - 1

Text = Annotated[str, Field(min_length=1, max_length=4096)]
Id = Annotated[str, Path(min_length=1, max_length=255, pattern="^[^,]+$")]
Limit = Annotated[int, Field(ge=1, le=LIMIT)]
Home = Annotated[Text | None, Query(description="Name of the home. Left out: all homes.", examples=["home"])]
LimitQuery = Annotated[int, Query(ge=1, le=LIMIT, description="At most so many items.")]
Cursor = Annotated[
    str | None,
    Query(min_length=1, max_length=1024, description="`next` of the page before. Opaque; valid for the same question."),
]


class Strict(APIRoute):
    """A route that takes the parameters it documents, each once, and no others."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Put the check before the handler."""
        inner = super().get_route_handler()
        known = _names(self)

        async def strict(request: Request) -> Response:
            if request.scope["query_string"]:
                _check(request, known)
            return await inner(request)

        return strict


def _names(route: APIRoute) -> frozenset[str]:
    names: set[str] = set()
    pending = [route.dependant]
    while pending:
        dependant = pending.pop()
        pending += dependant.dependencies
        for field in dependant.query_params:
            model = field.field_info.annotation
            inner = getattr(model, "model_fields", None)
            names |= {info.alias or name for name, info in inner.items()} if inner else {field.alias}
    return frozenset(names)


def _check(request: Request, known: frozenset[str]) -> None:
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = near[0] if near else f"one of {', '.join(sorted(known))}" if known else "no parameter"
            raise QueryError(name[:64], "a parameter that is not known here", hint)
        if name in seen:
            raise QueryError(name, f"it twice ({value})", "it once")
        seen.add(name)


class EventFilter(BaseModel):
    """Which events. All filters must hold; left out means any. Each but ``q`` takes several values with commas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Text | None = Field(None, description="Name of the home.", examples=["home"])
    entity_id: Text | None = Field(
        None, description="Exactly this entity; several with commas.", examples=["sensor.outside_temperature"]
    )
    device_id: Text | None = Field(None, description="Entities of this device, as of the event.")
    area_id: Text | None = Field(None, description="Entities of this area, as of the event.", examples=["kitchen"])
    floor_id: Text | None = Field(None, description="Entities of this floor, as of the event.")
    domain: Text | None = Field(None, description="First part of the entity id.", examples=["light"])
    integration: Text | None = Field(None, description="Integration that provides the entity.", examples=["zha"])
    event_type: Text | None = Field(None, description="Home Assistant's event type.", examples=["state_changed"])
    kind: Text | None = Field(None, description=f"What sort of happening: {', '.join(Kind)}.", examples=["state"])
    user_id: Text | None = Field(None, description="Resolved user who caused it.")
    context_id: Text | None = Field(None, description="Home Assistant's context: what one cause brought about.")
    source: Text | None = Field(None, description="Source that delivered it.")
    q: Text | None = Field(
        None, description="Text that entity id, state, attributes or data hold.", examples=["kitchen"]
    )

    def filters(self) -> dict[str, Any]:
        """Give the filters by name."""
        return {name: getattr(self, name) for name in EventFilter.model_fields}


class EventQuestion(EventFilter):
    """Which events, of which span, in which order, from where on."""

    start_time: Text | None = Field(
        None,
        description="Fired at or after: RFC 3339 with a zone, a date, or back from now as `-24h`.",
        examples=["-24h"],
    )
    end_time: Text | None = Field(None, description="Fired before: same forms.", examples=["2030-01-01T00:00:00Z"])
    order: Literal["asc", "desc"] = Field("desc", description="By time: oldest or newest first.")
    limit: Limit = Field(100, description="At most so many items.")
    cursor: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None, description="`next` of the page before. Opaque; valid for the same question."
    )
    min_seq: Annotated[int, Field(ge=0, le=SEQ_MAX)] | None = Field(
        None, description="Wait up to 1 s until the event with this `seq` is visible (read your own write)."
    )

    def question(self, now_us: int, **fixed: Any) -> Question:
        """Word it for the desk. ``fixed`` are filters that the path decides. Raises ``QueryError``."""
        start_us, end_us = span_of(self.start_time, self.end_time, now_us)
        values = self.filters()
        for name, value in fixed.items():
            if values[name] not in (None, value):
                raise QueryError(name, str(values[name]), f"{value}, or leave it out: the path decides it")
        return Question(
            **{**values, **fixed},
            start_us=start_us,
            end_us=end_us,
            order=self.order,
            limit=self.limit,
            cursor=self.cursor,
        )


def span_of(start_time: str | None, end_time: str | None, now_us: int) -> tuple[int | None, int | None]:
    """Read both times (UTC, microseconds). Raises ``QueryError``, also where the end is before the start."""
    start_us = None if start_time is None else parse_time("start_time", start_time, now_us)
    end_us = None if end_time is None else parse_time("end_time", end_time, now_us)
    if start_us is not None and end_us is not None and end_us < start_us:
        raise QueryError("end_time", str(end_time), f"a time not before start_time {start_time}")
    return start_us, end_us


def now_us() -> int:
    """Tell the time (UTC, microseconds)."""
    return time.time_ns() // 1000


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(_desk)]
Ask = Annotated[EventQuestion, Query()]


def page(items: list[dict[str, Any]], keys: Sequence[str], limit: int, cursor: str | None) -> dict[str, Any]:
    """Cut one page out of a whole list, ordered by ``keys``; stable when items come and go."""
    after = None if cursor is None else read_cursor(cursor, len(keys))

    def place(item: dict[str, Any]) -> list[str]:
        return [str(item.get(key) or "") for key in keys]

    rest = sorted((item for item in items if after is None or place(item) > after), key=place)
    more = len(rest) > limit
    return {"items": rest[:limit], "next": write_cursor(place(rest[limit - 1])) if more else None}


def write_cursor(place: list[str]) -> str:
    """Encode a place in a list."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def read_cursor(cursor: str, length: int) -> list[str]:
    """Decode it. Raises ``QueryError`` for what ``write_cursor`` did not write."""
    try:
        place = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        place = None
    if not isinstance(place, list) or len(place) != length or not all(isinstance(part, str) for part in place):
        raise QueryError("cursor", cursor, "the `next` of a page of this list")
    return place


def known(item: Any, thing: str, name: str) -> Any:
    """Pass on what exists. Raises ``NotFound``."""
    if item is None:
        raise NotFound(thing, name)
    return item
