"""The tail at one moment, asked directly: pieces that end first in a page's order are looked at first, and no others.

The rules are those of a page: filters, then the place of the cursor, then the order of (``time_fired``, ``seq``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ingestor.event import SCHEMA
from ingestor.history.kept import Kept
from ingestor.history.layout import ROW_SCHEMA
from ingestor.history.piece import Piece
from ingestor.history.places import after_place, near
from ingestor.history.question import Question


class TailView:
    """Rows that the table does not have. Never changes; for any thread."""

    def __init__(self, pieces: Sequence[Piece], kept: Kept) -> None:
        self._pieces = pieces
        self._kept = kept

    def __len__(self) -> int:
        return sum(piece.count for piece in self._pieces)

    def page(self, question: Question, most: int) -> Any:
        """Return the first ``most`` rows of the question, in its order, as rows of the event schema."""
        newest_first = question.order == "desc"
        pieces = sorted(self._pieces, key=_newest if newest_first else _oldest)
        chosen = _Chosen(most, newest_first=newest_first)
        for piece in pieces:
            if chosen.is_before(piece):
                break
            chosen.add(piece, after_place(piece.times_us, piece.seqs, piece.passing(question), question))
        return self._rows(*chosen.sort())

    def after(self, shard: int, seq: int, question: Question, most: int) -> Any:
        """Return the first ``most`` rows of a shard after a place that pass the filters, in rising ``seq``."""
        pieces, places, left = [], [], most
        for piece in self._pieces:
            if left > 0 and piece.shard == shard and piece.last_seq > seq:
                at = piece.passing(question)
                at = at[piece.seqs[at] > seq][:left]
                pieces.append(piece)
                places.append(at)
                left -= len(at)
        seqs = np.concatenate([piece.seqs[at] for piece, at in zip(pieces, places, strict=True)] or [_NONE])
        return self._rows(pieces, places, np.argsort(seqs, kind="stable"))

    def with_ids(self, ids: Collection[bytes]) -> Any:
        """Return the rows with these ids, as rows of the event schema."""
        wanted = pa.array(ids, pa.binary())
        places = [piece.with_ids(wanted) for piece in self._pieces]
        return self._rows(self._pieces, places, np.arange(sum(map(len, places))))

    def holds(self, seq: int) -> bool:
        """Tell whether the row with this ``seq`` is here."""
        return any((piece.seqs == seq).any() for piece in self._pieces)

    def rows(self) -> Any:
        """Return all rows as ``ROW_SCHEMA``, of each shard in the journal's order. Decodes every one."""
        tables = [ROW_SCHEMA.empty_table()]
        for piece in self._pieces:
            rows = piece.all_rows()
            numbers = pa.repeat(pa.scalar(piece.shard, pa.int16()), len(rows))
            tables.append(rows.append_column(ROW_SCHEMA.field("shard"), numbers).cast(ROW_SCHEMA))
        return pa.concat_tables(tables)

    def columns(self, names: Sequence[str], question: Question) -> Any:
        """Return these columns of the rows that pass the question's filters, in no order. Decodes no others."""
        schema = pa.schema([SCHEMA.field(name) for name in names])
        tables = [schema.empty_table()]
        for piece in self._pieces:
            at = pa.array(piece.passing(question))
            if len(at):
                tables.append(pa.table([piece[name].take(at) for name in names], schema=schema))
        return pa.concat_tables(tables)

    def spans(self) -> list[tuple[int, int]]:
        """Return when the first and the last event of each piece was fired."""
        return [(piece.min_us, piece.max_us) for piece in self._pieces]

    def days(self) -> set[int]:
        """Return the days since 1970 (UTC) on which rows were fired."""
        return {int(day) for piece in self._pieces for day in np.unique(piece.times_us // 86_400_000_000)}

    def _rows(self, pieces: Sequence[Piece], places: Sequence[Any], order: Any) -> Any:
        """Return the rows at rising places of each piece, all of them taken in this order."""
        batches = [
            batch for piece, at in zip(pieces, places, strict=True) if len(at) for batch in piece.rows(at, self._kept)
        ]
        if not batches:
            return SCHEMA.empty_table()
        return pa.Table.from_batches(batches, SCHEMA).combine_chunks().take(pa.array(order))


class _Chosen:
    """The first ``most`` rows of all that were added, in the order of (time, seq)."""

    def __init__(self, most: int, *, newest_first: bool) -> None:
        self._most = most
        self._newest_first = newest_first
        self._pieces: list[Piece] = []
        self._places: list[Any] = []
        self._count = 0
        self._last_us: int | None = None

    def is_before(self, piece: Piece) -> bool:
        """Tell whether nothing of a piece can belong to them."""
        if self._last_us is None:
            return False
        return piece.max_us < self._last_us if self._newest_first else piece.min_us > self._last_us

    def add(self, piece: Piece, at: Any) -> None:
        """Look at these rising places of a piece."""
        if len(at):
            self._pieces.append(piece)
            self._places.append(at)
            self._count += len(at)
            if self._count >= self._most:
                self.sort()

    def sort(self) -> tuple[list[Piece], list[Any], Any]:
        """Drop what does not belong. Returns pieces, rising places in each, and the order to take those rows in."""
        if not self._pieces:
            return [], [], _NONE
        owners = np.repeat(np.arange(len(self._places)), [len(at) for at in self._places])
        at = np.concatenate(self._places)
        times = np.concatenate([piece.times_us[own] for piece, own in zip(self._pieces, self._places, strict=True)])
        seqs = np.concatenate([piece.seqs[own] for piece, own in zip(self._pieces, self._places, strict=True)])
        first = near(times, self._most, newest_first=self._newest_first)
        order = first[np.lexsort((seqs[first], times[first]))]
        first = (order[::-1] if self._newest_first else order)[: self._most]
        kept = np.sort(first)
        self._places = [at[kept[owners[kept] == number]] for number in range(len(self._pieces))]
        self._count = len(first)
        if self._count == self._most:
            self._last_us = int(times[first[-1]])
        return self._pieces, self._places, np.searchsorted(kept, first)


_NONE = np.empty(0, np.int64)


def _newest(piece: Piece) -> int:
    return -piece.max_us


def _oldest(piece: Piece) -> int:
    return piece.min_us
