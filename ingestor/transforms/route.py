"""Route events to shards. Same entity, same shard, in every process, in every run.

The key of an event is its entity, when ``data.entity_id`` is text; else its type and context. Order per entity follows:
all its events take one way. What cannot be read goes to shard 0 as it is, or the way of the entity that its first bytes
name; door 3 decides about it.

A change of state begins with its entity, as Home Assistant writes it. When that beginning was read before, the rest
need not be: four of five events cost a look, not a reading.

Each shard also gets copies, as context and not as events, of what others' events tell it: states of the sensors that
make up areas' environments, the start of automations and scripts, and service calls of persons.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

import msgspec

from ingestor.settings import Filter
from ingestor.sources.base import Batch
from ingestor.transforms.causes import RUN_STARTS
from ingestor.transforms.wire import MAX_EVENT_BYTES, UNREADABLE

_CACHE: Final = 65_536
_CHANGE: Final = b'{"event_type":"state_changed","data":{"entity_id":"'
_NAME_AT: Final = len(_CHANGE)


class _Context(msgspec.Struct, gc=False):
    id: Any = None
    user_id: Any = None


class _Data(msgspec.Struct, gc=False):
    entity_id: Any = None


class _Head(msgspec.Struct, gc=False):
    event_type: str
    data: _Data | None = None
    context: _Context | None = None


_read_head = msgspec.json.Decoder(_Head).decode


def shard_of(home: str, key: str, shards: int) -> int:
    """Give the shard of a key: CRC-32 of ``home``, a line feed and ``key``, modulo ``shards``."""
    return crc32(f"{home}\n{key}".encode("utf-8", "surrogatepass")) % shards


def shard_of_event(home: str, raw: bytes, shards: int) -> int:
    """Give the shard one event belongs to."""
    head = _head(raw)
    return 0 if head is None else shard_of(home, _key(head), shards)


class EntityFilter:
    """Home Assistant's include and exclude lists, with its precedence. The first line that applies decides:

    1. Nothing listed: all in.
    2. Only includes: in when entity, domain or glob is included.
    3. Only excludes: in unless entity, domain or glob is excluded.
    4. Domains or globs included, and something excluded: entity included, in; entity excluded, out; glob included, in;
       glob excluded, out; domain included, in; else out.
    5. Domains or globs excluded, and entities at most included: entity included, in; entity excluded, out; glob
       excluded, out; domain excluded, out; else in.
    6. Entities on both lists only: in when included.

    Entity ids are compared in lower case, as Home Assistant reads them from its settings; domains and globs as written.
    """  # noqa: D400, D415 - the six rules end the sentence

    def __init__(self, include: Filter, exclude: Filter) -> None:
        self._in = _Lists(include)
        self._out = _Lists(exclude)
        self.all_in = not self._in.any and not self._out.any
        self._rule = self._choose()

    def __call__(self, entity_id: str) -> bool:
        """Tell whether an entity is in."""
        return self._rule(entity_id)

    def _choose(self) -> Callable[[str], bool]:
        wanted, unwanted = self._in, self._out
        if self.all_in:
            return lambda _: True
        if not unwanted.any:
            return wanted.lists
        if not wanted.any:
            return lambda entity_id: not unwanted.lists(entity_id)
        if wanted.wide:
            return self._in_by_domain_or_glob
        if unwanted.wide:
            return lambda entity_id: entity_id in wanted.entities or not unwanted.lists(entity_id)
        return lambda entity_id: entity_id in wanted.entities

    def _in_by_domain_or_glob(self, entity_id: str) -> bool:
        wanted, unwanted = self._in, self._out
        if entity_id in wanted.entities or entity_id in unwanted.entities:
            return entity_id in wanted.entities
        return wanted.glob(entity_id) or (wanted.domain(entity_id) and not unwanted.glob(entity_id))


class _Lists:
    def __init__(self, lists: Filter) -> None:
        self.entities = frozenset(entity_id.lower() for entity_id in lists.entities)
        self._domains = frozenset(lists.domains)
        self._globs = [re.compile(fnmatch.translate(glob)) for glob in lists.entity_globs]
        self.wide = bool(self._domains or self._globs)
        self.any = self.wide or bool(self.entities)

    def lists(self, entity_id: str) -> bool:
        return entity_id in self.entities or self.domain(entity_id) or self.glob(entity_id)

    def domain(self, entity_id: str) -> bool:
        return entity_id.partition(".")[0] in self._domains

    def glob(self, entity_id: str) -> bool:
        return any(glob.match(entity_id) for glob in self._globs)


@dataclass(slots=True, kw_only=True)
class ShardPart:
    """The events of a batch that belong to one shard, in order, and each one's place in the batch."""

    events: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Routed:
    """A batch, split. Events in ``parts`` and ``filtered`` add up to it. ``context`` is looked at, not stored."""

    parts: dict[int, ShardPart] = field(default_factory=dict)
    context: dict[int, list[bytes]] = field(default_factory=dict)
    filtered: int = 0


class Router:
    """Door 2. Filters, then splits. Remembers a bounded number of keys."""

    def __init__(
        self,
        shards: int,
        filters: Mapping[str, EntityFilter] | None = None,
        measures: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._shards = shards
        self._filters = {home: one for home, one in (filters or {}).items() if not one.all_in}
        self._measures = dict(measures or {})
        self._ways: dict[tuple[str, str], int] = {}
        self._changes: dict[str, dict[bytes, tuple[int, bool]]] = {}
        self._verdicts: dict[tuple[str, str], bool] = {}

    def set_measures(self, home: str, entity_ids: frozenset[str]) -> None:
        """Name the entities of a home whose states every shard shall see."""
        self._measures[home] = entity_ids
        self._changes.pop(home, None)

    def route(self, batch: Batch) -> Routed:
        """Split a batch. Order is kept within each shard."""
        routed = Routed()
        parts = routed.parts
        known = self._changes.setdefault(batch.home, {})
        for place, raw in enumerate(batch.events):
            way = None
            if raw.startswith(_CHANGE):
                way = known.get(raw[_NAME_AT : raw.find(b'"', _NAME_AT)])
            if way is None:
                way = self._read(batch.home, raw)
                if way is None:
                    routed.filtered += 1
                    continue
            shard, concerns_all = way
            if concerns_all:
                for other in range(self._shards):
                    if other != shard:
                        routed.context.setdefault(other, []).append(raw)
            part = parts.get(shard)
            if part is None:
                part = parts[shard] = ShardPart()
            part.events.append(raw)
            part.places.append(place)
        return routed

    def _read(self, home: str, raw: bytes) -> tuple[int, bool] | None:
        """Read which way an event goes, and whether all shards shall hear of it; null when it is filtered."""
        head = _head(raw)
        if head is None:
            return 0, False
        chosen = self._filters.get(home)
        if chosen is not None and head.data is not None and not self._is_in(home, chosen, head.data.entity_id):
            return None
        key = _key(head)
        way = self._way(home, key), self._shards > 1 and _concerns_all(head, self._measures.get(home, frozenset()))
        if raw.startswith(b'%b%b"' % (_CHANGE, key.encode())):
            known = self._changes[home]
            if len(known) >= _CACHE:
                known.clear()
            known[key.encode()] = way
        return way

    def _way(self, home: str, key: str) -> int:
        shard = self._ways.get((home, key))
        if shard is None:
            if len(self._ways) >= _CACHE:
                self._ways.clear()
            shard = self._ways[home, key] = shard_of(home, key, self._shards)
        return shard

    def _is_in(self, home: str, chosen: EntityFilter, entity_id: object) -> bool:
        """Judge as the recorder does: a list is in when one of it is; an event without an entity is in."""
        if isinstance(entity_id, list) and entity_id:
            return any(not isinstance(one, str) or self._is_in(home, chosen, one) for one in entity_id)
        if not isinstance(entity_id, str) or not entity_id:
            return True
        verdict = self._verdicts.get((home, entity_id))
        if verdict is None:
            if len(self._verdicts) >= _CACHE:
                self._verdicts.clear()
            verdict = self._verdicts[home, entity_id] = chosen(entity_id)
        return verdict


def _head(raw: bytes) -> _Head | None:
    if len(raw) > MAX_EVENT_BYTES:
        return None
    try:
        return _read_head(raw)
    except UNREADABLE:
        return None


def _key(head: _Head) -> str:
    if head.data is not None and isinstance(head.data.entity_id, str):
        return head.data.entity_id
    context_id = head.context.id if head.context is not None else None
    return f"{head.event_type}\n{context_id if isinstance(context_id, str) else ''}"


def _concerns_all(head: _Head, measures: frozenset[str]) -> bool:
    if head.event_type == "state_changed":
        return head.data is not None and isinstance(head.data.entity_id, str) and head.data.entity_id in measures
    if head.event_type == "call_service":
        return head.context is not None and head.context.user_id is not None
    return head.event_type in RUN_STARTS
