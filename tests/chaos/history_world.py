"""A small home on disk whose every row is known: one shard's journal, and the history table that was made from it.

``judge`` looks at a data directory in all the ways the product does - ``verify``, a reader, a writer that goes on from
the journal - and says of each whether what it shows is exactly what must be there, refused in words, or neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestor.errors import IngestorError
from ingestor.event import SCHEMA
from ingestor.history import Archive, HistoryTable, Question, verify
from ingestor.history.log import load
from ingestor.history.mark import mark_path
from ingestor.journal import FrameKind, JournalReader, JournalWriter, Tally, trim
from tests.support.rows import START_US, make_events

STEP_US: Final = 50_000
#: Frames are moved to the table so many at a time, and after a fault in other portions, as the Historian would.
MOVED_FRAMES, REPLAYED_FRAMES = 2, 3
CHECKPOINT_COMMITS: Final = 4
SEGMENT_BYTES: Final = 16_384

EXACT, REFUSED = "exact", "refused"


def rows_of(first_seq: int, count: int) -> pa.RecordBatch:
    """Give the events with these seqs. They follow from their seqs alone."""
    return make_events(count, first_seq=first_seq, start_us=START_US + first_seq * STEP_US, step_us=STEP_US)


def history_of(data: Path) -> Path:
    """Where the table of a data directory lies."""
    return data / "history" / "events"


def journal_of(data: Path) -> Path:
    """Where its one journal lies."""
    return data / "journal" / "0"


def write_journal(data: Path, first_seq: int, rows: int, *, frame_rows: int = 20) -> None:
    """Append events, a commit for each frame, and close the journal."""
    journal = JournalWriter.open(journal_of(data), shard=0, segment_bytes=SEGMENT_BYTES)
    for seq in range(first_seq, first_seq + rows, frame_rows):
        batch = rows_of(seq, frame_rows)
        journal.append(FrameKind.EVENTS, batch, first_seq=seq, last_seq=seq + frame_rows - 1, tally=Tally())
        journal.commit()
    journal.close()


def move(table: HistoryTable, data: Path, *, frames: int, commits: int | None = None) -> int:
    """Move from the journal to the table, ``frames`` a commit. Returns the number of commits."""
    reader = JournalReader(journal_of(data), after_seq=table.watermarks.get(0, 0))
    count = 0
    try:
        while (commits is None or count < commits) and (found := reader.read(max_frames=frames)):
            table.append([frame.batch() for frame in found], {0: found[-1].last_seq})
            count += 1
    finally:
        reader.close()
    return count


def build(data: Path, *, rows: int = 240, unmarked: int = 0, trimmed: bool = False) -> Path:
    """Make the home. ``unmarked``: so many commits lost their durable mark. ``trimmed``: the journal has no more."""
    write_journal(data, 1, rows)
    table = HistoryTable(history_of(data), checkpoint_commits=CHECKPOINT_COMMITS)
    commits = rows // 20 // MOVED_FRAMES
    move(table, data, frames=MOVED_FRAMES, commits=commits - unmarked)
    durable = mark_path(history_of(data)).read_bytes()
    seq = table.watermarks[0]
    move(table, data, frames=MOVED_FRAMES)
    table.close()
    if unmarked:
        mark_path(history_of(data)).write_bytes(durable)
    if trimmed:
        write_journal(data, rows + 1, 0)
        assert trim(journal_of(data), through_seq=seq, keep_s=0)
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """``found``: what ``verify`` names. ``reader`` and ``writer``: ``EXACT``, ``REFUSED`` in our words, or else."""

    found: list[str]
    reader: str
    writer: str
    refusals: list[str]

    @property
    def silent(self) -> bool:
        """Whether wrong rows were handed out, or kept, and nothing and nobody said so."""
        return not self.found and not {self.reader, self.writer} <= {EXACT, REFUSED}

    @property
    def bit(self) -> bool:
        """Whether anybody noticed."""
        return bool(self.found or self.refusals)


def judge(data: Path, *, rows: int = 240, write: bool = True) -> Judgement:
    """Look at it in all ways. The writer comes last, for it may mend."""
    refusals: list[str] = []
    found = [damage.path for damage in verify(history_of(data))]
    reader = _worded(lambda: _difference(rows_by_archive(data), rows), refusals)
    writer = _worded(lambda: _written(data, rows), refusals) if write else EXACT
    return Judgement(found=found, reader=reader, writer=writer, refusals=refusals)


def rows_by_archive(data: Path) -> pa.Table:
    """Ask for all events, page by page, as an answering process does."""
    archive = Archive(data, threads=1)
    parts, cursor = [], None
    while True:
        page = archive.events(Question(limit=1_000, order="asc", cursor=cursor))
        parts.append(page.rows)
        cursor = page.next
        if cursor is None:
            return pa.concat_tables(parts)


def rows_by_parquet(data: Path) -> pa.Table:
    """Read the table's files as any program would, with no digest compared."""
    directory = history_of(data)
    files = [pq.read_table(directory / path, partitioning=None) for path in load(directory).files]
    return pa.concat_tables([SCHEMA.empty_table(), *(file.select(SCHEMA.names).cast(SCHEMA) for file in files)])


def _written(data: Path, rows: int) -> str:
    table = HistoryTable(history_of(data), checkpoint_commits=CHECKPOINT_COMMITS)
    try:
        move(table, data, frames=REPLAYED_FRAMES)
        return _difference(rows_by_parquet(data), rows)
    finally:
        table.close()


def _difference(found: pa.Table, rows: int) -> str:
    """Compare with all that must be there, every column."""
    found, wanted = found.sort_by("seq"), pa.Table.from_batches([rows_of(1, rows)])
    if found.equals(wanted):
        return EXACT
    unique = len(pc.unique(found["seq"]))
    if unique < rows:
        return f"{rows - unique} rows are missing"
    return f"{len(found) - rows} rows are there twice" if len(found) > rows else "rows are altered"


def _worded(look: Any, refusals: list[str]) -> str:
    try:
        answer: str = look()
    except IngestorError as error:
        refusals.append(str(error))
        return REFUSED
    except Exception as error:  # noqa: BLE001 - whatever is raised without our words is what we look for
        return f"raises {type(error).__name__}: {error}"
    return answer
