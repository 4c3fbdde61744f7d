"""Rows and tables as the tests of the history need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from tests.support.rows import make_events

DAY_US = 86_400_000_000


def flagged(batch: Any, name: str = "backfilled") -> Any:
    """Return the batch with every row flagged ``late`` or ``backfilled``."""
    at = batch.schema.get_field_index(name)
    column = pa.array([True] * len(batch))
    return batch.set_column(at, batch.schema.field(at), column)


def renumbered(batch: Any, first_seq: int) -> Any:
    """Return the same events under other seqs, as they come when they were read a second time."""
    at = batch.schema.get_field_index("seq")
    seqs = pa.array(range(first_seq, first_seq + len(batch)), pa.int64())
    return batch.set_column(at, batch.schema.field(at), seqs)


def seqs_by_delta(directory: Path) -> list[int]:
    """Read the table's seqs with delta-rs, as any other program would, rising."""
    seqs: list[int] = DeltaTable(str(directory)).to_pyarrow_table(columns=["seq"])["seq"].to_pylist()
    return sorted(seqs)


def fill(table: Any, count: int, *, each: int = 100, first_seq: int = 1, shard: int = 0, **shape: Any) -> int:
    """Append ``count`` events in commits of ``each``. Returns the next seq."""
    start_us, step_us = shape.pop("start_us", 1_700_000_000_000_000), shape.pop("step_us", 50_000)
    for seq in range(first_seq, first_seq + count, each):
        batch = make_events(
            each, first_seq=seq, start_us=start_us + (seq - first_seq) * step_us, step_us=step_us, **shape
        )
        table.append([batch], {shard: seq + each - 1})
    return first_seq + count
