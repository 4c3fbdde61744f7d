"""What is asked of buckets of time, checked, and the pages of answers: items in the order of bucket, then groups.

A page's cursor is the place of its last item, so pages stay disjoint and complete whatever is added meanwhile. An item
is there for each bucket and group with an event that passes the filters, and, when time is weighed, for those in which
a state is held. A state holds from its event to the next one of its entity, for ``HELD_US`` at most and never beyond
now, whatever filters say of the events after it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from ingestor.errors import QueryError
from ingestor.history.aggregate_buckets import DAY_US, END_US, FIRST_US, Buckets, Interval
from ingestor.history.aggregate_sources import Key, Sources, Window
from ingestor.history.aggregate_sums import Item, items_of, may_be_rolled
from ingestor.history.question import LIMIT_MAX, Question

INTERVALS: Final = ("1m", "5m", "1h", "1d", "1w", "1mo")
GROUPS: Final = ("home", "entity_id", "device_id", "area_id", "floor_id", "domain", "integration", "kind")
AGGREGATES: Final = ("count", "min", "max", "mean", "sum", "first", "last", "time_weighted_mean", "time_in_state")
WEIGHED: Final = frozenset({"time_weighted_mean", "time_in_state"})
#: After this time a state that nobody repeated counts as unknown.
HELD_US: Final = 31 * DAY_US
#: So many buckets are looked at first, and four times as many whenever they did not fill a page.
FIRST_BUCKETS_GROUPED: Final = 64
MOST_BUCKETS: Final = 16_384
_CHECK_BYTES: Final = 4
_ONE_BUCKET: Final = 2
#: Where states are weighed one by one, about so many rows are looked at together.
MOST_ROWS: Final = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """A question for buckets. Of ``events`` the filters and times count; left out, times are those of what there is.

    Raises ``QueryError`` when made with what cannot be. ``now_us``: nothing is held beyond it.
    """

    events: Question
    interval: Interval
    zone: ZoneInfo
    now_us: int
    group_by: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ("count",)
    limit: int = LIMIT_MAX
    cursor: str | None = None

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise QueryError("interval", repr(self.interval), "one of " + ", ".join(INTERVALS))
        _check_names("group_by", self.group_by, GROUPS)
        _check_names("aggregate", self.aggregates, AGGREGATES)
        if not self.aggregates:
            raise QueryError("aggregate", "nothing", "some of " + ", ".join(AGGREGATES))
        if not 1 <= self.limit <= LIMIT_MAX:
            raise QueryError("limit", str(self.limit), f"1 to {LIMIT_MAX}")
        for name, time_us in (("start_time", self.events.start_us), ("end_time", self.events.end_us)):
            if time_us is not None and not FIRST_US <= time_us <= END_US:
                raise QueryError(name, f"{time_us} us", "a time of the years 1900 to 2199")
        if self.cursor is not None:
            self.place()

    @property
    def weighs(self) -> bool:
        """Whether states that are held count, and not events alone."""
        return not WEIGHED.isdisjoint(self.aggregates)

    def place(self) -> Key | None:
        """Return the bucket start and the groups of the item after which the page begins."""
        if self.cursor is None:
            return None
        try:
            content = base64.b64decode(
                self.cursor.encode("ascii") + b"=" * (-len(self.cursor) % 4), b"-_", validate=True
            )
            start_us, *groups = json.loads(content[_CHECK_BYTES:])
        except (binascii.Error, ValueError, TypeError):
            content, start_us, groups = b"", 0, []
        if content[:_CHECK_BYTES] != self._check(content[_CHECK_BYTES:]):
            raise QueryError("cursor", repr(self.cursor[:80]), "a `next` of the same interval, groups and zone")
        return start_us, tuple(groups)

    def cursor_of(self, key: Key) -> str:
        """Return the cursor that continues after an item."""
        place = json.dumps([key[0], *key[1]]).encode()
        return base64.urlsafe_b64encode(self._check(place) + place).rstrip(b"=").decode()

    def _check(self, place: bytes) -> bytes:
        asked = json.dumps([self.interval, self.group_by, self.zone.key]).encode()
        return hashlib.blake2b(place + asked, digest_size=_CHECK_BYTES, person=b"buckets").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatePage:
    """``items``: ``start`` and ``end`` (UTC, microseconds), groups, aggregates, by name, in the order asked."""

    items: list[dict[str, Any]]
    next: str | None


def aggregate(sources: Sources, asked: Aggregation) -> AggregatePage:
    """Answer one page. Reads at most the buckets that it takes to fill it."""
    place = asked.place()
    found: list[Item] = []
    for window in _windows(sources, asked, place):
        items = sorted(items_of(sources, window, asked.group_by, asked.aggregates), key=lambda item: _order(item[0]))
        found += [item for item in items if place is None or _order(item[0]) > _order(place)]
        if len(found) > asked.limit:
            break
    rest = len(found) > asked.limit
    found = found[: asked.limit]
    return AggregatePage(items=[item for _, item in found], next=asked.cursor_of(found[-1][0]) if rest else None)


def _windows(sources: Sources, asked: Aggregation, place: Key | None) -> Iterator[Window]:
    """Cut the time asked for into runs of buckets, and leap over what is empty."""
    first_us, last_us = sources.span()
    start_us = FIRST_US if asked.events.start_us is None else asked.events.start_us
    end_us = END_US if asked.events.end_us is None else asked.events.end_us
    until_us = min(max(last_us + 1, asked.now_us) if asked.weighs else last_us + 1, end_us)
    buckets = Buckets(interval=asked.interval, zone=asked.zone)
    held_us = HELD_US if asked.weighs else 0
    at, count = max(first_us, start_us, start_us if place is None else place[0]), asked.limit
    if asked.group_by:
        count = min(count, FIRST_BUCKETS_GROUPED)
    while at < until_us:
        following_us = sources.following(at - held_us)
        if following_us is None:
            return
        bounds = buckets.bounds(buckets.start_of(max(at, following_us)), count, until_us=until_us)
        if asked.weighs and int(bounds[-1]) < until_us:
            bounds = _up_to_midnight(bounds)
        window = Window(
            bounds=bounds,
            from_us=max(int(bounds[0]), start_us),
            to_us=min(int(bounds[-1]), end_us),
            now_us=asked.now_us,
            held_us=held_us,
            events=replace(asked.events, start_us=None, end_us=None, cursor=None),
        )
        while asked.weighs and len(window.bounds) > _ONE_BUCKET and _rows_to_weigh(sources, asked, window) > MOST_ROWS:
            bounds = window.bounds[: (len(window.bounds) + 1) // 2]
            window = replace(window, bounds=bounds, to_us=min(int(bounds[-1]), end_us))
        yield window
        at, count = int(bounds[-1]), min(count * 4, MOST_BUCKETS)


def _up_to_midnight(bounds: Any) -> Any:
    """End at the last UTC midnight among the bounds, if there is one: roll-ups weigh whole days."""
    midnights = np.flatnonzero(bounds % DAY_US == 0)
    return bounds[: midnights[-1] + 1] if len(midnights) and midnights[-1] else bounds


def _rows_to_weigh(sources: Sources, asked: Aggregation, window: Window) -> int:
    """Estimate how many rows are looked at one by one."""
    rolled = may_be_rolled(window, asked.group_by, asked.aggregates)
    return sources.rows_of(sources.cover(window.from_us, window.to_us, window, rolled=rolled, step_us=DAY_US))


def _order(key: Key) -> tuple[Any, ...]:
    return key[0], tuple((value is not None, value or "") for value in key[1])


def _check_names(field: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise QueryError(field, repr(name), "some of " + ", ".join(known))
        if names.count(name) > 1:
            raise QueryError(field, f"{name} twice", "each once")
