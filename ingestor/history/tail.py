"""The newest events: journaled, and not yet in the table. Each process that answers keeps them in memory.

The journal is read first, the table's log second, and only then is forgotten what the table has: whatever the Historian
moves meanwhile is seen in one of the two, and in only one.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestor.history.layout import ROW_SCHEMA
from ingestor.journal import FrameKind, JournalReader, shards_in

#: So many disjoint ranges of seen seqs are remembered of a shard.
SPANS = 65_536
#: More pieces than this, each smaller than a tier, become one: a question over a thousand pieces costs twice as much.
PIECES = 16
TIERS = (4_096, 65_536)


@dataclass(slots=True)
class _Shard:
    """``pieces``: (last seq, rows of ``ROW_SCHEMA``), in the journal's order."""

    reader: JournalReader
    last_seq: int
    pieces: list[tuple[int, Any]] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)


class Tail:
    """Follows all journals under a folder. Not thread-safe: its owner serializes."""

    def __init__(self, journals: Path) -> None:
        self._journals = journals
        self._shards: dict[int, _Shard] = {}
        self._rows: Any = None
        self._ids: set[bytes] = set()
        self._repeats = False

    def refresh(self, watermarks: Mapping[int, int]) -> bool:
        """Read what is new. ``watermarks`` tell where to begin with a shard not yet followed. Returns whether any was.

        Raises ``JournalError`` when what comes next was trimmed: then the table has it, see ``rewind``.
        """
        changed = False
        for number in shards_in(self._journals):
            shard = self._shards.get(number)
            if shard is None:
                after_seq = watermarks.get(number, 0)
                reader = JournalReader(self._journals / str(number), after_seq=after_seq)
                shard = self._shards[number] = _Shard(reader=reader, last_seq=after_seq)
            while frames := shard.reader.read():
                changed = True
                for frame in frames:
                    shard.last_seq = max(shard.last_seq, frame.last_seq)
                    _note(shard.seen, frame.first_seq, frame.last_seq)
                    if frame.kind is FrameKind.EVENTS:
                        piece = _numbered(frame.batch(), number)
                        self._note_ids(piece)
                        shard.pieces.append((frame.last_seq, piece))
            _join_small(shard.pieces)
        if changed:
            self._rows = None
        return changed

    def rewind(self, watermarks: Mapping[int, int]) -> None:
        """Begin anew at the table's watermark with each shard that is behind it: its journal was trimmed that far."""
        for number, shard in self._shards.items():
            mark = watermarks.get(number, 0)
            if shard.reader.position < mark:
                shard.reader.close()
                shard.reader = JournalReader(self._journals / str(number), after_seq=mark)
                shard.last_seq = mark

    def forget(self, watermarks: Mapping[int, int]) -> None:
        """Drop what stands in the table by these watermarks."""
        changed = False
        for number, shard in self._shards.items():
            mark = watermarks.get(number, -1)
            kept = [(last, rows) for last, rows in shard.pieces if last > mark]
            changed = changed or len(kept) != len(shard.pieces)
            for index, (last, rows) in enumerate(kept):
                if rows["seq"][0].as_py() <= mark:
                    kept[index] = (last, rows.filter(pc.greater(rows["seq"], mark)))
                    changed = True
            shard.pieces = kept
        if changed:
            self._rows, self._ids, self._repeats = None, set(), False
            for shard in self._shards.values():
                for _, rows in shard.pieces:
                    self._note_ids(rows)

    def rows(self) -> Any:
        """Return all rows, of each shard in the journal's order, as ``ROW_SCHEMA``. Same object until they change."""
        if self._rows is None:
            pieces = [rows for _, shard in sorted(self._shards.items()) for _, rows in shard.pieces]
            self._rows = pa.concat_tables([ROW_SCHEMA.empty_table(), *pieces])
        return self._rows

    @property
    def repeats(self) -> bool:
        """Whether an ``event_id`` may be among the rows more than once. False is certain."""
        return self._repeats

    def _note_ids(self, rows: Any) -> None:
        before = len(self._ids)
        self._ids.update(rows["event_id"].to_pylist())
        self._repeats = self._repeats or len(self._ids) - before != len(rows)

    def high(self) -> dict[int, int]:
        """Shard -> the highest seq read from its journal."""
        return {number: shard.last_seq for number, shard in self._shards.items()}

    def saw(self, seq: int) -> bool:
        """Tell whether this seq was read from a journal lately. False tells nothing of what is older."""
        for shard in self._shards.values():
            at = bisect.bisect_right(shard.seen, seq, key=lambda span: span[0]) - 1
            if at >= 0 and seq <= shard.seen[at][1]:
                return True
        return False


def _numbered(batch: Any, number: int) -> Any:
    """Return a frame's rows as ``ROW_SCHEMA``, without a copy."""
    numbers = pa.repeat(pa.scalar(number, pa.int16()), len(batch))
    return pa.Table.from_arrays([*batch.columns, numbers], schema=ROW_SCHEMA)


def _join_small(pieces: list[tuple[int, Any]]) -> None:
    """Join the newest pieces of each tier when they are many: each row is copied once a tier, whatever comes."""
    for tier in TIERS:
        at = len(pieces)
        while at and len(pieces[at - 1][1]) < tier:
            at -= 1
        if len(pieces) - at > PIECES:
            joined = pa.concat_tables([rows for _, rows in pieces[at:]]).combine_chunks()
            pieces[at:] = [(pieces[-1][0], joined)]


def _note(seen: list[list[int]], first: int, last: int) -> None:
    """Add a range to rising, disjoint ranges. Ranges that touch become one, so a quiet journal costs nothing."""
    if seen and first <= seen[-1][1] + 1:
        seen[-1][1] = max(seen[-1][1], last)
    else:
        seen.append([first, last])
        if len(seen) > SPANS:
            del seen[: SPANS // 2]
