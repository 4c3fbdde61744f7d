"""A Home Assistant that is watched while the watcher is attacked. It acknowledges nothing and repeats nothing.

So the account is another one: each event it fired is in the history once, or was fired while the product itself says,
by a gap record, that it may have missed something. Its list of states is true at every moment, as a real one's is.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from tests.chaos.oracle import Verdict
from tests.support.fake_home import FakeHome, recorded_answers

PREFIX: Final = "sensor.watched_"
ENTITIES: Final = 10
TICK_S: Final = 0.05
SLACK_US: Final = 50_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Result = TypeVar("Result")


class WatchedHome:
    """The home in a thread of its own, firing ``rate`` numbered events a second, from ``begin`` to ``end``."""

    def __init__(self, *, rate: float = 100.0, pending_limit: int = 4096) -> None:
        self.rate = rate
        self.fired_us: list[int] = []
        self._answers = {**recorded_answers("2025.4.4"), "get_states": lambda _: [*self._states.values()]}
        self.fake = FakeHome(answers=self._answers, pending_limit=pending_limit)
        self._states: dict[str, dict[str, Any]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._firing: asyncio.Task[None] | None = None
        self.run(self.fake.come_up())

    @property
    def environment(self) -> dict[str, str]:
        """What the product has to be told to watch it."""
        return {"HA_URL": self.fake.url, "HA_TOKEN": self.fake.token}

    def run(self, coroutine: Coroutine[Any, Any, Result], *, within_s: float = 60.0) -> Result:
        """Run something in the home's own thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=within_s)

    def begin(self) -> None:
        """Fire from now on, whoever listens."""

        async def begin() -> None:
            self._firing = self._loop.create_task(self._fire())

        self.run(begin())

    def burst(self, count: int) -> None:
        """Fire so many in one tick."""

        async def burst() -> None:
            self.fake.emit([self._event() for _ in range(count)])

        self.run(burst())

    def end(self) -> None:
        """Fire no more."""

        async def end() -> None:
            if self._firing is not None:
                self._firing.cancel()

        self.run(end())

    def close(self) -> None:
        """End the home."""
        self.end()
        self.run(self.fake.go_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _fire(self) -> None:
        due = time.monotonic()
        owed = 0.0
        while True:
            owed += self.rate * TICK_S
            self.fake.emit([self._event() for _ in range(int(owed))])
            owed -= int(owed)
            due += TICK_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _event(self) -> bytes:
        number = len(self.fired_us)
        now_us = max(time.time_ns() // 1000, self.fired_us[-1] + 1 if self.fired_us else 0)
        self.fired_us.append(now_us)
        at, entity_id = _text(now_us), f"{PREFIX}{number % ENTITIES}"
        context = {"id": f"{number:026d}", "parent_id": None, "user_id": None}
        state = {
            "entity_id": entity_id,
            "state": str(number),
            "attributes": {"unit_of_measurement": "W", "device_class": "power"},
            "last_changed": at,
            "last_reported": at,
            "last_updated": at,
            "context": context,
        }
        data = {"entity_id": entity_id, "old_state": self._states.get(entity_id), "new_state": state}
        self._states[entity_id] = state
        return json.dumps(
            {
                "event_type": "state_changed",
                "data": data,
                "origin": "LOCAL",
                "time_fired": at,
                "context": context,
            }
        ).encode()


def judge_home(
    fired_us: list[int], events: Iterable[Mapping[str, Any]], gaps: Iterable[tuple[int, int | None]]
) -> Verdict:
    """Compare what was fired (number -> time) with the events that are shown and the gaps that are told.

    ``missing`` is only what lies in no gap. Events come in the order of their seq; one that was overtaken, as by the
    list of states after a reconnect, has to be marked late.
    """
    spans = [(begin - SLACK_US, end + SLACK_US if end is not None else None) for begin, end in gaps]
    verdict = Verdict(surface="home", acknowledged=len(fired_us))
    seen: set[int] = set()
    last: dict[str, int] = {}
    for event in events:
        if not str(event["entity_id"]).startswith(PREFIX):
            continue
        number = int(event["state"])
        if number >= len(fired_us):
            verdict.note("spurious", example=f"state {number}")
            continue
        if number in seen:
            verdict.note("duplicated", example=f"state {number}, seq {event['seq']}")
            continue
        seen.add(number)
        verdict.delivered += 1
        if _us(event["time_fired"]) != fired_us[number] or event["entity_id"] != f"{PREFIX}{number % ENTITIES}":
            verdict.note("corrupted", example=f"state {number}, seq {event['seq']}")
        before = last.get(event["entity_id"], -1)
        if number < before and not event["late"]:
            verdict.note("out_of_order", example=f"state {number} after {before}, and not marked late")
        last[event["entity_id"]] = max(number, before)
    for number, at_us in enumerate(fired_us):
        told = any(begin <= at_us and (end is None or at_us <= end) for begin, end in spans)
        if number not in seen and not told:
            near = min(spans, key=lambda span: min(abs(span[0] - at_us), abs((span[1] or at_us) - at_us)), default=None)
            told_near = f"the nearest gap is {_text(near[0])} to {_text(near[1] or 0)}" if near else "there is no gap"
            verdict.note("missing", example=f"state {number}, fired {_text(at_us)}; {told_near}")
    return verdict


def gaps_of(items: Iterable[Mapping[str, Any]]) -> list[tuple[int, int | None]]:
    """Read the items of ``GET gaps``."""
    return [(_us(item["from"]), _us(item["to"]) if item["to"] else None) for item in items]


def _us(text: str) -> int:
    since: timedelta = datetime.fromisoformat(text) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _text(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")
