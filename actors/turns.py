"""Parts of one sender are taken in the order of their numbers, though several are under way at once.

A shard that was restarted does not know what the one before it took. So each part says which of its sender's parts is
the oldest not acknowledged: with that one the new shard begins, and whatever was sent behind it is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ingestor.errors import IngestorError

REMEMBERED_SENDERS: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The place of a part among those of its sender. ``oldest``: the first one not acknowledged when it was sent."""

    sender: str
    number: int
    oldest: int


class OutOfTurn(IngestorError):
    """A part came before the one that must go before it. Nothing of it was taken: send both again, in order."""

    def __init__(self, sender: str, number: int, expected: int) -> None:
        super().__init__(sender, number, expected)
        self.sender, self.number, self.expected = sender, number, expected

    def __str__(self) -> str:
        return f"part {self.number} of {self.sender} came before part {self.expected}"


class Turns:
    """What a shard expects of each sender. A repeat of what was taken already may come at any time."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def check(self, turn: Turn) -> None:
        """Raise ``OutOfTurn`` when an earlier part is missing."""
        expected = self._next.get(turn.sender, turn.oldest)
        if turn.number > expected:
            raise OutOfTurn(turn.sender, turn.number, expected)

    def took(self, turn: Turn) -> None:
        """Expect the next one from now on."""
        expected = max(turn.number + 1, self._next.pop(turn.sender, 0))
        self._next[turn.sender] = expected
        if len(self._next) > REMEMBERED_SENDERS:
            del self._next[next(iter(self._next))]
