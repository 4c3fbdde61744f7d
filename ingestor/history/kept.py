"""What was decoded is kept, up to so many bytes in all; what was used longest ago goes first.

Frames of the journal and row groups of files are decoded by the first question that needs them and then serve all
others, so memory stays flat whatever is asked and however long the tail is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Kept:
    """Values by key, for any thread. A value that two threads make at once is made twice and kept once."""

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """How much is kept."""
        return self._bytes

    def has(self, key: Hashable) -> bool:
        """Tell whether this is kept now."""
        return key in self._values

    def get(self, key: Hashable, make: Callable[[], Any], *, size_of: Callable[[Any], int]) -> Any:
        """Return the value; make it if it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value = make()
        self._put(key, value, size_of(value))
        return value

    def _put(self, key: Hashable, value: Any, size: int) -> None:
        with self._lock:
            if key in self._values:
                return
            self._values[key] = (value, size)
            self._bytes += size
            while self._bytes > self._most_bytes and len(self._values) > 1:
                _, (_, gone) = self._values.popitem(last=False)
                self._bytes -= gone
