"""The number in a state's text, or null: only what surely is one number, and every guess is named.

A plain decimal number is read as it is. Two spellings are mended, each with its rule:

- ``comma_decimal``: ``21,5``. Not ``1,234``: that may be a thousand.
- ``unit_in_state``: ``21.5 °C``, with a unit of ``UNITS``.

Infinite numbers, NaN, digits outside ASCII and Python's own spellings (``1_000``) are text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_STARTS: Final = frozenset("+-.0123456789")
_UNITS: Final = """
% °C °F K V mV kV A mA W kW MW VA kVA var Wh kWh MWh J kJ MJ Hz kHz MHz GHz Pa hPa kPa bar mbar psi inHg
lx lm ppm ppb µg/m³ mg/m³ g/m³ m/s km/h mph kn mm cm m km in ft mi mm/h in/h L mL m³ ft³ gal L/min m³/h g kg lb oz
dB dBm dBA s ms min h d B kB MB GB TB bit/s kbit/s Mbit/s Gbit/s B/s kB/s MB/s GB/s rpm W/m² µS/cm ° pH EUR USD
€ $ £ EUR/kWh €/kWh
"""
UNITS: Final = frozenset(_UNITS.split())

#: Of these characters alone ``float`` reads plain decimal numbers and nothing else.
_PLAIN: Final = "0123456789.+-eE"
_LOOSE: Final = re.compile(r"([+-]?[0-9]+)(?:([.,])([0-9]+))?(?:[ \u00a0]?([^0-9.,\s+-]\S*))?")
_THOUSANDS: Final = 3
_REMEMBERED_CHARACTERS: Final = 255


class Number(NamedTuple):
    """A number read from a state; ``rule`` is null where nothing had to be mended."""

    value: float | None
    rule: str | None = None
    unit: str | None = None


NOT_A_NUMBER: Final = Number(None)


def number_in(state: str) -> Number:
    """Read the number in a state."""
    if state[:1] not in _STARTS:
        return NOT_A_NUMBER
    return _loose(state) if state.strip(_PLAIN) else _plain(state)


def _plain(state: str) -> Number:
    try:
        value = float(state)
    except ValueError:
        return NOT_A_NUMBER
    return Number(value) if math.isfinite(value) else NOT_A_NUMBER


def _loose(state: str) -> Number:
    found = _LOOSE.fullmatch(state)
    if not found:
        return NOT_A_NUMBER
    whole, point, fraction, unit = found.groups()
    if unit is not None and unit not in UNITS:
        return NOT_A_NUMBER
    if point == "," and len(fraction) == _THOUSANDS and whole.lstrip("+-") != "0":
        return NOT_A_NUMBER
    value = float(f"{whole}.{fraction}") if fraction else float(whole)
    if not math.isfinite(value):
        return NOT_A_NUMBER
    return Number(value, "unit_in_state" if unit else "comma_decimal", unit)


class Numbers:
    """The numbers in columns of states. Remembers up to ``size`` states, since most come again."""

    def __init__(self, size: int = 16_384) -> None:
        self._size = size
        self._known: dict[str | None, Number] = {None: NOT_A_NUMBER}

    def of(self, states: Iterable[str | None]) -> list[Number]:
        """Give the number of each state."""
        look = self._known.get
        return [look(state) or self._read(state) for state in states]

    def _read(self, state: str | None) -> Number:
        number = NOT_A_NUMBER if state is None else number_in(state)
        if len(self._known) >= self._size:
            self._known = {None: NOT_A_NUMBER}
        if state is None or len(state) <= _REMEMBERED_CHARACTERS:
            self._known[state] = number
        return number
