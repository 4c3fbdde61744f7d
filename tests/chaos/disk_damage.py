"""What lies on the disk is damaged: bits flipped, sectors zeroed or swapped, files cut, lengthened, emptied, deleted.

A reader never hands out anything that was not written, and stops in words where it cannot go on. A writer opens and all
is there, or says which seqs are lost or that unacknowledged bytes were dropped, or refuses and names the place. After a
refusal a repair keeps every frame whose bytes are whole, names the seqs of all others, and the journal goes on.

    python -m tests.chaos.disk_damage --seconds 60 --seed 7
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingestor.errors import JournalError
from ingestor.journal import Frame, FrameKind, JournalReader, repair
from ingestor.journal.frames import parse_header
from ingestor.journal.segments import HEADER_BYTES
from tests.chaos.disk_roles import append, open_journal, rows_of
from tests.chaos.model import folder
from tests.chaos.report import alone, repeated
from tests.ingestor.journal.helpers import segment_files

SECTOR: Final = 512
KINDS: Final = ("flip", "flip", "flip", "zeroed", "swapped", "cut", "garbage", "stale", "emptied", "deleted")
TASK: Final = {"segment_bytes": 24_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """An undamaged journal: its frames, and for each its file and bytes, and which commit it was in."""

    directory: Path
    frames: list[Frame]
    places: list[tuple[str, int, bytes]]
    commits: list[int]


def damages(count: int, seed: int, *, seconds: float = 1e9) -> dict[str, Any]:
    """Damage a journal so often, one damage each, drawn from the seed, and one in three with its mark gone as well.

    But for a last segment that is missing: with the mark gone too, nothing is left that could tell of it.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    report: Counter[str] = Counter({"flips": 0, "refused": 0, "told": 0, "harmless": 0, "silent": 0})
    violations: list[str] = []
    deadline = time.monotonic() + seconds
    with folder() as base:
        whole = write_whole(base / "whole" / "0", chance)
        for number in range(count):
            if time.monotonic() > deadline:
                break
            directory = base / "damaged" / "0"
            shutil.copytree(whole.directory, directory)
            what = damage(directory, chance.choice(KINDS), chance)
            marked = number % 3 > 0 or segment_files(directory)[-1].name != whole.places[-1][0]
            if not marked:
                (directory / "committed").unlink()
                what += ", without the mark"
            report["flips"] += 1
            try:
                report[judge(directory, whole, marked=marked)] += 1
            except AssertionError as error:
                report["silent"] += 1
                violations.append(f"seed {seed}, damage {number}, {what}: {error}")
            shutil.rmtree(directory)
    void = [] if report["refused"] and report["told"] else ["no damage was noticed"]
    return {**report, "violations": violations, "void": void if count > len(KINDS) * 3 else []}


def write_whole(directory: Path, chance: random.Random, *, commits: int = 28) -> Whole:
    """Write a journal of a few segments and epochs."""
    directory.parent.mkdir(parents=True)
    writer = open_journal(directory, TASK)
    for number in range(commits):
        for _ in range(chance.randint(1, 3)):
            append(writer, chance.choice(list(FrameKind)), chance.randint(1, 6))
        writer.commit()
        if number % 10 == 9:
            writer.close()
            writer = open_journal(directory, TASK)
    writer.close()
    frames = read_until_refused(directory)[0]
    places: list[tuple[str, int, bytes]] = []
    numbers = [0]
    for path in segment_files(directory):
        data, at = path.read_bytes(), HEADER_BYTES
        while at < len(data):
            header = parse_header(data, at)
            places.append((path.name, at, data[at : at + header.frame_bytes]))
            numbers.append(numbers[-1] + (header.group_bytes == 0))
            at += header.frame_bytes
    assert len(places) == len(frames)
    return Whole(directory=directory, frames=frames, places=places, commits=numbers[1:])


def damage(directory: Path, kind: str, chance: random.Random) -> str:
    """Damage one segment, the last one more often than others, and say how."""
    files = segment_files(directory)
    path = chance.choice([*files, *files[-1:] * len(files)])
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    begin = at - at % SECTOR
    if kind == "flip":
        data[at] ^= 1 << chance.randrange(8)
    elif kind == "zeroed":
        data[begin : begin + SECTOR] = bytes(len(data[begin : begin + SECTOR]))
    elif kind == "swapped":
        other = chance.randrange(0, len(data), SECTOR)
        piece = data[other : other + SECTOR]
        data[begin : begin + len(piece)] = piece
    elif kind == "cut":
        del data[at:]
    elif kind == "garbage":
        data += chance.randbytes(chance.randint(1, 3_000))
    elif kind == "stale":
        data += data[HEADER_BYTES : HEADER_BYTES + chance.randint(1, 6_000)]
    elif kind == "emptied":
        data.clear()
    path.unlink() if kind == "deleted" else path.write_bytes(data)
    return f"{kind} at {at} of {path.name}"


def judge(directory: Path, whole: Whole, *, marked: bool) -> str:
    """Look as reader, writer, repairer. Returns how the damage was met. Raises ``AssertionError`` when it was not."""
    frames, reading_stopped = read_until_refused(directory)
    if marked:
        assert frames == whole.frames[: len(frames)], "a reader hands out what was not written, or leaves something out"
    intact = _intact(directory, whole)
    try:
        writer = open_journal(directory, TASK)
    except JournalError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert str(directory) in refusal, f"the refusal names no place: {refusal}"
        _repaired(directory, whole, intact)
        return "refused"
    found = writer.recovered
    append(writer, FrameKind.QUARANTINED, 1)
    writer.commit()
    writer.close()
    kept, stopped = read_until_refused(directory)
    expected = whole.frames[: len(kept) - (not stopped)]
    assert kept[: len(expected)] == expected, "the writer went on and left something out"
    if stopped:
        _repaired(directory, whole, intact)
        return "told"
    if len(expected) == len(whole.frames):
        return "harmless"
    assert found.lost_after_seq is not None or found.bytes_dropped, "frames are gone and nobody says so"
    torn = whole.commits[len(expected)]
    later = [
        frame for frame, number in zip(whole.frames, whole.commits, strict=True) if frame in intact and number > torn
    ]
    assert not later, f"commits were cut off that are whole, from seq {later[0].first_seq} on"
    last = whole.frames[len(expected) - 1].last_seq if expected else 0
    assert not marked or (found.lost_after_seq, found.lost_through_seq) == (last, whole.frames[-1].last_seq)
    assert reading_stopped or not marked or len(frames) == len(expected)
    return "told"


def _repaired(directory: Path, whole: Whole, intact: list[Frame]) -> None:
    """Repair, and check that exactly the damaged frames are gone and named, and that the journal goes on."""
    done = repair(directory, shard=0)
    writer = open_journal(directory, TASK)
    append(writer, FrameKind.QUARANTINED, 1)
    writer.commit()
    writer.close()
    kept, stopped = read_until_refused(directory)
    assert not stopped, f"a repaired journal cannot be read: {stopped}"
    seqs = [frame.first_seq for frame in kept]
    assert all(frame.first_seq in seqs for frame in intact), "a repair gave up a whole frame"
    last = max((frame.last_seq for frame in kept[:-1]), default=0)
    for frame in whole.frames:
        named = any(first <= frame.last_seq and frame.first_seq <= through for first, through in done.lost)
        assert frame.first_seq in seqs or named or frame.last_seq > last, f"seq {frame.first_seq} is gone, not named"
    assert seqs == sorted(set(seqs)), "a repair keeps a frame twice"


def read_until_refused(directory: Path) -> tuple[list[Frame], str]:
    """Read from the oldest on. Returns what came, each frame checked, and in what words it stopped early."""
    reader = JournalReader(directory)
    found: list[Frame] = []
    stopped = ""
    try:
        while frames := reader.read():
            found += frames
    except JournalError as error:
        stopped = str(error)
    reader.close()
    for frame in found:
        assert frame.batch().equals(rows_of(frame.kind, frame.first_seq, frame.rows)), f"seq {frame.first_seq} differs"
    return found, stopped


def _intact(directory: Path, whole: Whole) -> list[Frame]:
    """List the frames whose bytes are where they were."""
    contents = {path.name: path.read_bytes() for path in segment_files(directory)}
    return [
        frame
        for frame, (name, at, data) in zip(whole.frames, whole.places, strict=True)
        if contents.get(name, b"")[at : at + len(data)] == data
    ]


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Damage journals for about so long."""
    return repeated(lambda one, left_s: damages(500, one, seconds=max(2.0, left_s)), seconds, seed)


if __name__ == "__main__":
    raise SystemExit(alone(run, __doc__))
