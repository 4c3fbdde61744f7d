"""Each file of the table is emptied, halved, lost, cut and altered in its turn: noticed or harmless, never silent."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestor.errors import HistoryCorrupt, HistoryError, JournalError
from ingestor.history import Archive, HistoryTable, Question
from ingestor.history.__main__ import main
from ingestor.history.log import commit_path, hint_path, load, load_whole_part
from ingestor.history.mark import Mark, mark_path, write_mark
from tests.chaos.history_damage import DAMAGES, attack, files_of, flip, flips, relied_on
from tests.chaos.history_world import (
    EXACT,
    REFUSED,
    build,
    history_of,
    journal_of,
    judge,
    move,
    rows_by_archive,
)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two homes whose journals have no more than they must: one whole, one with three commits above the mark."""
    base = tmp_path_factory.mktemp("homes")
    build(base / "trimmed", trimmed=True)
    build(base / "unmarked", unmarked=3, trimmed=True)
    yield base
    shutil.rmtree(base)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_relied_on_and_damaged_is_named_with_the_next_step(homes: Path, tmp_path: Path, damage: str) -> None:
    """The journal forgot: the writer refuses or ``verify`` names it, no reader shows less, messages say what to do."""
    golden, work = homes / "trimmed", tmp_path / "work"
    data_files = [path for path in relied_on(golden) if path.suffix == ".parquet" and "date=" in str(path)]
    for path in relied_on(golden):
        if (damage == "line") != (path.suffix == ".json") and damage in ("line", "half"):
            continue
        if path in data_files[1:-1]:
            continue  # each alike
        found = attack(golden, work, path, DAMAGES[damage], write="date=" not in str(path) or damage != "flip")
        assert not found.silent, (path, found)
        assert any(name.endswith(path.name) for name in found.found) or path.name == "durable.json", (path, found)
        assert {found.reader, found.writer} <= {EXACT, REFUSED}, (path, found)
        for refusal in found.refusals:
            assert any(step in refusal for step in ("Restore it", "Delete it", "history verify")), refusal


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_lies_above_the_mark_is_repaired_from_the_journal(homes: Path, tmp_path: Path, damage: str) -> None:
    """Commits, data files and hints that a crash left damaged: afterwards every row is there, once, as it was."""
    golden, work = homes / "unmarked", tmp_path / "work"
    directory = history_of(golden)
    newest = load_whole_part(directory).version
    commits = [commit_path(directory, version) for version in (newest - 2, newest)]
    data = sorted(directory.glob("date=*/*.parquet"), key=lambda path: path.name)
    [checkpoint] = directory.glob("_delta_log/*.checkpoint.parquet")
    for path in [*commits, data[-1], checkpoint, hint_path(directory)]:
        if damage == "line" and path.suffix != ".json":
            continue
        found = attack(golden, work, path.relative_to(golden), DAMAGES[damage])
        assert found.writer == EXACT, (path, found)
        assert found.reader in {EXACT, REFUSED} or found.found, (path, found)


def test_what_nothing_relies_on_any_more_may_be_damaged(homes: Path, tmp_path: Path) -> None:
    """Log files that a checkpoint has summed up, and the hint at it, change no answer."""
    golden = homes / "trimmed"
    for number, path in enumerate(sorted(set(files_of(golden)) - set(relied_on(golden)))):
        damage = list(DAMAGES.values())[number % len(DAMAGES)]
        found = attack(golden, tmp_path / "work", path, damage)
        assert (found.reader, found.writer) == (EXACT, EXACT), (path, damage, found)


def test_an_unmarked_commit_cut_or_altered_at_any_place_is_never_believed(homes: Path, tmp_path: Path) -> None:
    """At each line's end, at 2 other places, with 8 bits turned: dropped and repeated, nothing lost, nothing twice."""
    golden, work = homes / "unmarked", tmp_path / "work"
    path = commit_path(history_of(golden), load_whole_part(history_of(golden)).version)
    whole, chance = path.read_bytes(), random.Random(5)  # noqa: S311 - places of damage
    ends = [at for at in range(len(whole)) if whole[at : at + 1] == b"\n"]
    versions = [whole[:at] for at in (*ends, *chance.sample(range(len(whole)), 2))]
    for _ in range(8):
        altered = bytearray(whole)
        altered[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        versions.append(bytes(altered))
    for version in versions:
        found = attack(golden, work, path.relative_to(golden), lambda file, v=version: file.write_bytes(v))  # type: ignore[misc]
        assert (found.reader, found.writer) == (EXACT, EXACT), (version, found)


def test_five_hundred_flipped_bits_are_all_found(homes: Path, tmp_path: Path) -> None:
    """In data pages, footers, log, checkpoint and mark: ``verify`` names that file each time."""
    chance = random.Random(12)  # noqa: S311 - which bits
    found = list(flips(homes / "trimmed", tmp_path / "work", chance, 500))
    assert len(found) == 500
    assert [path for path, seen in found if not seen] == []


def test_a_reader_shows_nothing_rather_than_less(homes: Path, tmp_path: Path) -> None:
    """A commit that once was durable is gone and the journal was trimmed: opening is refused and the file is named."""
    work = shutil.copytree(homes / "trimmed", tmp_path / "work")
    gone = commit_path(history_of(work), load(history_of(work)).version)
    gone.unlink()
    with pytest.raises(HistoryCorrupt, match=rf"{gone.name}.*missing or damaged.*Restore it"):
        Archive(work)


def test_a_file_that_is_damaged_while_answers_are_given_is_named(homes: Path, tmp_path: Path) -> None:
    """The next question that needs it fails with its name; an SQL question does not blame who asked."""
    work = shutil.copytree(homes / "trimmed", tmp_path / "work")
    archive = Archive(work)
    [first, *_] = archive.files()
    (history_of(work) / first.path).write_bytes(b"PAR1")
    for ask in (lambda: archive.events(Question(order="asc")), lambda: archive.sql("SELECT state FROM events")):
        with pytest.raises(HistoryCorrupt, match=rf"{first.path}.*bytes and must have.*Restore it"):
            ask()


def test_a_lost_history_is_not_begun_anew_beside_a_trimmed_journal(homes: Path, tmp_path: Path) -> None:
    """The folder is gone: what the journal still has is not passed off as everything."""
    work = shutil.copytree(homes / "unmarked", tmp_path / "work")
    shutil.rmtree(history_of(work))
    with pytest.raises(JournalError, match="trimmed"):
        Archive(work)
    table = HistoryTable(history_of(work))
    with pytest.raises(JournalError, match="trimmed"):
        move(table, work, frames=3)
    assert table.rows == 0


def test_a_lost_segment_is_refused_by_name(homes: Path, tmp_path: Path) -> None:
    """A journal file that nobody trimmed is missing: neither reader nor writer goes on behind it."""
    build(tmp_path / "work", rows=240, unmarked=2)
    segments = sorted(journal_of(tmp_path / "work").glob("*.seg"))
    segments[-3].unlink()
    found = judge(tmp_path / "work")
    assert (found.reader, found.writer) == (REFUSED, REFUSED) or found.writer == EXACT, found
    assert all("is missing and was not trimmed" in refusal for refusal in found.refusals), found


def test_a_newer_format_is_refused_in_one_line_and_left_alone(homes: Path, tmp_path: Path) -> None:
    """Neither reader, writer nor ``verify`` touches a history that a later program wrote."""
    work = shutil.copytree(homes / "trimmed", tmp_path / "work")
    directory = history_of(work)
    monkey = pytest.MonkeyPatch()
    monkey.setattr("ingestor.history.mark.FORMAT", 2)
    write_mark(directory, Mark(version=99, watermarks={}))
    monkey.undo()
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    for opening in (lambda: HistoryTable(directory), lambda: Archive(work)):
        with pytest.raises(HistoryError, match=r"newer version \(format 2\)\. Install that version again") as caught:
            opening()
        assert "\n" not in str(caught.value)
    assert main(["verify", str(directory)]) == 1
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before


def test_a_file_of_which_another_program_deleted_rows_is_refused(homes: Path, tmp_path: Path) -> None:
    """A deletion vector hides rows; whoever does not know it would show them."""
    work = shutil.copytree(homes / "unmarked", tmp_path / "work")
    path = commit_path(history_of(work), load_whole_part(history_of(work)).version)
    path.write_bytes(path.read_bytes().replace(b'"tags":null', b'"deletionVector":{"storageType":"u"}', 1))
    with pytest.raises(HistoryCorrupt, match="another program deleted rows"):
        load_whole_part(history_of(work))


def test_verify_names_each_damaged_file_in_a_line(
    homes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with 1 and the name of each; with 0 when all is well."""
    work = shutil.copytree(homes / "trimmed", tmp_path / "work")
    assert main(["verify", str(history_of(work))]) == 0
    assert "every byte is as it was written" in capsys.readouterr().out
    damaged = [history_of(work) / file.path for file in load(history_of(work)).files.values()][:2]
    for path in damaged:
        flip(path)
    assert main(["verify", str(history_of(work))]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(map(str, damaged))
    assert all("Restore it from a backup" in line for line in lines)


def test_a_sound_home_is_judged_sound(homes: Path, tmp_path: Path) -> None:
    """The judge itself: nothing found, every row shown by the reader and kept by the writer."""
    for name in ("trimmed", "unmarked"):
        work = shutil.copytree(homes / name, tmp_path / name)
        assert len(rows_by_archive(work)) == 240
        assert mark_path(history_of(work)).exists()
        found = judge(work)
        assert (found.found, found.reader, found.writer, found.bit) == ([], EXACT, EXACT, False)
