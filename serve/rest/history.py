"""The history in buckets of time, as the home's clocks cut them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from ingestor.errors import QueryError
from ingestor.history.aggregate import AGGREGATES, GROUPS, Aggregation
from ingestor.history.aggregate_buckets import Interval
from ingestor.history.question import Question, values_of

from ..schemas import BucketListing
from . import answers
from .events import VISIBLE_PATIENCE_S
from .parameters import LIMIT, SEQ_MAX, EventFilter, Limit, Strict, Text, TheDesk, now_us, span_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

router = APIRouter(route_class=Strict, tags=["events"])


class HistoryQuestion(EventFilter):
    """Which events, in which buckets, told how."""

    interval: Interval = Field(
        description="Length of a bucket, by the clocks and the calendar of the zone.", examples=["1h", "1d"]
    )
    group_by: Text | None = Field(
        None, description=f"Tell them apart by some of {', '.join(GROUPS)}.", examples=["entity_id"]
    )
    aggregate: Text = Field(
        "count", description=f"What to tell: some of {', '.join(AGGREGATES)}.", examples=["mean,max"]
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="IANA name of the zone. Left out: the home's.", examples=["Europe/Amsterdam"]
    )
    start_time: Text | None = Field(
        None,
        description="Fired at or after: RFC 3339 with a zone, a date, or back from now as `-30d`.",
        examples=["-30d"],
    )
    end_time: Text | None = Field(None, description="Fired before: same forms.")
    limit: Limit = Field(LIMIT, description="At most so many items.")
    cursor: Annotated[str, Field(min_length=1, max_length=65_536)] | None = Field(
        None, description="`next` of the page before. Opaque; valid for the same question."
    )
    min_seq: Annotated[int, Field(ge=0, le=SEQ_MAX)] | None = Field(
        None, description="Wait up to 1 s until the event with this `seq` is visible (read your own write)."
    )


@router.get("/events/history", response_model=BucketListing, responses=answers.BUCKETS, summary="Buckets of time")
async def history(desk: TheDesk, asked: Annotated[HistoryQuestion, Query()]) -> Response:
    """Events that pass all filters, summed up by bucket of time and by groups, oldest first, one page at a time.

    Items are `{start, end, <groups>, <aggregates>}`, there for each bucket and group in which something happened. A day
    has 23 or 25 hours where clocks change. `min`, `max`, `mean` and `sum` are of numeric states, `first` and `last` of
    all. `time_weighted_mean` and `time_in_state` (state to seconds, of the 100 held longest) weigh each state by how
    long it was held, from its event to the next of its entity, also from before the bucket on, for 31 days at most;
    with them, items are there wherever a state is held. What was acknowledged counts.
    """
    now = now_us()
    start_us, end_us = span_of(asked.start_time, asked.end_time, now)
    zone = zone_of(asked, await desk.zones())
    question = Aggregation(
        events=Question(**asked.filters(), start_us=start_us, end_us=end_us),
        interval=asked.interval,
        zone=zone,
        now_us=now,
        group_by=tuple(values_of(asked.group_by)),
        aggregates=tuple(values_of(asked.aggregate)),
        limit=asked.limit,
        cursor=asked.cursor,
    )
    headers = {"x-time-zone": zone.key}
    if asked.min_seq is not None:
        seen = await desk.wait_visible(asked.min_seq, VISIBLE_PATIENCE_S)
        headers["x-min-seq-visible"] = "true" if seen else "false"
    page = await desk.history(question)
    return answers.value({"items": [_item(item) for item in page.items], "next": page.next}, headers=headers)


def zone_of(asked: HistoryQuestion, zones: Mapping[str, str]) -> ZoneInfo:
    """Return the zone asked for, else that of the homes asked about. Raises ``QueryError`` where those differ."""
    if asked.time_zone is not None:
        return _zone(asked.time_zone)
    homes = values_of(asked.home) or list(zones)
    names = sorted({zones[home] for home in homes if home in zones})
    if len(names) > 1:
        raise QueryError("time_zone", f"none, of homes in {' and '.join(names)}", "one of these, or one home")
    return _zone(names[0] if names else "UTC")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise QueryError("time_zone", name, "an IANA name, such as Europe/Amsterdam") from None


def _item(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "start": _time(item["start"]), "end": _time(item["end"])}


def _time(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
