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

from ingestor.event import SCHEMA
from ingestor.history.layout import ROW_SCHEMA
from ingestor.journal import FrameKind, JournalReader, shards_in

#: So many disjoint ranges of seen seqs are remembered of a shard.
SPANS = 65_536


@dataclass(slots=True)
class _Shard:
    reader: JournalReader
    last_seq: int
    frames: list[tuple[int, Any]] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)


class Tail:
    """Follows all journals under a folder. Not thread-safe: its owner serializes."""

    def __init__(self, journals: Path) -> None:
        self._journals = journals
        self._shards: dict[int, _Shard] = {}
        self._rows: Any = None

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
                        shard.frames.append((frame.last_seq, frame.batch()))
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
        for number, shard in self._shards.items():
            mark = watermarks.get(number, -1)
            kept = [(last, batch) for last, batch in shard.frames if last > mark]
            if len(kept) != len(shard.frames):
                shard.frames, self._rows = kept, None
            for index, (last, batch) in enumerate(kept):
                if len(batch) and batch["seq"][0].as_py() <= mark:
                    kept[index] = (last, batch.filter(pc.greater(batch["seq"], mark)))
                    self._rows = None

    def rows(self) -> Any:
        """Return all rows, of each shard in the journal's order, as ``ROW_SCHEMA``. Same object until they change."""
        if self._rows is None:
            parts = [ROW_SCHEMA.empty_table()]
            for number, shard in sorted(self._shards.items()):
                rows = pa.Table.from_batches([batch.cast(SCHEMA) for _, batch in shard.frames], schema=SCHEMA)
                numbers = pa.repeat(pa.scalar(number, pa.int16()), len(rows))
                parts.append(rows.append_column(ROW_SCHEMA.field("shard"), numbers).cast(ROW_SCHEMA))
            self._rows = pa.concat_tables(parts)
        return self._rows

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


def _note(seen: list[list[int]], first: int, last: int) -> None:
    """Add a range to rising, disjoint ranges. Ranges that touch become one, so a quiet journal costs nothing."""
    if seen and first <= seen[-1][1] + 1:
        seen[-1][1] = max(seen[-1][1], last)
    else:
        seen.append([first, last])
        if len(seen) > SPANS:
            del seen[: SPANS // 2]
