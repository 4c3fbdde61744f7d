"""The last state of each entity, written down: a shard's restart then costs what came since, not the whole history.

A derived copy beside the table, named by its own digest. It says which files it tells of; files that are not among them
are read besides. Lost or damaged, it is made again from the table.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestor.event import SCHEMA
from ingestor.history.disk import digest_of, write_whole
from ingestor.history.mark import own_folder

_COVERS = b"ha_ingestor.covers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """``states``: the newest state event of each entity in the files whose paths are ``covers``."""

    states: Any = field(default_factory=SCHEMA.empty_table)
    covers: frozenset[str] = frozenset()


def write_memory(directory: Path, memory: Memory) -> None:
    """Replace what is remembered. Durable on return."""
    covers = json.dumps(sorted(memory.covers)).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(memory.states.replace_schema_metadata({_COVERS: covers}), sink, compression="zstd")
    content = memoryview(sink.getvalue())
    path = own_folder(directory) / f"states-{digest_of(content)}.parquet"
    write_whole(path, content)
    for old in _found(directory):
        if old != path:
            old.unlink()


def read_memory(directory: Path) -> Memory:
    """Return the newest that is whole; an empty one if there is none."""
    for path in sorted(_found(directory), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        content = path.read_bytes()
        if digest_of(content) == path.stem.removeprefix("states-"):
            states = pq.read_table(pa.BufferReader(content))
            return Memory(states=states.cast(SCHEMA), covers=covered_by(states))
    return Memory()


def covered_by(states: pa.Table) -> frozenset[str]:
    """Return the paths of the files that written states tell of."""
    paths: Collection[str] = json.loads(states.schema.metadata[_COVERS])
    return frozenset(paths)


def _found(directory: Path) -> list[Path]:
    return list(own_folder(directory).glob("states-*.parquet"))
