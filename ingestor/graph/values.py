"""Small readings of hand-written configuration values, where one thing may also be a list of things."""

from __future__ import annotations

from typing import Any

from ingestor.graph.templates import is_template


def listed(node: Any) -> list[Any]:
    """Return a list as it is, nothing as an empty one, anything else as a list of one."""
    if node is None:
        return []
    return node if isinstance(node, list) else [node]


def text_of(value: Any) -> str | None:
    """Return text that is not empty; a number as text; else ``None``."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def entity_names(node: Any) -> tuple[str, ...]:
    """Return names from text, comma-separated text or a list of either. Templates are left out."""
    names = (part.strip() for item in listed(node) if isinstance(item, str) for part in _parts(item))
    return tuple(dict.fromkeys(name for name in names if name and name != "none"))


def states_of(node: Any) -> frozenset[str] | None:
    """Return the states that ``to`` or ``from`` lists, ``None`` where it allows any."""
    states = frozenset(str(item) for item in listed(node) if isinstance(item, str | int | float))
    return states or None


def number_of(node: Any) -> float | None:
    """Return a plain number, also from text; ``None`` for anything that is looked up at run time."""
    if isinstance(node, bool) or not isinstance(node, int | float | str):
        return None
    try:
        return float(node)
    except (ValueError, OverflowError):
        return None


def duration_text(node: Any) -> str:
    """Word a duration as people write it: ``00:01:00`` stays, ``{"seconds": 1}`` becomes ``1 seconds``."""
    if isinstance(node, dict):
        return " ".join(f"{value} {unit}" for unit, value in node.items())[:60]
    return str(node)[:60]


def _parts(text: str) -> list[str]:
    return [] if is_template(text) else text.split(",")
