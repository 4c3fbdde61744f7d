"""What earlier versions left on disk is read, gone on with, and never taken for something else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingestor.errors import HistoryError, IngestorError, JournalError, MetadataError
from ingestor.history import Archive, HistoryTable, Question, verify
from ingestor.history import mark as marks
from ingestor.journal import JournalWriter, frames, segments, shards_in
from ingestor.metadata import SqliteMetadata, connection, migrations
from tests.golden.make import DOCUMENT, HOME, PARTS, START_US, Shard, facts, make, move
from tests.ingestor.transforms.recorded import events

ROOT = Path(__file__).parent
RELEASES = sorted(path.name for path in ROOT.iterdir() if (path / "expected.json").exists())


@pytest.fixture(params=RELEASES)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a copy of each golden directory."""
    return Path(shutil.copytree(ROOT / request.param, tmp_path / "data"))


def shown(data: Path) -> list[list[Any]]:
    archive, rows, cursor = Archive(data), [], None
    while True:
        page = archive.events(Question(order="asc", limit=1_000, cursor=cursor))
        rows += page.rows.to_pylist()
        cursor = page.next
        if cursor is None:
            return sorted((facts(row) for row in rows), key=lambda each: each[1])


def test_there_is_a_golden_directory_for_the_present_format() -> None:
    """The version whose formats are those of today stands among them."""
    assert "0.1.0" in RELEASES
    assert all(sum(f.stat().st_size for f in (ROOT / name).rglob("*") if f.is_file()) < 200_000 for name in RELEASES)


def test_every_event_of_an_earlier_version_is_shown(data: Path) -> None:
    """Those in the history and those that stood in the journal alone, each as it was."""
    expected = json.loads((data / "expected.json").read_text())
    assert shown(data) == expected["events"]
    assert verify(data / "history" / "events") == []


def test_the_metadata_of_an_earlier_version_is_read(data: Path) -> None:
    """Documents, gaps, cursors, values, the quarantine, and leases that go on above all that was given."""
    expected = json.loads((data / "expected.json").read_text())
    store = SqliteMetadata(data / "metadata" / "metadata.sqlite")
    assert store.documents(HOME) == {"config": DOCUMENT}
    [gap] = store.gaps()
    assert (gap["gap_id"], gap["from_us"], gap["to_us"]) == ("gap-1", START_US, START_US + 1_000_000)
    assert (store.cursor("reader"), store.get("answer")) == ({0: 5, 1: 7}, 42)
    assert 0 < sum(store.quarantine_counts().values()) <= expected["quarantined"]
    assert store.lease_seqs(1) > max(each[1] for each in expected["events"])
    store.close()


def test_an_earlier_version_is_gone_on_with(data: Path) -> None:
    """The tail moves to the table, new events follow, all is merged: the old ones and the new are there once."""
    expected = json.loads((data / "expected.json").read_text())
    metadata = SqliteMetadata(data / "metadata" / "metadata.sqlite")
    table = HistoryTable(data / "history" / "events", compact_files=2, checkpoint_commits=2)
    in_tail = len(expected["events"]) - expected["in_history"]
    assert move(table, data / "journal", metadata) == in_tail > 0
    assert sum(metadata.quarantine_counts().values()) == PARTS
    raws = events("2025.4.4")[500:530]
    for number in shards_in(data / "journal"):
        shard = Shard(data / "journal" / str(number), number)
        shard.take(raws[number::2], metadata, START_US + 1_000)
        shard.journal.close()
    assert move(table, data / "journal", metadata) == len(raws)
    assert table.compact()
    table.vacuum(older_than_s=0)
    assert table.verify() == []
    table.close()
    metadata.close()
    rows = shown(data)
    assert rows[: len(expected["events"])] == expected["events"]
    assert len(rows) == len(expected["events"]) + len(raws)


def newer_history(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = data / "history" / "events"
    mark = marks.read_mark(directory)
    assert mark is not None
    monkeypatch.setattr(marks, "FORMAT", marks.FORMAT + 1)
    marks.write_mark(directory, mark)


def newer_segment(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_VERSION", segments.SEGMENT_VERSION + 1)
    JournalWriter.open(data / "journal" / "0", shard=0, segment_bytes=1).close()


def newer_frame(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later program would leave it that changed frames alone, in the last commit, which may have been torn."""
    metadata = SqliteMetadata(data / "metadata" / "metadata.sqlite")
    shard = Shard(data / "journal" / "0", 0)
    monkeypatch.setattr(frames, "FRAME_VERSION", frames.FRAME_VERSION + 1)
    shard.take(events("2025.4.4")[500:510], metadata, START_US)
    metadata.close()
    shard.journal._release()


def newer_metadata(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = ("CREATE TABLE later (x INTEGER) STRICT",)
    monkeypatch.setattr(connection, "STEPS", (*migrations.STEPS, step))
    SqliteMetadata(data / "metadata" / "metadata.sqlite").close()


@pytest.mark.parametrize(
    ("upgrade", "open_", "error"),
    [
        (newer_history, lambda data: HistoryTable(data / "history" / "events"), HistoryError),
        (newer_history, Archive, HistoryError),
        (
            newer_segment,
            lambda data: JournalWriter.open(data / "journal" / "0", shard=0, segment_bytes=1),
            JournalError,
        ),
        (newer_segment, Archive, JournalError),
        (newer_frame, lambda data: JournalWriter.open(data / "journal" / "0", shard=0, segment_bytes=1), JournalError),
        (newer_frame, Archive, JournalError),
        (newer_metadata, lambda data: SqliteMetadata(data / "metadata" / "metadata.sqlite"), MetadataError),
    ],
)
def test_what_a_newer_version_wrote_is_refused_and_left_alone(
    tmp_path: Path, upgrade: Callable[..., None], open_: Callable[[Path], Any], error: type[IngestorError]
) -> None:
    """One line that says what to do, and not one byte changed: going back is possible."""
    data = Path(shutil.copytree(ROOT / "0.1.0", tmp_path / "data"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        upgrade(data, monkeypatch)
    before = contents(data)
    with pytest.raises(error, match=r"was written by a newer version .*Install that version again$") as caught:
        open_(data)
    assert "\n" not in str(caught.value)
    assert contents(data) == before


def test_a_golden_directory_is_made_in_the_same_way_today(tmp_path: Path) -> None:
    """The maker still works, and what it makes today is as complete as what it made then."""
    make(tmp_path / "made")
    today = json.loads((tmp_path / "made" / "expected.json").read_text())
    then = json.loads((ROOT / "0.1.0" / "expected.json").read_text())
    assert today == then
    with pytest.raises(FileExistsError):
        make(tmp_path / "made")


def contents(data: Path) -> dict[str, bytes]:
    """Return all that is kept: without locks, and without the two files SQLite keeps while one is open."""
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in data.rglob("*")
        if path.is_file() and "lock" not in path.name and not path.name.endswith(("-wal", "-shm"))
    }
