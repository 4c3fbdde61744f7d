"""The newest events: journaled, and not yet in the table. Each process that answers keeps them in memory.

The journal is read first, the table's log second, and only then is forgotten what the table has: whatever the Historian
moves meanwhile is seen in one of the two, and in only one. Each row is looked at once, when it comes: what is known
stays known, so a refresh costs what is new and not what waits.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ingestor.history.engine import Engine
from ingestor.history.fresh import known_ids, unknown
from ingestor.history.ids import RecentIds
from ingestor.history.kept import Kept
from ingestor.history.layout import DataFile
from ingestor.history.piece import Piece, joined, piece_of
from ingestor.history.view import TailView
from ingestor.journal import FrameKind, JournalReader, shards_in

#: So many disjoint ranges of seen seqs are remembered of a shard.
SPANS = 65_536
#: More pieces than this, each smaller than a tier, become one: a question over a thousand pieces costs twice as much.
PIECES = 16
TIERS = (4_096, 65_536)


@dataclass(slots=True)
class _Shard:
    """``pieces`` stand in the journal's order."""

    reader: JournalReader
    last_seq: int
    pieces: list[Piece] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)


class Tail:
    """Follows all journals under a folder. Not thread-safe: its owner serializes. A ``view`` is for any thread."""

    def __init__(self, journals: Path, kept: Kept) -> None:
        self._journals = journals
        self._kept = kept
        self._shards: dict[int, _Shard] = {}
        self._ids = RecentIds()
        self._unsettled: list[Any] = []

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
                if events := [frame for frame in frames if frame.kind is FrameKind.EVENTS and frame.rows]:
                    piece, keys = piece_of(number, events)
                    self._unsettled.append(keys)
                    shard.pieces.append(self._without_repeats(piece))
                    _join_small(shard.pieces)
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
            if shard.pieces and int(shard.pieces[0].seqs[0]) <= mark:
                shard.pieces = [rest for piece in shard.pieces if (rest := piece.after(mark)) is not None]
        self._ids.forget(watermarks)

    def settle(self, files: Sequence[DataFile], engine: Engine, *, moved: bool) -> None:
        """Hide what stands in the table under another seq: looked up once, for what came since the last call.

        ``moved``: the table is another than at the last call.
        """
        if self._unsettled:
            keys = pa.concat_tables(self._unsettled)
            new = unknown(keys, files, engine)
            if new is not keys:
                self._hide(set(keys["event_id"].to_pylist()) - set(new["event_id"].to_pylist()))
            self._unsettled = []
        if moved and self._ids.contested:
            rows = self.view().with_ids(self._ids.contested)
            self._ids.contested = set(rows["event_id"].to_pylist())
            if len(rows):
                self._hide(set(known_ids(rows, files, engine).to_pylist()))

    def view(self) -> TailView:
        """Return the rows as they are now, for any thread to ask."""
        pieces = tuple(piece for _, shard in sorted(self._shards.items()) for piece in shard.pieces)
        return TailView(pieces, self._kept)

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

    def _without_repeats(self, piece: Piece) -> Piece:
        """Return the piece, showing only ids that did not come before."""
        repeats = self._ids.add(piece.shard, piece["event_id"].to_pylist(), last_seq=piece.last_seq)
        if not repeats:
            return piece
        return piece.hiding(np.array(repeats))

    def _hide(self, ids: set[bytes]) -> None:
        if not ids:
            return
        wanted = pa.array(ids, pa.binary())
        for shard in self._shards.values():
            for number, piece in enumerate(shard.pieces):
                hidden = piece.with_ids(wanted)
                if len(hidden):
                    shard.pieces[number] = piece.hiding(hidden)


def _join_small(pieces: list[Piece]) -> None:
    """Join the newest pieces of each tier when they are many: each key is copied once a tier, whatever comes."""
    for tier in TIERS:
        at = len(pieces)
        while at and len(pieces[at - 1]) < tier:
            at -= 1
        if len(pieces) - at > PIECES:
            pieces[at:] = [joined(pieces[at:])]


def _note(seen: list[list[int]], first: int, last: int) -> None:
    """Add a range to rising, disjoint ranges. Ranges that touch become one, so a quiet journal costs nothing."""
    if seen and first <= seen[-1][1] + 1:
        seen[-1][1] = max(seen[-1][1], last)
    else:
        seen.append([first, last])
        if len(seen) > SPANS:
            del seen[: SPANS // 2]
