"""A writer is killed between any two steps; the next one goes on, and every row is there once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingestor.history import HistoryTable
from tests.ingestor.history.rows import fill, seqs_by_delta
from tests.support.rows import make_events

ROOT = Path(__file__).parents[3]

#: For each line ``directory deed n`` on stdin a child appends, compacts, or merges a date into several files, and dies
#: at its n-th call of a step that reaches the disk. Answers with the child's exit code.
VICTIMS = """
import os, signal, sys
from pathlib import Path
from ingestor.history import HistoryTable, commit, compact, disk
from tests.support.rows import make_events

def deadly(real, last, calls=[0]):
    def step(*arguments, **named):
        calls[0] += 1
        if calls[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)
    return step

def work(directory, deed, last):
    late = {"clock": lambda: 4e9} if deed == "merge" else {}
    if deed == "merge":
        compact.TARGET_ROWS, compact.SPANS, compact.RUNS_OVER = 120, 1, 1
    table = HistoryTable(directory, compact_files=3, checkpoint_commits=2, file_rows=60, **late)
    os.fsync, Path.replace = deadly(os.fsync, last), deadly(Path.replace, last)
    table._commits.commit = deadly(table._commits.commit, last)
    if deed == "append":
        mark = table.watermarks[0]
        table.append([make_events(150, first_seq=mark + 1)], {0: mark + 150})
    else:
        table.compact()

for line in sys.stdin:
    directory, deed, last = line.split()
    child = os.fork()
    if not child:
        code = 1
        try:
            work(Path(directory), deed, int(last))
            code = 0
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("deed", ["append", "compact", "merge"])
def test_killed_at_any_step_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path, deed: str) -> None:
    """Killed before each step that touches the disk: whole commits are adopted, others repeated, no file is left."""
    directory = tmp_path / "events"
    table = HistoryTable(directory)
    next_seq = fill(table, 400)
    table.close()
    last, killed = 1, 0
    with subprocess.Popen(
        [sys.executable, "-c", VICTIMS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as victims:
        assert victims.stdin is not None
        assert victims.stdout is not None
        while True:
            print(directory, deed, last, file=victims.stdin, flush=True)
            code = int(victims.stdout.readline())
            assert code in (0, -signal.SIGKILL)
            table = HistoryTable(directory)
            mark = table.watermarks[0]
            assert mark in ((next_seq - 1, next_seq + 149) if deed == "append" else (next_seq - 1,))
            assert seqs_by_delta(directory) == list(range(1, mark + 1))
            assert table.verify() == []
            assert not list(directory.glob("date=*/.*"))
            next_seq = mark + 1 if deed == "append" else fill(table, 400, first_seq=mark + 1)
            table.close()
            if code == 0:
                break
            killed, last = killed + 1, last + max(1, last // 3)
        victims.stdin.close()
    assert killed >= 8


def test_killed_at_random_moments_a_replaying_writer_ends_exact(tmp_path: Path) -> None:
    """A writer that always goes on from the table's own watermark is killed by the clock, four times."""
    directory = tmp_path / "events"
    HistoryTable(directory).close()
    script = (
        "import sys\nfrom pathlib import Path\nfrom ingestor.history import HistoryTable\n"
        "from tests.support.rows import make_events\n"
        "table = HistoryTable(Path(sys.argv[1]), compact_files=4, checkpoint_commits=5)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    mark = table.watermarks.get(0, 0)\n"
        "    table.append([make_events(50, first_seq=mark + 1)], {0: mark + 50})\n"
        "    table.compact()\n"
    )
    chance = random.Random(7)  # noqa: S311 - moments of death, not secrets
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(directory)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        ) as victim:
            assert victim.stdout is not None
            victim.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.5))
            victim.kill()
        table = HistoryTable(directory)
        mark = table.watermarks.get(0, 0)
        assert seqs_by_delta(directory) == list(range(1, mark + 1))
        table.close()
    assert mark > 0


def test_a_sync_that_fails_makes_the_table_refuse_until_it_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync nobody knows what is on disk: nothing more is said to be durable by this writer."""
    directory = tmp_path / "events"
    table = HistoryTable(directory)
    fill(table, 100)

    def fails(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(table, "_sync", fails)
    with pytest.raises(OSError, match="Input/output"):
        table.append([make_events(10, first_seq=101)], {0: 110})
    monkeypatch.undo()
    with pytest.raises(Exception, match="Open it anew"):
        table.append([make_events(10, first_seq=101)], {0: 110})
    table.close()
    again = HistoryTable(directory)
    assert again.scrubbed.adopted == 1
    assert seqs_by_delta(directory) == list(range(1, 111))
