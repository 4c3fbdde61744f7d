"""The power goes the moment ``append`` or ``compact`` has returned: what was not synced by then is gone or empty."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ingestor.history import HistoryTable
from tests.ingestor.history.rows import fill, seqs_by_delta


class Disk:
    """What a disk would hold if it kept only what was synced: entries of synced folders, content of synced files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folders: dict[str, dict[str, int]] = {}
        self._contents: dict[int, bytes] = {}
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self._synced)

    def survivors(self, folder: Path, target: Path) -> None:
        """Write what a restart would find of a folder."""
        target.mkdir()
        for name, inode in self._folders.get(str(folder), {}).items():
            if (folder / name).is_dir():
                self.survivors(folder / name, target / name)
            else:
                (target / name).write_bytes(self._contents.get(inode, b""))

    def _synced(self, handle: int) -> None:
        self._sync(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path.is_dir():
            self._folders[str(path)] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()


def test_what_append_and_compact_returned_from_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each commit, with checkpoints and compaction between: every row is there and nothing had to be dropped."""
    disk = Disk(monkeypatch)
    house = tmp_path / "house"
    house.mkdir()
    directory, next_seq = house / "history" / "events", 1
    table = HistoryTable(directory, compact_files=3, checkpoint_commits=3)
    for number in range(6):
        next_seq = fill(table, 100, each=50, first_seq=next_seq)
        if number % 3 == 2:
            assert table.compact() > 0
        after = tmp_path / f"after-{number}"
        disk.survivors(house, after)
        restarted = HistoryTable(after / "history" / "events")
        assert restarted.scrubbed.dropped == []
        assert restarted.watermarks == {0: next_seq - 1}
        assert seqs_by_delta(after / "history" / "events") == list(range(1, next_seq))
        assert restarted.verify() == []
        restarted.close()
        shutil.rmtree(after)
