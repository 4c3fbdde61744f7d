"""Who knows what must be there: claims events, notes which were acknowledged, compares whatever is shown with that.

Stands outside the system and is never faulted. An event is a number: everything in it follows from the number, so that
a surface can be judged without remembering what was sent. Numbers belong to lanes; each lane sends its own, in order,
one batch at a time, so what a lane has acknowledged is one number. A batch that was refused, or whose answer was lost,
is sent again as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

LANES: Final = 4
ENTITIES: Final = 40
PREFIX: Final = "sensor.oracle_"
START: Final = datetime(2026, 11, 1, tzinfo=UTC)
START_US: Final = int(START.timestamp()) * 1_000_000
STEP_US: Final = 1_000
EXAMPLES: Final = 5
_MIXER: Final = 2_654_435_761


class Sight(NamedTuple):
    """One event as a surface shows it. ``number`` -1: it cannot be one of ours; ``intact``: nothing in it differs."""

    number: int
    seq: int
    intact: bool


def entity_of(number: int) -> str:
    """Give the entity whose state the event is. All of an entity's events belong to one lane."""
    return f"{PREFIX}{number % ENTITIES}"


def check_of(number: int) -> int:
    """Give the attribute that no other event of this number may show."""
    return number * _MIXER & 0xFFFF_FFFF


def fired_us(number: int) -> int:
    """Give the time at which the event was fired, in microseconds."""
    return START_US + number * STEP_US


def body_of(numbers: Iterable[int]) -> bytes:
    """Write events as NDJSON, each as Home Assistant would."""
    return b"\n".join(_written(number) for number in numbers)


def _written(number: int) -> bytes:
    at = (START + timedelta(microseconds=number * STEP_US)).isoformat()
    context = f'{{"id":"{number:026d}","parent_id":null,"user_id":null}}'
    return (
        f'{{"event_type":"state_changed","data":{{"entity_id":"{entity_of(number)}","old_state":null,"new_state":'
        f'{{"entity_id":"{entity_of(number)}","state":"{number}","attributes":{{"unit_of_measurement":"W",'
        f'"device_class":"power","check":{check_of(number)}}},"last_changed":"{at}","last_reported":"{at}",'
        f'"last_updated":"{at}","context":{context}}}}},"origin":"LOCAL","time_fired":"{at}","context":{context}}}'
    ).encode()


def sight_of(event: Mapping[str, Any]) -> Sight | None:
    """Look at one event of the API or of a file. None: it is not the oracle's."""
    if not str(event.get("entity_id")).startswith(PREFIX):
        return None
    try:
        number = int(event["context_id"])
    except (KeyError, TypeError, ValueError):
        return Sight(-1, int(event["seq"]), intact=False)
    return Sight(number, int(event["seq"]), _intact(number, event))


def _intact(number: int, event: Mapping[str, Any]) -> bool:
    attributes = event["attributes"]
    if isinstance(attributes, str):
        attributes = json.loads(attributes)
    return (
        event["entity_id"] == entity_of(number)
        and event["state"] == str(number)
        and event["state_numeric"] == float(number)
        and attributes == {"unit_of_measurement": "W", "device_class": "power", "check": check_of(number)}
        and _microseconds(event["time_fired"]) == fired_us(number)
    )


def _microseconds(moment: Any) -> int:
    if isinstance(moment, int):
        return moment
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    since: timedelta = found - START
    return START_US + (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What one surface showed, against what was acknowledged. Counts; ``examples`` tells the first of each fault."""

    surface: str
    acknowledged: int = 0
    delivered: int = 0
    missing: int = 0
    spurious: int = 0
    corrupted: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether every acknowledged event is there once, whole and in order, and nothing else."""
        return not (self.missing or self.spurious or self.corrupted or self.duplicated or self.out_of_order)

    def note(self, fault: str, count: int = 1, example: str = "") -> None:
        """Count a fault."""
        setattr(self, fault, getattr(self, fault) + count)
        if example and sum(text.startswith(fault) for text in self.examples) < EXAMPLES:
            self.examples.append(f"{fault}: {example}")

    def __str__(self) -> str:
        names = ("delivered", "missing", "spurious", "corrupted", "duplicated", "out_of_order")
        counts = ", ".join(f"{getattr(self, name):,} {name.replace('_', ' ')}" for name in names)
        return f"{self.surface}: {self.acknowledged:,} acknowledged, {counts}" + "".join(
            f"\n  {text}" for text in self.examples
        )


class Ledger:
    """What was claimed and what was acknowledged. Lane ``l`` owns the numbers whose remainder by ``LANES`` is ``l``."""

    def __init__(self) -> None:
        self._claimed = [0] * LANES
        self._acknowledged = [0] * LANES

    def claim(self, lane: int, count: int) -> range:
        """Take the lane's next numbers. They are owed once ``acknowledge`` was called, possible until then."""
        first = self._claimed[lane]
        self._claimed[lane] = first + count
        return range(first * LANES + lane, (first + count) * LANES + lane, LANES)

    def acknowledge(self, lane: int) -> None:
        """Note that all that the lane claimed was acknowledged."""
        self._acknowledged[lane] = self._claimed[lane]

    @property
    def acknowledged(self) -> int:
        """How many events were acknowledged."""
        return sum(self._acknowledged)

    @property
    def settled(self) -> bool:
        """Whether nothing is claimed that is not acknowledged."""
        return self._claimed == self._acknowledged

    @property
    def end(self) -> int:
        """A number above all that were claimed."""
        return max(self._claimed) * LANES

    def owed(self, number: int) -> bool:
        """Tell whether the event was acknowledged."""
        return number >= 0 and number // LANES < self._acknowledged[number % LANES]

    def possible(self, number: int) -> bool:
        """Tell whether the event was ever sent."""
        return number >= 0 and number // LANES < self._claimed[number % LANES]

    def newest(self) -> dict[str, int]:
        """Give the last acknowledged number of each entity."""
        newest: dict[str, int] = {}
        for lane, count in enumerate(self._acknowledged):
            for index in range(max(0, count - ENTITIES), count):
                number = index * LANES + lane
                newest[entity_of(number)] = max(number, newest.get(entity_of(number), -1))
        return newest

    def judge(self, surface: str, sights: Iterable[Sight], *, since: int = 0, whole: bool = True) -> Verdict:
        """Compare a surface that shows, in its own order, the events whose number is at least ``since``.

        ``whole``: all that is owed has to be there; else only what is there is judged. Of what the ledger was told
        while the surface was read nothing is demanded that was acknowledged later.
        """
        owed = [number for number in range(since, self.end) if self.owed(number)] if whole else []
        verdict = Verdict(surface=surface, acknowledged=len(owed) if whole else self.acknowledged)
        seen = bytearray(max(0, self.end - since))
        last: dict[int, tuple[int, int]] = {}
        for number, seq, intact in sights:
            if 0 <= number < since:
                continue
            if not self.possible(number):
                verdict.note("spurious", example=f"number {number}, seq {seq}")
                continue
            if number - since >= len(seen):
                seen.extend(bytes(self.end - since - len(seen)))
            if seen[number - since]:
                verdict.note("duplicated", example=f"number {number}, seq {seq}")
                continue
            seen[number - since] = 1
            verdict.delivered += 1
            if not intact:
                verdict.note("corrupted", example=f"number {number}, seq {seq}")
            before = last.get(number % ENTITIES, (-1, -1))
            if number < before[0] or seq <= before[1]:
                verdict.note("out_of_order", example=f"number {number} (seq {seq}) after {before[0]} (seq {before[1]})")
            last[number % ENTITIES] = (number, seq)
        for number in owed:
            if not seen[number - since]:
                verdict.note("missing", example=f"number {number} of {entity_of(number)}")
        return verdict

    def judge_states(self, states: Iterable[Mapping[str, Any]]) -> Verdict:
        """Compare the last states of the entities. For a settled ledger."""
        newest = self.newest()
        verdict = Verdict(surface="states", acknowledged=len(newest))
        for state in states:
            entity_id = state["entity_id"]
            if not entity_id.startswith(PREFIX):
                continue
            if entity_id not in newest:
                verdict.note("duplicated", example=f"{entity_id} a second time, or never sent")
                continue
            verdict.delivered += 1
            number = newest.pop(entity_id)
            if state["state"] != str(number):
                verdict.note("corrupted", example=f"{entity_id} is {state['state']} and not {number}")
        for entity_id, number in newest.items():
            verdict.note("missing", example=f"{entity_id}, last {number}")
        return verdict

    def judge_sums(self, surface: str, *, count: int, distinct: int, total: int) -> Verdict:
        """Compare how many events there are, how many of them differ, and the sum of their numbers. Settled only."""
        owed = self.acknowledged
        verdict = Verdict(surface=surface, acknowledged=owed, delivered=distinct)
        if distinct < owed:
            verdict.note("missing", owed - distinct, "by count")
        if distinct > owed:
            verdict.note("spurious", distinct - owed, "by count")
        if count > distinct:
            verdict.note("duplicated", count - distinct, "by count")
        expected = sum(LANES * n * (n - 1) // 2 + lane * n for lane, n in enumerate(self._acknowledged))
        if verdict.sound and total != expected:
            verdict.note("corrupted", example=f"the numbers add up to {total} and not {expected}")
        return verdict


def sights(events: Iterable[Mapping[str, Any]]) -> Iterator[Sight]:
    """Look at many events; those that are not the oracle's are left out."""
    return (sight for sight in map(sight_of, events) if sight is not None)
