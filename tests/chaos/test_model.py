"""The model refutes a journal that syncs too little, and finds nothing to say against the one that is used."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos import model
from tests.chaos.model import Life, Told, examine, random_script
from tests.chaos.model_disk import ModelDisk, put_down, subsets
from tests.chaos.model_repair import examine_repair


@pytest.mark.parametrize("seed", range(3))
def test_lives_made_up_at_random_recover_from_every_state(seed: int) -> None:
    """Other orders of the same steps, each cut at every moment."""
    found = examine(random_script(random.Random(seed)), again=30, contents=2)  # noqa: S311 - repeatable on purpose
    assert found.violations == []
    assert found.states > 50


def test_a_repair_cut_at_any_moment_loses_no_whole_frame() -> None:
    """Before its return the next repair ends alike; after it, the journal opens and says nothing is missing."""
    found = examine_repair(contents=1)
    assert found.violations == []
    assert found.states > 500


@pytest.mark.parametrize("skipped", ["fdatasync", "fsync_dir"])
def test_a_journal_that_does_not_sync_is_refuted(monkeypatch: pytest.MonkeyPatch, skipped: str) -> None:
    """The model is no yes-man: with one kind of sync left out, acknowledged events are missing in some state."""

    class Lazy(ModelDisk):
        def fdatasync(self, fd: int) -> None:
            if skipped != "fdatasync":
                super().fdatasync(fd)

        def fsync_dir(self, path: Path) -> None:
            if skipped != "fsync_dir":
                super().fsync_dir(path)

    monkeypatch.setattr(model, "ModelDisk", Lazy)
    assert examine((("open", ()), ("commit", (1,)), ("commit", (2,))), contents=1).violations


def test_the_model_knows_what_a_power_cut_may_leave(tmp_path: Path) -> None:
    """Bytes behind a sync come in any subset of sectors, names in any subset of changes, synced ones as they are."""
    disk = ModelDisk(tmp_path)
    fd = disk.open(tmp_path / "a", create=True)
    disk.write(fd, b"x" * 700, 0)
    disk.fdatasync(fd)
    disk.fsync_dir(tmp_path)
    disk.write(fd, b"y" * 700, 512)
    contents = {state["a"] for state in disk.states()}
    whole, first = b"x" * 512 + b"y" * 700, b"x" * 512 + b"y" * 512
    assert {b"x" * 700, whole, first, first.ljust(1212, b"\0"), b"x" * 700 + bytes(512)} <= contents
    assert b"x" * 512 + bytes(512) + b"y" * 188 not in contents
    disk.fdatasync(fd)
    disk.close(fd)
    disk.rename(tmp_path / "a", tmp_path / "b")
    assert {tuple(state) for state in disk.states()} == {("a",), ("b",)}
    disk.unlink(tmp_path / "b")
    assert {tuple(state) for state in disk.states()} == {("a",), ("b",), ()}
    assert len(list(subsets(3))) == 8
    assert len(set(subsets(9))) > 25


def test_the_disk_holds_one_of_the_states_it_names(tmp_path: Path) -> None:
    """What is really in the folder after a life is what the model calls possible when nothing is lost."""
    (tmp_path / "life").mkdir()
    disk, told = ModelDisk(tmp_path / "life"), Told()
    Life(tmp_path / "life", disk, told).play((("open", ()), ("commit", (1, 2)), ("close", ())))
    real = {
        path.relative_to(tmp_path / "life").as_posix(): path.read_bytes() if path.is_file() else None
        for path in (tmp_path / "life").rglob("*")
        if path.name != "lock"
    }
    states = list(disk.states())
    assert real in states
    put_down(states[0], tmp_path / "again")
    assert model.fault_of(tmp_path / "again" / model.PLACE, told) == ("", False)
