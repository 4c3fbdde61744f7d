"""The writer: durable, exactly once, readable by anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from ingestor.errors import HistoryError
from ingestor.event import SCHEMA
from ingestor.history import HistoryTable
from ingestor.history.log import load
from tests.ingestor.history.rows import DAY_US, fill, flagged, renumbered, seqs_by_delta
from tests.support.rows import START_US, make_events


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "history" / "events"


def by_glob(directory: Path, columns: str) -> Any:
    """Ask plain DuckDB over the files as they lie there."""
    statement = f"SELECT {columns} FROM read_parquet('{directory}/date=*/*.parquet', hive_partitioning=true)"  # noqa: S608 - our own path
    return duckdb.sql(statement).fetchall()[0]


def test_rows_come_back_as_they_were_given(directory: Path) -> None:
    """Every column of every row, nested ones too, reads back equal through delta-rs."""
    batch = make_events(200)
    HistoryTable(directory).append([batch], {0: 200})
    read = DeltaTable(str(directory)).to_pyarrow_table().select(SCHEMA.names).cast(SCHEMA).sort_by("seq")
    assert read.equals(pa.Table.from_batches([batch]))


def test_any_program_reads_the_table_without_a_server(directory: Path) -> None:
    """DuckDB over the files, Polars and delta-rs over the log: the same rows, each once."""
    table = HistoryTable(directory, checkpoint_commits=3)
    fill(table, 500)
    found = by_glob(directory, "count(*), count(DISTINCT event_id), min(date)::VARCHAR")
    assert found == (500, 500, "2023-11-14")
    frame = pl.scan_delta(str(directory)).select("seq", "date", "entity_id").collect()
    assert sorted(frame["seq"].to_list()) == list(range(1, 501))
    assert seqs_by_delta(directory) == list(range(1, 501))


def test_readers_of_the_log_stay_exact_while_superseded_files_wait_for_vacuum(directory: Path) -> None:
    """After compaction the old files still lie there; who reads the log sees each row once, after vacuum a glob too."""
    table = HistoryTable(directory, compact_files=3)
    fill(table, 600)
    assert table.compact() > 0
    assert len(list(directory.glob("date=*/*.parquet"))) > len(table.files())
    assert seqs_by_delta(directory) == list(range(1, 601))
    assert pl.scan_delta(str(directory)).select(pl.len()).collect().item() == 600
    table.vacuum(older_than_s=0)
    assert len(list(directory.glob("date=*/*.parquet"))) == len(table.files())
    assert by_glob(directory, "count(*)") == (600,)


def test_watermarks_are_read_from_the_commits(directory: Path) -> None:
    """Who opens the table anew knows how far each shard is, from Delta's own transactions."""
    table = HistoryTable(directory)
    table.append({0: [make_events(10)], 3: [make_events(10, first_seq=100)]}, {0: 10, 3: 120})
    table.append([], {0: 15})
    table.close()
    assert HistoryTable(directory).watermarks == {0: 15, 3: 120}
    assert DeltaTable(str(directory)).transaction_version("shard-3") == 120


def test_what_is_repeated_after_a_crash_is_stored_once(directory: Path) -> None:
    """Rows at or below the watermark are skipped, those beyond are taken, whole batch or part of it."""
    table = HistoryTable(directory)
    table.append([make_events(100)], {0: 100})
    again = table.append([make_events(100)], {0: 100})
    assert (again.rows, again.duplicates) == (0, 0)
    overlap = table.append([make_events(150)], {0: 150})
    assert overlap.rows == 50
    assert seqs_by_delta(directory) == list(range(1, 151))


def test_a_shards_watermark_says_nothing_of_another_shard(directory: Path) -> None:
    """A shard with low seqs is stored though another one is far ahead."""
    table = HistoryTable(directory)
    table.append({1: [make_events(10, first_seq=5_000)]}, {1: 5_009})
    assert table.append({0: [make_events(10)], 1: []}, {0: 10, 1: 5_009}).rows == 10


def test_rows_of_several_shards_must_say_whose_they_are(directory: Path) -> None:
    """A plain list with the marks of two shards is refused, for a stream could not be resumed in it."""
    with pytest.raises(TypeError, match="several shards"):
        HistoryTable(directory).append([make_events(1)], {0: 1, 1: 5})


@pytest.mark.parametrize("flag", ["late", "backfilled"])
def test_a_late_repeat_of_a_stored_event_is_dropped_and_counted(directory: Path, flag: str) -> None:
    """The same event under a new seq, flagged, days after: the copy that came first stays."""
    table = HistoryTable(directory)
    old = make_events(50)
    table.append([old], {0: 50})
    fill(table, 100, first_seq=51, start_us=START_US + 3 * DAY_US)
    fresh = make_events(5, first_seq=200, start_us=START_US + 1)
    answer = table.append([flagged(renumbered(old, 300), flag), flagged(fresh, flag)], {0: 400})
    assert (answer.rows, answer.duplicates) == (5, 50)
    assert seqs_by_delta(directory) == [*range(1, 151), *range(200, 205)]


def test_the_same_event_twice_in_one_append_is_stored_once(directory: Path) -> None:
    """Within what is given an id is taken once, the first of them."""
    batch = make_events(20)
    answer = HistoryTable(directory).append([batch, renumbered(batch, 21)], {0: 40})
    assert (answer.rows, answer.duplicates) == (20, 20)
    assert seqs_by_delta(directory) == list(range(1, 21))


def test_rows_of_a_file_are_of_one_date_sorted_and_their_bounds_are_true(directory: Path) -> None:
    """Pruning relies on the bounds, so they are held against what the file really has."""
    table = HistoryTable(directory, file_rows=300)
    table.append([make_events(1_000, step_us=DAY_US // 400)], {0: 1_000})
    assert len({file.date for file in table.files()}) >= 3
    for file in table.files():
        rows = pq.read_table(directory / file.path, partitioning=None)
        times = rows["time_fired"].cast(pa.int64()).to_pylist()
        assert {moment.date().isoformat() for moment in rows["time_fired"].to_pylist()} == {file.date}
        assert (file.min_us, file.max_us, file.rows) == (min(times), max(times), len(rows))
        assert (file.min_seq, file.max_seq) == (min(rows["seq"].to_pylist()), max(rows["seq"].to_pylist()))
        keys = list(zip(rows["entity_id"].to_pylist(), times, strict=True))
        assert keys == sorted(keys)
        assert (file.min_entity, file.max_entity) == (keys[0][0], keys[-1][0])
        assert len(rows) <= 300


def test_our_reading_of_the_log_is_that_of_delta(directory: Path) -> None:
    """Over appends, compactions and checkpoints: the same files, rows and version as delta-rs says."""
    table = HistoryTable(directory, compact_files=4, checkpoint_commits=7)
    seq = 1
    for _ in range(4):
        seq = fill(table, 500, each=100, first_seq=seq, start_us=START_US + seq * DAY_US // 1_000)
        table.compact()
    assert list((directory / "_delta_log").glob("*.checkpoint.parquet"))
    ours, theirs = load(directory), DeltaTable(str(directory))
    actions = pa.table(theirs.get_add_actions(flatten=True))
    assert ours.version == theirs.version() == table.version
    assert sorted(ours.files) == sorted(actions["path"].to_pylist())
    assert ours.rows == sum(actions["num_records"].to_pylist()) == seq - 1
    assert ours.watermarks == {0: theirs.transaction_version("shard-0")} == {0: seq - 1}
    assert ours.files == table._state.files


def test_compaction_changes_no_row_and_keeps_the_newest_file_apart(directory: Path) -> None:
    """Every row is there as before, in fewer files; the file with the newest events is left small."""
    table = HistoryTable(directory, clock=lambda: START_US / 1e6, compact_files=5)
    fill(table, 1_000)
    before = DeltaTable(str(directory)).to_pyarrow_table().sort_by("seq")
    newest = table.files()[-1]
    assert table.compact() == 9
    assert len(table.files()) == 2
    assert newest in table.files()
    assert DeltaTable(str(directory)).to_pyarrow_table().sort_by("seq").equals(before)
    assert table.compact() == 0


def test_a_date_that_is_over_ends_as_one_file(directory: Path) -> None:
    """A day later, and an hour after the last file came, even two small files are merged."""
    now_s = [START_US / 1e6]
    table = HistoryTable(directory, clock=lambda: now_s[0], compact_files=20)
    fill(table, 200)
    assert table.compact() == 0
    now_s[0] = 4_000_000_000.0
    assert table.compact() == 2
    assert len(table.files()) == 1


def test_two_writers_are_refused(directory: Path) -> None:
    """The second one is told, and may come when the first has closed."""
    first = HistoryTable(directory)
    with pytest.raises(HistoryError, match="another process"):
        HistoryTable(directory)
    first.close()
    HistoryTable(directory)


def test_recall_gives_the_last_state_and_the_newest_ids_of_own_entities(directory: Path) -> None:
    """Over several dates, with a late event that is older than what is known: the newest by time wins."""
    table = HistoryTable(directory)
    fill(table, 400, step_us=DAY_US // 150, entities=10)
    late = flagged(make_events(10, first_seq=401, start_us=START_US + 7, entities=10), "late")
    table.append([late], {0: 410})
    mine = {f"sensor.room_{number}" for number in range(0, 10, 2)}
    recall = table.recall(lambda home, entity: home == "home" and entity in mine, ids=30)
    assert sorted(recall.states["entity_id"].to_pylist()) == sorted(mine)
    assert sorted(recall.states["seq"].to_pylist()) == [392, 394, 396, 398, 400]
    assert recall.states.schema.equals(SCHEMA)
    rows: list[dict[str, Any]] = (
        DeltaTable(str(directory)).to_pyarrow_table(columns=["seq", "event_id", "entity_id"]).to_pylist()
    )
    own = sorted((row["seq"], row["event_id"]) for row in rows if row["entity_id"] in mine)
    assert recall.event_ids == [event_id for _, event_id in own[-30:]]


def test_recall_of_an_empty_table_is_empty(directory: Path) -> None:
    """A first start remembers nothing."""
    recall = HistoryTable(directory).recall(lambda *_: True, ids=100)
    assert (len(recall.states), recall.event_ids) == (0, [])
