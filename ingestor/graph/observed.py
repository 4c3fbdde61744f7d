"""What was seen to lead to what: each run's context names the context that caused it. Memory is bounded.

A chain breaks where a message leaves Home Assistant and comes back, over MQTT for example: contexts do not travel.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

_K = TypeVar("_K")
_STATE_OF = re.compile(r"^(?:numeric )?state of ([a-z][a-z0-9_]*\.[a-z0-9_]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One run that caused another. ``entity``: the change between them, where Home Assistant named it."""

    first: str
    then: str
    entity: str | None
    source: str | None


@dataclass(slots=True)
class Tally:
    """How often, and when last (UTC, microseconds)."""

    count: int = 0
    last_us: int = 0

    def add(self, time_us: int) -> None:
        """Count one more."""
        self.count += 1
        self.last_us = max(self.last_us, time_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Automations in the order they ran, the smallest first, and the entity that led to the next where named."""

    automations: tuple[str, ...]
    entities: tuple[str | None, ...]


@dataclass(slots=True)
class _Run:
    actor: str
    parent: str | None
    entity: str | None
    closed: Loop | None = None


class Observed:
    """Causality from contexts. Cost of one run: a few lookups, at most ``depth`` steps back along its chain."""

    def __init__(self, *, contexts: int = 20_000, hops: int = 5_000, loops: int = 1_000, depth: int = 32) -> None:
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._limits = (contexts, hops, loops)
        self._depth = depth
        self.hops: OrderedDict[Hop, Tally] = OrderedDict()
        self.calls: OrderedDict[tuple[str, str], Tally] = OrderedDict()
        self.loops: OrderedDict[Loop, Tally] = OrderedDict()
        self.runs: OrderedDict[str, Tally] = OrderedDict()

    def see(
        self, *, actor: str, context_id: str | None, parent_id: str | None, time_us: int, source: str | None
    ) -> bool:
        """Take one start of an automation or script; answer whether it showed a relation not seen before."""
        contexts, hops, loops = self._limits
        _count(self.runs, actor, time_us, hops)
        if context_id is None:
            return False
        running = self._runs.get(context_id)
        if running is not None:
            return running.actor != actor and _count(self.calls, (running.actor, actor), time_us, hops)
        match = _STATE_OF.match(source or "")
        run = _Run(actor, parent_id, match.group(1) if match else None)
        self._runs[context_id] = run
        if len(self._runs) > contexts:
            self._runs.popitem(last=False)
        before = self._runs.get(parent_id) if parent_id else None
        if before is None or parent_id == context_id:
            return False
        # Only the kind of a trigger without an entity is kept, so that texts that vary do not multiply hops.
        kind = None if run.entity else (source or "")[:80] or None
        new = _count(self.hops, Hop(first=before.actor, then=actor, entity=run.entity, source=kind), time_us, hops)
        loop = self._loop(run)
        return (loop is not None and _count(self.loops, loop, time_us, loops)) or new

    def _loop(self, run: _Run) -> Loop | None:
        """Return the loop whose round this run completes: back to the nearest earlier run of the same automation."""
        chain = [run]
        for _ in range(self._depth):
            parent = self._runs.get(chain[-1].parent or "")
            if parent is None:
                return None
            if parent.actor == run.actor:
                loop = _canonical(chain)
                if any(earlier.closed == loop for earlier in chain[1:]):
                    return None  # on its way round; the round before was counted
                run.closed = loop
                return loop
            repeat = next((at for at, seen in enumerate(chain) if seen.actor == parent.actor), None)
            chain = [*chain[:repeat], parent]  # an inner loop was counted when it closed
        return None


def _canonical(chain: list[_Run]) -> Loop:
    """Turn a chain, newest first, into the loop in the order of running; each entity leads to the next automation."""
    order = chain[::-1]
    names = [run.actor for run in order]
    start = names.index(min(names))
    turned = order[start:] + order[:start]
    return Loop(
        automations=tuple(run.actor for run in turned),
        entities=tuple(turned[(at + 1) % len(turned)].entity for at in range(len(turned))),
    )


def _count(tallies: OrderedDict[_K, Tally], key: _K, time_us: int, limit: int) -> bool:
    known = key in tallies
    if not known:
        tallies[key] = Tally()
        if len(tallies) > limit:
            tallies.popitem(last=False)
    tallies.move_to_end(key)
    tallies[key].add(time_us)
    return not known
