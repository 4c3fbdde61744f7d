"""Times as a user gives them, to UTC microseconds. A time without a zone is refused: it would be a guess."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ingestor.errors import QueryError

EXPECTED = "RFC 3339 with a zone (2026-11-24T06:00:00Z), a date (2026-11-24, UTC), now, or back from now (-24h, -7d)"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BACK = re.compile(r"-(\d{1,6})([smhdw])", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?:([Zz])|([+ -])(\d\d):?(\d\d))", re.ASCII
)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = (datetime(1, 1, 2, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def parse_time(field: str, text: str, now_us: int) -> int:
    """Read a time. A space before the offset is a ``+`` that the query string ate. Raises ``QueryError``."""
    if text == "now":
        return now_us
    back = _BACK.fullmatch(text)
    if back:
        return max(now_us - int(back[1]) * _UNIT_S[back[2]] * 1_000_000, _FIRST_US)
    moment = _MOMENT.fullmatch(text)
    try:
        if moment:
            date, clock, zulu, sign, hours, minutes = moment.groups()
            clock, _, fraction = clock.partition(".")
            zone = "+00:00" if zulu else f"{'-' if sign == '-' else '+'}{hours}:{minutes}"
            return _since_epoch_us(f"{date}T{clock}{zone}") + int(fraction[:6].ljust(6, "0"))
        if _DATE.fullmatch(text):
            return _since_epoch_us(f"{text}T00:00:00+00:00")
    except (ValueError, OverflowError):
        pass
    raise QueryError(field, text, EXPECTED)


def _since_epoch_us(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
