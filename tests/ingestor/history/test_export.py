"""An export of the history: whole, in order, in bounded pieces, whatever happens to the table meanwhile."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from ingestor.errors import HistoryCorrupt
from ingestor.event import SCHEMA
from ingestor.history import Archive, Question
from ingestor.history import export as exporting
from tests.ingestor.history.test_archive import House
from tests.support.rows import START_US, make_events

DAY_US = 86_400_000_000


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every export consist of many windows and spans, as it would in a large table."""
    monkeypatch.setattr(exporting, "WINDOW_ROWS", (3, 50))
    monkeypatch.setattr(exporting, "SPAN_ROWS", (40, 200))


def filled(directory: Path, seed: int = 1) -> tuple[House, list[dict[str, Any]]]:
    """Make a house whose events come late and out of order, over several days, the newest of them in the journal."""
    random = Random(seed)  # noqa: S311 - no secret
    house, rows, seq = House(directory, compact_files=3), [], 1
    for step in range(14):
        start_us = START_US + random.randrange(3 * DAY_US) // 10**6 * 10**6
        batch = make_events(
            40, first_seq=seq, start_us=start_us, step_us=random.choice([0, 7, 10**6, 10**9]), entities=6
        )
        seq += 40
        rows += batch.to_pylist()
        house.journal(batch, shard=step % 2)
        if step < 11:
            house.commit()
    house.table.compact()
    return house, sorted(rows, key=lambda row: (row["time_fired"], row["seq"]))


def exported(archive: Archive, **filters: Any) -> list[dict[str, Any]]:
    tables = list(archive.export(Question(**filters)))
    assert all(0 < len(table) <= 50 for table in tables)
    assert all(table.schema.equals(SCHEMA) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_export_is_whole_and_in_order_of_time(tmp_path: Path, seed: int) -> None:
    """All events of table and journal come once, by time and seq, in pieces of bounded size."""
    house, rows = filled(tmp_path, seed)
    archive = Archive(tmp_path)
    assert exported(archive) == rows
    middle = rows[len(rows) // 2]["time_fired"]
    middle_us = pa.scalar(middle, SCHEMA.field("time_fired").type).cast(pa.int64()).as_py()
    assert exported(archive, start_us=middle_us) == [row for row in rows if row["time_fired"] >= middle]
    assert exported(archive, end_us=middle_us) == [row for row in rows if row["time_fired"] < middle]
    some = {"entity_id": "sensor.room_1,sensor.room_3", "order": "desc", "limit": 1}
    assert exported(archive, **some) == [row for row in rows if row["entity_id"] in ("sensor.room_1", "sensor.room_3")]
    assert exported(archive, area_id="none") == []
    house.close()


def test_an_export_goes_on_when_its_files_were_merged_and_vacuumed(tmp_path: Path) -> None:
    """A slow client's files may be gone before it has read them: the same rows are read from those that took over."""
    house, rows = filled(tmp_path)
    archive = Archive(tmp_path)
    steps = archive.export(Question())
    found = next(steps).to_pylist()
    house.commit()
    for _ in range(3):
        house.table.append([make_events(1, first_seq=10_000)], {7: 10_000})
    while house.table.compact():
        pass
    house.table.vacuum(older_than_s=-10)
    found += [row for table in steps for row in table.to_pylist()]
    mine = [row for row in found if row["seq"] < 10_000]
    assert mine == rows
    house.close()


def test_a_damaged_file_ends_an_export_with_its_name(tmp_path: Path) -> None:
    """What cannot be read is never left out silently."""
    house, _ = filled(tmp_path)
    archive = Archive(tmp_path)
    victim = archive.files()[-1]
    (tmp_path / "history" / "events" / victim.path).write_bytes(b"nothing")
    with pytest.raises(HistoryCorrupt, match=r"\.parquet"):
        exported(archive)
    house.close()


def test_an_empty_history_exports_nothing(tmp_path: Path) -> None:
    """No events, no rows, no error."""
    house = House(tmp_path)
    assert exported(Archive(tmp_path)) == []
    house.close()
