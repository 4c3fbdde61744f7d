"""Rows of a journal that wait for the table: kept as the frames they came in, decoded no further than was asked.

Only ids, places and times are decoded when a frame comes. A column is decoded by the first question that filters by it,
whole rows by the first page they stand on. A piece never changes; what hides or forgets rows makes a new one of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.event import SCHEMA
from ingestor.history.kept import Kept
from ingestor.history.question import Question
from ingestor.journal import Frame, FrameKind, decode, decode_all

#: What is decoded of every row that comes: who it is, where it stands, and whether it may be a repeat.
KEYS = ("event_id", "seq", "time_fired", "late", "backfilled")
#: More single rows of a frame than this are copied together; fewer are cut out, each without a copy.
CUTS = 24
_TIME = SCHEMA.field("time_fired").type


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A frame's rows as the journal holds them."""

    payload: bytes
    rows: int
    last_seq: int


class Piece:
    """Rows of one shard in the journal's order. ``shown`` None: all of them. Columns by name, as a table has them."""

    def __init__(
        self,
        shard: int,
        frames: Sequence[Packed],
        seqs: Any,
        times_us: Any,
        *,
        shown: Any = None,
        columns: dict[str, Any] | None = None,
    ) -> None:
        self.shard, self.frames, self.seqs, self.times_us, self.shown = shard, frames, seqs, times_us, shown
        self.last_seq: int = frames[-1].last_seq
        self.min_us, self.max_us = int(times_us.min()), int(times_us.max())
        self._columns = {} if columns is None else columns

    def __len__(self) -> int:
        return len(self.seqs)

    def __getitem__(self, name: str) -> Any:
        if name == "time_fired":
            return pa.array(self.times_us).view(_TIME)
        if name == "seq":
            return pa.array(self.seqs)
        if name not in self._columns:
            payloads = [frame.payload for frame in self.frames]
            self._columns[name] = decode_all(FrameKind.EVENTS, payloads, [name])[name].combine_chunks()
        return self._columns[name]

    @property
    def count(self) -> int:
        """How many rows are shown."""
        return len(self) if self.shown is None else int(np.count_nonzero(self.shown))

    @cached_property
    def starts(self) -> Any:
        """Where each frame begins."""
        return np.cumsum([0, *(frame.rows for frame in self.frames[:-1])])

    def passing(self, question: Question) -> Any:
        """Return which rows are shown and pass the question's filters, rising."""
        if not question.is_filtered and question.start_us is None and question.end_us is None:
            return np.arange(len(self)) if self.shown is None else np.flatnonzero(self.shown)
        return self._shown_of(question.passing(self))

    def with_ids(self, ids: Any) -> Any:
        """Return which rows are shown and have one of these ids (an Arrow array), rising."""
        return self._shown_of(pc.is_in(self["event_id"], ids))

    def _shown_of(self, mask: Any) -> Any:
        at = pc.indices_nonzero(mask).to_numpy().view(np.int64)
        return at if self.shown is None else at[self.shown[at]]

    def rows(self, at: Any, kept: Kept) -> list[Any]:
        """Return the rows at these rising places, as batches of the event schema in the same order."""
        frame_of = np.searchsorted(self.starts, at, side="right") - 1
        batches: list[Any] = []
        for number in np.unique(frame_of):
            frame = self.frames[number]
            batch = kept.get(frame, partial(decode, FrameKind.EVENTS, frame.payload), size_of=_bytes_of)
            batches += _cut(batch, at[frame_of == number] - self.starts[number])
        return batches

    def all_rows(self) -> Any:
        """Return all shown rows as a table of the event schema. Keeps nothing of it."""
        rows = decode_all(FrameKind.EVENTS, [frame.payload for frame in self.frames], SCHEMA.names)
        return rows if self.shown is None else rows.filter(pa.array(self.shown))

    def hiding(self, hidden: Any) -> Piece:
        """Return the same rows, of which those at these places are shown no more."""
        shown = np.ones(len(self), bool) if self.shown is None else self.shown.copy()
        shown[hidden] = False
        return Piece(self.shard, self.frames, self.seqs, self.times_us, shown=shown, columns=self._columns)

    def after(self, seq: int) -> Piece | None:
        """Return what stands behind this seq; None if nothing does."""
        if self.last_seq <= seq:
            return None
        gone = next(number for number, frame in enumerate(self.frames) if frame.last_seq > seq)
        piece = self._from(gone) if gone else self
        passed = piece.seqs <= seq
        return piece.hiding(np.flatnonzero(passed)) if passed.any() else piece

    def _from(self, number: int) -> Piece:
        """Return the piece without the frames before this one."""
        at = int(self.starts[number])
        return Piece(
            self.shard,
            self.frames[number:],
            self.seqs[at:],
            self.times_us[at:],
            shown=None if self.shown is None else self.shown[at:],
            columns={name: column[at:] for name, column in self._columns.items()},
        )

    def decoded(self) -> set[str]:
        """Name the columns that somebody has asked for."""
        return set(self._columns)


def piece_of(shard: int, frames: Sequence[Frame]) -> tuple[Piece, Any]:
    """Make a piece of frames of events, at least one with rows. Returns their ``KEYS`` too, one chunk a frame."""
    keys = decode_all(FrameKind.EVENTS, [frame.payload for frame in frames], KEYS)
    packed = tuple(Packed(frame.payload, frame.rows, frame.last_seq) for frame in frames)
    columns = {"event_id": keys["event_id"].combine_chunks()}
    return Piece(shard, packed, keys["seq"].to_numpy(), times_us_of(keys), columns=columns), keys


def joined(pieces: Sequence[Piece]) -> Piece:
    """Return one piece of several of one shard. Columns that all of them decoded stay decoded."""
    shown = None
    if any(piece.shown is not None for piece in pieces):
        shown = np.concatenate([np.ones(len(piece), bool) if piece.shown is None else piece.shown for piece in pieces])
    common = set.intersection(*(piece.decoded() for piece in pieces))
    return Piece(
        pieces[0].shard,
        [frame for piece in pieces for frame in piece.frames],
        np.concatenate([piece.seqs for piece in pieces]),
        np.concatenate([piece.times_us for piece in pieces]),
        shown=shown,
        columns={name: pa.concat_arrays([piece[name] for piece in pieces]) for name in common},
    )


def times_us_of(rows: Any) -> Any:
    """Return when each row of a table was fired, as numbers."""
    return rows["time_fired"].to_numpy().view(np.int64)


def _cut(batch: Any, at: Any) -> Iterator[Any]:
    """Yield the rows at these rising places of a batch, runs of neighbours uncopied."""
    if at[-1] - at[0] == len(at) - 1:
        yield batch.slice(int(at[0]), len(at))
    elif len(at) <= CUTS:
        for place in at.tolist():
            yield batch.slice(place, 1)
    else:
        yield batch.take(pa.array(at))


def _bytes_of(batch: Any) -> int:
    size: int = batch.get_total_buffer_size()
    return size
