"""Blocks of events whose holes are filled in place, all at once. Filling costs well under a microsecond an event.

A block's texts never move; only times, context ids, numbers and moments seen are written anew, each time it is sent.
No entity comes twice in a block, so that its old state is what the block before left in ``Memory``. Blocks of a pool
are sent in turn, for ever: each text repeats, no event does.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.load.clockwork import SALT_BYTES, Wide, contexts, digits, room, stamps
from benchmarks.load.home import Home, Memory
from benchmarks.load.texts import NARROW, WIDE, Hole, Text, state_changed

#: Of a hundred events, changes of state; of a hundred changes, those with attributes never seen before.
STATES: Final = 95
RENEWED: Final = 9
_STEPS: Final = np.array([-7, -3, -2, -1, 1, 2, 3, 7])
_SALTS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """What stands before the first event of a block, between two, and after the last."""

    first: bytes = b""
    between: bytes = b"\n"
    last: bytes = b"\n"


def coalesced(subscription: int) -> Wrapping:
    """Wrap as Home Assistant coalesces messages of a subscription."""
    head, tail = b'{"type":"event","event":', b',"id":%d}' % subscription
    return Wrapping(first=b"[" + head, between=tail + b"," + head, last=tail + b"]")


class Block:
    """Some events, one after another in one buffer. ``text`` is what to send, after ``fill``."""

    def __init__(self, texts: list[Text], slots: _Slots, wrapping: Wrapping) -> None:
        self.count, self._slots = len(texts), slots
        starts, parts, at = [], [], 0
        for number, text in enumerate(texts):
            before = wrapping.between if number else wrapping.first
            parts += [before, text.text]
            starts.append(at + len(before))
            at += len(before) + len(text.text)
        self.text = bytearray(b"".join([*parts, wrapping.last]))
        wide = [(starts[n] + at, hole, n) for n, text in enumerate(texts) for at, hole in text.wide]
        numbers = [(starts[n] + at, was, n) for n, text in enumerate(texts) for at, was in text.numbers]
        self._wide = np.ndarray((len(self.text) - WIDE + 1,), f"V{WIDE}", self.text, strides=(1,))
        self._narrow = np.ndarray((len(self.text) - NARROW + 1,), f"V{NARROW}", self.text, strides=(1,))
        self._wide_at = np.array([at for at, _, _ in wide], np.int64)
        self._wide_from = np.array([self._row(hole, n) for _, hole, n in wide], np.int64)
        self._narrow_at = np.array([at for at, _, _ in numbers], np.int64)
        self._narrow_from = np.array([n + self.count * was for _, was, n in numbers], np.int64)
        self._table = np.empty(6 * self.count, f"V{WIDE}")

    def fill(self, memory: Memory, first_us: int, own: Wide, chance: np.random.Generator) -> None:
        """Write moments from ``first_us`` on, these context ids, and what follows from what each entity was."""
        slots, count, table = self._slots, self.count, self._table
        entities, now = slots.entities, stamps(first_us, count)
        was_seen, was_number = memory.seen[entities], memory.numbers[entities]
        renewed = chance.random(count) < slots.renews
        seen = np.where(renewed, now, was_seen)
        number = slots.low + (was_number - slots.low + _STEPS[chance.integers(len(_STEPS), size=count)]) % slots.span
        table[:count] = now
        table[count : 2 * count] = own
        table[2 * count : 3 * count] = memory.moments[entities]
        table[3 * count : 4 * count] = memory.contexts[entities]
        table[4 * count : 5 * count] = was_seen
        table[5 * count :] = seen
        self._wide[self._wide_at] = table[self._wide_from]
        self._narrow[self._narrow_at] = digits(np.concatenate((number, was_number)))[self._narrow_from]
        memory.moments[entities], memory.contexts[entities], memory.seen[entities] = now, own, seen
        memory.numbers[entities], memory.pairs[entities] = number, slots.pairs

    def _row(self, hole: Hole, place: int) -> int:
        if hole is Hole.PARENT:
            return int(Hole.CONTEXT) * self.count + max(place - 1, 0)
        return int(hole) * self.count + place


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slots:
    """Of each event of a block: its entity (the last place of memory for none), its pair, its numbers."""

    entities: Ints
    pairs: Ints
    renews: npt.NDArray[np.float64]
    low: Ints
    span: Ints


class Pool:
    """Blocks in turn. One bringer's own: no other may send events of its entities meanwhile.

    ``probed``: each so manieth block begins with the probe, 0 for none.
    """

    def __init__(
        self, home: Home, lot: list[int], *, block: int, events: int, wrapping: Wrapping, probed: int, seed: int
    ) -> None:
        self._memory = home.memory
        self._chance = np.random.default_rng(seed)
        drawing = random.Random(seed)  # noqa: S311 - chance draws a load, it guards nothing
        self._salt = "".join(drawing.choices(_SALTS, k=SALT_BYTES)).encode()
        self._block = max(1, min(block, len(lot) // 2))
        order = self._order(home, lot, max(2, events // self._block), probed, drawing)
        self._blocks = self._written(home, order, wrapping, drawing)
        self._turn = self.fired = 0
        self.last_us = 0

    @property
    def block(self) -> int:
        """How many events a block has."""
        return self._block

    @property
    def blocks(self) -> int:
        """How many blocks there are: so many may be on their way at once."""
        return len(self._blocks)

    @property
    def mean_bytes(self) -> float:
        """How long an event is, with what stands between two."""
        return sum(len(one.text) for one in self._blocks) / sum(one.count for one in self._blocks)

    def next(self, now_us: int) -> Block:
        """Fill the next block with events of this moment. It stays as it is until its turn comes again."""
        block = self._blocks[self._turn % len(self._blocks)]
        first_us = room(max(now_us, self.last_us + 1), block.count)
        own = contexts(first_us, self.fired, block.count, salt=self._salt)
        block.fill(self._memory, first_us, own, self._chance)
        self._turn += 1
        self.fired += block.count
        self.last_us = first_us + block.count - 1
        return block

    def _order(
        self, home: Home, lot: list[int], blocks: int, probed: int, drawing: random.Random
    ) -> list[list[int | None]]:
        """Choose whose turn it is: places of entities, ``None`` for an event of another type."""
        weights = np.array([home.entities[place].weight for place in lot])
        order: list[list[int | None]] = []
        for number in range(blocks):
            chosen = self._chance.choice(lot, self._block, replace=False, p=weights / weights.sum())
            slots = [int(place) if drawing.randrange(100) < STATES else None for place in chosen]
            if probed and number % probed == 0:
                slots[0] = home.probe
            order.append(slots)
        return order

    def _written(
        self, home: Home, order: list[list[int | None]], wrapping: Wrapping, drawing: random.Random
    ) -> list[Block]:
        turns: dict[int, int] = {}
        for slots in order:
            for place in slots:
                if place is not None:
                    turns[place] = turns.get(place, -1) + 1
        before = {place: last % len(home.entities[place].pairs) for place, last in turns.items()}
        for place, pair in before.items():
            home.memory.pairs[place] = pair
        bridged = sum(_renews(home, place) for slots in order for place in slots)
        changes = sum(place is not None for slots in order for place in slots)
        chance = min(1.0, RENEWED / 100 * changes / max(1, bridged))
        known: dict[tuple[int, int, int], Text] = {}
        blocks, turns = [], dict.fromkeys(before, -1)
        for slots in order:
            texts, pairs = [], []
            for place in slots:
                if place is None:
                    texts.append(drawing.choice(home.others))
                    pairs.append(0)
                    continue
                entity = home.entities[place]
                turns[place] += 1
                key = (place, before[place], turns[place] % len(entity.pairs))
                if key not in known:
                    known[key] = state_changed(entity.entity_id, entity.pairs[key[1]], entity.pairs[key[2]])
                texts.append(known[key])
                pairs.append(key[2])
                before[place] = key[2]
            blocks.append(Block(texts, _slots(home, slots, pairs, chance), wrapping))
        return blocks


def _renews(home: Home, place: int | None) -> bool:
    return place is not None and home.entities[place].kind.bridged


def _slots(home: Home, places: list[int | None], pairs: list[int], chance: float) -> _Slots:
    kinds = [None if place is None else home.entities[place].kind for place in places]
    return _Slots(
        entities=np.array([len(home.entities) if place is None else place for place in places], np.int64),
        pairs=np.array(pairs, np.int64),
        renews=np.array([chance if kind and kind.bridged else 0.0 for kind in kinds]),
        low=np.array([kind.low if kind and kind.measures else 0 for kind in kinds], np.int64),
        span=np.array([kind.high - kind.low + 1 if kind and kind.measures else 1 for kind in kinds], np.int64),
    )
