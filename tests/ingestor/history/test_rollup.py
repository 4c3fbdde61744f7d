"""Roll-ups spare time and hold nothing: with them, without them, and with damaged ones answers are the same."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.history import HistoryTable, rollup
from ingestor.history.disk import digest_of_file
from ingestor.history.kept import Kept
from ingestor.history.layout import dates_of, write_file
from ingestor.history.rollup import Rollups, refresh
from tests.ingestor.history.reckoned import us_of
from tests.ingestor.history.rows import fill
from tests.ingestor.history.test_aggregate import DAY_US, Place, alike, as_table, some_rows

START_US = us_of("2026-10-22T00:00:00+00:00")
AGGREGATES = ["count", "min", "max", "mean", "sum", "first", "last", "time_weighted_mean"]
ASK = {
    "interval": "1h",
    "zone": ZoneInfo("Europe/Amsterdam"),
    "now_us": START_US + 9 * DAY_US,
    "start_us": None,
    "end_us": None,
    "group_by": ["area_id", "kind"],
    "aggregates": AGGREGATES,
}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return some_rows(Random(4), START_US, 400, 6 * DAY_US)  # noqa: S311 - no secret


@pytest.fixture
def there(tmp_path: Path, rows: list[dict[str, Any]]) -> Place:
    return Place(tmp_path, rows, 0)


def rolled_files(place: Place) -> list[Path]:
    return sorted((place.directory / "_ingestor" / "rollups").iterdir())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the SELECTs that answers are made of."""
    from ingestor.history.engine import Engine

    seen: list[str] = []
    ask = Engine.arrow

    def noted(self: Engine, statement: str, values: Any = (), **tables: Any) -> Any:
        seen.append(statement)
        return ask(self, statement, values, **tables)

    monkeypatch.setattr(Engine, "arrow", noted)
    return seen


def test_a_month_is_answered_without_reading_its_rows(there: Place, looks: list[str]) -> None:
    """With a roll-up for every day no data file is opened, and the answer is the same."""
    counted = {**ASK, "aggregates": AGGREGATES[:-1]}
    before = there.pages(counted)
    assert there.roll_up() == 6
    looks.clear()
    assert alike(there.pages(counted), before)
    assert looks
    assert not any("read_parquet" in statement for statement in looks)


def test_of_days_wholly_asked_for_no_row_is_weighed(there: Place, looks: list[str]) -> None:
    """Where states are weighed, only the day in which the span begins is read."""
    weighed = {**ASK, "end_us": START_US + 6 * DAY_US, "aggregates": ["time_weighted_mean"]}
    before = there.pages(weighed)
    there.roll_up()
    looks.clear()
    assert alike(there.pages(weighed), before)
    days = {day for statement in looks for day in re.findall(r"date=(\S{10})", statement)}
    assert days <= {"2026-10-22"}


def test_a_day_that_changed_is_answered_from_its_rows(there: Place, rows: list[dict[str, Any]]) -> None:
    """Late events are another file of their day: its roll-up no longer fits, and the answer has them at once."""
    there.roll_up()
    late = [{**row, "seq": 1000 + row["seq"], "event_id": bytes(16)} for row in rows[:9]]
    table = as_table(late)
    for day in set(dates_of(table).to_pylist()):
        file = write_file(there.directory, day, table.filter(pc.equal(dates_of(table), day)))
        there.log.files[file.path] = file
    there.rollups = Rollups(there.directory, Kept(most_bytes=1 << 24))
    with_rollups = there.pages(ASK)
    assert sum(item["count"] for item in with_rollups) == len(rows) + 9
    for path in rolled_files(there):
        path.unlink()
    assert alike(there.pages(ASK), with_rollups)


def test_a_late_event_in_the_journal_ends_what_a_roll_up_says_was_held(tmp_path: Path) -> None:
    """What is not in the table yet counts too, also amid a day that is rolled up."""
    light = {"entity_id": "sensor.a", "kind": "state", "home": "home", "area_id": "den", "device_id": None}
    rows = [
        {**light, "seq": 1, "event_id": b"1" * 16, "t": START_US, "state": "10", "state_numeric": 10.0},
        {**light, "seq": 2, "event_id": b"2" * 16, "t": START_US + DAY_US // 2, "state": "20", "state_numeric": 20.0},
    ]
    place = Place(tmp_path, [rows[0], rows[1]], 1)
    assert place.roll_up() == 1
    ask = {**ASK, "interval": "1d", "zone": ZoneInfo("UTC"), "now_us": START_US + DAY_US, "group_by": []}
    [item] = place.pages(ask)
    assert item["time_weighted_mean"] == pytest.approx(15.0)


@given(
    seed=st.integers(0, 2**32),
    interval=st.sampled_from(["1h", "1d", "1w"]),
    zone=st.sampled_from(["Europe/Amsterdam", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
    group_by=st.lists(st.sampled_from(rollup.PLACE), unique=True, max_size=2),
    aggregates=st.lists(st.sampled_from(AGGREGATES), unique=True, min_size=1),
    filters=st.sampled_from([{}, {"area_id": "kitchen"}, {"kind": "state", "home": "home"}, {"domain": "sensor"}]),
    rolled=st.integers(0, 5),
    in_tail=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_answers_are_the_same_with_and_without_roll_ups(
    seed: int,
    interval: str,
    zone: str,
    group_by: list[str],
    aggregates: list[str],
    filters: dict[str, str],
    rolled: int,
    in_tail: int,
) -> None:
    """Whatever roll-ups can tell, of some days or of all, whole or in part, is what the rows tell."""
    random = Random(seed)  # noqa: S311 - no secret
    rows = some_rows(random, START_US - DAY_US * random.choice([0, 40]), 40, 5 * DAY_US)
    rows += [{**row, "seq": 100 + row["seq"]} for row in some_rows(random, START_US, 40, 5 * DAY_US)]
    ask = {
        **ASK,
        "interval": interval,
        "zone": ZoneInfo(zone),
        "group_by": group_by,
        "aggregates": aggregates,
        "start_us": random.choice([None, START_US, START_US + DAY_US + 1, START_US + 3_600_000_000 * 30]),
        "end_us": random.choice([None, START_US + 4 * DAY_US, START_US + 4 * DAY_US - 1]),
        "now_us": START_US + random.choice([2, 5, 9]) * DAY_US,
    }
    with TemporaryDirectory() as directory:
        place = Place(Path(directory), rows, in_tail)
        plain = place.pages(ask, filters=filters)
        files = list(place.log.files.values())
        for _ in range(rolled):
            refresh(place.directory, files, now_s=4e9, settled_s=-1e12)
        assert alike(place.pages(ask, filters=filters, limit=random.choice([9, 1000])), plain)


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "empty", "swapped"])
def test_a_damaged_roll_up_is_never_believed(there: Place, harm: str) -> None:
    """Wherever a byte is turned, if it is cut, gone, or another one whole in itself: the rows answer."""
    expected = there.pages(ASK)
    there.roll_up()
    contents = [path.read_bytes() for path in rolled_files(there)]
    for number, path in enumerate(rolled_files(there)):
        content = bytearray(contents[number])
        content[(number * 7919 + 11) % len(content)] ^= 4
        changed = {
            "flip": bytes(content),
            "cut": bytes(content[: len(content) // 2]),
            "empty": b"",
            "swapped": contents[number - 1],
        }
        path.unlink() if harm == "gone" else path.write_bytes(changed[harm])
    assert alike(there.pages(ASK), expected)
    assert alike(there.pages(ASK), expected)


def test_one_call_rolls_up_one_day_the_newest_first(there: Place) -> None:
    """The work of a call is bounded; each file's name is its content's digest; it says what it was made from."""
    files = list(there.log.files.values())
    days = sorted({file.date for file in files}, reverse=True)
    now_s = (START_US + 6 * DAY_US) / 1e6
    done = [refresh(there.directory, files, now_s=now_s, settled_s=-1e12) for _ in days]
    assert done == days
    assert refresh(there.directory, files, now_s=now_s, settled_s=-1e12) is None
    for path in rolled_files(there):
        assert path.stem.rpartition("-")[2] == digest_of_file(path)
        made_of = pq.read_metadata(path).metadata[b"ha_ingestor.made_of"].decode().splitlines()
        assert made_of == sorted(file.path for file in files if file.date == path.name[:10])


def test_a_day_that_lasts_or_was_just_written_is_left_alone(there: Place) -> None:
    """Today is not over, and what changed a moment ago may change again."""
    files = list(there.log.files.values())
    assert refresh(there.directory, files, now_s=START_US / 1e6 + 3600, settled_s=-1e12) is None
    assert refresh(there.directory, files, now_s=4e9, settled_s=4e9) is None


def test_a_large_day_is_rolled_up_in_slices(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: a day is gone through several times, some entities each, and the sums are the same."""
    there.roll_up()
    whole = there.pages(ASK)
    for path in rolled_files(there):
        path.unlink()
    monkeypatch.setattr(rollup, "SLICE_ROWS", 9)
    there.roll_up()
    there.rollups = Rollups(there.directory, Kept(most_bytes=1 << 24))
    assert alike(there.pages(ASK), whole)


def test_merging_a_day_makes_its_roll_up_anew_and_leaves_one(tmp_path: Path) -> None:
    """After a merge the same rows stand in other files: the old roll-up goes when the new one is there."""
    directory = tmp_path / "history" / "events"
    table = HistoryTable(directory, compact_files=2)
    fill(table, 600, start_us=START_US)
    folder = directory / "_ingestor" / "rollups"
    refresh(directory, table.files(), settled_s=-1e12, now_s=4e9)
    [first] = folder.iterdir()
    assert table.compact()
    assert table.verify() == []
    refresh(directory, table.files(), settled_s=-1e12, now_s=4e9)
    [second] = folder.iterdir()
    assert first != second
    table.close()
