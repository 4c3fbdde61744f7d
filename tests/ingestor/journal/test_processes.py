"""The journal between real processes: one writer, killed without warning, and readers beside it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingestor.errors import JournalLocked
from ingestor.journal import JournalReader, repair
from tests.ingestor.journal.helpers import check, open_writer, put, read_all

KILLS = 8

WRITER = """
import itertools, random, sys
from pathlib import Path
from tests.ingestor.journal.helpers import open_writer, put
from ingestor.journal import FrameKind
writer = open_writer(Path(sys.argv[1]), segment_bytes=60_000)
chance = random.Random(int(sys.argv[2]))
seq = writer.last_seq + 1
print("epoch", writer.epoch, flush=True)
while True:
    for _ in range(chance.randint(1, 4)):
        rows = chance.randint(1, 30)
        put(writer, seq, rows, kind=chance.choice(list(FrameKind)))
        seq += rows + chance.randint(0, 2)
    writer.commit()
    print(writer.last_seq, flush=True)
"""

READER = """
import sys, time
from pathlib import Path
from ingestor.journal import JournalReader
reader = JournalReader(Path(sys.argv[1]))
deadline = time.monotonic() + 30
while reader.position < int(sys.argv[2]) and time.monotonic() < deadline:
    for frame in reader.read():
        print(frame.first_seq, frame.last_seq, frame.batch().num_rows, flush=True)
    time.sleep(0.001)
"""


def test_kills_lose_nothing(tmp_path: Path) -> None:
    """A writer killed again and again: every acknowledged frame is there once, and a reader beside it saw the same."""
    chance = random.Random(11)  # noqa: S311 - repeatable on purpose
    live = JournalReader(tmp_path / "j")
    seen = []
    acknowledged: list[int] = []
    for kill in range(KILLS):
        process = _start(WRITER, tmp_path / "j", kill)
        assert process.stdout is not None
        assert process.stdout.readline() == f"epoch {kill + 1}\n"
        acknowledged += [int(process.stdout.readline()) for _ in range(3)]
        deadline = time.monotonic() + chance.random() * 0.1
        while time.monotonic() < deadline:
            seen += live.read()
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in process.communicate()[0].split("\n")[:-1]]
    open_writer(tmp_path / "j").close()
    while frames := live.read():
        seen += frames
    frames = read_all(tmp_path / "j")
    check(frames)
    assert frames == seen
    ends = [frame.last_seq for frame in frames]
    assert set(acknowledged) <= set(ends)
    assert len(acknowledged) >= 3 * KILLS
    assert len(ends) == len(set(ends))


def test_a_reader_in_another_process_follows(tmp_path: Path) -> None:
    """What is committed here is read there, all of it, over rotation and a restart of the writer."""
    reader = _start(READER, tmp_path / "j", 300)
    ranges = []
    for _ in range(2):
        writer = open_writer(tmp_path / "j", segment_bytes=20_000)
        for _ in range(15):
            first = writer.last_seq + 1
            put(writer, first, 10)
            writer.commit()
            ranges.append(f"{first} {first + 9} 10")
        writer.close()
    output, _ = reader.communicate(timeout=40)
    assert output.split("\n")[:-1] == ranges
    assert reader.returncode == 0


def test_two_writers_are_refused(tmp_path: Path) -> None:
    """A second writer, and a repair, are told who writes, and may take over once that one is gone."""
    process = _start(WRITER, tmp_path / "j", 1)
    assert process.stdout is not None
    assert process.stdout.readline() == "epoch 1\n"
    began = time.monotonic()
    with pytest.raises(JournalLocked, match=f"{tmp_path / 'j'}: process {process.pid} writes it"):
        open_writer(tmp_path / "j", lock_timeout_s=0.3)
    assert 0.3 <= time.monotonic() - began < 3
    with pytest.raises(JournalLocked):
        repair(tmp_path / "j", shard=0, lock_timeout_s=0)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(JournalLocked):
        open_writer(tmp_path / "j", lock_timeout_s=0)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    writer = open_writer(tmp_path / "j")
    assert writer.epoch == 2
    with pytest.raises(JournalLocked, match=f"process {os.getpid()} writes it"):
        open_writer(tmp_path / "j", lock_timeout_s=0)
    writer.close()


def _start(program: str, directory: Path, argument: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(directory), str(argument)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
