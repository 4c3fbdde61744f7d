"""A writer of the history is killed as it enters a system call, each in its turn: strace sends the signal.

A first run, not killed, lists the calls that reach the disk. Then a copy of the same home is worked on for each of
them by a process that dies there: before it opens, writes, syncs, links, renames or removes that file. A reader must
show every row at once, and the next writer must find all of them and leave nothing behind.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ingestor.history import HistoryTable
from tests.chaos.history_world import EXACT, build, history_of, judge, write_journal
from tests.chaos.nemesis import strace

ROOT: Final = Path(__file__).parents[2]
DEEDS: Final = ("append", "compact")
ROWS: Final = 240
KILLED: Final = -9
_CALLS: Final = (
    "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat"
)
_LINE: Final = re.compile(r"^\d+ +(\w+)\((.*)$")
_PATH: Final = re.compile(r'"([^"]+)"|<([^>]+)>')

#: Forks a child for each line ``directory deed``, says its id, and lets it work when told to go on.
_SERVER: Final = """
import os, sys
from pathlib import Path
import ingestor.history.commit, ingestor.history.engine
from tests.chaos.history_kills import work
for line in sys.stdin:
    inside, outside = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.read(inside, 1)
            work(*line.split())
            code = 0
        finally:
            os._exit(code)
    print(child, flush=True)
    sys.stdin.readline()
    os.write(outside, b"!")
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    os.close(inside), os.close(outside)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The ``nth`` time that ``call`` touches ``path``, which is relative to the data directory."""

    call: str
    path: str
    nth: int


def work(data: str, deed: str) -> None:
    """Do what is interrupted: move what is left in the journal, or merge what is in the table. With a checkpoint."""
    from tests.chaos.history_world import move

    table = HistoryTable(history_of(Path(data)), compact_files=2, checkpoint_commits=1)
    if deed == "append":
        move(table, Path(data), frames=100)
    else:
        assert table.compact()


def prepare(data: Path) -> Path:
    """Make the home that each victim works on: four commits, and as much in the journal."""
    build(data, rows=ROWS // 2)
    write_journal(data, ROWS // 2 + 1, ROWS // 2)
    return data


class Victims:
    """Processes to kill. ``steps`` and ``kill`` work on a fresh copy each time."""

    def __init__(self, golden: Path, work: Path) -> None:
        self._golden, self._work = golden, work
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate(timeout=30)

    def steps(self, deed: str) -> list[Step]:
        """List the calls of one whole deed that change something in the data directory, in order."""
        listing = self._work.with_suffix(".strace")
        code = self._run(deed, ["-y", "-s", "0", "-e", f"trace={_CALLS}", "-o", str(listing)])
        assert code == 0, f"{deed} failed by itself"
        found: list[Step] = []
        for line in listing.read_text().splitlines():
            step = self._step(line, found)
            if step is not None:
                found.append(step)
        return found

    def kill(self, deed: str, step: Step) -> str:
        """Kill it there. Returns what is wrong afterwards; an empty text when nothing is."""
        rule = f"inject={step.call}:signal=SIGKILL:when={step.nth}"
        path = str((self._work / step.path).resolve()) if step.path else str(self._work)
        code = self._run(deed, ["-P", path, "-e", f"trace={step.call}", "-e", rule, "-o", "/dev/null"])
        if code != KILLED:
            return f"void: {deed} was not killed at {step}"
        found = judge(self._work, rows=ROWS)
        left = [path.name for path in self._work.rglob("*") if "#" in path.name or path.name.endswith(".draft")]
        wrong = [*found.found, *found.refusals, *left]
        wrong += [told for told in (found.reader, found.writer) if told != EXACT]
        return f"{deed} killed at {step}: {'; '.join(wrong)}" if wrong else ""

    def _run(self, deed: str, options: list[str]) -> int:
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._golden, self._work)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(self._work, deed, file=self._server.stdin, flush=True)
        child = int(self._server.stdout.readline())
        with subprocess.Popen(
            [strace(), "-f", "-qq", "-p", str(child), *options], stderr=subprocess.PIPE, text=True
        ) as tracer:
            until = time.monotonic() + 20
            while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text():
                assert time.monotonic() < until, f"strace did not attach: {tracer.poll()}"
                time.sleep(0.002)
            print(file=self._server.stdin, flush=True)
            code = int(self._server.stdout.readline())
            tracer.wait(timeout=20)
        return code

    def _step(self, line: str, before: list[Step]) -> Step | None:
        match = _LINE.match(line)
        if match is None:
            return None
        call, rest = match.groups()
        writes = "O_CREAT" in rest or "O_WRONLY" in rest or "O_RDWR" in rest
        paths = [Path(quoted or held) for quoted, held in _PATH.findall(rest)]
        ours = [path for path in paths if path.is_relative_to(self._work) and path != self._work]
        if not ours or (call == "openat" and not writes) or ours[0].name in {"writer.lock", "lock"}:
            return None
        path = str(ours[0].relative_to(self._work))
        return Step(call=call, path=path, nth=1 + sum((step.call, step.path) == (call, path) for step in before))
