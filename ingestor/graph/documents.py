"""Read what a home answers without trusting it: what has the wrong type becomes a counted fault, never an exception."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

#: Faults kept word for word per document; the rest is only counted.
KEPT_FAULTS: Final = 50


class Faults:
    """What was wrong in one document: ``count`` of all, ``kept`` the first ones, each ``{document, where, fault}``."""

    __slots__ = ("count", "document", "kept")

    def __init__(self, document: str) -> None:
        self.document = document
        self.count = 0
        self.kept: list[dict[str, str]] = []

    def add(self, where: str, fault: str) -> None:
        """Count a fault, and keep it while there is room."""
        self.count += 1
        if len(self.kept) < KEPT_FAULTS:
            self.kept.append({"document": self.document, "where": where[:200], "fault": fault})


class Row:
    """One object of a document. Every getter answers a value of its type, or an empty one and a fault."""

    __slots__ = ("_faults", "_where", "values")

    def __init__(self, values: dict[str, Any], where: str, faults: Faults) -> None:
        self.values = values
        self._where = where
        self._faults = faults

    def text(self, key: str) -> str | None:
        """Return text that is not empty, else ``None``."""
        value = self.values.get(key)
        if value is None or value.__class__ is str:
            return value or None
        self._wrong(key, "text", value)
        return None

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of text, in its order. Other members are left out."""
        value = self.values.get(key)
        if not value:
            return ()
        if not isinstance(value, list):
            self._wrong(key, "a list", value)
            return ()
        good = tuple(item for item in value if isinstance(item, str) and item)
        if len(good) != len(value):
            self._faults.add(f"{self._where}.{key}", "expected a list of text, left out what is none")
        return good

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._wrong(key, "true or false", value)
            return default
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """Return a finite number within the bounds."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self._wrong(key, "a number in range", value)
            return None
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self._wrong(key, "a finite number", value)
            return None
        return number

    def pairs(self, key: str) -> tuple[tuple[str, ...], ...]:
        """Return lists of texts, as identifiers and connections are. Numbers in them become text."""
        value = self.values.get(key)
        if not value:
            return ()
        if not isinstance(value, list):
            self._wrong(key, "a list of lists", value)
            return ()
        good = [tuple(str(part) for part in item) for item in value if isinstance(item, list) and _plain(item)]
        if len(good) != len(value):
            self._faults.add(f"{self._where}.{key}", "expected lists of text, left out what is none")
        return tuple(sorted(good))

    def inner(self, key: str) -> Row:
        """Return the object under ``key``; an empty one where there is none."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            self._wrong(key, "an object", value)
        return Row(value if isinstance(value, dict) else {}, f"{self._where}.{key}", self._faults)

    def _wrong(self, key: str, wanted: str, got: object) -> None:
        self._faults.add(f"{self._where}.{key}", f"expected {wanted}, got {type(got).__name__}")


def rows(content: Any, faults: Faults, where: str = "") -> Iterator[Row]:
    """Yield the objects of a list; whatever else is in it is a fault."""
    if content is None:
        return
    if not isinstance(content, list):
        faults.add(where or "document", f"expected a list, got {type(content).__name__}")
        return
    for index, item in enumerate(content):
        if isinstance(item, dict):
            yield Row(item, f"{where}[{index}]", faults)
        else:
            faults.add(f"{where}[{index}]", f"expected an object, got {type(item).__name__}")


def mapping(content: Any, faults: Faults) -> Row:
    """Return the document as one object; an empty one, and a fault, where it is none."""
    if isinstance(content, dict):
        return Row(content, "document", faults)
    if content is not None:
        faults.add("document", f"expected an object, got {type(content).__name__}")
    return Row({}, "document", faults)


def _plain(items: list[Any]) -> bool:
    return all(isinstance(item, str | int | float) for item in items)
