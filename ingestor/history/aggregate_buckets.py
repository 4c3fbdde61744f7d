"""Spans of time as a home's clocks cut them: minutes, hours, days, weeks and months, without hole or overlap.

A day begins at the first moment of its date, so it has 23 or 25 hours where clocks change. Minutes and hours are those
of the wall clock too: an hour that comes twice is two buckets, and one that a change of clocks cuts is a short one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np

Interval = Literal["1m", "5m", "1h", "1d", "1w", "1mo"]
MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
#: Years that are asked about; outside of them zones are no more than a guess.
FIRST_US: Final = -2_208_988_800_000_000
END_US: Final = 7_258_118_400_000_000
_STEP_US: Final = {"1m": MINUTE_US, "5m": 5 * MINUTE_US, "1h": HOUR_US}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_US: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """All buckets of one length in one zone."""

    interval: Interval
    zone: ZoneInfo

    def start_of(self, time_us: int) -> int:
        """Return where the bucket that holds this moment begins."""
        step_us = _STEP_US.get(self.interval)
        if step_us is None:
            first = self._first_date(self._local(time_us).date())
            following = self._begins(self._next_date(first))
            return following if following <= time_us else self._begins(first)
        start_us = time_us - (time_us + self._offset_us(time_us)) % step_us
        return self._change_in(start_us, time_us) or start_us

    def bounds(self, start_us: int, count: int, *, until_us: int) -> Any:
        """Return the starts of up to ``count`` buckets from the bucket start ``start_us`` on, and the end of the last.

        Ends early with the bucket that reaches ``until_us``. At least one bucket.
        """
        step_us = _STEP_US.get(self.interval)
        if step_us is None:
            return self._dates(start_us, count, until_us)
        parts, found = [np.array([start_us])], 0
        while (found < count and (at := int(parts[-1][-1])) < until_us) or not found:
            wanted = min(count - found, max(1, -(-(until_us - at) // step_us)))
            news = self._steps(at, step_us, wanted)
            parts.append(news)
            found += len(news)
        return np.concatenate(parts)

    def _steps(self, start_us: int, step_us: int, count: int) -> Any:
        """Return ends of the buckets from ``start_us`` on, all of one day at most, up to a change of clocks."""
        first_us = start_us - (start_us + self._offset_us(start_us)) % step_us + step_us
        ends = first_us + step_us * np.arange(min(count, max(1, DAY_US // step_us)), dtype=np.int64)
        change_us = self._change_in(start_us, int(ends[-1]))
        return ends if change_us is None else np.append(ends[ends < change_us], change_us)

    def _dates(self, start_us: int, count: int, until_us: int) -> Any:
        starts, first = [start_us], self._first_date(self._local(start_us).date())
        while len(starts) <= count and (len(starts) == 1 or starts[-1] < until_us):
            first = self._next_date(first)
            begins_us = self._begins(first)
            if begins_us > starts[-1]:
                starts.append(begins_us)
        return np.array(starts)

    def _first_date(self, day: date) -> date:
        if self.interval == "1mo":
            return day.replace(day=1)
        return day - timedelta(days=day.weekday()) if self.interval == "1w" else day

    def _next_date(self, first: date) -> date:
        if self.interval == "1mo":
            return (first + timedelta(days=31)).replace(day=1)
        return first + timedelta(days=7 if self.interval == "1w" else 1)

    def _begins(self, day: date) -> int:
        """Return the first moment of a date; where clocks leap over midnight, the moment they do."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        time_us = (midnight.astimezone(UTC) - _EPOCH) // _ONE_US
        if self._local(time_us).replace(tzinfo=None) == midnight.replace(tzinfo=None):
            return time_us
        return self._change_in(time_us - DAY_US, time_us) or time_us

    def _change_in(self, after_us: int, until_us: int) -> int | None:
        """Return the first moment at which clocks say something else than before; None if they agree at both ends."""
        offset_us = self._offset_us(after_us)
        if self._offset_us(until_us) == offset_us:
            return None
        while until_us - after_us > 1:
            middle_us = (after_us + until_us) // 2
            if self._offset_us(middle_us) == offset_us:
                after_us = middle_us
            else:
                until_us = middle_us
        return until_us

    def _local(self, time_us: int) -> datetime:
        return (_EPOCH + timedelta(microseconds=time_us)).astimezone(self.zone)

    def _offset_us(self, time_us: int) -> int:
        return (self._local(time_us).utcoffset() or timedelta()) // _ONE_US
