"""The disk refuses: at every single system call, when it is full, read-only, out of inodes or descriptors.

Whatever fails, the writer says so, acknowledges nothing more, asks for no second sync and ends; what it had
acknowledged is there, and with the fault gone the journal goes on by itself. When only the history's disk is full,
events are taken until the journal's quota is reached, and come into the table later.

    python -m tests.chaos.disk --seconds 60 --seed 7
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from tests.chaos.disk_kills import FAULTS, TASK, judged, mixed, moments
from tests.chaos.disk_nursery import FAILED, Nursery
from tests.chaos.disk_trace import Traced, traced
from tests.chaos.power_image import MIB, Image, why_not
from tests.chaos.report import alone

#: Which errors each call is made to fail with.
ERRORS: Final = {
    "openat": ("EMFILE", "ENOSPC", "EROFS"),
    "mkdir": ("ENOSPC",),
    "pwrite64": ("ENOSPC", "EIO"),
    "fdatasync": ("EIO", "ENOSPC"),
    "fsync": ("EIO",),
    "ftruncate": ("EIO",),
    "rename": ("EIO", "ENOSPC"),
    "unlink": ("EIO",),
}
SMALL: Final = 16 * MIB


@dataclass(slots=True)
class Findings:
    """Counts and complaints, as a report wants them."""

    counts: Counter[str] = field(default_factory=lambda: Counter({"disk_faults": 0, "acknowledged": 0}))
    violations: list[str] = field(default_factory=list)
    void: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give them by name."""
        return {**dict.fromkeys(FAULTS, 0), **self.counts, "violations": self.violations, "void": self.void}


def failing_calls(
    count: int | None, seed: int, *, calls: Collection[str] = tuple(ERRORS), seconds: float = 1e9
) -> dict[str, Any]:
    """Let so many system calls fail, one a run, drawn from the seed; None: every one with each of its errors."""
    findings = Findings()
    deadline = time.monotonic() + seconds
    with Nursery() as nursery, tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        chosen = [
            (call, number, error) for call, number in moments(nursery, folder, seed) for error in ERRORS.get(call, ())
        ]
        findings.counts["moments"] = len(chosen)
        for call, number, error in mixed(chosen, itemgetter(0, 2), seed)[:count]:
            if time.monotonic() > deadline:
                break
            what = f"seed {seed}, {error} at {call} {number}"
            rule = f"{call}:error={error}:when={number}"
            found = traced(nursery, "write_journal", folder / "0", folder / "log", rule, seed=seed, **TASK)
            findings.counts["disk_faults"] += 1
            _look(findings, what, found)
            if (folder / "0").exists():
                faults = judged(nursery, folder / "0", found, findings.counts)
                findings.violations += [f"{what}: {text}" for text in faults]
                shutil.rmtree(folder / "0")
    return findings.as_dict()


def _look(findings: Findings, what: str, found: Traced) -> None:
    """Check how the writer met the fault."""
    findings.counts["acknowledged"] += found.acked
    words = [line[0] for line in found.told]
    if not found.bit:
        findings.void.append(f"{what}: no call failed")
    elif found.code != FAILED or "failed" not in words:
        findings.violations.append(f"{what}: the writer ended with {found.code} and told {found.told[-1:]}")
    elif "acked" in words[words.index("failed") :]:
        findings.violations.append(f"{what}: acknowledged after the failure")
    if found.syncs_after_a_failed_one:
        findings.violations.append(f"{what}: a sync was tried again")


def full_disks(seed: int) -> dict[str, Any]:
    """Meet a full disk, one without inodes, one turned read-only, no descriptors, and a full disk of the history alone.

    Raises ``RuntimeError`` where no file system can be mounted.
    """
    if reason := why_not():
        raise RuntimeError(reason)
    findings = Findings()
    with Nursery() as nursery:
        with Image(SMALL) as image:
            _fill(image.path / "ballast", leave_bytes=300_000)
            _meet(nursery, image, seed, findings, "a full disk", "Free space on this disk", segment_bytes=20_000)
        with Image(SMALL, options=("-N", "32")) as image:
            for number in range(4):
                (image.path / "ballast" / str(number)).mkdir(parents=True)
            _meet(nursery, image, seed, findings, "no inodes", "Free space on this disk", segment_bytes=1_000)
        with Image(SMALL) as image:
            (image.path / "ballast").mkdir()
            expected = "Raise the limit of open files"
            _meet(nursery, image, seed, findings, "no descriptors", expected, segment_bytes=5_000, no_more_files=True)
        with Image(SMALL) as image:
            _turn_read_only(nursery, image, seed, findings)
        with Image(SMALL) as image:
            _fill_history(nursery, image, findings)
    return findings.as_dict()


def _meet(nursery: Nursery, image: Image, seed: int, findings: Findings, what: str, expected: str, **task: Any) -> None:
    """Write until the disk refuses, try again, take the ballast away, and go on."""
    directory = image.path / "journal"
    acked = 0
    for attempt in (1, 2):
        nursery.start("write_journal", directory, seed=seed + attempt, kept=1_000_000, **task)
        lines = nursery.wait_for("failed")
        code = nursery.wait()
        acked = max([acked, *(int(rest) for word, rest in lines if word == "acked")])
        findings.counts["disk_faults"] += 1
        if code != FAILED or expected not in lines[-1][1]:
            findings.violations.append(f"{what}: ended with {code} and told {lines[-1]}")
    if not acked:
        findings.void.append(f"{what}: nothing was written before")
    _remove(image.path / "ballast")
    _recover(nursery, directory, seed, findings, what, acked=acked, trimmed=0)


def _recover(
    nursery: Nursery, directory: Path, seed: int, findings: Findings, what: str, *, acked: int, trimmed: int
) -> None:
    found = nursery.judge("judge_journal", directory, acked=acked, trimmed=trimmed)
    findings.counts["acknowledged"] += acked
    findings.counts.update({name: found.get(name, 0) for name in FAULTS})
    findings.violations += [f"{what}: {text}" for text in found["violations"]]
    nursery.start("write_journal", directory, seed=seed, commits=5)
    if nursery.wait():
        findings.violations.append(f"{what}: did not go on afterwards, but told {nursery.told()[-1:]}")


def _turn_read_only(nursery: Nursery, image: Image, seed: int, findings: Findings) -> None:
    """Make the file system refuse writes under a writer, and mend it."""
    directory = image.path / "journal"
    nursery.start("write_journal", directory, seed=seed)
    lines = nursery.wait_for("acked", 5)
    lines += nursery.told()
    image.refuse_writes()
    findings.counts["disk_faults"] += 1
    lines_after = nursery.wait_for("failed")
    code = nursery.wait()
    if code != FAILED or "cannot be written" not in lines_after[-1][1]:
        findings.violations.append(f"a read-only disk: ended with {code} and told {lines_after[-1]}")
    image.restore()
    acked = max(int(rest) for word, rest in lines if word == "acked")
    trimmed = max([0, *(int(rest) for word, rest in lines + lines_after if word == "trim")])
    _recover(nursery, directory, seed, findings, "a read-only disk", acked=acked, trimmed=trimmed)


def _fill_history(nursery: Nursery, image: Image, findings: Findings) -> None:
    """Let only the history's disk be full: the journal takes events until its quota, and nothing is lost."""
    with tempfile.TemporaryDirectory(prefix="home-") as name:
        home = Path(name)
        (home / "history").symlink_to(image.path)
        _fill(image.path / "ballast", leave_bytes=400_000)
        nursery.start("write_beside_a_full_history", home, quota_bytes=600_000)
        lines = nursery.wait_for("failed")
        code = nursery.wait()
        findings.counts["disk_faults"] += 1
        refused = [at for at, line in enumerate(lines) if line[0] == "history"]
        acked = max(int(rest) for word, rest in lines if word == "acked")
        if not refused:
            findings.void.append("a full history: it was never full")
        elif "acked" not in [line[0] for line in lines[refused[0] :]]:
            findings.violations.append("a full history: the journal did not go on")
        if code != FAILED or "quota_bytes" not in lines[-1][1]:
            findings.violations.append(f"a full history: ended with {code} and told {lines[-1]}")
        _remove(image.path / "ballast")
        found = nursery.judge("judge_history", home, acked=acked, moved=0)
        findings.counts["acknowledged"] += acked
        findings.counts.update({key: found.get(key, 0) for key in FAULTS})
        findings.violations += [f"a full history: {text}" for text in found["violations"]]


def _fill(ballast: Path, *, leave_bytes: int) -> None:
    """Take all space but so much."""
    piece = bytes(65_536)
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(piece)
    with ballast.open("r+b") as file:
        file.truncate(ballast.stat().st_size - leave_bytes)


def _remove(ballast: Path) -> None:
    if ballast.is_dir():
        shutil.rmtree(ballast)
    else:
        ballast.unlink()


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Fill disks once, then let system calls fail for about so long."""
    deadline = time.monotonic() + seconds
    total: Counter[str] = Counter()
    violations: list[str] = []
    void: list[str] = []
    found = full_disks(seed)
    while True:
        violations += found.pop("violations")
        void += found.pop("void")
        total.update(found)
        if time.monotonic() > deadline and total["moments"]:
            return {**total, "violations": violations, "void": void}
        found = failing_calls(None, seed, seconds=max(5.0, deadline - time.monotonic()))
        seed += 1


if __name__ == "__main__":
    raise SystemExit(alone(run, __doc__))
