"""A queue bounded by bytes: who puts waits while it is full, and nothing in it is ever dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class ByteQueue(Generic[T]):
    """First in, first out, for one reader and any number of writers of one event loop.

    Holds ``limit_bytes`` and at most one item more for each writer. After ``close`` what is in it can still be
    taken out; after ``lift_limit`` nobody waits to put.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes: int | None = limit_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """Whether the next ``put`` has to wait."""
        return self._limit_bytes is not None and self._bytes >= self._limit_bytes

    async def put(self, item: T, size_bytes: int) -> None:
        """Append, after waiting for room. Cancelled while it waits, it appends at once: nothing read is lost."""
        try:
            while self.full:
                self._room.clear()
                await self._room.wait()
        finally:
            self._items.append((item, size_bytes))
            self._bytes += size_bytes
            self._filled.set()

    async def get(self) -> T | None:
        """Take the oldest item, after waiting for one. ``None``: closed and empty. Safe to cancel."""
        while not self._items:
            if self._closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        return self.take()

    def take(self) -> T:
        """Take the oldest item of a queue that is not empty."""
        item, size_bytes = self._items.popleft()
        self._bytes -= size_bytes
        if not self.full:
            self._room.set()
        return item

    def __len__(self) -> int:
        return len(self._items)

    def close(self) -> None:
        """Let the reader see the end, once it has taken out what is left."""
        self._closed = True
        self._filled.set()

    def lift_limit(self) -> None:
        """Let nobody wait to put from now on: the end is near and everything shall get through."""
        self._limit_bytes = None
        self._room.set()
