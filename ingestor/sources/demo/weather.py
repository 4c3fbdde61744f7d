"""The weather over the demo home: a pure function of seed and time, with seasons, days, clouds and rain."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Final

from astral import Observer
from astral.sun import azimuth, elevation, sun

from ingestor.sources.demo.catalogue import ELEVATION_M, LATITUDE, LONGITUDE
from ingestor.sources.demo.chance import smooth, unit

_HERE: Final = Observer(LATITUDE, LONGITUDE, ELEVATION_M)
_FIRST_DAY: Final = date(2024, 1, 1)
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


def sun_height(at_us: int) -> float:
    """Degrees above the horizon."""
    return float(elevation(_HERE, datetime.fromtimestamp(at_us / 1e6, UTC)))


def sun_direction(at_us: int) -> float:
    """Degrees clockwise from north."""
    return float(azimuth(_HERE, datetime.fromtimestamp(at_us / 1e6, UTC)))


def sun_times(day: date) -> dict[str, datetime]:
    """``dawn``, ``sunrise``, ``noon``, ``sunset`` and ``dusk`` of a day, UTC."""
    found: dict[str, datetime] = sun(_HERE, date=day)
    return found


def season(day: date) -> float:
    """From -1 in deep winter to 1 in high summer."""
    return -math.cos((day.timetuple().tm_yday - 20) / 365.25 * 2 * math.pi)


class Weather:
    """The sky of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def clouds(self, at_us: int) -> float:
        """Cover from 0 to 1."""
        hours = at_us / 3.6e9
        wide = smooth(self.seed, "front", hours / 9)
        near = smooth(self.seed, "cloud", hours * 6)
        return min(1.0, max(0.0, wide * 1.15 - 0.15 + (near - 0.5) * 0.35))

    def temperature(self, at_us: int, hour: float) -> float:
        """Degrees Celsius in the shade. ``hour`` is the home's wall clock."""
        day = _FIRST_DAY + timedelta(days=at_us // 86_400_000_000 - 19_723)
        mean = 10.3 + 7.6 * season(day)
        swing = (2.2 + 1.8 * (1 - self.clouds(at_us))) * math.cos((hour - 15) / 24 * 2 * math.pi)
        front = (smooth(self.seed, "warm", at_us / 1.6e11) - 0.5) * 8
        return mean + swing + front

    def humidity(self, at_us: int, hour: float) -> float:
        """Percent outside."""
        dry = 9 * math.cos((hour - 15) / 24 * 2 * math.pi)
        return min(99.0, max(35.0, 68 + 22 * self.clouds(at_us) - dry))

    def wind_kmh(self, at_us: int) -> float:
        """Wind."""
        return 4 + 26 * smooth(self.seed, "wind", at_us / 1.4e10) ** 2 + 3 * smooth(self.seed, "gust", at_us / 1.8e9)

    def pressure_hpa(self, at_us: int) -> float:
        """Pressure at sea level."""
        return 1000 + 28 * smooth(self.seed, "pressure", at_us / 6.0e10)

    def sunlight(self, at_us: int, height: float) -> float:
        """Lux on the ground."""
        if height < -6:  # noqa: PLR2004 - civil twilight
            return 0.0
        clear = 400 * math.exp(height / 2.2) if height < 0 else 400 + 98_000 * math.sin(math.radians(height)) ** 1.15
        return clear * (1 - 0.82 * self.clouds(at_us))

    def condition(self, at_us: int, height: float) -> str:
        """Home Assistant's word for it."""
        clouds = self.clouds(at_us)
        for least, word in ((0.9, "rainy"), (0.65, "cloudy"), (0.3, "partlycloudy")):
            if clouds > least:
                return word
        return "sunny" if height > 0 else "clear-night"

    def unheated(self, before_us: int) -> float:
        """Degrees inside a house that nobody heats, after the day before that moment."""
        hours = [before_us - n * 3_600_000_000 for n in range(24)]
        outside = sum(self.temperature(at_us, at_us / 3.6e9 % 24 + 1) for at_us in hours) / 24
        light = sum(self.sunlight(at_us, sun_height(at_us)) for at_us in hours) / 24
        return outside + 1.5 + light * 1.9e-4

    def yield_wh(self, day: date) -> float:
        """Return what the roof gives on that day."""
        fair = 0.35 + 0.65 * unit(self.seed, "fair", day.toordinal())
        return (8_500 + 7_000 * season(day)) * fair

    def yielded_wh(self, day: date) -> float:
        """Return what the roof has given before that day."""
        return sum(self.yield_wh(_FIRST_DAY + timedelta(days=n)) for n in range((day - _FIRST_DAY).days))


def need_wh(weather: Weather, day: date) -> float:
    """Return what the house draws from the grid until the next restart. The water heater takes what is left of it."""
    noon_us = (day.toordinal() - _EPOCH_ORDINAL) * 86_400_000_000 + 43_200_000_000
    cold = max(0.0, 14 - weather.temperature(noon_us, 10.5))
    weekend = 900 if day.weekday() >= 5 else 0  # noqa: PLR2004 - Saturday
    return 8_900 + 810 * cold + weekend + 900 * unit(weather.seed, "need", day.toordinal())


def needed_wh(weather: Weather, day: date) -> float:
    """Return the meter's reading at the restart of that day."""
    days = range((day - _FIRST_DAY).days)
    return 4_120_000 + sum(need_wh(weather, _FIRST_DAY + timedelta(days=n)) for n in days)
