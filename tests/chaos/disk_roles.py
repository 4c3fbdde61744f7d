"""What a child does on a disk: write a journal, move it to the history, or look whether all is there that must be.

Seqs have no holes, and content follows from the seqs, so the last acknowledged number says what must be found.
"""

from __future__ import annotations

import json
import os
import random
import resource
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from actors.room import Room
from ingestor.errors import HistoryError, IngestorError, JournalFailed, JournalFull
from ingestor.event import SCHEMA
from ingestor.history import HistoryTable
from ingestor.history.log import load
from ingestor.journal import Frame, FrameKind, JournalReader, JournalWriter, Tally, trim
from tests.support.rows import START_US, make_events, make_quarantined

SEGMENT_BYTES: Final = 30_000
STEP_US: Final = 50_000
KEPT: Final = 60

Task = Mapping[str, Any]
Tell = Callable[..., None]


class Refused(Exception):
    """The disk refused, and the writer said so and ends, as a shard's process does."""


@lru_cache(maxsize=512)
def rows_of(kind: FrameKind, first_seq: int, rows: int) -> pa.RecordBatch:
    """Give the rows with these seqs. Events follow from their seqs alone, however they are cut into frames."""
    if kind is FrameKind.QUARANTINED:
        return make_quarantined(rows, first_seq=first_seq)
    return make_events(rows, first_seq=first_seq, start_us=START_US + first_seq * STEP_US, step_us=STEP_US)


def open_journal(directory: Path, task: Task) -> JournalWriter:
    """Open shard 0."""
    size = task.get("segment_bytes", SEGMENT_BYTES)
    return JournalWriter.open(directory, shard=0, segment_bytes=size, lock_timeout_s=5.0)


def append(writer: JournalWriter, kind: FrameKind, rows: int) -> None:
    """Append one frame behind the last one."""
    first = writer.last_seq + 1
    tally = Tally(received=writer.tally.received + rows)
    writer.append(kind, rows_of(kind, first, rows), first_seq=first, last_seq=first + rows - 1, tally=tally)


def write_journal(directory: Path, task: Task, tell: Tell) -> None:
    """Append, commit, acknowledge; rotate, trim and open anew now and then. ``commits``: end after so many.

    ``kept``: so many seqs are not trimmed. ``no_more_files``: after the first opening no further file can be opened.
    """
    chance = random.Random(task["seed"])  # noqa: S311 - repeatable on purpose
    try:
        writer = open_journal(directory, task)
        tell("open", writer.last_seq, writer.epoch)
        if task.get("no_more_files"):
            _use_up_files()
        for number in range(task.get("commits", 1_000_000)):
            for _ in range(chance.randint(1, 4)):
                append(writer, chance.choice(list(FrameKind)), chance.randint(1, 8))
            _commit(writer, tell)
            if number % 8 == 7:
                through = max(0, writer.last_seq - task.get("kept", KEPT))
                tell("trim", through)
                trim(directory, through_seq=through, keep_s=0, clock=lambda: 4e9)
            if number % 16 == 11:
                writer.close()
                writer = open_journal(directory, task)
                tell("open", writer.last_seq, writer.epoch)
        writer.close()
    except JournalFailed as error:
        raise Refused(str(error)) from error


def _use_up_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with suppress(OSError):
        while True:
            os.dup(0)


def _commit(writer: JournalWriter, tell: Tell) -> None:
    """Commit and acknowledge. After a failure, ask once more: it must not be acknowledged then either."""
    try:
        writer.commit()
    except JournalFailed:
        with suppress(JournalFailed):
            writer.commit()
            tell("acked", writer.last_seq)
        raise
    tell("acked", writer.last_seq)


def write_history(directory: Path, task: Task, tell: Tell) -> None:
    """Journal events, move them to the table every few commits, trim what is there, merge files now and then."""
    chance = random.Random(task["seed"])  # noqa: S311 - repeatable on purpose
    try:
        writer = open_journal(directory / "journal" / "0", {"segment_bytes": 12_000})
        table = _open_table(directory)
        tell("open", writer.last_seq, writer.epoch)
        for number in range(task.get("commits", 1_000_000)):
            append(writer, FrameKind.EVENTS, chance.randint(1, 12))
            _commit(writer, tell)
            if number % 3 == 2:
                tell("moved", move(directory, table))
            if number % 9 == 8:
                table.compact()
    except (JournalFailed, HistoryError, OSError) as error:
        raise Refused(str(error)) from error


def write_beside_a_full_history(directory: Path, task: Task, tell: Tell) -> None:
    """Go on journaling when the history refuses, until the quota is reached: what a shard does with ``Room``."""
    writer = open_journal(directory / "journal" / "0", {"segment_bytes": 12_000})
    room = Room(directory / "journal" / "0", task["quota_bytes"], clock=count().__next__)
    tell("open", writer.last_seq, writer.epoch)
    table: HistoryTable | None = _open_table(directory)
    try:
        for number in range(1_000_000):
            room.check()
            append(writer, FrameKind.EVENTS, 12)
            _commit(writer, tell)
            if table is not None and number % 3 == 2:
                try:
                    move(directory, table)
                except (HistoryError, OSError) as error:
                    tell("history", error)
                    table.close()
                    table = None
    except JournalFull as error:
        raise Refused(str(error)) from error


def move(directory: Path, table: HistoryTable) -> int:
    """Move what is committed from the journal to the table and trim it, as the Historian does. Returns how far."""
    journal = directory / "journal" / "0"
    reader = JournalReader(journal, after_seq=table.watermarks.get(0, 0))
    frames = _read(reader)
    if frames:
        table.append([frame.batch() for frame in frames], {0: frames[-1].last_seq})
        trim(journal, through_seq=table.watermarks[0], keep_s=0, clock=lambda: 4e9)
    return table.watermarks.get(0, 0)


def judge_journal(directory: Path, task: Task, tell: Tell) -> None:
    """Recover, read all, write on, read again. ``acked`` must be there, from ``trimmed`` on; others may."""
    faults: list[str] = []
    counts: Counter[str] = Counter()
    last = 0
    try:
        before = _read(JournalReader(directory))
        writer = open_journal(directory, task)
        if writer.recovered.lost_after_seq is not None:
            faults.append(f"frames are said to be lost: {writer.recovered}")
        counts["torn"] = writer.recovered.bytes_dropped > 0
        append(writer, FrameKind.QUARANTINED, 1)
        writer.commit()
        writer.close()
        frames = _read(JournalReader(directory))
        if frames[: len(before)] != before:
            faults.append("a reader was shown something else before the recovery")
        first = JournalReader(directory).trimmed_through
        if first > task["trimmed"]:
            faults.append(f"seqs through {first} are gone, allowed was {task['trimmed']}")
        last = writer.last_seq
        _compare(frames, first, last, task["acked"], counts)
        if last <= task["acked"]:
            faults.append(f"the journal goes on with seq {last}, acknowledged was {task['acked']}")
    except IngestorError as error:
        faults.append(str(error))
    tell("found", json.dumps({**counts, "last": last, "violations": faults}))


def judge_history(directory: Path, task: Task, tell: Tell) -> None:
    """Open both. Each acknowledged event is once in the table or, behind its watermark, once in the journal."""
    faults: list[str] = []
    counts: Counter[str] = Counter()
    last = 0
    try:
        writer = open_journal(directory / "journal" / "0", {"segment_bytes": 12_000})
        table = _open_table(directory)
        mark = table.watermarks.get(0, 0)
        counts["torn"] = bool(table.scrubbed.dropped or table.scrubbed.orphans or writer.recovered.bytes_dropped)
        counts["adopted"] = table.scrubbed.adopted
        _compare_table(_rows(directory), mark, task["acked"], counts)
        reader = JournalReader(directory / "journal" / "0", after_seq=mark)
        _compare(_read(reader), mark, writer.last_seq, task["acked"], counts)
        if mark < task["moved"]:
            faults.append(f"the table is at seq {mark} and has been at {task['moved']}")
        faults += [f"{damage.path} {damage.fault}" for damage in table.verify()]
        move(directory, table)
        last = writer.last_seq
        _compare_table(_rows(directory), last, last, counts)
        writer.close()
        table.close()
    except IngestorError as error:
        faults.append(str(error))
    tell("found", json.dumps({**counts, "last": last, "violations": faults}))


def _compare(frames: list[Frame], after: int, last: int, acked: int, counts: Counter[str]) -> None:
    """Count what is wrong with frames that must go from ``after`` to ``last``."""
    seen: Counter[int] = Counter()
    at = after
    for frame in frames:
        seen.update(range(frame.first_seq, frame.last_seq + 1))
        counts["out_of_order"] += frame.last_seq < at
        counts["corrupted"] += not frame.batch().equals(rows_of(frame.kind, frame.first_seq, frame.rows))
        at = frame.last_seq
    wanted = set(range(after + 1, max(last, acked) + 1))
    counts["missing"] += sum(seq not in seen for seq in wanted)
    counts["duplicated"] += sum(number - 1 for number in seen.values())
    counts["spurious"] += sum(seq > last for seq in seen)


def _compare_table(table: pa.Table, mark: int, acked: int, counts: Counter[str]) -> None:
    """Count what is wrong with a table that must have 1 to ``mark``."""
    seqs = Counter(table["seq"].to_pylist())
    counts["missing"] += sum(seq not in seqs for seq in range(1, min(mark, acked) + 1))
    counts["duplicated"] += sum(number - 1 for number in seqs.values())
    counts["spurious"] += sum(seq > mark for seq in seqs)
    if len(table) == mark > 0:
        wanted = pa.Table.from_batches([rows_of(FrameKind.EVENTS, 1, mark)])
        counts["corrupted"] += not table.sort_by("seq").equals(wanted)


def _rows(directory: Path) -> pa.Table:
    """Read the files of the table as any program would."""
    events = directory / "history" / "events"
    parts = [pq.read_table(events / path, partitioning=None) for path in load(events).files]
    return pa.concat_tables([SCHEMA.empty_table(), *(part.select(SCHEMA.names).cast(SCHEMA) for part in parts)])


def _open_table(directory: Path) -> HistoryTable:
    return HistoryTable(directory / "history" / "events", compact_files=3, checkpoint_commits=3)


def _read(reader: JournalReader) -> list[Frame]:
    found: list[Frame] = []
    while frames := reader.read():
        found += frames
    reader.close()
    return found


ROLES: Final[Mapping[str, Callable[[Path, Task, Tell], None]]] = {
    "write_journal": write_journal,
    "write_history": write_history,
    "write_beside_a_full_history": write_beside_a_full_history,
    "judge_journal": judge_journal,
    "judge_history": judge_history,
}
