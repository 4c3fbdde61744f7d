"""Doors 3 to 5 as one function: a batch in, an ``Outcome`` out.

Guarantee: every event of the batch is in the outcome exactly once, as a row, as a rejection or as a duplicate, whatever
its bytes are. No clock but the batch's own ``received_at_us``, no network, no disk: the same batches in the same order
give the same outcomes, except for ``journaled_at``, which ``seal`` writes.

A pipeline remembers a batch as soon as it has processed it. So either the outcome is journaled, or the pipeline is
thrown away with everything it remembers; and a batch of duplicates only is acknowledged after the sync that covers
what it repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ingestor.event import QUALITY_TYPE, QUARANTINE_SCHEMA, SCHEMA, kind_of
from ingestor.graph.snapshot import Snapshot
from ingestor.sources.base import Batch
from ingestor.transforms.causes import Causes
from ingestor.transforms.dedupe import Window
from ingestor.transforms.enrich import Enricher
from ingestor.transforms.identity import begun_state_id, other_id, removal_id
from ingestor.transforms.rows import Rows
from ingestor.transforms.states import LastState, LastStates
from ingestor.transforms.validate import Rejection, Validator, reject, surprise
from ingestor.transforms.wire import NO_DATA

__all__ = ["LastState", "LastStates", "Outcome", "Pipeline", "Rejection", "quarantine_batch", "seal"]

_STATE_CHANGED: Final = "state_changed"
_TIME: Final = pa.timestamp("us", tz="UTC")
_LONG: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a batch. ``events`` is null when nothing is new; ``seq`` and ``journaled_at`` in it are 0.

    ``conflicts`` are the duplicates that came with other attributes than the copy kept.
    """

    events: pa.RecordBatch | None
    rejected: list[Rejection]
    duplicates: int
    conflicts: int


class Pipeline:
    """The doors of one shard, and what they remember. Not for use from several threads at once."""

    def __init__(
        self,
        *,
        shard: int,
        window: Window,
        states: LastStates,
        validator: Validator | None = None,
        causes: Causes | None = None,
    ) -> None:
        self.shard = shard
        self.states = states
        self.snapshots: dict[str, Snapshot] = {}
        self._window = window
        self._validator = validator or Validator()
        self._enricher = Enricher(states, causes)

    def set_snapshot(self, snapshot: Snapshot) -> None:
        """Enrich from this picture of a home from now on; an older one than the present changes nothing."""
        before = self.snapshots.get(snapshot.home)
        if before is None or snapshot.version >= before.version:
            self.snapshots[snapshot.home] = snapshot
            self._enricher.set_snapshot(snapshot)

    def restore(self, table: pa.Table) -> None:
        """Remember stored events again (``SCHEMA`` rows, oldest first): states, ids, causes, activity.

        Set the snapshots first: activity is learned in each home's local time. May be called again with newer rows.
        """
        self.states.restore(table)
        self._window.restore(table.column("event_id").to_pylist())
        self._enricher.restore(table)

    def process(self, batch: Batch, context: Sequence[bytes] = (), *, first_seq: int = 0) -> Outcome:
        """Validate, dedupe and enrich. The journal shall number the new rows from ``first_seq`` on, in their order."""
        rows, rejected = self._validator.validate(batch)
        rows, ids, digests, conflicts = self._dedupe(rows, _ids(batch.home, rows))
        duplicates = len(batch.events) - len(rejected) - len(rows)
        copies = self._copies(batch, context)
        events = None
        if len(rows) or len(copies):
            try:
                events = self._enriched(batch, rows, ids, copies, first_seq)
            except Exception:  # noqa: BLE001 - a surprise of ours must cost the one event that meets it, no other
                events, poison = self._one_by_one(batch, rows, ids, first_seq)
                rejected = sorted([*rejected, *poison], key=lambda rejection: rejection.index)
                gone = {rejection.index for rejection in poison}
                kept = [position for position, index in enumerate(rows.index) if index not in gone]
                ids, digests = [ids[position] for position in kept], [digests[position] for position in kept]
        self._window.remember(ids, digests)
        return Outcome(events=events, rejected=rejected, duplicates=duplicates, conflicts=conflicts)

    def _enriched(
        self,
        batch: Batch,
        rows: Rows,
        ids: list[bytes],
        copies: Rows,
        first_seq: int,
    ) -> pa.RecordBatch | None:
        added = self._enricher.enrich(
            rows,
            ids,
            home=batch.home,
            context=copies,
            first_seq=first_seq,
            backfilled=batch.backfilled,
        )
        return _record_batch(batch, rows, ids, added) if len(rows) else None

    def _one_by_one(
        self,
        batch: Batch,
        rows: Rows,
        ids: list[bytes],
        first_seq: int,
    ) -> tuple[pa.RecordBatch | None, list[Rejection]]:
        """Enrich each row alone; what raises goes to quarantine."""
        good: list[pa.RecordBatch] = []
        poison = []
        for position, index in enumerate(rows.index):
            try:
                one = self._enriched(batch, rows.pick([position]), [ids[position]], Rows(), first_seq + len(good))
            except Exception as error:  # noqa: BLE001 - kept with its reason, and told
                poison.append(reject(batch, index, surprise(error)))
            else:
                good.append(one)
        if not good:
            return None, poison
        return pa.Table.from_batches(good).combine_chunks().to_batches()[0], poison

    def _copies(self, batch: Batch, context: Sequence[bytes]) -> Rows:
        if not context:
            return Rows()
        copies = Batch(
            home=batch.home,
            source=batch.source,
            received_at_us=batch.received_at_us,
            events=list(context),
        )
        return self._validator.validate(copies)[0]

    def _dedupe(self, rows: Rows, ids: list[bytes]) -> tuple[Rows, list[bytes], list[int], int]:
        """Keep what is new, with its ids and digests, and count repeats that came with other attributes.

        Of two copies in one batch the one with more attributes stays, in the place of the first.
        """
        window = self._window
        digests = [facts.digest if facts is not None else 0 for facts in rows.attributes]
        mask = window.seen(ids)
        conflicts = 0
        if any(mask):
            kept = [position for position, known in enumerate(mask) if not known]
            first_of = {ids[position]: position for position in kept}
            for position, known in enumerate(mask):
                if not known:
                    continue
                first = first_of.get(ids[position])
                before = window.digest(ids[position]) if first is None else digests[first]
                if before is not None and before != digests[position]:
                    conflicts += 1
                    if first is not None and _is_fuller(rows, position, first):
                        rows.attributes[first], digests[first] = rows.attributes[position], digests[position]
                        rows.unit[first] = rows.unit[position]
            rows = rows.pick(kept)
            ids, digests = [ids[position] for position in kept], [digests[position] for position in kept]
        return rows, ids, digests, conflicts


def seal(events: pa.RecordBatch, *, first_seq: int, journaled_at_us: int) -> pa.RecordBatch:
    """Write the numbers, from ``first_seq`` on, and the moment of journaling. Copies no other column."""
    count = events.num_rows
    columns = list(events.columns)
    columns[SCHEMA.get_field_index("seq")] = pa.array(np.arange(first_seq, first_seq + count, dtype=np.int64))
    columns[SCHEMA.get_field_index("journaled_at")] = pa.repeat(pa.scalar(journaled_at_us, _TIME), count)
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def quarantine_batch(rejections: Sequence[Rejection], *, batch: Batch, first_seq: int) -> pa.RecordBatch:
    """Give the rows for the quarantine, numbered from ``first_seq`` on."""
    count = len(rejections)
    columns = {
        "quarantine_id": pa.array([one.quarantine_id for one in rejections], pa.string()),
        "seq": pa.array(np.arange(first_seq, first_seq + count, dtype=np.int64)),
        "home": _repeated(batch.home, pa.string(), count),
        "source": _repeated(batch.source, pa.string(), count),
        "received_at": pa.repeat(pa.scalar(batch.received_at_us, _TIME), count),
        "reason": pa.array([one.reason for one in rejections], pa.string()),
        "field": pa.array([_printable(one.field) for one in rejections], pa.string()),
        "detail": pa.array([_printable(one.detail) for one in rejections], pa.string()),
        "raw": pa.array([one.raw for one in rejections], pa.binary()),
        "backfilled": _repeated(batch.backfilled, pa.bool_(), count),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in QUARANTINE_SCHEMA.names], schema=QUARANTINE_SCHEMA)


def _ids(home: str, rows: Rows) -> list[bytes]:
    begun = begun_state_id(home).copy
    ids = []
    for position, (entity_id, state, updated_us) in enumerate(
        zip(rows.entity_id, rows.state, rows.last_updated_us, strict=True),
    ):
        if state is None:
            ids.append(_id_without_state(home, rows, position))
        else:
            name = begun()
            name.update(f"{entity_id}\n{updated_us}\n{state}".encode())
            ids.append(name.digest())
    return ids


def _id_without_state(home: str, rows: Rows, position: int) -> bytes:
    event_type, entity_id, fired_us = rows.event_type[position], rows.entity_id[position], rows.time_fired_us[position]
    if event_type == _STATE_CHANGED and entity_id is not None:
        return removal_id(home, entity_id, fired_us)
    facts = rows.data[position] or NO_DATA
    return other_id(home, event_type, fired_us, rows.context_id[position], facts.canonical)


def _is_fuller(rows: Rows, position: int, first: int) -> bool:
    later, earlier = rows.attributes[position], rows.attributes[first]
    return later is not None and (earlier is None or len(later.text) > len(earlier.text))


def _record_batch(batch: Batch, rows: Rows, ids: list[bytes], added: dict[str, Any]) -> pa.RecordBatch:
    count = len(rows)
    strings = pa.string()
    kinds = {event_type: kind_of(event_type).value for event_type in set(rows.event_type)}
    domains = {entity_id: entity_id and entity_id[: entity_id.index(".")] for entity_id in set(rows.entity_id)}
    columns: dict[str, Any] = {
        "event_id": pa.array(ids, pa.binary()),
        "seq": _repeated(0, pa.int64(), count),
        "home": _repeated(batch.home, strings, count),
        "source": _repeated(batch.source, strings, count),
        "event_type": pa.array(rows.event_type, strings),
        "kind": pa.array([kinds[event_type] for event_type in rows.event_type], strings),
        "time_fired": pa.array(rows.time_fired_us, pa.int64()).cast(_TIME),
        "received_at": pa.repeat(pa.scalar(batch.received_at_us, _TIME), count),
        "journaled_at": _repeated(0, _TIME, count),
        "entity_id": pa.array(rows.entity_id, strings),
        "domain": pa.array([domains[entity_id] for entity_id in rows.entity_id], strings),
        "state": pa.array(rows.state, strings),
        "state_numeric": pa.array(rows.state_numeric, pa.float64()),
        "unit": pa.array(rows.unit, strings),
        "device_class": pa.array([facts and facts.device_class for facts in rows.attributes], strings),
        "old_state": pa.array(rows.old_state, strings),
        "last_changed": pa.array(rows.last_changed_us, pa.int64()).cast(_TIME),
        "last_updated": pa.array(rows.last_updated_us, pa.int64()).cast(_TIME),
        "attributes": pa.array([facts and facts.text for facts in rows.attributes], strings),
        "data": pa.array([facts and facts.text for facts in rows.data], strings),
        "context_id": pa.array(rows.context_id, strings),
        "context_parent_id": pa.array(rows.context_parent_id, strings),
        "user_id": pa.array(rows.user_id, strings),
        "origin": pa.array(rows.origin, strings),
        "quality": _quality(rows),
        "backfilled": _repeated(batch.backfilled, pa.bool_(), count),
        **added,
    }
    arrays = [columns[field.name] if field.name in columns else pa.nulls(count, field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _quality(rows: Rows) -> Any:
    if not rows.quality:
        return pa.nulls(len(rows), QUALITY_TYPE)
    mends = [
        [{"field": field, "rule": rule, "raw": raw} for field, rule, raw in rows.quality[position]]
        if position in rows.quality
        else None
        for position in range(len(rows))
    ]
    return pa.array(mends, QUALITY_TYPE)


def _repeated(value: object, type_: Any, count: int) -> Any:
    if count > _LONG:
        return pa.repeat(pa.scalar(value, type_), count)
    return _long(value, type_)[:count]


@lru_cache(maxsize=64)
def _long(value: object, type_: Any) -> Any:
    """Build a constant column once; every batch takes a slice, which copies nothing."""
    return pa.repeat(pa.scalar(value, type_), _LONG)


def _printable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()
