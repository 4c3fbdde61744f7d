"""A process that has all libraries loaded and gives birth to one that works on a disk: a fork costs a few milliseconds.

The child tells what it did by lines in a pipe, each in one write, so what was told before it died is never lost:

    open <last seq> <epoch>    acked <last seq>    trim <through seq>    moved <through seq>    failed <message>

Its exit code is 0 when it came to its end, and ``FAILED`` when the disk refused.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Final, Self

ROOT: Final = Path(__file__).parents[2]
FAILED: Final = 3
#: How long a child may be silent on a busy machine.
PATIENCE_S: Final = 60.0


class Nursery:
    """Starts children one after the other. A context manager."""

    def __enter__(self) -> Self:
        told, tell = os.pipe()
        go, self._go = os.pipe()
        self._told = told
        self._child = 0
        self._rest = b""
        command = [sys.executable, "-m", "tests.chaos.disk_nursery", str(tell), str(go)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[tell, go], cwd=ROOT
        )
        os.close(tell)
        os.close(go)
        os.set_blocking(told, False)
        return self

    def __exit__(self, *fault: object) -> None:
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            self.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        os.close(self._told)
        os.close(self._go)

    def start(self, role: str, directory: Path, *, hold: bool = False, **task: Any) -> int:
        """Begin a child and return its process id. ``hold``: it does nothing before ``release``."""
        self.told()
        self._child = int(self._ask({"role": role, "directory": str(directory), "hold": hold, **task}))
        return self._child

    def release(self) -> None:
        """Let the child go on."""
        os.write(self._go, b"!")

    def wait(self) -> int:
        """Return the child's exit code once it has ended; a signal is negative."""
        code = int(self._ask("wait"))
        self._child = 0
        return code

    def told(self) -> list[list[str]]:
        """Return the lines that were told since the last call, split in words; the last word keeps its blanks."""
        while True:
            try:
                found = os.read(self._told, 65_536)
            except BlockingIOError:
                break
            if not found:
                break
            self._rest += found
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode().split(" ", 1) for line in lines]

    def wait_for(self, word: str, count: int = 1) -> list[list[str]]:
        """Return what is told until ``word`` came so often. Raises ``AssertionError`` when the child falls silent."""
        lines: list[list[str]] = []
        deadline = time.monotonic() + PATIENCE_S
        while sum(line[0] == word for line in lines) < count:
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"the child did not tell {word!r}, only {lines[-5:]}"
            assert all(line[0] != "failed" or word == "failed" for line in lines), f"the child failed: {lines[-1]}"
            select.select([self._told], [], [], left_s)
            lines += self.told()
        return lines

    def judge(self, role: str, directory: Path, **task: Any) -> dict[str, Any]:
        """Let a child look, and return what it found."""
        self.start(role, directory, **task)
        lines = self.wait_for("found")
        assert self.wait() == 0
        found: dict[str, Any] = json.loads(lines[-1][1])
        return found

    def _ask(self, message: Any) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(message), file=self._process.stdin, flush=True)
        return self._process.stdout.readline()


def main(told: int, go: int, orders: IO[str]) -> None:
    """Fork a child for each order on a line, and answer with its number, or to ``wait`` with its exit code."""
    from tests.chaos.disk_roles import ROLES, Refused

    child = 0

    def tell(*words: object) -> None:
        os.write(told, (" ".join(str(word) for word in words) + "\n").encode())

    for line in orders:
        order = json.loads(line)
        if order == "wait":
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(code, flush=True)  # noqa: T201 - the answer
            continue
        child = os.fork()
        if child:
            print(child, flush=True)  # noqa: T201 - the answer
            continue
        code = 1
        try:
            if order["hold"]:
                os.read(go, 1)
            ROLES[order["role"]](Path(order["directory"]), order, tell)
            code = 0
        except Refused as refusal:
            tell("failed", refusal)
            code = FAILED
        except Exception as error:  # noqa: BLE001 - a child that ends otherwise than it should says why
            tell("failed", repr(error).replace("\n", " "))
        finally:
            os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.stdin)
