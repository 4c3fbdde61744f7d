"""Repeats, replays, shuffles and late comers through pipeline, journal and table: stored once, in order, late."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from actors.shard import WINDOW_IDS
from ingestor.history import Archive, HistoryTable, Question
from ingestor.history.fresh import KNOWN_SEQS
from ingestor.journal import FrameKind, JournalReader, JournalWriter, Tally
from ingestor.pipeline import LastStates, Pipeline, seal
from ingestor.sources.base import Batch
from ingestor.transforms.dedupe import Window
from tests.ingestor.transforms.recorded import other_event, state_event

NOW: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
WINDOW: Final = 200
ENTITIES: Final = 7


class Home:
    """One shard, as the actors run it, with a window so small that a replay is always older than it."""

    def __init__(self, data: Path) -> None:
        self.data, self.seq = data, 1
        self._open()

    def _open(self) -> None:
        self.table = HistoryTable(self.data / "history" / "events", known_seqs=WINDOW // 2)
        self.journal = JournalWriter.open(self.data / "journal" / "0", shard=0, segment_bytes=1 << 20)
        self.window, self.states = Window(WINDOW), LastStates()
        self.pipeline = Pipeline(shard=0, window=self.window, states=self.states)
        memory = self.table.recall(lambda *_: True, ids=WINDOW)
        self.states.restore(memory.states)
        self.window.restore(memory.event_ids)

    def restart(self) -> None:
        """Close everything and begin anew from what is on disk."""
        self.journal.close()
        self.table.close()
        self._open()

    def give(self, raws: list[bytes], *, each: int = 90, source: str = "live", commit: bool = True) -> None:
        """Take events in batches; then have the table take what is journaled, as the Historian does."""
        for at in range(0, len(raws), each):
            batch = Batch(
                home="home", source=source, received_at_us=int(NOW.timestamp() * 1e6), events=raws[at : at + each]
            )
            outcome = self.pipeline.process(batch, first_seq=self.seq)
            assert not outcome.rejected
            if outcome.events is not None:
                rows = seal(outcome.events, first_seq=self.seq, journaled_at_us=batch.received_at_us)
                last = self.seq + len(rows) - 1
                self.journal.append(FrameKind.EVENTS, rows, first_seq=self.seq, last_seq=last, tally=Tally())
            self.seq += len(batch.events)
            if commit:
                self.journal.commit()
                self.move()
        self.journal.commit()

    def move(self) -> None:
        reader = JournalReader(self.data / "journal" / "0", after_seq=self.table.watermarks.get(0, 0))
        while frames := reader.read():
            self.table.append([frame.batch() for frame in frames], {0: frames[-1].last_seq})
        reader.close()

    def shown(self) -> list[dict[str, Any]]:
        """Ask for all events, oldest first."""
        archive, rows, cursor = Archive(self.data), [], None
        while True:
            page = archive.events(Question(order="asc", limit=1_000, cursor=cursor))
            rows += page.rows.to_pylist()
            cursor = page.next
            if cursor is None:
                return rows


def life(hours: float, *, ends: datetime = NOW, every_s: float = 20) -> list[bytes]:
    """Give what happened in a home, oldest first: states of some entities, and every fifth event without an entity."""
    count = int(hours * 3600 / every_s)
    events = []
    for number in range(count):
        moment = ends - timedelta(seconds=(count - number) * every_s)
        at = moment.isoformat(timespec="microseconds")
        if number % 5:
            events.append(state_event(f"sensor.s{number % ENTITIES}", str(moment.timestamp()), at=at))
        else:
            events.append(other_event("call_service", {"domain": "light", "n": number}, time_fired=at))
    return events


def check(home: Home, given: list[bytes]) -> list[dict[str, Any]]:
    """Every happening is there once; seqs of an entity rise with time but for those marked late."""
    rows = home.shown()
    ids = [row["event_id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert len(ids) == len(set(given))
    assert home.table.rows == len(rows)
    assert len(home.window) <= WINDOW
    latest: dict[str, Any] = defaultdict(lambda: datetime(1970, 1, 1, tzinfo=UTC))
    for row in sorted(rows, key=lambda row: row["seq"]):
        if row["event_type"] == "state_changed":
            assert row["late"] == (row["time_fired"] < latest[row["entity_id"]]), row
            latest[row["entity_id"]] = max(row["time_fired"], latest[row["entity_id"]])
    return rows


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_what_the_table_takes_as_known_a_shard_really_knows() -> None:
    """Half a window is certain; the table looks up whatever lies before that."""
    assert KNOWN_SEQS <= WINDOW_IDS // 2


@pytest.mark.parametrize(("hours", "restart"), [(1, True), (6, False)])
def test_a_replay_is_stored_once(home: Home, hours: float, *, restart: bool) -> None:
    """All of it again, far older than the window, also after a restart: not one row more."""
    events = life(6)
    home.give(events)
    before = home.shown()
    if restart:
        home.restart()
    home.give(events[-int(hours * 180) :], source="replay")
    assert check(home, events) == before


def test_a_replay_of_thirty_days_is_stored_once_and_the_memory_stays_bounded(home: Home) -> None:
    """A month of sparse life, replayed twice with a restart between; the window never grows beyond its size."""
    events = life(30 * 24, every_s=3_600)
    home.give(events, each=100)
    home.give(events, each=90, source="replay")
    home.restart()
    home.give(events, each=110, source="replay")
    check(home, events)


def test_two_ingestors_copies_are_stored_once(home: Home) -> None:
    """The second stream is the first one minutes later, in batches of its own, with another context."""
    events = life(4)
    ahead = 150
    for at in range(0, len(events) + ahead, 60):
        home.give(events[at : at + 60], source="first")
        home.give(events[max(0, at - ahead) : max(0, at - ahead + 60)], source="second", each=37)
    check(home, events)


def test_a_shuffle_of_five_minutes_is_kept_whole_and_marked(home: Home) -> None:
    """Events out of order by up to five minutes: all there once, the overtaken ones marked late."""
    chance = random.Random(3)  # noqa: S311 - an order
    events = life(2, every_s=5)
    order = sorted(range(len(events)), key=lambda number: number * 5 + chance.uniform(0, 300))
    home.give([events[number] for number in order])
    rows = check(home, events)
    assert sum(row["late"] for row in rows) > 50
    home.restart()
    home.give(events)
    check(home, events)


def test_events_three_days_late_stand_in_their_own_time(home: Home) -> None:
    """They are marked late and lie on their own date; the latest states stay those of now."""
    now, then = life(1), life(1, ends=NOW - timedelta(days=3))
    home.give(now)
    latest = {state.entity_id: state.seq for state in home.states.all()}
    home.give(then, source="slow")
    home.give(then, source="slow")
    rows = check(home, [*now, *then])
    assert {row["late"] for row in rows if row["time_fired"] < NOW - timedelta(days=2) and row["entity_id"]} == {True}
    assert {file.date for file in home.table.files()} == {"2026-11-21", "2026-11-24"}
    assert {state.entity_id: state.seq for state in home.states.all()} == latest


def test_an_answer_has_a_repeat_once_before_the_table_took_it(home: Home) -> None:
    """While the repeat stands in the journal alone, and its first copy in the table, it is shown once."""
    events = life(3)
    home.give(events)
    home.seq += KNOWN_SEQS
    home.give(events[:100], source="replay", commit=False)
    rows = home.shown()
    assert len(rows) == len({row["event_id"] for row in rows}) == len(events)
    home.move()
    check(home, events)
