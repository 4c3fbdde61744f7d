"""A result's lines for people: a name, a number, its unit, and what it is a ratio to.

Every benchmark's JSON carries them under ``headline``; the house takes their medians by name and draws tables of them.
"""

from __future__ import annotations

from typing import Any

Line = dict[str, Any]


def line(name: str, value: float | None, unit: str, *, to: float | None = None, of: str = "") -> Line:
    """Make a line. ``to``: the baseline measured in the same run, named by ``of``."""
    ratio = round(value / to, 2) if value is not None and to else None
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "of": of if ratio is not None else ""}


def text(given: Line) -> str:
    """Write a line for a terminal."""
    ratio = f"  ({given['ratio']:g} x {given['of']})" if given.get("ratio") is not None else ""
    return f"  {given['name']:58}{number(given['value']):>12} {given['unit']}{ratio}"


def number(value: float | None) -> str:
    """Write a number with as many digits as mean something."""
    if value is None:
        return "-"
    if abs(value) >= 1000:  # noqa: PLR2004 - from here on, digits after the point are noise
        return f"{value:,.0f}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"
