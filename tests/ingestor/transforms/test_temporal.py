"""Local time as the clock on the wall shows it, in both hemispheres, through every change of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.graph.snapshot import Place
from ingestor.transforms.temporal import SEASONS, HomeClock, LocalTimes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AMSTERDAM = Place(time_zone="Europe/Amsterdam", latitude=52.1, longitude=4.9)
SYDNEY = Place(time_zone="Australia/Sydney", latitude=-33.9, longitude=151.2)


def read(place: Place, *moments: str) -> LocalTimes:
    us = [(datetime.fromisoformat(moment) - EPOCH) // timedelta(microseconds=1) for moment in moments]
    local = HomeClock(place).read(np.array(us, dtype=np.int64))
    assert local is not None
    return local


@pytest.mark.parametrize(
    ("place", "moments", "hours", "offsets"),
    [
        (AMSTERDAM, ("2026-03-29T00:59:59.999999Z", "2026-03-29T01:00:00Z"), [1, 3], [3600, 7200]),
        (AMSTERDAM, ("2026-10-25T00:59:59.999999Z", "2026-10-25T01:00:00Z"), [2, 2], [7200, 3600]),
        (SYDNEY, ("2026-10-03T15:59:59.999999Z", "2026-10-03T16:00:00Z"), [1, 3], [36000, 39600]),
        (SYDNEY, ("2026-04-04T15:59:59.999999Z", "2026-04-04T16:00:00Z"), [2, 2], [39600, 36000]),
        (
            Place(time_zone="Australia/Lord_Howe"),
            ("2026-10-03T15:29:59.999999Z", "2026-10-03T15:30:00Z"),
            [1, 2],
            [37800, 39600],
        ),
    ],
)
def test_clock_changes(place: Place, moments: tuple[str, ...], hours: list[int], offsets: list[int]) -> None:
    """The microsecond before and the moment of a change of clocks, north and south, forth and back."""
    local = read(place, *moments)
    assert local.hour.tolist() == hours
    assert local.offset_s.tolist() == offsets


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2099, 12, 30)),  # noqa: DTZ001 - zone set below
    st.sampled_from(["Europe/Amsterdam", "Australia/Sydney", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_the_raster_agrees_with_the_zone_data(moment: datetime, zone: str) -> None:
    """Looking up quarters of an hour gives what looking up each moment gives."""
    moment = moment.replace(tzinfo=UTC)
    wall = moment.astimezone(ZoneInfo(zone))
    local = read(Place(time_zone=zone), moment.isoformat())
    assert (local.hour[0], local.weekday[0]) == (wall.hour, wall.weekday())
    assert EPOCH.replace(tzinfo=None) + timedelta(microseconds=int(local.local_us[0])) == wall.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("month", "north"), [(1, "winter"), (3, "spring"), (6, "summer"), (11, "autumn"), (12, "winter")]
)
def test_seasons_are_opposite_in_the_south(month: int, north: str) -> None:
    """December is winter in Amsterdam and summer in Sydney."""
    moment = f"2026-{month:02}-10T12:00:00Z"
    assert SEASONS[read(AMSTERDAM, moment).season[0]] == north
    assert SEASONS[read(SYDNEY, moment).season[0]] == SEASONS[(SEASONS.index(north) + 2) % 4]


def test_daylight_begins_at_sunrise() -> None:
    """On 21 June 2026 the sun rises over Amsterdam at 03:18 UTC and sets at 20:06, give or take two minutes."""
    day = read(
        AMSTERDAM,
        "2026-06-21T03:15:00Z",
        "2026-06-21T03:21:00Z",
        "2026-06-21T20:02:00Z",
        "2026-06-21T20:09:00Z",
    )
    assert day.daylight.tolist() == [0, 1, 1, 0]


def test_polar_night_has_no_daylight() -> None:
    """In Tromsø the sun does not rise in December, and that is an answer, not an error."""
    tromso = Place(time_zone="Europe/Oslo", latitude=69.65, longitude=18.96)
    assert read(tromso, "2026-12-21T11:00:00Z").daylight.tolist() == [0]


def test_what_is_not_known_is_null() -> None:
    """Without a place no season and no daylight; with an unknown zone no local time at all."""
    local = read(Place(time_zone="Europe/Amsterdam"), "2026-06-21T12:00:00Z")
    assert (local.season.tolist(), local.daylight.tolist()) == ([-1], [-1])
    assert HomeClock(Place(time_zone="Mars/Olympus")).read(np.array([0], dtype=np.int64)) is None
