"""The home's event bus and state machine. Every state a bus gives out as old was given out as new before.

Events leave as JSON bytes in Home Assistant's shape and order of keys. Each has a time of its own: times rise
strictly, by at least one microsecond, so that no two events can be taken for one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

import msgspec
import orjson

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]


def ulid(at_us: int, chance: Random) -> str:
    """Return an identifier as Home Assistant makes them: the millisecond, then eighty bits of chance."""
    value = (at_us // 1000) << 80 | chance.getrandbits(80)
    pairs = _PAIRS
    return "".join([pairs[(value >> shift) & 1023] for shift in range(120, -1, -10)])


class Stamp:
    """Home time to the time an event carries: ``wall = wall_0 + (home - home_0) / speed``, and always rising.

    At speed 1 with no anchor the two are the same, which makes what is played a function of seed and time alone.
    """

    def __init__(self) -> None:
        self.last_us = 0
        self.home_0_us = 0
        self.wall_0_us = 0
        self.speed = 1.0
        self._second = -1
        self._prefix = ""
        self._day = -1
        self._date = ""

    def anchor(self, *, home_us: int, wall_us: int, speed: float) -> None:
        """From now on the home lives ``speed`` times as fast as the wall clock."""
        self.home_0_us, self.wall_0_us, self.speed = home_us, wall_us, speed

    def home_us(self, wall_us: int) -> int:
        """Return the home's time when the wall clock shows ``wall_us``."""
        gone_us = wall_us - self.wall_0_us
        return self.home_0_us + (gone_us if self.speed == 1.0 else int(gone_us * self.speed))

    def wall_us(self, home_us: int) -> int:
        """Return what the wall clock shows when it is ``home_us`` in the home."""
        gone_us = home_us - self.home_0_us
        return self.wall_0_us + (gone_us if self.speed == 1.0 else int(gone_us / self.speed))

    def next(self, home_us: int, step_us: int) -> int:
        """Return the time of the next event, at least ``step_us`` after its forerunner."""
        if self.speed != 1.0:
            step_us = max(1, int(step_us / self.speed))
        self.last_us = max(self.wall_us(home_us), self.last_us + step_us)
        return self.last_us

    def text(self, at_us: int) -> str:
        """ISO 8601 as Python's ``isoformat`` writes it: no fraction when it is zero."""
        second, fraction = divmod(at_us, 1_000_000)
        if second != self._second:
            self._second = second
            day, rest = divmod(second, 86_400)
            if day != self._day:
                self._day, self._date = day, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT")
            self._prefix = f"{self._date}{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
        return f"{self._prefix}.{fraction:06d}+00:00" if fraction else f"{self._prefix}+00:00"


class Context(msgspec.Struct, frozen=True, gc=False):
    """Who or what began it. ``json`` is its text."""

    id: str
    parent_id: str | None
    user_id: str | None
    json: bytes


class State(msgspec.Struct, frozen=True, gc=False):
    """One state of one entity. ``json`` is its text, the same as new and, later, as old state."""

    entity_id: str
    state: str
    attributes: dict[str, Any]
    attributes_json: bytes
    last_changed_us: int
    last_updated_us: int
    context: Context
    json: bytes


class Change(msgspec.Struct, frozen=True):
    """What a listener of an entity hears."""

    entity_id: str
    old: State | None
    new: State


class Fired(msgspec.Struct, frozen=True):
    """What a listener of an event type hears."""

    event_type: str
    data: dict[str, Any]
    context: Context


class Bus:
    """States, events and those who listen. ``now_us`` is home time and is moved by the day that owns the bus."""

    def __init__(self, *, stamp: Stamp, chance: Random) -> None:
        self.now_us = 0
        self.stamp = stamp
        self.states: dict[str, State] = {}
        self.out: list[tuple[int, bytes]] = []
        self.on_change: dict[str, list[Callable[[Change], None]]] = {}
        self.on_event: dict[str, list[Callable[[Fired], None]]] = {}
        self._chance = chance
        self._pending: deque[Callable[[], None]] = deque()

    def context(self, *, parent: Context | None = None, user_id: str | None = None) -> Context:
        """Return a new context; ``parent`` is the one that caused it."""
        return self._make_context(max(self.stamp.last_us, self.stamp.wall_us(self.now_us)), parent, user_id)

    def _make_context(self, at_us: int, parent: Context | None, user_id: str | None) -> Context:
        own = ulid(at_us, self._chance)
        parent_id = parent.id if parent else None
        text = f'{{"id":"{own}","parent_id":{_quoted(parent_id)},"user_id":{_quoted(user_id)}}}'.encode()
        return Context(own, parent_id, user_id, text)

    def value(self, entity_id: str) -> str:
        """Return the state's text, ``unknown`` for what does not exist."""
        state = self.states.get(entity_id)
        return state.state if state else "unknown"

    def set(
        self,
        entity_id: str,
        value: str,
        attributes: dict[str, Any] | None = None,
        *,
        context: Context | None = None,
    ) -> bool:
        """Write a state; no attributes means the former ones. Nothing happens when nothing changes: returns False."""
        old = self.states.get(entity_id)
        if old is not None and (attributes is None or attributes == old.attributes):
            if old.state == value:
                return False
            attributes, attributes_json = old.attributes, old.attributes_json
        else:
            attributes = attributes or {}
            attributes_json = orjson.dumps(attributes)
        at_us = self.stamp.next(self.now_us, 80 + self._chance.getrandbits(9))
        context = context or self._make_context(at_us, None, None)
        same = old is not None and old.state == value
        changed_us = old.last_changed_us if old is not None and same else at_us
        time = self.stamp.text(at_us)
        changed = time if changed_us == at_us else self.stamp.text(changed_us)
        json = b"".join(
            (
                b'{"entity_id":"',
                entity_id.encode(),
                b'","state":',
                orjson.dumps(value),
                b',"attributes":',
                attributes_json,
                f',"last_changed":"{changed}","last_reported":"{time}","last_updated":"{time}","context":'.encode(),
                context.json,
                b"}",
            ),
        )
        new = State(entity_id, value, attributes, attributes_json, changed_us, at_us, context, json)
        self.states[entity_id] = new
        self.out.append((at_us, state_changed(new, old, time)))
        listeners = self.on_change.get(entity_id)
        if listeners:
            change = Change(entity_id, old, new)
            self._pending.extend(partial(listen, change) for listen in listeners)
        return True

    def fire(self, event_type: str, data: dict[str, Any], context: Context | None = None) -> Context:
        """Put an event on the bus and return its context."""
        at_us = self.stamp.next(self.now_us, 80 + self._chance.getrandbits(9))
        context = context or self._make_context(at_us, None, None)
        head = b'{"event_type":' + orjson.dumps(event_type) + b',"data":' + orjson.dumps(data)
        tail = f',"origin":"LOCAL","time_fired":"{self.stamp.text(at_us)}","context":'.encode()
        self.out.append((at_us, head + tail + context.json + b"}"))
        listeners = self.on_event.get(event_type)
        if listeners:
            fired = Fired(event_type, data, context)
            self._pending.extend(partial(listen, fired) for listen in listeners)
        return context

    def settle(self) -> None:
        """Let every listener act, and those who listen to what they do, until nothing is left to hear."""
        while self._pending:
            self._pending.popleft()()


def state_changed(new: State, old: State | None, time: str) -> bytes:
    """Return the event's text from states whose text is known."""
    return b"".join(
        (
            b'{"event_type":"state_changed","data":{"entity_id":"',
            new.entity_id.encode(),
            b'","old_state":',
            old.json if old else b"null",
            b',"new_state":',
            new.json,
            b'},"origin":"LOCAL","time_fired":"',
            time.encode(),
            b'","context":',
            new.context.json,
            b"}",
        ),
    )


def _quoted(text: str | None) -> str:
    return f'"{text}"' if text else "null"
