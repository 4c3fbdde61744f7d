"""Clocks that jump, ours and the home's: nothing is lost, nothing comes twice, nothing waits for a time long gone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest

from ingestor.graph.snapshot import Place, Snapshot
from ingestor.history import Archive, HistoryTable, Question, verify
from ingestor.journal import FrameKind, JournalWriter, Tally, trim
from ingestor.metadata import SqliteMetadata
from ingestor.pipeline import LastStates, Pipeline, seal
from ingestor.sources.base import Batch
from ingestor.sources.replay import ReplaySource
from ingestor.transforms.dedupe import Window
from tests.chaos.history_world import history_of, judge, move, rows_by_archive, rows_of, write_journal
from tests.ingestor.transforms.recorded import state_event

ROOT: Final = Path(__file__).parents[2]
NOW: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
JUMPS_S: Final = {"an hour on": 3_600.0, "an hour back": -3_600.0, "ten years back": -315_360_000.0, "a leap": -1.0}


class Clock:
    """A wall clock that somebody sets."""

    def __init__(self) -> None:
        self.now_s = NOW.timestamp()

    def __call__(self) -> float:
        return self.now_s


def test_the_wall_clock_is_read_only_through_an_argument() -> None:
    """In the core nothing measures or waits by the wall clock: it is the default of ``clock`` or ``now_s``."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "ingestor").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\btime\.time(_ns)?\b|datetime\.now|utcnow", line)
        and not re.search(r"\bclock: Callable\[\[\], float\] = time\.time,|time\.time\(\) if now_s is None", line)
    ]
    assert found == []


@pytest.mark.parametrize("jump", JUMPS_S)
def test_a_jump_between_commits_changes_no_row(tmp_path: Path, jump: str) -> None:
    """Before and after it: commit, checkpoint, compaction and vacuum; the rows are the same, and no old file stays."""
    clock = Clock()
    write_journal(tmp_path, 1, 160)
    table = HistoryTable(history_of(tmp_path), clock=clock, compact_files=2, checkpoint_commits=2)
    move(table, tmp_path, frames=2, commits=3)
    archive = Archive(tmp_path, threads=1)
    table.compact()
    clock.now_s += JUMPS_S[jump]
    table.vacuum(older_than_s=1_800)
    assert [row["seq"] for row in archive.events(Question(order="asc", limit=1_000)).rows.to_pylist()] == [
        *range(1, 161)
    ]
    move(table, tmp_path, frames=1)
    table.compact()
    clock.now_s += 7_200
    table.vacuum(older_than_s=1_800)
    assert len(list(history_of(tmp_path).glob("date=*/*"))) == len(table.files())
    table.close()
    assert rows_by_archive(tmp_path).equals(pa.Table.from_batches([rows_of(1, 160)]))
    found = judge(tmp_path, rows=160)
    assert (found.found, found.reader, found.writer) == ([], "exact", "exact")


def test_a_reader_outlives_the_removal_of_its_files(tmp_path: Path) -> None:
    """The clock ran an hour ahead, so files are removed under a snapshot that needs them: the answer is the same."""
    clock = Clock()
    write_journal(tmp_path, 1, 160)
    table = HistoryTable(history_of(tmp_path), clock=clock, compact_files=2)
    move(table, tmp_path, frames=2)
    archive = Archive(tmp_path, threads=1)
    question = Question(order="asc", limit=1_000)
    before = archive.events(question).rows
    table.compact()
    clock.now_s += 3_600
    assert table.vacuum(older_than_s=1_800) >= 3
    assert archive.events(question).rows.equals(before)
    assert archive.sql("SELECT count(*) AS n FROM events")["n"].to_pylist() == [160]


@pytest.mark.parametrize("jump", JUMPS_S)
def test_a_clock_that_was_set_back_does_not_keep_the_journal_for_ever(tmp_path: Path, jump: str) -> None:
    """Segments closed by the old clock are trimmed two minutes later at the most, whatever the clock says now."""
    clock = Clock()
    for first_seq in (1, 101, 201):
        journal = JournalWriter.open(tmp_path, shard=0, segment_bytes=1, clock=clock)
        journal.append(
            FrameKind.EVENTS, rows_of(first_seq, 100), first_seq=first_seq, last_seq=first_seq + 99, tally=Tally()
        )
        journal.close()
    assert trim(tmp_path, through_seq=300, keep_s=120, clock=clock) == []
    clock.now_s += JUMPS_S[jump] + 130
    assert len(trim(tmp_path, through_seq=300, keep_s=120, clock=clock)) == 2


def test_a_gap_never_ends_before_it_began(tmp_path: Path) -> None:
    """The clock was set back while the connection was down."""
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    store.open_gap(gap_id="g", home="home", source="s", from_us=1_000, reason="disconnect", detail="")
    store.close_gap("g", 10)
    assert [(gap["from_us"], gap["to_us"]) for gap in store.gaps()] == [(1_000, 1_000)]
    store.close()


async def test_a_replay_keeps_its_pace_over_a_jump(tmp_path: Path) -> None:
    """Ten years back in the middle of a file: what was due in a second comes after a second."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(state_event(state=str(n), at=f"2026-11-23T08:00:{n:02d}+00:00") for n in range(3)))
    clock, slept = Clock(), [0.0]

    async def sleep(seconds: float) -> None:
        slept[0] += seconds
        clock.now_s -= 300_000_000

    source = ReplaySource(path, home="h", speed=1, clock=clock, ticks=lambda: slept[0], sleep=sleep)
    received = [item async for item in source.items()]
    assert len(received) == 3
    assert slept[0] == pytest.approx(2)


def process(raws: list[bytes], one: Pipeline, *, received: datetime = NOW, first_seq: int = 1) -> Any:
    batch = Batch(home="home", source="test", received_at_us=int(received.timestamp() * 1e6), events=raws)
    return one.process(batch, first_seq=first_seq)


def pipeline(zone: str = "Europe/Amsterdam") -> Pipeline:
    one = Pipeline(shard=0, window=Window(1_000), states=LastStates())
    place = Place(time_zone=zone, latitude=52.1, longitude=4.9, units={})
    one.set_snapshot(Snapshot(home="home", version=1, place=place, entities={}))
    return one


def fired(moment: datetime, state: str, entity_id: str = "sensor.a") -> bytes:
    return state_event(entity_id, state, at=moment.isoformat(timespec="microseconds"))


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=1), timedelta(days=-3650)])
def test_a_home_whose_clock_is_wrong_keeps_its_own_times(tmp_path: Path, off: timedelta) -> None:
    """Its events lie on the dates it says, one file a date; repeats are known; another home's are not late for it."""
    one, theirs = pipeline(), NOW + off
    wrong = [fired(theirs + timedelta(seconds=n), str(n)) for n in range(50)]
    right = [fired(NOW + timedelta(seconds=n), str(n), "sensor.b") for n in range(50)]
    mixed = [event for pair in zip(wrong, right, strict=True) for event in pair]
    events = process(mixed, one).events
    assert not any(events.column("late").to_pylist())
    assert process(mixed, one).duplicates == 100
    table = HistoryTable(tmp_path / "events", known_seqs=10)
    for repeat in (0, 1, 2):
        rows = seal(events, first_seq=1 + repeat * 100, journaled_at_us=1)
        table.append([rows], {0: 100 + repeat * 100})
    assert (table.rows, len(table.files())) == (100, 2)
    assert {file.date for file in table.files()} == {NOW.date().isoformat(), theirs.date().isoformat()}
    table.close()
    assert verify(tmp_path / "events") == []


def test_a_change_to_winter_time_in_mid_batch_puts_nothing_in_disorder() -> None:
    """Half past two happens twice: two offsets, one order, two events."""
    turn = datetime(2026, 10, 25, 1, tzinfo=UTC)
    raws = [fired(turn + timedelta(minutes=minutes), "on") for minutes in (-30, 30)]
    rows = process(raws, pipeline()).events.to_pylist()
    assert [(row["hour"], row["local_time"].minute, row["utc_offset_s"]) for row in rows] == [
        (2, 30, 7200),
        (2, 30, 3600),
    ]
    assert [row["late"] for row in rows] == [False, False]
    assert rows[0]["event_id"] != rows[1]["event_id"]


def test_a_leap_second_costs_no_neighbour() -> None:
    """Whoever writes 23:59:60 is refused with a reason or taken as it can be told; the events around it are stored."""
    leap = state_event("sensor.leap", "1", at="2016-12-31T23:59:60.500000+00:00")
    before, after = fired(NOW, "1", "sensor.a"), fired(NOW, "2", "sensor.b")
    outcome = process([before, leap, after], pipeline())
    stored = outcome.events.column("entity_id").to_pylist()
    assert (stored[0], stored[-1]) == ("sensor.a", "sensor.b")
    assert len(stored) + len(outcome.rejected) == 3
    assert all("time" in str(rejection.reason) + str(rejection.field) for rejection in outcome.rejected)


@pytest.mark.skipif(shutil.which("faketime") is None, reason="the Debian package faketime is not installed")
def test_whole_processes_under_other_clocks_write_one_history(tmp_path: Path) -> None:
    """One process ten years back, one an hour ahead, one at no odds, after each other on the same data."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom ingestor.history import HistoryTable\n"
        "from tests.chaos.history_world import history_of, move, write_journal\n"
        "data = Path(sys.argv[1])\nwrite_journal(data, int(sys.argv[2]), 80)\n"
        "table = HistoryTable(history_of(data), compact_files=2, checkpoint_commits=2)\n"
        "move(table, data, frames=2)\ntable.compact()\ntable.vacuum(older_than_s=60)\n"
    )
    for number, clock in enumerate((["faketime", "-f", "-10y"], ["faketime", "-f", "+1h"], [])):
        command = [*clock, sys.executable, "-c", script, str(tmp_path), str(1 + number * 80)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert answer.returncode == 0, answer.stderr[-2_000:]
    found = judge(tmp_path, rows=240)
    assert (found.found, found.reader, found.writer) == ([], "exact", "exact")
