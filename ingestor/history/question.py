"""What may be asked of the history, checked, and as SQL with every value bound.

A page's cursor is the place of its last row in the order (``time_fired``, ``seq``), so pages stay disjoint and complete
whatever is added meanwhile.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestor.errors import QueryError
from ingestor.event import Kind

LIMIT_MAX = 1_000
LISTS = (
    "home",
    "entity_id",
    "device_id",
    "area_id",
    "floor_id",
    "domain",
    "integration",
    "event_type",
    "kind",
    "user_id",
    "context_id",
    "source",
)
_SEARCHED = ("entity_id", "state", "attributes", "data")
_PLACE = struct.Struct(">cqq")
_CHECK_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which events, in which order. A text filter may be a comma list: any of them. ``q``: part of a text, any case.

    ``start_us`` is inclusive, ``end_us`` exclusive (UTC, microseconds of ``time_fired``). Raises ``QueryError`` when
    made with a limit, order, kind or cursor that cannot be.
    """

    home: str | None = None
    entity_id: str | None = None
    device_id: str | None = None
    area_id: str | None = None
    floor_id: str | None = None
    domain: str | None = None
    integration: str | None = None
    event_type: str | None = None
    kind: str | None = None
    user_id: str | None = None
    context_id: str | None = None
    source: str | None = None
    q: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: int = 100
    cursor: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LIMIT_MAX:
            raise QueryError("limit", str(self.limit), f"1 to {LIMIT_MAX}")
        if self.order not in ("asc", "desc"):
            raise QueryError("order", repr(self.order), "asc or desc")
        for kind in values_of(self.kind):
            if kind not in set(Kind):
                raise QueryError("kind", repr(kind), "one of " + ", ".join(Kind))
        if self.cursor is not None:
            place_of(self.cursor, self.order)

    @property
    def place(self) -> tuple[int, int] | None:
        """The (time_fired in microseconds, seq) after which the page begins."""
        return None if self.cursor is None else place_of(self.cursor, self.order)

    @property
    def is_filtered(self) -> bool:
        """Whether anything but time decides what passes."""
        return bool(self.q) or any(getattr(self, name) for name in LISTS)

    @property
    def is_rare(self) -> bool:
        """Whether few of all events can pass: those of an entity, a device, a context or a person, or with a text."""
        return any((self.entity_id, self.device_id, self.context_id, self.user_id, self.q))

    def filters(self) -> tuple[list[str], list[Any]]:
        """Return SQL conditions over the event's columns, all to hold, and their values. Without cursor and limit."""
        conditions: list[str] = []
        values: list[Any] = []
        for name in LISTS:
            wanted = values_of(getattr(self, name))
            if len(wanted) == 1:
                conditions.append(f"{name} = ?")
            elif wanted:
                conditions.append(f"{name} IN ({', '.join('?' * len(wanted))})")
            values += wanted
        if self.q:
            conditions.append("(" + " OR ".join(f"contains(lower({name}), lower(?))" for name in _SEARCHED) + ")")
            values += [self.q] * len(_SEARCHED)
        for sign, time_us in ((">=", self.start_us), ("<", self.end_us)):
            if time_us is not None:
                conditions.append(f"time_fired {sign} make_timestamptz(?::BIGINT)")
                values.append(time_us)
        return conditions, values

    def passing(self, rows: Any) -> Any:
        """Return for each of some rows, columns by name, whether it passes ``filters``: the same rules, in memory.

        Null counts as no. Looks only at columns that are asked about.
        """
        tests = [_is_one_of(rows[name], wanted) for name in LISTS if (wanted := values_of(getattr(self, name)))]
        if self.q:
            found = [pc.match_substring(pc.utf8_lower(rows[name]), self.q.lower()) for name in _SEARCHED]
            tests.append(reduce(pc.or_, [pc.fill_null(column, False) for column in found]))
        if self.start_us is not None:
            tests.append(pc.greater_equal(rows["time_fired"].cast(pa.int64()), self.start_us))
        if self.end_us is not None:
            tests.append(pc.less(rows["time_fired"].cast(pa.int64()), self.end_us))
        return reduce(pc.and_, tests) if tests else pa.repeat(pa.scalar(value=True), len(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows of ``ingestor.event.SCHEMA`` in the order asked for; ``next`` continues them, None if these are the last."""

    rows: Any
    next: str | None


def values_of(listed: str | None) -> list[str]:
    """Split a comma list; blanks around and empty parts do not count."""
    return [part.strip() for part in (listed or "").split(",") if part.strip()]


def _is_one_of(column: Any, wanted: list[str]) -> Any:
    if len(wanted) == 1:
        return pc.equal(column, pa.scalar(wanted[0], pa.string()))
    return pc.is_in(column, pa.array(wanted, pa.string()))


def cursor_of(order: str, time_us: int, seq: int) -> str:
    """Return the cursor that continues after the row at this place."""
    place = _PLACE.pack(order[:1].encode(), time_us, seq)
    return base64.urlsafe_b64encode(place + _check(place)).rstrip(b"=").decode()


def place_of(cursor: str, order: str) -> tuple[int, int]:
    """Return a cursor's place. Raises ``QueryError`` for what ``cursor_of`` did not make for this order."""
    try:
        content = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    place, check = content[: _PLACE.size], content[_PLACE.size :]
    if len(place) != _PLACE.size or check != _check(place):
        raise QueryError("cursor", repr(cursor[:80]), "a cursor as `next` gave it")
    letter, time_us, seq = _PLACE.unpack(place)
    if letter != order[:1].encode():
        raise QueryError("cursor", "a cursor of the other order", f"one that was given with order={order}")
    return time_us, seq


def _check(place: bytes) -> bytes:
    return hashlib.blake2b(place, digest_size=_CHECK_BYTES, person=b"cursor").digest()
