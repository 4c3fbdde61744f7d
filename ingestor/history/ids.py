"""The ids of what waits in the tail: is one that comes new? Each is looked at once, when it comes.

Ids are kept in generations and forgotten a generation at a time, so neither coming nor going costs more than a moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

#: A generation ends at so many ids, or at a quarter of all when they are many: there are never more than a few.
GENERATION_IDS = 65_536


@dataclass(slots=True)
class _Generation:
    ids: set[bytes] = field(default_factory=set)
    last_seq: int = -1


class RecentIds:
    """Ids by the shard that brought them first. ``contested``: those that another shard brought once more."""

    def __init__(self) -> None:
        self.contested: set[bytes] = set()
        self._shards: dict[int, list[_Generation]] = {}

    def __len__(self) -> int:
        return sum(len(generation.ids) for generation in self._all())

    def add(self, shard: int, ids: Sequence[bytes], *, last_seq: int) -> list[int]:
        """Note ids of a shard's next rows. Returns the places of those that came before: nearly always none."""
        newest = self._newest(shard)
        newest.last_seq = last_seq
        fresh = set(ids)
        if len(fresh) == len(ids) and all(generation.ids.isdisjoint(fresh) for generation in self._all()):
            newest.ids |= fresh
            return []
        return self._add_singly(shard, ids, newest)

    def forget(self, watermarks: Mapping[int, int]) -> None:
        """Forget generations of which the table has every row."""
        for shard, generations in self._shards.items():
            mark = watermarks.get(shard, -1)
            self._shards[shard] = [generation for generation in generations if generation.last_seq > mark]

    def _add_singly(self, shard: int, ids: Sequence[bytes], newest: _Generation) -> list[int]:
        own = self._shards[shard]
        others = [generation for generation in self._all() if not any(generation is mine for mine in own)]
        repeats = []
        for at, event_id in enumerate(ids):
            elsewhere = any(event_id in generation.ids for generation in others)
            if elsewhere:
                self.contested.add(event_id)
            if elsewhere or any(event_id in generation.ids for generation in own):
                repeats.append(at)
            else:
                newest.ids.add(event_id)
        return repeats

    def _newest(self, shard: int) -> _Generation:
        generations = self._shards.setdefault(shard, [])
        if not generations or len(generations[-1].ids) >= max(GENERATION_IDS, len(self) // 4):
            generations.append(_Generation())
        return generations[-1]

    def _all(self) -> Iterator[_Generation]:
        return (generation for generations in self._shards.values() for generation in generations)
