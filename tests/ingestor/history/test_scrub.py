"""Damage: above the durable mark it is dropped and repeated, below it is named and refused; flipped bits are found."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestor.errors import HistoryCorrupt
from ingestor.history import HistoryTable, verify
from ingestor.history.log import commit_path
from ingestor.history.mark import mark_path
from tests.ingestor.history.rows import fill, seqs_by_delta
from tests.support.rows import make_events


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "events"


def empty(path: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGES = [empty, halve, Path.unlink]


def unmarked(directory: Path, commits: int) -> None:
    """Make a table of 300 marked rows and some commits of 100 more that a power cut took the mark of."""
    table = HistoryTable(directory)
    fill(table, 300)
    mark = mark_path(directory).read_bytes()
    fill(table, commits * 100, first_seq=301)
    table.close()
    mark_path(directory).write_bytes(mark)


@pytest.mark.parametrize("damage", [empty, halve])
def test_a_torn_commit_above_the_mark_is_dropped_and_repeated(directory: Path, damage: Callable[[Path], None]) -> None:
    """The table is what it was at the mark, says what it dropped, and takes the rows again from the journal."""
    unmarked(directory, 2)
    damage(commit_path(directory, 4))
    drops_and_repeats(directory, kept=300, dropped=2)


@pytest.mark.parametrize("damage", [empty, halve, flip])
def test_a_commit_above_the_mark_with_a_damaged_file_is_dropped_and_repeated(
    directory: Path, damage: Callable[[Path], None]
) -> None:
    """A commit is as good as its files: the one before it stays, this one is repeated."""
    unmarked(directory, 2)
    damage(max(directory.glob("date=*/*.parquet"), key=lambda path: path.name))
    drops_and_repeats(directory, kept=400, dropped=1)


def drops_and_repeats(directory: Path, *, kept: int, dropped: int) -> None:
    table = HistoryTable(directory)
    assert (table.watermarks, len(table.scrubbed.dropped)) == ({0: kept}, dropped)
    assert seqs_by_delta(directory) == list(range(1, kept + 1))
    fill(table, 500 - kept, first_seq=kept + 1)
    assert seqs_by_delta(directory) == list(range(1, 501))
    assert table.verify() == []


def test_a_missing_data_file_above_the_mark_drops_its_commit(directory: Path) -> None:
    """A name that the power cut took is no data."""
    unmarked(directory, 1)
    max(directory.glob("date=*/*.parquet"), key=lambda path: path.name).unlink()
    table = HistoryTable(directory)
    assert (table.watermarks, len(table.scrubbed.dropped)) == ({0: 300}, 1)


def test_whole_commits_above_the_mark_are_adopted(directory: Path) -> None:
    """Killed between commit and mark: nothing is read again, and the mark moves on."""
    unmarked(directory, 2)
    table = HistoryTable(directory)
    assert (table.scrubbed.adopted, table.watermarks) == (2, {0: 500})
    table.close()
    assert HistoryTable(directory).scrubbed.adopted == 0


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("what", ["commit", "data", "checkpoint"])
def test_damage_below_the_mark_refuses_the_start_and_names_the_file(
    directory: Path, damage: Callable[[Path], None], what: str
) -> None:
    """What was trimmed from the journal cannot be repeated: never a silently shorter history."""
    table = HistoryTable(directory, checkpoint_commits=3)
    fill(table, 500)
    table.close()
    path = {
        "commit": commit_path(directory, 4),
        "data": min(directory.glob("date=*/*.parquet")),
        "checkpoint": next(directory.glob("_delta_log/*.checkpoint.parquet")),
    }[what]
    damage(path)
    with pytest.raises(HistoryCorrupt, match=path.name) as caught:
        HistoryTable(directory)
    assert "Restore it from a backup" in str(caught.value)
    assert any(path.name in damaged.path for damaged in verify(directory))


def test_every_flipped_bit_is_found(directory: Path) -> None:
    """One bit anywhere in any file the table relies on, 120 times: ``verify`` names that file, and only that."""
    table = HistoryTable(directory, checkpoint_commits=3)
    fill(table, 500)
    table.close()
    assert verify(directory) == []
    log = [commit_path(directory, 4), commit_path(directory, 5), *directory.glob("_delta_log/*.checkpoint.parquet")]
    paths = [*directory.glob("date=*/*.parquet"), *log, mark_path(directory)]
    chance = random.Random(11)  # noqa: S311 - which bit to flip
    for number in range(120):
        path = paths[number % len(paths)]
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        found = {damage.path for damage in verify(directory)}
        assert str(path) in found, (path, found)
        path.write_bytes(whole)


def test_compaction_never_launders_a_damaged_file(directory: Path) -> None:
    """A file with a flipped bit is refused, not merged into a new file with a good digest."""
    table = HistoryTable(directory, compact_files=2)
    fill(table, 500)
    flip(directory / table.files()[0].path)
    with pytest.raises(HistoryCorrupt, match="altered"):
        table.compact()
    assert len(table.files()) == 5


def test_a_lost_mark_is_made_again_after_everything_was_read(directory: Path) -> None:
    """Without its mark a sound table starts and says so; a damaged one refuses."""
    table = HistoryTable(directory)
    fill(table, 300)
    table.close()
    mark_path(directory).unlink()
    table = HistoryTable(directory)
    assert "was missing" in table.scrubbed.dropped[0]
    table.close()
    mark_path(directory).unlink()
    flip(min(directory.glob("date=*/*.parquet")))
    with pytest.raises(HistoryCorrupt, match="altered"):
        HistoryTable(directory)


def test_an_altered_mark_is_refused_with_the_way_out(directory: Path) -> None:
    """A mark that lies is worse than none; the message says what to do."""
    HistoryTable(directory).close()
    path = mark_path(directory)
    path.write_bytes(path.read_bytes().replace(b'"version":0', b'"version":1'))
    with pytest.raises(HistoryCorrupt, match="Delete it"):
        HistoryTable(directory)


def test_files_of_no_commit_are_removed_at_start(directory: Path) -> None:
    """What a killed writer left is not shown to who reads the files as they lie there."""
    table = HistoryTable(directory)
    fill(table, 100)
    table.close()
    whole = next(directory.glob("date=*/*.parquet"))
    shutil.copy(whole, whole.with_name("0000000000000001-" + "0" * 32 + ".parquet"))
    (whole.parent / ".half.parquet.draft").write_bytes(b"x")
    table = HistoryTable(directory)
    assert table.scrubbed.orphans == 2
    assert list(directory.glob("date=*/*")) == [whole]


def test_a_first_start_that_was_cut_off_starts_again(directory: Path) -> None:
    """A torn first commit is no table: it is made anew."""
    HistoryTable(directory).close()
    mark_path(directory).unlink()
    halve(commit_path(directory, 0))
    table = HistoryTable(directory)
    table.append([make_events(10)], {0: 10})
    assert seqs_by_delta(directory) == list(range(1, 11))
