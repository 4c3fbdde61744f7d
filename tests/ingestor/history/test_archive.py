"""The reading side: one consistent snapshot for each answer, pages without hole or repeat, every event once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.errors import QueryError
from ingestor.event import SCHEMA
from ingestor.history import Archive, HistoryTable, Question
from ingestor.history import archive as reading
from ingestor.journal import FrameKind, JournalWriter, Tally, trim
from tests.ingestor.history.rows import DAY_US, flagged, renumbered
from tests.support.rows import START_US, make_events, make_quarantined

#: A reader in rising order would never end behind a writer that is faster.
MOVES_BETWEEN_PAGES = 6


class House:
    """A data folder with journals and a table, moved by hand."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        self.data_dir = data_dir
        self.table = HistoryTable(data_dir / "history" / "events", **options)
        self._writers: dict[int, JournalWriter] = {}
        self._waiting: dict[int, list[Any]] = {}
        self._marks: dict[int, int] = {}

    def journal(self, batch: Any, *, shard: int = 0) -> None:
        """Write a batch to a shard's journal. Durable, and not in the table."""
        self._write(shard, FrameKind.EVENTS, batch)
        self._waiting.setdefault(shard, []).append(batch)

    def quarantine(self, count: int, *, first_seq: int, shard: int = 0) -> None:
        """Write quarantined rows to a shard's journal."""
        self._write(shard, FrameKind.QUARANTINED, make_quarantined(count, first_seq=first_seq))

    def commit(self) -> None:
        """Move what waits to the table."""
        self.table.append(self._waiting, self._marks)
        self._waiting, self._marks = {}, {}

    def trim(self) -> None:
        """Drop what the table has from the journals, as if it had been kept long enough."""
        for shard, seq in self.table.watermarks.items():
            trim(self.data_dir / "journal" / str(shard), through_seq=seq, keep_s=0)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self.table.close()

    def _write(self, shard: int, kind: FrameKind, batch: Any) -> None:
        if shard not in self._writers:
            directory = self.data_dir / "journal" / str(shard)
            self._writers[shard] = JournalWriter.open(directory, shard=shard, segment_bytes=4_096)
        seqs = batch["seq"].to_pylist()
        self._writers[shard].append(kind, batch, first_seq=seqs[0], last_seq=seqs[-1], tally=Tally())
        self._writers[shard].commit()
        self._marks[shard] = seqs[-1]


@pytest.fixture(autouse=True)
def few_rows_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every question look several times, as it would in a large table."""
    for name in ("FIRST_ROWS_UNFILTERED", "FIRST_ROWS", "FIRST_ROWS_IF_RARE"):
        monkeypatch.setattr(reading, name, 16)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, compact_files=3, checkpoint_commits=4)
    yield house
    house.close()


def seqs(rows: Any) -> list[int]:
    found: list[int] = rows["seq"].to_pylist()
    return found


def pages(archive: Archive, **asked: Any) -> Iterator[Any]:
    """Yield pages to the last, seeing what is new before each."""
    cursor = None
    while True:
        archive.refresh()
        page = archive.events(Question(cursor=cursor, **asked))
        yield page.rows
        if (cursor := page.next) is None:
            return


def test_an_event_is_seen_from_the_journal_and_then_from_the_table(house: House) -> None:
    """Journaled: in the next answer. Committed: still there, once, and equal in every column."""
    archive = Archive(house.data_dir)
    assert (archive.count(), len(archive.events(Question()).rows)) == (0, 0)
    batch = make_events(20)
    house.journal(batch)
    assert archive.refresh()
    before = archive.events(Question(order="asc")).rows
    house.commit()
    archive.refresh()
    after = archive.events(Question(order="asc")).rows
    assert before.equals(after)
    assert after.equals(pa.Table.from_batches([batch]))
    assert (archive.count(), archive.high()) == (20, {0: 20})
    assert not archive.refresh()


def test_pages_are_newest_first_and_limited(house: House) -> None:
    """100 by default, by time and then seq, over table and tail."""
    house.journal(make_events(300))
    house.commit()
    house.journal(make_events(50, first_seq=301, start_us=START_US + 20_000_000))
    page = Archive(house.data_dir).events(Question())
    assert seqs(page.rows) == list(range(350, 250, -1))
    assert page.rows.schema.equals(SCHEMA)
    assert page.next is not None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"entity_id": "sensor.room_3"}, lambda e: e["entity_id"] == "sensor.room_3"),
        ({"entity_id": "sensor.room_3, sensor.room_4"}, lambda e: e["entity_id"] in {"sensor.room_3", "sensor.room_4"}),
        ({"area_id": "area_1", "floor_id": "floor_1"}, lambda e: e["area_id"] == "area_1"),
        ({"domain": "light"}, lambda _: False),
        ({"kind": "state,user", "source": "demo"}, lambda _: True),
        ({"q": "ROOM 7 temp"}, lambda e: e["entity_id"] == "sensor.room_7"),
        ({"q": "x' OR 1=1 --"}, lambda _: False),
        ({"start_us": START_US + 1_000_000, "end_us": START_US + 2_000_000}, lambda e: 21 <= e["seq"] <= 40),
        ({"home": "other"}, lambda _: False),
    ],
)
def test_each_filter_finds_the_same_in_table_tail_and_memory(house: House, asked: Any, expected: Any) -> None:
    """In the table, in the tail, and by ``filter`` on rows in memory: exactly the rows that pass."""
    batch = make_events(200, entities=20)
    wanted = [row["seq"] for row in batch.to_pylist() if expected(row)]
    house.journal(batch.slice(0, 90))
    house.commit()
    house.journal(batch.slice(90))
    archive = Archive(house.data_dir)
    question = Question(limit=1_000, order="asc", **asked)
    assert seqs(archive.events(question).rows) == wanted
    assert seqs(archive.filter(pa.Table.from_batches([batch]), question, after_seq=0)) == wanted
    assert [seq for part in archive.after({0: 0}, question, 1_000) for seq in seqs(part.rows)] == wanted


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_pages_under_inserts_and_commits_are_disjoint_and_complete(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Whatever is journaled, committed, compacted or vacuumed between two pages: no repeat, and all that was there."""
    house = House(tmp_path_factory.mktemp("house"), compact_files=2, checkpoint_commits=3)
    try:
        next_seq = 1
        there: list[int] = []
        archive = Archive(house.data_dir)

        def move() -> None:
            nonlocal next_seq
            move = data.draw(st.sampled_from(["journal", "commit", "compact", "vacuum", "trim"]))
            if move == "journal":
                count = data.draw(st.integers(1, 40))
                start_us = START_US + data.draw(st.integers(0, 3)) * DAY_US // 2
                house.journal(make_events(count, first_seq=next_seq, start_us=start_us, step_us=1_000))
                there.extend(range(next_seq, next_seq + count))
                next_seq += count
            elif move == "vacuum":
                house.table.vacuum(older_than_s=0)
            elif move == "trim":
                house.trim()
            else:
                house.commit() if move == "commit" else house.table.compact()

        for _ in range(data.draw(st.integers(3, 8))):
            move()
        at_start = set(there)
        read: list[tuple[Any, int]] = []
        order = data.draw(st.sampled_from(["asc", "desc"]))
        for number, rows in enumerate(pages(archive, order=order, limit=data.draw(st.integers(5, 25)))):
            read += [(row["time_fired"], row["seq"]) for row in rows.select(["time_fired", "seq"]).to_pylist()]
            if number < MOVES_BETWEEN_PAGES:
                move()
        found = [seq for _, seq in read]
        assert len(found) == len(set(found))
        assert at_start <= set(found) <= set(there)
        assert read == sorted(read, reverse=order == "desc")
    finally:
        house.close()


def test_a_snapshot_has_no_hole_and_no_repeat_while_everything_moves(house: House) -> None:
    """While a thread journals, commits, trims, compacts and vacuums, every answer is 1 to n with nothing missing."""
    archive = Archive(house.data_dir)
    done = threading.Event()

    def move() -> None:
        for number in range(40):
            house.journal(make_events(10, first_seq=1 + 10 * number, start_us=START_US + number))
            if number % 2:
                house.commit()
                house.trim()
            if number % 7 == 0:
                house.table.compact()
                house.table.vacuum(older_than_s=0)
        done.set()

    mover = threading.Thread(target=move)
    mover.start()
    answers = 0
    while not done.is_set():
        archive.refresh()
        found = archive.events(Question(limit=1_000)).rows
        count = len(found)
        assert sorted(seqs(found)) == list(range(1, count + 1))
        assert count % 10 == 0
        answers += 1
    mover.join()
    archive.refresh()
    assert archive.count() == 400
    assert answers > 3


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_between_reading_journal_and_table_makes_no_hole(
    house: House, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The Historian commits and trims just before, or just after, the journal is read: the answer is whole."""
    house.journal(make_events(10))
    archive = Archive(house.data_dir)
    house.journal(make_events(300, first_seq=11))
    house.journal(make_events(10, first_seq=311))
    read = archive._tail.refresh

    def meanwhile(watermarks: Any) -> bool:
        monkeypatch.undo()
        if moment == "before":
            house.commit()
            house.trim()
        try:
            return read(watermarks)
        finally:
            if moment == "after":
                house.commit()
                house.trim()

    monkeypatch.setattr(archive._tail, "refresh", meanwhile)
    archive.refresh()
    assert sorted(seqs(archive.events(Question(limit=1_000)).rows)) == list(range(1, 321))


def test_older_files_are_read_when_they_may_hold_newer_events(house: House) -> None:
    """Files overlap in time, as after a late event: the newest of all come first, not those of the last file."""
    for number in range(5):
        house.journal(make_events(20, first_seq=1 + 20 * number, start_us=START_US + 10 * number, step_us=1_000))
        house.commit()
    every = [(row["time_fired"], row["seq"]) for row in Archive(house.data_dir).sql("FROM events").to_pylist()]
    page = Archive(house.data_dir).events(Question(limit=15)).rows.to_pylist()
    assert [(row["time_fired"], row["seq"]) for row in page] == sorted(every, reverse=True)[:15]


def test_a_reader_that_was_left_behind_goes_on_at_the_table(house: House) -> None:
    """Its place in the journal was trimmed and its files were vacuumed: the next answer is whole nevertheless."""
    house.journal(make_events(50))
    archive = Archive(house.data_dir)
    for number in range(1, 8):
        house.journal(make_events(50, first_seq=1 + 50 * number))
        house.commit()
    house.table.compact()
    house.table.vacuum(older_than_s=0)
    house.trim()
    house.journal(make_events(5, first_seq=401))
    assert sorted(seqs(archive.events(Question(limit=1_000)).rows)) == list(range(1, 51))
    archive.refresh()
    assert sorted(seqs(archive.events(Question(limit=1_000)).rows)) == [*range(1, 401), *range(401, 406)]


def test_an_old_snapshot_whose_files_are_gone_is_replaced_by_itself(house: House) -> None:
    """Compaction and vacuum under a reader that did not refresh: it reads the log anew and answers."""
    for number in range(6):
        house.journal(make_events(20, first_seq=1 + 20 * number))
        house.commit()
    archive = Archive(house.data_dir)
    assert house.table.compact() > 0
    house.table.vacuum(older_than_s=0)
    assert sorted(seqs(archive.events(Question(limit=1_000)).rows)) == list(range(1, 121))


def test_an_event_id_comes_out_once_on_every_surface(house: House) -> None:
    """A back-filled repeat that is journaled and not yet committed is not shown beside its first copy."""
    first = make_events(30)
    house.journal(first)
    house.commit()
    house.journal(make_events(10, first_seq=31, start_us=START_US + 9_000_000))
    house.journal(flagged(renumbered(first, 100)))
    house.journal(renumbered(make_events(10, first_seq=31, start_us=START_US + 9_000_000), 200))
    archive = Archive(house.data_dir)
    expected = list(range(1, 41))
    assert sorted(seqs(archive.events(Question(limit=1_000)).rows)) == expected
    assert archive.sql("SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events").to_pylist() == [
        {"n": 40, "ids": 40}
    ]
    assert archive.count() == 40
    assert [seq for part in archive.after({0: 0}, Question(), 1_000) for seq in seqs(part.rows)] == expected
    house.commit()
    archive.refresh()
    assert sorted(seqs(archive.events(Question(limit=1_000)).rows)) == expected


def test_one_event_is_found_by_its_id_and_garbage_is_refused(house: House) -> None:
    """In the table and in the tail; an unknown id is an empty answer."""
    batch = make_events(40)
    house.journal(batch.slice(0, 20))
    house.commit()
    house.journal(batch.slice(20))
    archive = Archive(house.data_dir)
    for index in (3, 33):
        assert seqs(archive.event(batch["event_id"][index].as_py().hex())) == [index + 1]
    assert len(archive.event("0" * 32)) == 0
    for garbage in ("", "0" * 31, "z" * 32, "0 " * 16 + "0" * 16, "'; DROP"):
        with pytest.raises(QueryError):
            archive.event(garbage)


def test_latest_is_the_newest_state_of_each_entity_over_table_and_tail(house: House) -> None:
    """One row an entity, by time and not by arrival."""
    house.journal(make_events(100, entities=10, step_us=DAY_US // 40))
    house.commit()
    house.journal(make_events(5, first_seq=101, entities=10, start_us=START_US + 9 * DAY_US))
    house.journal(flagged(make_events(5, first_seq=106, entities=10), "late"))
    archive = Archive(house.data_dir)
    assert sorted(seqs(archive.latest("home"))) == [*range(96, 101), *range(101, 106)]
    assert len(archive.latest("other")) == 0
    assert seqs(archive.latest("home", "sensor.room_7")) == [97]


def test_a_stream_is_resumed_by_shard_without_hole_or_repeat(house: House) -> None:
    """From any place, in small steps, over table and tail, with seqs of the shards interleaved."""
    house.journal(make_events(50, first_seq=1), shard=0)
    house.journal(make_events(50, first_seq=51), shard=1)
    house.commit()
    house.journal(make_events(50, first_seq=101), shard=0)
    house.table.compact()
    house.journal(make_events(50, first_seq=151, entities=5), shard=1)
    house.quarantine(3, first_seq=300, shard=1)
    archive = Archive(house.data_dir)
    place = {0: 20, 1: 60}
    read: dict[int, list[int]] = {0: [], 1: []}
    steps = 0
    while parts := archive.after(place, Question(), 7):
        assert sum(len(part.rows) for part in parts) <= 7
        for shard, rows, last_seq in parts:
            read[shard] += seqs(rows)
            assert last_seq > place[shard]
            place[shard] = last_seq
        steps += 1
    assert read == {0: [*range(21, 51), *range(101, 151)], 1: [*range(61, 101), *range(151, 201)]}
    assert place == archive.high() == {0: 150, 1: 302}
    assert steps > 20
    passing = archive.after({0: 0, 1: 0}, Question(entity_id="sensor.room_1"), 1_000)
    assert [seqs(part.rows) for part in passing] == [[1, 101], [51, 151, 156, 161, 166, 171, 176, 181, 186, 191, 196]]
    assert archive.after({0: 150, 1: 302}, Question(), 10) == []


def test_a_seq_is_visible_once_it_is_in_an_answer(house: House) -> None:
    """In the tail, in the table, for a fresh reader too; what is not yet written is not."""
    archive = Archive(house.data_dir)
    house.journal(make_events(10))
    assert not archive.visible(5)
    archive.refresh()
    assert archive.visible(5)
    assert not archive.visible(11)
    house.commit()
    fresh = Archive(house.data_dir)
    assert fresh.visible(10)
    assert not fresh.visible(11)


def test_the_owner_may_ask_anything_in_sql_and_nothing_else(house: House) -> None:
    """One SELECT over the view; writing, other files, settings and several statements are refused."""
    house.journal(make_events(60, entities=3))
    house.commit()
    house.journal(make_events(6, first_seq=61, entities=3))
    archive = Archive(house.data_dir)
    found = archive.sql("SELECT entity_id, count(*) AS n FROM events GROUP BY ALL ORDER BY 1").to_pylist()
    assert found == [{"entity_id": f"sensor.room_{number}", "n": 22} for number in range(3)]
    ids = archive.sql("SELECT event_id, attributes->>'friendly_name' AS name FROM events ORDER BY seq LIMIT 1")
    assert ids.to_pylist() == [{"event_id": make_events(1)["event_id"][0].as_py().hex(), "name": "Room 1 temperature"}]
    (house.data_dir / "secret.csv").write_text("a,b\n1,2\n")
    for refused in (
        "",
        "SELECT",
        "SELECT 1; SELECT 2",
        "DROP VIEW events",
        f"COPY (SELECT 1) TO '{house.data_dir}/history/events/x.parquet'",
        f"SELECT * FROM read_csv('{house.data_dir}/secret.csv')",  # noqa: S608 - an attack
        "SELECT * FROM '/etc/passwd'",
        "SET enable_external_access = true",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "CREATE TABLE t AS SELECT 1",
        "SELECT * FROM nowhere",
    ):
        with pytest.raises(QueryError):
            archive.sql(refused)


def test_an_archive_may_be_opened_before_there_is_anything(tmp_path: Path) -> None:
    """The API may start before the first event, and before the table."""
    archive = Archive(tmp_path)
    assert archive.count() == 0
    assert len(archive.latest()) == 0
    assert archive.after({}, Question(), 10) == []
    assert archive.sql("SELECT count(*) AS n FROM events").to_pylist() == [{"n": 0}]
    house = House(tmp_path)
    house.journal(make_events(3))
    assert archive.refresh()
    assert archive.count() == 3
    house.close()


def test_many_threads_ask_one_archive(house: House) -> None:
    """Eight threads at once get whole answers."""
    house.journal(make_events(500, entities=20))
    house.commit()
    archive, wrong = Archive(house.data_dir), []

    def ask(number: int) -> None:
        for _ in range(5):
            archive.refresh()
            found = archive.events(Question(entity_id=f"sensor.room_{number}", limit=1_000)).rows
            if len(found) != 25:
                wrong.append((number, len(found)))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
