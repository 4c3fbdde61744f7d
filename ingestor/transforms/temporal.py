"""The home's own time: wall clock, season and daylight of a moment, from the home's place and nothing else.

- ``local_time``, ``utc_offset_s``, ``hour``, ``weekday`` (0 = Monday): the home's time zone, looked up once for each
  quarter of an hour, the raster on which zones change their offset today.
- ``season``: meteorological, by local month. December to February is winter in the north and summer south of the
  equator, and so on in steps of three months. Null without a latitude.
- ``daylight``: the sun's centre stands above -0.833 degrees (its rim touches the horizon of a flat land), reckoned for
  the middle of each minute. Null without latitude and longitude.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
from astral import Observer
from astral.sun import elevation

from ingestor.graph.snapshot import Place

Int64s = npt.NDArray[np.int64]

QUARTER_US: Final = 900_000_000
MINUTE_US: Final = 60_000_000
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 86_400_000_000
RISE_DEGREES: Final = -0.833
SEASONS: Final = ("winter", "spring", "summer", "autumn")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_THURSDAY: Final = 3
_CACHE: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTimes:
    """Local time of a column of moments. ``season`` indexes ``SEASONS``; -1 is null, as in ``daylight``."""

    local_us: Int64s
    offset_s: Int64s
    hour: Int64s
    weekday: Int64s
    season: Int64s
    daylight: Int64s


class HomeClock:
    """Local time at one place. Remembers a few thousand quarters and minutes."""

    def __init__(self, place: Place) -> None:
        self._zone = _zone(place.time_zone)
        self._latitude = place.latitude
        self._observer: Any = None
        if place.latitude is not None and place.longitude is not None:
            self._observer = Observer(place.latitude, place.longitude)
        self._quarters: dict[int, int] = {}
        self._minutes: dict[int, int] = {}

    def read(self, times_us: Int64s) -> LocalTimes | None:
        """Give local times; null when the home's time zone is not known here."""
        if self._zone is None:
            return None
        packed = _by_raster(times_us, QUARTER_US, self._quarters, self._quarter)
        offset_s, season = packed // 8 - DAY_US // 1_000_000, packed % 8 - 1
        daylight = (
            np.full(len(times_us), -1, dtype=np.int64)
            if self._observer is None
            else _by_raster(times_us, MINUTE_US, self._minutes, self._is_day)
        )
        local_us = times_us + offset_s * 1_000_000
        return LocalTimes(
            local_us=local_us,
            offset_s=offset_s,
            hour=local_us // HOUR_US % 24,
            weekday=(local_us // DAY_US + _THURSDAY) % 7,
            season=season,
            daylight=daylight,
        )

    def _quarter(self, quarter: int) -> int:
        local = _moment(quarter * QUARTER_US).astimezone(self._zone)
        offset = local.utcoffset() or timedelta()
        season = -1
        if self._latitude is not None:
            season = (local.month // 3 + (2 if self._latitude < 0 else 0)) % 4
        return (int(offset.total_seconds()) + DAY_US // 1_000_000) * 8 + season + 1

    def _is_day(self, minute: int) -> int:
        middle = _moment(minute * MINUTE_US + MINUTE_US // 2)
        return int(elevation(self._observer, middle, with_refraction=False) > RISE_DEGREES)


def _by_raster(times_us: Int64s, step_us: int, cache: dict[int, int], compute: Callable[[int], int]) -> Int64s:
    steps, places = np.unique(times_us // step_us, return_inverse=True)
    values = []
    for step in steps.tolist():
        value = cache.get(step)
        if value is None:
            if len(cache) >= _CACHE:
                cache.clear()
            value = cache[step] = compute(step)
        values.append(value)
    return np.array(values, dtype=np.int64)[places]


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
