"""Door 9's reading side: every answer is one snapshot, the table as of a version plus the tail beyond its watermarks.

Nothing is missing from a snapshot that was on disk when ``refresh`` began, and nothing is in it twice, whatever the
Historian does at that moment. An ``event_id`` comes out once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.errors import JournalCorrupt, JournalError, QueryError
from ingestor.event import SCHEMA
from ingestor.history import log, scrub
from ingestor.history.aggregate import AggregatePage, Aggregation, aggregate
from ingestor.history.aggregate_sources import Sources
from ingestor.history.engine import COLUMNS, Engine, as_rows
from ingestor.history.export import walk
from ingestor.history.groups import Groups, GroupUnreadable
from ingestor.history.kept import Kept
from ingestor.history.layout import ROW_GROUP_ROWS, DataFile
from ingestor.history.question import Page, Question, cursor_of, values_of
from ingestor.history.recall import latest_states
from ingestor.history.rollup import Rollups
from ingestor.history.sql import answer
from ingestor.history.tail import Tail
from ingestor.history.view import TailView

#: A question reads so many rows' worth of files first, and eight times as many whenever that was not enough. The fewer
#: rows can pass its filters, the more: another look costs more than a few files in vain.
FIRST_ROWS_UNFILTERED = 4_096
FIRST_ROWS = 65_536
FIRST_ROWS_IF_RARE = 1_048_576
#: A question for more entities than this is one for the engine, and so is one that must decode more row groups.
FEW_ENTITIES = 16
DECODED_GROUPS = 32
#: So many when no entity is named: then every group of a file must be read, and with a filter the engine reads less.
DECODED_GROUPS_UNFILTERED, DECODED_GROUPS_FILTERED = 16, 8
#: So often a reader may find that the journal was trimmed while it looked where to go on.
REWINDS = 3
#: What comes of a file that is gone or damaged.
_UNREADABLE = (duckdb.Error, GroupUnreadable)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What an answer is made of. ``tail`` has the rows that ``table`` does not have."""

    table: log.LogState
    tail: TailView
    high: dict[int, int]


class Resumed(NamedTuple):
    """A shard's events after a place, in rising ``seq``. ``last_seq``: the place after them and what did not pass."""

    shard: int
    rows: Any
    last_seq: int


class Archive:
    """Answers questions in any process on the node with the disk. Thread-safe. Sees what was there at ``refresh``."""

    def __init__(self, data_dir: Path, *, threads: int = 2, memory_mb: int = 512, kept_mb: int = 96) -> None:
        """``memory_mb`` bounds the engine, ``kept_mb`` what was decoded and is kept for the next question."""
        self._directory = data_dir / "history" / "events"
        self._journals = data_dir / "journal"
        self._engine = Engine(self._directory, threads=threads, memory_mb=memory_mb)
        kept = Kept(most_bytes=kept_mb * 1024 * 1024)
        self._groups = Groups(self._directory, kept)
        self._rollups = Rollups(self._directory, kept)
        self._tail = Tail(self._journals, kept)
        self._refreshing = threading.Lock()
        table = log.load(self._directory)
        self._snapshot = Snapshot(table=table, tail=self._tail.view(), high=dict(table.watermarks))
        self.refresh()

    def refresh(self) -> bool:
        """See what is new. Costs a few system calls when nothing is. Returns whether there was anything."""
        with self._refreshing:
            return self._refresh(log.advance)

    def snapshot(self) -> Snapshot:
        """Return what the next answer is made of."""
        return self._snapshot

    def events(self, question: Question) -> Page:
        """Return one page. Newest-first questions read newest files first and stop when nothing older can come."""
        return self._steadily(lambda now: self._page(now, question))

    def event(self, event_id: str) -> Any:
        """Find the event with this id (32 hex digits): a table of one row, or none."""
        try:
            wanted = bytes.fromhex(event_id)
        except ValueError:
            wanted = b""
        if len(wanted) != 16 or not event_id.isalnum():  # noqa: PLR2004 - a 128-bit id
            raise QueryError("event_id", repr(event_id[:80]), "32 hex digits")
        return self._steadily(lambda now: self._event(now, wanted))

    def latest(self, home: str | None = None, entity_id: str | None = None) -> Any:
        """Return the latest state event of each entity, of one home, or of one entity: rows of the event schema."""
        if entity_id is not None:
            return self.events(Question(home=home, entity_id=entity_id, kind="state", limit=1)).rows
        return self._steadily(lambda now: self._latest(now, home))

    def after(self, cursor: Mapping[int, int], question: Question, limit: int) -> list[Resumed]:
        """Return up to ``limit`` events after a place in each shard's journal that pass the question's filters.

        Nothing is returned when the cursor is the end; else at least one shard's place moves on, rows or not. A shard
        that the cursor does not name came after it.
        """
        return self._steadily(lambda now: self._after(now, cursor, question, limit))

    def filter(self, rows: Any, question: Question, *, after_seq: int) -> Any:
        """Return those of the rows that pass the question's filters and have a higher ``seq``, in the same order."""
        return rows.filter(pc.and_(question.passing(rows), pc.greater(rows["seq"], after_seq)))

    def visible(self, seq: int) -> bool:
        """Tell whether answers have the event with this ``seq`` (or had it and it was a repeat)."""
        if self._tail_saw(seq):
            return True
        return self._steadily(lambda now: self._holds(now, seq))

    def high(self) -> dict[int, int]:
        """Shard -> the highest seq that answers have: the place a stream from now on begins."""
        return dict(self._snapshot.high)

    def count(self) -> int:
        """How many events there are."""
        now = self._snapshot
        return now.table.rows + len(now.tail)

    def files(self) -> list[DataFile]:
        """List the files the table consists of, oldest first."""
        return sorted(self._snapshot.table.files.values(), key=lambda file: (file.min_us, file.path))

    def sql(self, text: str) -> Any:
        """Answer one SELECT over the view ``events``. ``event_id`` is hex text there. Raises ``QueryError``."""
        return self._steadily(lambda now: answer(self._engine, text, list(now.table.files.values()), now.tail.rows()))

    def aggregate(self, asked: Aggregation) -> AggregatePage:
        """Return one page of time buckets. Reads roll-ups where a day has one, rows elsewhere."""
        return self._steadily(lambda now: aggregate(Sources(self._engine, self._rollups, now.table, now.tail), asked))

    def export(self, question: Question) -> Generator[Any, None, None]:
        """Yield all that passes, oldest first, a bounded number of rows at a time; the question's limit does not count.

        One snapshot, as of the first step. Only if files of it were vacuumed away meanwhile it goes on with a newer.
        """
        now, failed = self._snapshot, False
        while True:
            try:
                for rows in walk(self._engine, list(now.table.files.values()), now.tail, question):
                    yield rows
                    question = replace(question, cursor=cursor_of("asc", *_place(rows, len(rows) - 1)), order="asc")
                    failed = False
            except _UNREADABLE as error:
                if failed:
                    raise scrub.blame(self._directory, now.table.files.values(), str(error)) from error
            else:
                return
            with self._refreshing:
                self._refresh(lambda directory, _: log.load(directory))
            now, failed = self._snapshot, True

    def _refresh(self, read_log: Callable[[Path, log.LogState], log.LogState]) -> bool:
        before = self._snapshot
        news = self._read_journals(before.table)
        table = read_log(self._directory, before.table)
        if not news and table is before.table:
            return False
        self._tail.forget(table.watermarks)
        self._tail.settle(list(table.files.values()), self._engine, moved=table is not before.table)
        high = dict(table.watermarks)
        for shard, seq in self._tail.high().items():
            high[shard] = max(seq, high.get(shard, 0))
        self._snapshot = Snapshot(table=table, tail=self._tail.view(), high=high)
        return True

    def _read_journals(self, table: log.LogState) -> bool:
        for _ in range(REWINDS):
            try:
                return self._tail.refresh(table.watermarks)
            except JournalCorrupt:
                raise
            except JournalError:
                table = log.advance(self._directory, table)
                self._tail.rewind(table.watermarks)
        return self._tail.refresh(table.watermarks)

    def _steadily(self, ask: Callable[[Snapshot], _Answer]) -> _Answer:
        """Answer; if a file was vacuumed away under an old snapshot, read the whole log and answer again."""
        try:
            return ask(self._snapshot)
        except _UNREADABLE:
            with self._refreshing:
                self._refresh(lambda directory, _: log.load(directory))
        try:
            return ask(self._snapshot)
        except _UNREADABLE as error:
            raise scrub.blame(self._directory, self._snapshot.table.files.values(), str(error)) from error

    def _tail_saw(self, seq: int) -> bool:
        with self._refreshing:
            return self._tail.saw(seq)

    def _page(self, now: Snapshot, question: Question) -> Page:
        """Look where it is cheap first: the tail, then the groups of an entity, and only then with the engine."""
        newest_first = question.order == "desc"
        found = now.tail.page(question, question.limit + 1)
        files = [file for file in now.table.files.values() if _may_hold(file, question)]
        files.sort(key=lambda file: file.max_us if newest_first else -file.min_us, reverse=True)
        found, files = self._from_groups(found, files, question)
        if files and not _is_done(found, question, files[0]):
            found = self._from_files(found, files, question)
        rows = found.slice(0, question.limit)
        follows = cursor_of(question.order, *_place(rows, len(rows) - 1)) if len(found) > question.limit else None
        return Page(rows=rows, next=follows)

    def _from_groups(self, found: Any, files: list[DataFile], question: Question) -> tuple[Any, list[DataFile]]:
        """Read on in row groups while few must be decoded. Returns the files that are left to the engine."""
        entities = values_of(question.entity_id)
        if len(entities) > FEW_ENTITIES:
            return found, files
        budget = DECODED_GROUPS_FILTERED if question.is_filtered else DECODED_GROUPS_UNFILTERED
        budget = DECODED_GROUPS if entities else budget
        for at, file in enumerate(files):
            if _is_done(found, question, file):
                return found, []
            if not entities and file.rows > budget * ROW_GROUP_ROWS:
                return found, files[at:]
            budget -= self._groups.cost(file, entities)
            if budget < 0:
                return found, files[at:]
            found = _merged(found, self._groups.page(file, entities, question), question)
        return found, []

    def _from_files(self, found: Any, files: list[DataFile], question: Question) -> Any:
        """Let the engine look, in portions that grow."""
        conditions, values = question.filters()
        if question.place:
            sign = "<" if question.order == "desc" else ">"
            conditions.append(f"(time_fired, seq) {sign} (make_timestamptz(?::BIGINT), ?::BIGINT)")
            values += question.place
        ending = f"ORDER BY time_fired {question.order}, seq {question.order} LIMIT {question.limit + 1}"
        for part, rest in _growing(files, _first_rows(question)):
            found = _merged(found, self._select(part, conditions, values, ending), question)
            if rest and _is_done(found, question, rest[0]):
                break
        return found

    def _event(self, now: Snapshot, event_id: bytes) -> Any:
        found = now.tail.with_ids([event_id])
        if len(found):
            return found
        return self._select(list(now.table.files.values()), ["event_id = ?"], [event_id], "LIMIT 1")

    def _after(self, now: Snapshot, cursor: Mapping[int, int], question: Question, limit: int) -> list[Resumed]:
        lowest = min(cursor.values(), default=0)
        resumed: list[Resumed] = []
        for shard, high in sorted(now.high.items()):
            place, left = cursor.get(shard, lowest), limit - sum(len(part.rows) for part in resumed)
            if place >= high or left <= 0:
                continue
            rows = SCHEMA.empty_table()
            if place < now.table.watermarks.get(shard, 0):
                rows = self._rising(list(now.table.files.values()), question, shard, place, left)
            if len(rows) < left:
                rows = pa.concat_tables([rows, now.tail.after(shard, place, question, left - len(rows))])
            last_seq = rows["seq"][-1].as_py() if len(rows) == left else high
            resumed.append(Resumed(shard=shard, rows=rows, last_seq=last_seq))
        return resumed

    def _rising(self, files: list[DataFile], question: Question, shard: int, after_seq: int, limit: int) -> Any:
        """Return a shard's first rows of the table after a place. All of them stand before those of the tail."""
        conditions, values = question.filters()
        files = sorted((file for file in files if file.max_seq > after_seq), key=lambda file: file.min_seq)
        found = SCHEMA.empty_table()
        for part, rest in _growing(files, FIRST_ROWS):
            news = self._select(
                part,
                [*conditions, "shard = ?", "seq > ?"],
                [*values, shard, after_seq],
                f"ORDER BY seq LIMIT {limit}",
            )
            found = pa.concat_tables([found, news]).sort_by("seq").slice(0, limit)
            if rest and len(found) == limit and rest[0].min_seq > found["seq"][-1].as_py():
                break
        return found

    def _select(self, files: Sequence[DataFile], conditions: list[str], values: list[Any], ending: str) -> Any:
        if not files:
            return SCHEMA.empty_table()
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"SELECT {COLUMNS} FROM {self._engine.files(files)} {where} {ending}"  # noqa: S608 - names are ours, values are bound
        return as_rows(self._engine.arrow(statement, values))

    def _latest(self, now: Snapshot, home: str | None) -> Any:
        table = latest_states(self._engine, list(now.table.files.values()), lambda h, _: home is None or h == home)
        tail = now.tail.rows().select(SCHEMA.names).cast(SCHEMA)
        tail = tail.filter(pc.equal(tail["kind"], "state"))
        tail = tail.filter(pc.equal(tail["home"], home)) if home is not None else tail
        both = pa.concat_tables([table, tail.filter(pc.is_valid(tail["entity_id"]))])
        both = both.sort_by([("time_fired", "descending"), ("seq", "descending")])
        numbered = both.select(["home", "entity_id"]).append_column("at", pa.array(range(len(both)), pa.int64()))
        return both.take(numbered.group_by(["home", "entity_id"]).aggregate([("at", "min")])["at_min"])

    def _holds(self, now: Snapshot, seq: int) -> bool:
        if now.tail.holds(seq):
            return True
        files = [file for file in now.table.files.values() if file.min_seq <= seq <= file.max_seq]
        if not files:
            return False
        statement = f"SELECT 1 FROM {self._engine.files(files)} WHERE seq = ? LIMIT 1"  # noqa: S608 - our own file names, quoted
        return len(self._engine.arrow(statement, [seq])) > 0


def _first_rows(question: Question) -> int:
    if question.is_rare:
        return FIRST_ROWS_IF_RARE
    return FIRST_ROWS if question.is_filtered else FIRST_ROWS_UNFILTERED


def _growing(files: list[DataFile], first_rows: int) -> Iterator[tuple[list[DataFile], list[DataFile]]]:
    """Cut files into parts of growing size, each with what is left after it. At least one part, if empty."""
    wanted, at = first_rows, 0
    while True:
        end, rows = at, 0
        while end < len(files) and rows < wanted:
            rows += files[end].rows
            end += 1
        yield files[at:end], files[end:]
        at, wanted = end, wanted * 8
        if at >= len(files):
            return


def _may_hold(file: DataFile, question: Question) -> bool:
    if question.start_us is not None and file.max_us < question.start_us:
        return False
    if question.end_us is not None and file.min_us >= question.end_us:
        return False
    entities = values_of(question.entity_id)
    if entities and (
        file.min_entity is None or not any(file.min_entity <= one <= (file.max_entity or "") for one in entities)
    ):
        return False
    if question.place is None:
        return True
    return file.min_us <= question.place[0] if question.order == "desc" else file.max_us >= question.place[0]


def _merged(found: Any, news: Any, question: Question) -> Any:
    """Return the first rows of both in the question's order. ``found`` is in that order, ``news`` need not be."""
    if not len(news):
        return found
    both = pa.concat_tables([found, news]) if len(found) else news
    order = "descending" if question.order == "desc" else "ascending"
    places = pc.sort_indices(both.select(["time_fired", "seq"]), [("time_fired", order), ("seq", order)])
    return both.take(places[: question.limit + 1])


def _is_done(found: Any, question: Question, following: DataFile) -> bool:
    """Tell whether the page is full and the file can only hold rows that come after it."""
    if len(found) <= question.limit:
        return False
    time_us, _ = _place(found, question.limit)
    return following.max_us < time_us if question.order == "desc" else following.min_us > time_us


def _place(rows: Any, index: int) -> tuple[int, int]:
    return rows["time_fired"][index].cast(pa.int64()).as_py(), rows["seq"][index].as_py()
