"""Merging files: every row stays, in order, in few files; nobody who asks meanwhile sees a difference."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestor.errors import HistoryCorrupt
from ingestor.history import Archive, HistoryTable, Question, compact, layout
from ingestor.history.merge import Merge
from tests.ingestor.history.rows import seqs_by_delta
from tests.support.rows import START_US, make_events

LATER = 4_000_000_000.0


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make files and row groups so small that a few hundred rows need many."""
    monkeypatch.setattr(compact, "TARGET_ROWS", 150)
    monkeypatch.setattr(compact, "MERGED_RUNS", 4)
    monkeypatch.setattr(layout, "ROW_GROUP_ROWS", 16)


def with_nameless(batch: Any, each: int) -> Any:
    """Return the batch with no entity in every ``each``-th row."""
    at = batch.schema.get_field_index("entity_id")
    names = [None if number % each == 0 else name for number, name in enumerate(batch["entity_id"].to_pylist())]
    return batch.set_column(at, batch.schema.field(at), pa.array(names, pa.string()))


def filled(directory: Path, *, commits: int, entities: int = 9, **options: Any) -> HistoryTable:
    """Make a table of as many files, in no order of time, in which some rows have no entity."""
    table = HistoryTable(directory, **options)
    starts = [START_US + number * 1_000_000 for number in range(commits)]
    random.Random(5).shuffle(starts)  # noqa: S311 - an order, not a secret
    for number, start_us in enumerate(starts):
        first_seq = 1 + number * 40
        batch = with_nameless(make_events(40, first_seq=first_seq, start_us=start_us, entities=entities), 7)
        table.append([batch], {0: first_seq + 39})
    return table


def rows_of(directory: Path, file: Any) -> list[tuple[bool, str, int, int]]:
    """Return the keys of a file's rows, as they stand there."""
    rows = pq.read_table(directory / file.path, partitioning=None)
    names = rows["entity_id"].to_pylist()
    keys = zip(names, rows["time_fired"].cast(pa.int64()).to_pylist(), rows["seq"].to_pylist(), strict=True)
    return [(name is None, name or "", time_us, seq) for name, time_us, seq in keys]


@pytest.mark.parametrize("entities", [1, 9, 300])
def test_a_merge_gives_every_row_once_and_in_order(tmp_path: Path, entities: int) -> None:
    """One entity or many, some rows without one: what comes out is what went in, sorted from file to file."""
    table = filled(tmp_path / "events", commits=12, entities=entities)
    merge = Merge(tmp_path / "events", table.files(), file_rows=100)
    parts = []
    while (part := merge.next()) is not None:
        parts.append(part)
    keys = pa.concat_tables(parts).select(["entity_id", "time_fired", "seq"])
    expected = sorted(key for file in table.files() for key in rows_of(tmp_path / "events", file))
    found = [(row["entity_id"] is None, row["entity_id"] or "", row["seq"]) for row in keys.to_pylist()]
    assert found == [(nameless, name, seq) for nameless, name, _, seq in expected]
    assert len(parts) > 2
    assert merge.is_over


def test_an_entity_stands_in_few_files_of_a_date_that_is_over(tmp_path: Path) -> None:
    """Thirty files of a day become a few spans of time, in each of which one file has the entity; then it is done."""
    directory = tmp_path / "events"
    table = filled(directory, commits=30, clock=lambda: LATER, compact_files=100)
    assert len(table.files()) == 30
    table.compact()
    assert seqs_by_delta(directory) == list(range(1, 1_201))
    assert table.verify() == []
    holders = [
        file for file in table.files() if any(name == "sensor.room_4" for _, name, _, _ in rows_of(directory, file))
    ]
    assert len(holders) <= compact.RUNS_OVER
    assert table.compact() == 0
    assert not table.merge_step()


def test_answers_are_the_same_at_every_step_of_a_merge(tmp_path: Path) -> None:
    """A reader that looks between any two steps, and one that never looks again, get what they got before."""
    directory = tmp_path / "history" / "events"
    table = filled(directory, commits=24, clock=lambda: LATER, compact_files=100)
    reader, sleeper = Archive(tmp_path), Archive(tmp_path)
    questions = [Question(limit=1_000), Question(entity_id="sensor.room_3", limit=50), Question(order="asc", limit=7)]
    before = [reader.events(question).rows for question in questions]
    steps = 0
    while table.merge_step():
        reader.refresh()
        for question, rows in zip(questions, before, strict=True):
            assert reader.events(question).rows.equals(rows)
        table.vacuum(older_than_s=0)
        steps += 1
    assert steps > 5
    for question, rows in zip(questions, before, strict=True):
        assert sleeper.events(question).rows.equals(rows)


def test_files_of_an_unfinished_merge_are_not_in_the_table_and_go_at_the_next_start(tmp_path: Path) -> None:
    """The writer ends between two steps: what it wrote is no part of the table, and the next one removes it."""
    directory = tmp_path / "events"
    table = filled(directory, commits=24, clock=lambda: LATER, compact_files=100)
    version = table.version
    assert table.merge_step()
    assert table.version == version
    assert len(list(directory.glob("date=*/*.parquet"))) == 25
    table.close()
    again = HistoryTable(directory)
    assert again.scrubbed.orphans == 1
    assert len(list(directory.glob("date=*/*.parquet"))) == 24
    assert seqs_by_delta(directory) == list(range(1, 961))


def test_a_damaged_file_is_never_merged_into_a_good_one(tmp_path: Path) -> None:
    """One bit has flipped: the merge is refused, names the file, and the table stays as it was."""
    directory = tmp_path / "events"
    table = filled(directory, commits=12, clock=lambda: LATER, compact_files=100)
    path = directory / table.files()[7].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(HistoryCorrupt, match=path.name):
        table.compact()
    assert path in [directory / file.path for file in table.files()]
    assert table.rows == 480
