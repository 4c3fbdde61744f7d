"""Memory runs out in the middle of a commit: the table stays whole, and the journal's rows are taken later."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ingestor.errors import HistoryError
from ingestor.history import HistoryTable, commit, layout, scrub, table
from tests.chaos.history_world import EXACT, history_of, judge, move, write_journal

ROOT = Path(__file__).parents[3]
ROWS = 240

#: Moves the journal to the table with so many megabytes more than the process has after its start.
STARVED = """
import resource, sys
from pathlib import Path
from ingestor.history import HistoryTable
from tests.chaos.history_world import history_of, move
data, room_mb = Path(sys.argv[1]), int(sys.argv[2])
table = HistoryTable(history_of(data))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + room_mb * 2**20,) * 2)
move(table, data, frames=4)
"""


@pytest.mark.parametrize(
    "place",
    [
        (layout, "encode"),
        (table, "write_file"),
        (commit.Commits, "commit"),
        (commit.Commits, "checkpoint"),
        (scrub, "mark_of"),
        (table, "write_mark"),
    ],
    ids=lambda place: place[1],
)
def test_memory_that_runs_out_at_any_step_leaves_the_table_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str]
) -> None:
    """The append raises; the same table goes on, or refuses until it is opened anew; then every row is there once."""
    write_journal(tmp_path, 1, ROWS)
    history = HistoryTable(history_of(tmp_path), checkpoint_commits=2)
    move(history, tmp_path, frames=2, commits=3)
    calls: list[int] = []

    def starved(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise MemoryError

    monkeypatch.setattr(*place, starved)
    with pytest.raises(MemoryError):
        move(history, tmp_path, frames=2)
    monkeypatch.undo()
    assert calls
    with suppress(HistoryError):
        move(history, tmp_path, frames=3)
    history.close()
    found = judge(tmp_path, rows=ROWS)
    assert (found.found, found.reader, found.writer) == ([], EXACT, EXACT)


def test_a_process_that_gets_no_more_memory_leaves_the_table_whole(tmp_path: Path) -> None:
    """Under a limit the writer raises or is aborted; with room again it gets through."""
    write_journal(tmp_path, 1, ROWS)
    HistoryTable(history_of(tmp_path)).close()
    ended: list[bool] = []
    for room_mb in (1, 4_096):
        command = [sys.executable, "-c", STARVED, str(tmp_path), str(room_mb)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        ended.append(answer.returncode == 0)
        found = judge(tmp_path, rows=ROWS, write=False)
        assert (found.found, found.reader) == ([], EXACT), answer.stderr[-500:]
    assert (ended[0], ended[-1]) == (False, True), "void: the limit did not bite, or never let go"
    assert judge(tmp_path, rows=ROWS).writer == EXACT
