"""Door 9's reading side: every answer is one snapshot, the table as of a version plus the tail beyond its watermarks.

Nothing is missing from a snapshot that was on disk when ``refresh`` began, and nothing is in it twice, whatever the
Historian does at that moment. An ``event_id`` comes out once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestor.errors import JournalCorrupt, JournalError, QueryError
from ingestor.event import SCHEMA
from ingestor.history import log, scrub
from ingestor.history.engine import COLUMNS, Engine, as_rows
from ingestor.history.fresh import first_of_each, unknown
from ingestor.history.layout import ROW_SCHEMA, DataFile
from ingestor.history.question import Page, Question, cursor_of
from ingestor.history.recall import latest_states
from ingestor.history.sql import answer
from ingestor.history.tail import Tail

#: A question reads so many rows' worth of files first, and eight times as many whenever that was not enough. The fewer
#: rows can pass its filters, the more: another look costs more than a few files in vain.
FIRST_ROWS_UNFILTERED = 4_096
FIRST_ROWS = 65_536
FIRST_ROWS_IF_RARE = 1_048_576
#: So often a reader may find that the journal was trimmed while it looked where to go on.
REWINDS = 3
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What an answer is made of. ``tail`` are rows of ``ROW_SCHEMA`` that ``table`` does not have."""

    table: log.LogState
    tail: Any
    high: dict[int, int]


class Resumed(NamedTuple):
    """A shard's events after a place, in rising ``seq``. ``last_seq``: the place after them and what did not pass."""

    shard: int
    rows: Any
    last_seq: int


class Archive:
    """Answers questions in any process on the node with the disk. Thread-safe. Sees what was there at ``refresh``."""

    def __init__(self, data_dir: Path, *, threads: int = 2, memory_mb: int = 512) -> None:
        self._directory = data_dir / "history" / "events"
        self._journals = data_dir / "journal"
        self._engine = Engine(self._directory, threads=threads, memory_mb=memory_mb)
        self._tail = Tail(self._journals)
        self._refreshing = threading.Lock()
        table = log.load(self._directory)
        self._snapshot = Snapshot(table=table, tail=ROW_SCHEMA.empty_table(), high=dict(table.watermarks))
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
        return self._steadily(
            lambda now: _plain(
                self._select(now.tail, list(now.table.files.values()), ["event_id = ?"], [wanted], "LIMIT 1")
            )
        )

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
        return self._steadily(lambda now: answer(self._engine, text, list(now.table.files.values()), now.tail))

    def _refresh(self, read_log: Callable[[Path, log.LogState], log.LogState]) -> bool:
        before = self._snapshot
        news = self._read_journals(before.table)
        table = read_log(self._directory, before.table)
        if not news and table is before.table:
            return False
        self._tail.forget(table.watermarks)
        high = dict(table.watermarks)
        for shard, seq in self._tail.high().items():
            high[shard] = max(seq, high.get(shard, 0))
        self._snapshot = Snapshot(table=table, tail=self._unrepeated(table), high=high)
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

    def _unrepeated(self, table: log.LogState) -> Any:
        rows = self._tail.rows()
        if self._tail.repeats:
            rows = first_of_each(rows)
        return unknown(rows, list(table.files.values()), self._engine)

    def _steadily(self, ask: Callable[[Snapshot], _Answer]) -> _Answer:
        """Answer; if a file was vacuumed away under an old snapshot, read the whole log and answer again."""
        try:
            return ask(self._snapshot)
        except duckdb.Error:
            with self._refreshing:
                self._refresh(lambda directory, _: log.load(directory))
        try:
            return ask(self._snapshot)
        except duckdb.Error as error:
            raise scrub.blame(self._directory, self._snapshot.table.files.values(), str(error)) from error

    def _tail_saw(self, seq: int) -> bool:
        with self._refreshing:
            return self._tail.saw(seq)

    def _page(self, now: Snapshot, question: Question) -> Page:
        newest_first = question.order == "desc"
        conditions, values = question.filters()
        if question.place:
            sign = "<" if newest_first else ">"
            conditions.append(f"(time_fired, seq) {sign} (make_timestamptz(?::BIGINT), ?::BIGINT)")
            values += question.place
        files = [file for file in now.table.files.values() if _may_hold(file, question)]
        files.sort(key=lambda file: file.max_us if newest_first else -file.min_us, reverse=True)
        ending = f"ORDER BY time_fired {question.order}, seq {question.order} LIMIT {question.limit + 1}"
        found, tail = ROW_SCHEMA.empty_table(), _first_of_tail(now.tail, question)
        for part, rest in _growing(files, _first_rows(question)):
            news = self._select(tail, part, conditions, values, ending)
            found, tail = _merged(found, news, question), ROW_SCHEMA.empty_table()
            if (
                rest
                and len(found) > question.limit
                and _beyond(found, question.limit, rest[0], newest_first=newest_first)
            ):
                break
        rows = found.slice(0, question.limit)
        follows = cursor_of(question.order, *_place(rows, len(rows) - 1)) if len(found) > question.limit else None
        return Page(rows=_plain(rows), next=follows)

    def _after(self, now: Snapshot, cursor: Mapping[int, int], question: Question, limit: int) -> list[Resumed]:
        lowest = min(cursor.values(), default=0)
        conditions, values = question.filters()
        resumed: list[Resumed] = []
        for shard, high in sorted(now.high.items()):
            place, left = cursor.get(shard, lowest), limit - sum(len(part.rows) for part in resumed)
            if place >= high or left <= 0:
                continue
            files = sorted((f for f in now.table.files.values() if f.max_seq > place), key=lambda file: file.min_seq)
            tail = now.tail.filter(pc.and_(pc.equal(now.tail["shard"], shard), pc.greater(now.tail["seq"], place)))
            tail = _first_of(tail.filter(question.passing(tail)), "seq", left)
            rows = self._rising(tail, files, [*conditions, "shard = ?"], [*values, shard], place, left)
            last_seq = rows["seq"][-1].as_py() if len(rows) == left else high
            resumed.append(Resumed(shard=shard, rows=_plain(rows), last_seq=last_seq))
        return resumed

    def _rising(
        self, tail: Any, files: list[DataFile], conditions: list[str], values: list[Any], after_seq: int, limit: int
    ) -> Any:
        ending = f"ORDER BY seq LIMIT {limit}"
        found = ROW_SCHEMA.empty_table()
        for part, rest in _growing(files, FIRST_ROWS):
            news = self._select(
                tail,
                part,
                [*conditions, "seq > ?"],
                [*values, after_seq],
                ending,
            )
            found = pa.concat_tables([found, news]).sort_by("seq").slice(0, limit)
            tail = ROW_SCHEMA.empty_table()
            if rest and len(found) == limit and rest[0].min_seq > found["seq"][-1].as_py():
                break
        return found

    def _select(
        self, tail: Any, files: Sequence[DataFile], conditions: list[str], values: list[Any], ending: str
    ) -> Any:
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        sources = [self._engine.files(files)] if files else []
        tables = {}
        if len(tail):
            sources.append("tail")
            tables["tail"] = tail
        if not sources:
            return ROW_SCHEMA.empty_table()
        parts = " UNION ALL ".join(f"(SELECT {COLUMNS}, shard FROM {source} {where} {ending})" for source in sources)  # noqa: S608 - names are ours, values are bound
        statement = parts if len(sources) == 1 else f"SELECT * FROM ({parts}) {ending}"  # noqa: S608 - same
        return as_rows(self._engine.arrow(statement, values * len(sources), **tables))

    def _latest(self, now: Snapshot, home: str | None) -> Any:
        table = latest_states(self._engine, list(now.table.files.values()), lambda h, _: home is None or h == home)
        tail = _plain(now.tail).filter(pc.equal(now.tail["kind"], "state"))
        tail = tail.filter(pc.equal(tail["home"], home)) if home is not None else tail
        both = pa.concat_tables([table, tail.filter(pc.is_valid(tail["entity_id"]))])
        both = both.sort_by([("time_fired", "descending"), ("seq", "descending")])
        numbered = both.select(["home", "entity_id"]).append_column("at", pa.array(range(len(both)), pa.int64()))
        return both.take(numbered.group_by(["home", "entity_id"]).aggregate([("at", "min")])["at_min"])

    def _holds(self, now: Snapshot, seq: int) -> bool:
        if pc.any(pc.equal(now.tail["seq"], seq)).as_py():
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
    if question.place is None:
        return True
    return file.min_us <= question.place[0] if question.order == "desc" else file.max_us >= question.place[0]


def _first_of_tail(tail: Any, question: Question) -> Any:
    """Return the rows of the tail that a page can need, by the rules of ``filters``: faster here than in SQL."""
    if question.is_filtered or question.start_us is not None or question.end_us is not None:
        tail = tail.filter(question.passing(tail))
    if question.place is not None:
        time_us, seq = question.place
        times, beyond = tail["time_fired"].cast(pa.int64()), pc.less if question.order == "desc" else pc.greater
        same = pc.and_(pc.equal(times, time_us), beyond(tail["seq"], seq))
        tail = tail.filter(pc.or_(beyond(times, time_us), same))
    return _first_of(tail, "time_fired", question.limit + 1, newest=question.order == "desc")


def _first_of(rows: Any, column: str, limit: int, *, newest: bool = False) -> Any:
    """Drop rows before which ``limit`` others stand in the order of a column, whatever decides between equals."""
    if len(rows) <= 4 * limit:
        return rows
    values = rows[column].cast(pa.int64()).to_numpy()
    if newest:
        last = np.partition(values, len(values) - limit)[len(values) - limit]
        return rows.filter(pa.array(values >= last))
    return rows.filter(pa.array(values <= np.partition(values, limit - 1)[limit - 1]))


def _merged(found: Any, news: Any, question: Question) -> Any:
    order = "descending" if question.order == "desc" else "ascending"
    both = pa.concat_tables([found, news]) if len(found) else news
    return both.sort_by([("time_fired", order), ("seq", order)]).slice(0, question.limit + 1) if len(found) else both


def _beyond(found: Any, last: int, following: DataFile, *, newest_first: bool) -> bool:
    """Tell whether the file can only hold rows after ``found[last]``."""
    time_us, _ = _place(found, last)
    return following.max_us < time_us if newest_first else following.min_us > time_us


def _place(rows: Any, index: int) -> tuple[int, int]:
    return rows["time_fired"][index].cast(pa.int64()).as_py(), rows["seq"][index].as_py()


def _plain(rows: Any) -> Any:
    return rows.select(SCHEMA.names).cast(SCHEMA)
