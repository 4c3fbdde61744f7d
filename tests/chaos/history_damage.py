"""Faults of a disk that kept its promises badly: files emptied, halved, lost, cut at a line, with one bit turned.

Every fault is put into a fresh copy of a known home, which is then judged. A fault in a file that nothing relies on any
more must change no answer; every other one must be noticed. A fault that did not change the file is void.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ingestor.history import verify
from ingestor.history.log import commit_path, load_whole_part
from tests.chaos.history_world import Judgement, history_of, judge

Damage = Callable[[Path], None]


def empty(path: Path) -> None:
    """Leave the name, and nothing in it."""
    path.write_bytes(b"")


def halve(path: Path) -> None:
    """Lose the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_line(path: Path) -> None:
    """Lose the last line: what is left is valid JSON, and less."""
    path.write_bytes(b"\n".join(path.read_bytes().rstrip(b"\n").split(b"\n")[:-1]))


def flip(path: Path, bit: int | None = None) -> None:
    """Turn one bit, the middle one unless told."""
    content = bytearray(path.read_bytes())
    bit = len(content) * 4 if bit is None else bit
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


DAMAGES: Final[dict[str, Damage]] = {
    "empty": empty,
    "half": halve,
    "gone": Path.unlink,
    "line": lose_line,
    "flip": flip,
}


def files_of(data: Path) -> list[Path]:
    """List the files of the table, the mark and the log with it, relative to the data directory."""
    return sorted(
        path.relative_to(data) for path in history_of(data).rglob("*") if path.is_file() and path.name != "writer.lock"
    )


def relied_on(data: Path) -> list[Path]:
    """List those of them that the newest version, or its mark, consists of."""
    directory = history_of(data)
    checkpoints = sorted(directory.glob("_delta_log/*.checkpoint.parquet"))
    first = int(checkpoints[-1].name[:20]) + 1 if checkpoints else 0
    state = load_whole_part(directory)
    found = [directory / "_ingestor" / "durable.json", *checkpoints[-1:], *(directory / path for path in state.files)]
    found += [commit_path(directory, version) for version in range(first, state.version + 1)]
    return [path.relative_to(data) for path in found]


def attack(golden: Path, work: Path, path: Path, damage: Damage, *, write: bool = True) -> Judgement:
    """Damage one file of a fresh copy, and judge. Raises ``AssertionError`` when the fault did not bite."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(golden, work)
    before = (work / path).read_bytes()
    damage(work / path)
    assert not (work / path).exists() or (work / path).read_bytes() != before, f"void: {path} is as it was"
    return judge(work, write=write)


def flips(golden: Path, work: Path, chance: random.Random, count: int) -> Iterator[tuple[Path, bool]]:
    """Turn one bit of a file that is relied on, ``count`` times, each file in turn. Tells whether ``verify`` saw it."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(golden, work)
    paths = relied_on(work)
    for number in range(count):
        path = work / paths[number % len(paths)]
        whole = path.read_bytes()
        flip(path, chance.randrange(len(whole) * 8))
        yield path.relative_to(work), str(path) in {damage.path for damage in verify(history_of(work))}
        path.write_bytes(whole)
