"""Data that cannot be used is told in one line before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestor.data_dir import refuse_unusable
from ingestor.errors import ConfigError
from tests.golden.test_golden import RELEASES, ROOT, contents, newer_history, newer_metadata, newer_segment


@pytest.mark.parametrize("release", RELEASES)
def test_sound_data_passes_and_stays_as_it_is(tmp_path: Path, release: str) -> None:
    """Every golden directory, and an empty one, may be used."""
    data = Path(shutil.copytree(ROOT / release, tmp_path / "data"))
    before = contents(data)
    refuse_unusable(data)
    assert contents(data) == before
    refuse_unusable(tmp_path / "new")


@pytest.mark.parametrize("upgrade", [newer_history, newer_segment, newer_metadata])
def test_a_newer_store_is_refused_with_the_next_step(tmp_path: Path, upgrade: Callable[..., None]) -> None:
    """Whichever store it is, the line names it and says what to install."""
    data = Path(shutil.copytree(ROOT / "0.1.0", tmp_path / "data"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        upgrade(data, monkeypatch)
    before = contents(data)
    with pytest.raises(ConfigError, match=r"^data_dir: .*newer version .*\. Install that version again$"):
        refuse_unusable(data)
    assert contents(data) == before


def test_a_lost_commit_is_refused_with_the_next_step(tmp_path: Path) -> None:
    """What every answer begins with is damaged: the file is named, and where to get it back."""
    data = Path(shutil.copytree(ROOT / "0.1.0", tmp_path / "data"))
    lost = max((data / "history" / "events" / "_delta_log").glob("*.json"))
    lost.unlink()
    with pytest.raises(ConfigError, match=rf"{lost.name}: is missing.*Restore it from a backup"):
        refuse_unusable(data)


def test_a_lost_data_file_is_refused_with_the_next_step(tmp_path: Path) -> None:
    """A file that the history relies on is gone: the start is refused before anything runs, and the file is named."""
    data = Path(shutil.copytree(ROOT / "0.1.0", tmp_path / "data"))
    lost = next((data / "history" / "events").glob("date=*/*.parquet"))
    lost.unlink()
    with pytest.raises(ConfigError, match=rf"{lost.name}.*Restore it from a backup"):
        refuse_unusable(data)
