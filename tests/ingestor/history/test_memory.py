"""What was written down of the last states: a recall costs what came since, and tells the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingestor.history import HistoryTable, recall
from ingestor.history import table as tables
from tests.ingestor.history.rows import DAY_US, fill, flagged
from tests.support.rows import START_US, make_events

#: ``recall`` the function hides the module of that name.
_READ = recall.latest_states


def states_of(table: HistoryTable) -> dict[str, int]:
    """Return the seq of the last state of each entity."""
    states = table.recall(lambda *_: True, ids=0).states
    return dict(zip(states["entity_id"].to_pylist(), states["seq"].to_pylist(), strict=True))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the files of each look for last states."""
    counts: list[int] = []

    def counted(engine: Any, files: Any, wanted: Any) -> Any:
        counts.append(len(files))
        return _READ(engine, files, wanted)

    monkeypatch.setattr(recall, "latest_states", counted)
    return counts


def test_a_recall_reads_only_what_came_since(tmp_path: Path, read: list[int]) -> None:
    """Also after a restart, and after a merge of what was remembered: the same states, from the files that are new."""
    table = HistoryTable(tmp_path / "events", compact_files=3)
    fill(table, 600, step_us=DAY_US // 150, entities=20)
    expected = states_of(table)
    table.remember()
    table.compact()
    read.clear()
    assert states_of(table) == expected
    assert read == [0]
    late = flagged(make_events(20, first_seq=601, entities=20, start_us=START_US + 7), "late")
    table.append([late], {0: 620})
    table.append([make_events(3, first_seq=621, entities=20, start_us=START_US + 9 * DAY_US)], {0: 623})
    newer = expected | {f"sensor.room_{seq % 20}": seq for seq in (621, 622, 623)}
    read.clear()
    assert states_of(table) == newer
    assert read == [2]
    table.close()
    again = HistoryTable(tmp_path / "events")
    assert states_of(again) == newer
    assert read[-1] < len(again.files())


@pytest.mark.parametrize("harm", ["flipped", "torn", "gone"])
def test_a_damaged_memory_is_made_again_from_the_table(tmp_path: Path, harm: str) -> None:
    """One bit, a torn end, no file: nothing of it is believed."""
    table = HistoryTable(tmp_path / "events")
    fill(table, 300, entities=20)
    expected = states_of(table)
    table.remember()
    table.close()
    [path] = (tmp_path / "events" / "_ingestor").glob("states-*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content if harm == "flipped" else content[:-9])
    assert states_of(HistoryTable(tmp_path / "events")) == expected


def test_last_states_are_written_down_after_so_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tidying does it, once there is nothing to merge, and one file is kept."""
    monkeypatch.setattr(tables, "REMEMBER_ROWS", 250)
    table = HistoryTable(tmp_path / "events")
    next_seq = fill(table, 200)
    assert not table.tidy()
    for _ in range(2):
        next_seq = fill(table, 300, first_seq=next_seq)
        assert table.tidy()
        assert not table.tidy()
        assert len(list((tmp_path / "events" / "_ingestor").glob("states-*"))) == 1
