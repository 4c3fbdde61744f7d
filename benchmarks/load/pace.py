"""What a load is told to do, and what it says it did."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Way = Literal["websocket", "http"]

#: How long a paced block takes to come together, by way. A body of HTTP is what bridges gather in that time.
TICK_S: Final[dict[Way, float]] = {"websocket": 0.01, "http": 0.02}
#: Events of a block when nothing but the reader sets the pace.
FULL_BLOCK: Final = 500
#: Each so manieth paced block begins with the probe.
PROBED: Final[dict[Way, int]] = {"websocket": 2, "http": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One stretch of load. ``rate``: events a second in all, ``None`` for as fast as it is taken.

    ``body``: events in a body of HTTP when the rate is open. ``connections``: of HTTP; each has its own entities.
    """

    way: Way = "websocket"
    rate: float | None = None
    seconds: float = 10.0
    port: int = 0
    connections: int = 4
    body: int = 1_000

    @property
    def block(self) -> int:
        """How many events a block shall have."""
        return FULL_BLOCK if self.rate is None else max(1, round(self.rate * TICK_S[self.way]))


@dataclass(slots=True, kw_only=True)
class Sent:
    """What one bringer sent. ``first_us`` and ``last_us`` are the moments of its first and last event."""

    sent: int = 0
    bytes: int = 0
    refused: int = 0
    late_s: float = 0.0
    first_us: int = 0
    last_us: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    answers_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def note(self, count: int, size: int, first_us: int, last_us: int) -> None:
        """Count what was sent."""
        self.sent += count
        self.bytes += size
        self.first_us = self.first_us or first_us
        self.last_us = max(self.last_us, last_us)
        self.ended_s = time.monotonic()


def together(parts: list[Sent], *, cpu_s: float) -> dict[str, Any]:
    """Add up what bringers sent."""
    seconds = max(part.ended_s for part in parts) - min(part.began_s for part in parts)
    whole = Sent(
        sent=sum(part.sent for part in parts),
        bytes=sum(part.bytes for part in parts),
        refused=sum(part.refused for part in parts),
        late_s=max(part.late_s for part in parts),
        first_us=min(part.first_us for part in parts),
        last_us=max(part.last_us for part in parts),
        answers_ms=[each for part in parts for each in part.answers_ms],
        faults=[each for part in parts for each in part.faults][:5],
    )
    said = asdict(whole)
    said["late_ms"] = round(1000 * said.pop("late_s"), 1)
    del said["began_s"], said["ended_s"]
    return said | {"seconds": round(seconds, 3), "cpu_s": round(cpu_s, 3)}


class Stop:
    """Tells bringers when to end: after so long, or when told."""

    def __init__(self, seconds: float) -> None:
        self._event = threading.Event()
        self.until_s = time.monotonic() + seconds

    def now(self) -> None:
        """End it."""
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set() or time.monotonic() >= self.until_s

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the end."""
        if seconds > 0:
            self._event.wait(min(seconds, max(0.0, self.until_s - time.monotonic())))
