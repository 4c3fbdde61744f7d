"""Every state that a power cut may leave, at every moment of a journal's life, is recovered from by the real code.

A life is a short script: open, append, commit, rotate, trim, close, be killed, meet a failing sync. After each change
to the disk all lawful states are made, and in each of them, and in each state that a second cut during its recovery
may leave, must hold:

    acknowledged events are all there, once, in order, with their content
    others are there whole or not at all, and none behind one that is not
    a second recovery finds nothing to do; epochs rise; counts fit; the journal is written and read on
    a reader that had come to any place goes on from there without hole or repeat

    python -m tests.chaos.model --seconds 60 --seed 7
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ingestor.errors import IngestorError, JournalFailed
from ingestor.journal import Frame, JournalReader, JournalWriter, trim
from ingestor.journal.disk import Disk, RealDisk
from tests.chaos.model_disk import Killed, ModelDisk, State, put_down
from tests.chaos.report import alone
from tests.ingestor.journal.helpers import crash, put, read_all, rows_of

SEGMENT_BYTES: Final = 2_500
LAST_SEQ: Final = 1_000
PLACE: Final = "journal/0"
ENOUGH: Final = 3

Step = tuple[str, tuple[int, ...]]

#: A writer's life in short, with all that may happen in it.
LIFE: Final[tuple[Step, ...]] = (
    ("die", (1,)),
    ("open", ()),
    ("die", (2,)),
    ("open", ()),
    ("open", ()),
    ("commit", (1,)),
    ("commit", (2, 3)),
    ("append", (4,)),
    ("kill", ()),
    ("open", ()),
    ("commit", (5,)),
    ("close", ()),
    ("open", ()),
    ("kill", ()),
    ("open", ()),
    ("commit", (6, 7)),
    ("trim", (5,)),
    ("fail", (8, 9)),
    ("open", ()),
    ("commit", (10, 11)),
    ("fail_behind_rotation", (12,)),
    ("open", ()),
    ("commit", (13,)),
    ("fail", (14,)),
    ("open", ()),
    ("commit", (15,)),
    ("tally", ()),
    ("close", ()),
    ("open", ()),
    ("commit", (16,)),
    ("trim", (15,)),
    ("close", ()),
)


CHOICES: Final = ("commit",) * 3 + ("append", "kill", "close", "trim", "tally", "fail", "fail_behind_rotation")


@dataclass(slots=True, kw_only=True)
class Told:
    """What is known outside the disk: what was appended and not dropped since, acknowledged, and allowed to go."""

    appended: list[int] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    trimmed: int = 0
    epoch: int = 0

    def key(self) -> tuple[Any, ...]:
        """Tell two moments apart."""
        return tuple(self.appended), tuple(self.acknowledged), self.trimmed, self.epoch


@dataclass(slots=True, kw_only=True)
class Examined:
    """What was looked at. ``states``: after a first cut, ``again``: after one during recovery. ``torn``: had a tail."""

    states: int = 0
    again: int = 0
    torn: int = 0
    lives: int = 0
    acknowledged: int = 0
    violations: list[str] = field(default_factory=list)


class Refuted(Exception):
    """Enough was found to be wrong: there is no need to go on."""


class Life:
    """Plays a script on a disk."""

    def __init__(self, root: Path, disk: Disk, told: Told) -> None:
        self.directory, self.told = root / PLACE, told
        self._disk = disk
        self._writer: JournalWriter | None = None

    def play(self, script: tuple[Step, ...]) -> None:
        """Do all steps."""
        for name, numbers in script:
            try:
                getattr(self, f"_{name}")(*numbers)
            except Killed:
                self._kill()
        self._kill()

    def _open(self) -> None:
        self._kill()
        self._writer = open_at(self.directory, self._disk)
        self.told.epoch = self._writer.epoch
        self.told.appended = [seq for seq in self.told.appended if seq <= self._writer.last_seq]

    def _append(self, *seqs: int) -> None:
        assert self._writer is not None
        for seq in seqs:
            put(self._writer, seq)
            self.told.appended.append(seq)

    def _commit(self, *seqs: int) -> None:
        self._append(*seqs)
        assert self._writer is not None
        self._writer.commit()
        self.told.acknowledged += seqs

    def _fail(self, *seqs: int) -> None:
        """Meet a failing sync at the commit, and die of it."""
        self._commit_failing(1, seqs)

    def _fail_behind_rotation(self, *seqs: int) -> None:
        """Meet a failing sync at the first commit of a new segment, and die of it."""
        self._commit_failing(2, seqs)

    def _commit_failing(self, sync: int, seqs: tuple[int, ...]) -> None:
        assert isinstance(self._disk, ModelDisk)
        self._disk.fail_sync = sync
        try:
            self._commit(*seqs)
        except JournalFailed:
            self._kill()
        assert self._writer is None or self._disk.fail_sync, "a failed sync was acknowledged"
        self._disk.fail_sync = 0

    def _tally(self) -> None:
        """Count something of which no row is written."""
        assert self._writer is not None
        before = self._writer.tally
        self._writer.tally = type(before)(received=before.received, quarantined=before.quarantined, duplicate=1)

    def _die(self, changes: int) -> None:
        """Be killed after so many changes from now."""
        assert isinstance(self._disk, ModelDisk)
        self._disk.kill_after = changes

    def _kill(self) -> None:
        if self._writer is not None:
            crash(self._writer)
            self._writer = None

    def _close(self) -> None:
        assert self._writer is not None
        self._writer.close()
        self._writer = None

    def _trim(self, through: int) -> None:
        self.told.trimmed = through
        trim(self.directory, through_seq=through, keep_s=0, clock=lambda: 4e9, disk=self._disk)


def examine(script: tuple[Step, ...], *, again: int = 1, contents: int = 1000, until: float = 1e12) -> Examined:
    """Play a script, and recover from each state. ``again``: of so many first states one is cut a second time.

    Ends unfinished at ``until`` on the monotonic clock.
    """
    found = Examined(lives=1)
    seen: set[Any] = set()
    with folder() as base:
        (base / "life").mkdir()
        disk, told = ModelDisk(base / "life", contents=contents), Told()

        def watch() -> None:
            for state in disk.states():
                if len(found.violations) > ENOUGH or time.monotonic() > until:
                    raise Refuted
                key = (tuple(state.items()), told.key())
                if key in seen:
                    continue
                seen.add(key)
                found.states += 1
                twice = found.states % again == 0
                found.violations += _judged(base, state, told, found, twice=twice, number=found.states)

        disk.watch = watch
        with suppress(Refuted):
            Life(base / "life", disk, told).play(script)
            watch()
    found.acknowledged = len(told.acknowledged)
    return found


def _judged(base: Path, state: State, told: Told, found: Examined, *, twice: bool, number: int) -> list[str]:
    """Recover from a state, and with ``twice`` from all that a cut during that recovery leaves."""
    root = base / "state"
    violations: list[str] = []
    if twice:
        put_down(state, root)
        disk = ModelDisk(root, contents=2)
        seen = {tuple(state.items())}

        def watch() -> None:
            for second in disk.states():
                if tuple(second.items()) in seen:
                    continue
                seen.add(tuple(second.items()))
                found.again += 1
                put_down(second, base / "second")
                fault = fault_of(base / "second" / PLACE, told, number=found.again)[0]
                violations.extend([f"{fault}; cut twice: {_shown(state)}, {_shown(second)}"] if fault else [])
                shutil.rmtree(base / "second")

        disk.watch = watch
        try:
            crash(open_at(root / PLACE, disk))
        except IngestorError as error:
            violations.append(f"{error}; {_shown(state)}")
        shutil.rmtree(root)
    put_down(state, root)
    fault, torn = fault_of(root / PLACE, told, number=number)
    found.torn += torn
    shutil.rmtree(root)
    return [*violations, f"{fault}; {_shown(state)}"] if fault else violations


def fault_of(directory: Path, told: Told, *, number: int = 0) -> tuple[str, bool]:
    """Recover here, read, write on. Returns what is wrong, or nothing, and whether something torn was cut off."""
    try:
        return "", _keeps_promises(directory, told, number)
    except (AssertionError, IngestorError) as error:
        return f"{type(error).__name__}: {error} (acknowledged {told.acknowledged})", False


def _keeps_promises(directory: Path, told: Told, number: int) -> bool:
    for frame in read_all(directory):
        _sound(frame)
    first = open_at(directory, RealDisk())
    crash(first)
    assert first.epoch > told.epoch, f"epoch {first.epoch} comes again"
    assert first.recovered.lost_after_seq is None, "frames are said to be lost"
    recovered = read_all(directory)
    second = open_at(directory, RealDisk())
    assert second.recovered.bytes_dropped == 0, "a second recovery drops what the first one left"
    assert (second.last_seq, second.tally) == (first.last_seq, first.tally), "a second recovery finds something else"
    put(second, LAST_SEQ)
    second.commit()
    second.close()
    frames = read_all(directory)
    assert frames[:-1] == recovered, "what was recovered changes"
    for frame in frames:
        _sound(frame)
    kept = [frame.first_seq for frame in frames]
    gone = JournalReader(directory).trimmed_through
    assert gone <= told.trimmed, f"seqs through {gone} are gone, allowed was {told.trimmed}"
    missing = [seq for seq in told.acknowledged if seq > gone and seq not in kept]
    assert not missing, f"acknowledged seqs {missing} are missing, {kept} are there"
    expected = [seq for seq in told.appended if seq > gone]
    assert kept == [*expected[: len(kept) - 1], LAST_SEQ], f"{kept} are there of {expected}"
    if told.appended and kept[-2:-1]:
        assert first.tally.received == told.appended.index(kept[-2]) + 1, f"{first.tally} after seq {kept[-2]}"
    place = kept[number % len(kept)]
    onward = [frame.first_seq for frame in read_all(directory, after_seq=place)]
    assert onward == [seq for seq in kept if seq > place], f"after {place} a reader goes on with {onward}"
    return first.recovered.bytes_dropped > 0


def _sound(frame: Frame) -> None:
    assert frame.batch().equals(rows_of(frame.kind, frame.first_seq, frame.rows)), f"seq {frame.first_seq} is altered"


def open_at(directory: Path, disk: Disk) -> JournalWriter:
    """Open a journal of small segments whose time stands still."""
    return JournalWriter.open(
        directory, shard=0, segment_bytes=SEGMENT_BYTES, disk=disk, clock=lambda: 1.7e9, lock_timeout_s=0.2
    )


def random_script(chance: random.Random) -> tuple[Step, ...]:
    """Make up a life of a few steps."""
    script: list[Step] = [("open", ())]
    seq, is_open = 0, True
    for _ in range(chance.randint(5, 14)):
        if not is_open:
            script.append(("open", ()))
            is_open = True
            continue
        name = chance.choice(
            ["commit", "commit", "commit", "append", "kill", "close", "trim", "tally", "fail", "fail_behind_rotation"]
        )
        seqs: tuple[int, ...] = ()
        if name in {"commit", "append", "fail", "fail_behind_rotation"}:
            seqs = tuple(seq + 1 + number for number in range(chance.randint(1, 2)))
            seq = seqs[-1] + chance.randint(0, 1)
        elif name == "trim":
            acknowledged = [number for step, numbers in script if step == "commit" for number in numbers]
            seqs = (chance.choice(acknowledged or [0]),)
        is_open = name in {"commit", "append", "trim", "tally"}
        script.append((name, seqs))
    return tuple(script)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder in memory, for thousands of syncs."""
    shared = Path("/dev/shm")  # noqa: S108 - a private folder is made inside
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None, prefix="model-") as name:
        yield Path(name)


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Examine ``LIFE`` for half of the time, then lives that follow from the seed for the rest."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    began = time.monotonic()
    total = Examined()
    script = LIFE
    while True:
        until = began + (seconds if total.lives else seconds / 2)
        found = examine(script, again=chance.choice([10, 30]), until=until)
        for name in ("states", "again", "torn", "lives", "acknowledged"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
        total.violations += [f"{text}; in {script}" for text in found.violations[:3]]
        if time.monotonic() > began + seconds:
            break
        script = random_script(chance)
    return {
        "acknowledged": total.acknowledged,
        "checks": total.states + total.again,
        "states": total.states,
        "states_cut_twice": total.again,
        "lives": total.lives,
        "violations": total.violations,
        "void": [] if total.torn else ["no state had a torn tail"],
    }


def _shown(state: State) -> str:
    return ", ".join(f"{path}: {len(content)} bytes" for path, content in state.items() if content is not None)


if __name__ == "__main__":
    raise SystemExit(alone(run, __doc__))
