"""The tail: each row is looked at once, and a page from it is what a plain search would give."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.history import Archive, Question, archive, groups, ids, piece, tail
from ingestor.journal import decode_all
from tests.ingestor.history.rows import DAY_US, flagged, renumbered
from tests.ingestor.history.test_archive import House
from tests.support.rows import START_US, make_events


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, compact_files=3, checkpoint_commits=4)
    yield house
    house.close()


@pytest.fixture(autouse=True)
def small_tiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Join pieces, and let generations of ids end, after a few rows."""
    monkeypatch.setattr(tail, "PIECES", 2)
    monkeypatch.setattr(tail, "TIERS", (50, 200))
    monkeypatch.setattr(ids, "GENERATION_IDS", 40)


def seqs(rows: Any) -> list[int]:
    found: list[int] = rows["seq"].to_pylist()
    return found


def test_a_refresh_decodes_only_what_is_new(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many looks, joins of pieces and commits, the keys of each frame are decoded exactly once."""
    decoded: list[int] = []

    def counted(kind: Any, payloads: Any, columns: Any) -> Any:
        decoded.append(len(payloads))
        return decode_all(kind, payloads, columns)

    monkeypatch.setattr(piece, "decode_all", counted)
    reader = Archive(house.data_dir)
    for number in range(30):
        house.journal(make_events(10, first_seq=1 + 10 * number, start_us=START_US + number))
        if number % 8 == 7:
            house.commit()
        assert reader.refresh()
    assert sum(decoded) == 30
    assert reader.count() == 300


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_page_is_what_a_plain_search_gives(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Any rows in any order of time, part of them in the table: all pages of any question, row for row."""
    house = House(tmp_path_factory.mktemp("house"))
    try:
        reader = Archive(house.data_dir)
        batches, next_seq = [], 1
        for _ in range(data.draw(st.integers(1, 8))):
            count, shard = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 1))
            start_us = START_US + data.draw(st.integers(0, 5)) * 100_000
            batch = make_events(count, first_seq=next_seq, start_us=start_us, entities=5, step_us=20_000)
            batches.append(batch)
            house.journal(batch, shard=shard)
            next_seq += count
            if data.draw(st.booleans()):
                reader.refresh()
            if data.draw(st.integers(0, 3)) == 0:
                house.commit()
        asked: dict[str, Any] = data.draw(
            st.fixed_dictionaries(
                {"order": st.sampled_from(["asc", "desc"]), "limit": st.integers(1, 20)},
                optional={
                    "entity_id": st.sampled_from(["sensor.room_1", "sensor.room_0,sensor.room_3", "sensor.none"]),
                    "area_id": st.sampled_from(["area_1", "area_1,area_2"]),
                    "q": st.just("ROOM 2"),
                    "start_us": st.just(START_US + 150_000),
                    "end_us": st.just(START_US + 400_000),
                },
            )
        )
        reader.refresh()
        everything = pa.Table.from_batches(batches)
        passing = everything.filter(Question(**asked).passing(everything))
        direction = "descending" if asked["order"] == "desc" else "ascending"
        expected = passing.sort_by([("time_fired", direction), ("seq", direction)])
        pages, cursor = [], None
        for _ in itertools.count():
            page = reader.events(Question(cursor=cursor, **asked))
            pages.append(page.rows)
            if (cursor := page.next) is None:
                break
        assert pa.concat_tables(pages).equals(expected)
    finally:
        house.close()


def test_an_id_that_two_shards_bring_is_shown_once_whichever_the_table_takes(house: House) -> None:
    """As after a change of shards: the copy that was hidden gets into the table, and then the other one goes."""
    batch = make_events(10)
    house.journal(batch, shard=1)
    reader = Archive(house.data_dir)
    again = renumbered(batch, 101)
    house.journal(again, shard=0)
    reader.refresh()
    assert reader.count() == 10
    house.table.append({0: [again]}, {0: 110})
    reader.refresh()
    assert (reader.count(), sorted(seqs(reader.events(Question()).rows))) == (10, list(range(101, 111)))


def test_a_repeat_in_the_tail_is_hidden_for_good(house: House) -> None:
    """Whether its first copy waits in the tail or is in the table by now."""
    house.journal(make_events(60))
    house.journal(renumbered(make_events(30), 61))
    reader = Archive(house.data_dir)
    assert sorted(seqs(reader.events(Question(limit=1_000)).rows)) == list(range(1, 61))
    house.table.append([make_events(60)], {0: 60})
    reader.refresh()
    house.journal(flagged(renumbered(make_events(5), 91)))
    reader.refresh()
    assert sorted(seqs(reader.events(Question(limit=1_000)).rows)) == list(range(1, 61))
    assert reader.count() == 60


def test_groups_and_engine_give_the_same_rows(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entity's pages over files of several days, read directly and by the engine, forwards and back."""
    for number in range(6):
        start_us = START_US + number * DAY_US // 3
        house.journal(make_events(80, first_seq=1 + 80 * number, start_us=start_us, entities=7))
        house.commit()
    house.journal(make_events(20, first_seq=481, start_us=START_US + 2 * DAY_US, entities=7))
    reader = Archive(house.data_dir)
    asked: list[dict[str, Any]] = [
        {"entity_id": "sensor.room_3", "limit": 9, "order": order, **span}
        for order in ("asc", "desc")
        for span in ({}, {"start_us": START_US + DAY_US // 2}, {"area_id": "area_3"}, {"domain": "light"})
    ]

    def all_pages() -> list[list[int]]:
        found = []
        for question in asked:
            cursor = None
            while True:
                page = reader.events(Question(cursor=cursor, **question))
                found.append(seqs(page.rows))
                if (cursor := page.next) is None:
                    break
        return found

    direct = all_pages()
    monkeypatch.setattr(archive, "FEW_ENTITIES", 0)
    assert direct == all_pages()


def test_a_row_group_is_decoded_once_and_memory_stays_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second question for the same entity reads nothing; what is kept never outgrows its bound."""
    for number in range(8):
        house.journal(make_events(200, first_seq=1 + 200 * number, start_us=START_US + number * DAY_US, entities=10))
        house.commit()
    reader = Archive(house.data_dir, kept_mb=1)
    reader.events(Question(entity_id="sensor.room_1"))
    opened: list[Any] = []

    def counted(path: Any, **options: Any) -> Any:
        opened.append(path)
        return pq.ParquetFile(path, **options)

    monkeypatch.setattr(groups, "pq", SimpleNamespace(ParquetFile=counted, read_metadata=pq.read_metadata))
    reader.events(Question(entity_id="sensor.room_1"))
    assert opened == []
    for number in range(10):
        reader.events(Question(entity_id=f"sensor.room_{number}", limit=1_000))
    assert opened
    assert reader._groups._kept.bytes <= 1024 * 1024
