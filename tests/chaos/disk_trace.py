"""One system call of a child fails, or kills it as it enters the call: strace does so at the nth call of a kind.

A child that waits to begin is taken under strace, so that calls are counted from its first deed.
"""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.disk_nursery import Nursery
from tests.chaos.nemesis import strace

#: All calls by which a journal changes a disk, and the one that tells of an acknowledgement.
CALLS: Final = ("openat", "mkdir", "pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "write")
SYNCS: Final = ("fdatasync(", "fsync(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """How a child ended, what it had told, and the lines of its log."""

    code: int
    told: list[list[str]]
    log: list[str]

    @property
    def bit(self) -> bool:
        """Whether the fault was met, or the child killed."""
        return self.code == -signal.SIGKILL or any("(INJECTED)" in line for line in self.log)

    @property
    def acked(self) -> int:
        """The last acknowledged seq."""
        return max((int(line[1]) for line in self.told if line[0] == "acked"), default=0)

    @property
    def trimmed(self) -> int:
        """Up to where it was allowed to remove."""
        return max((int(line[1]) for line in self.told if line[0] == "trim"), default=0)

    @property
    def syncs_after_a_failed_one(self) -> int:
        """How often a sync was called after one had failed."""
        failed = [
            at for at, line in enumerate(self.log) if "(INJECTED)" in line and any(call in line for call in SYNCS)
        ]
        return sum(any(call in line for call in SYNCS) for line in self.log[failed[0] + 1 :]) if failed else 0

    def counts(self) -> Counter[str]:
        """Count the calls of each kind."""
        names = (line.split("(")[0].split()[-1] for line in self.log if "(" in line)
        return Counter(name for name in names if name in CALLS)


def traced(nursery: Nursery, role: str, directory: Path, log: Path, inject: str = "", **task: Any) -> Traced:
    """Let a child do its work under strace. ``inject``: for example ``fdatasync:error=EIO:when=3``."""
    child = nursery.start(role, directory, hold=True, **task)
    command = [strace(), "-f", "-p", str(child), "-e", f"trace={','.join(CALLS)}", "-o", str(log)]
    tracer = subprocess.Popen(
        [*command, *(["-e", f"inject={inject}"] if inject else [])], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None
    attached = tracer.stderr.readline()
    nursery.release()
    code = nursery.wait()
    tracer.communicate(timeout=30)
    assert "attached" in attached, f"strace: {attached}"
    return Traced(code=code, told=nursery.told(), log=log.read_text(errors="replace").splitlines())
