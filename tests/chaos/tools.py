"""The system's tools that attacks need, installed from Debian's packages where they are missing.

    python -m tests.chaos.tools

Only root can attach to processes, mount and limit memory as the attacks do; without root the command says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

#: Program -> the package that brings it.
TEST: Final = {"strace": "strace", "faketime": "faketime"}
CHAOS: Final = {**TEST, "mkfs.ext4": "e2fsprogs", "prlimit": "util-linux"}


class CannotInstall(Exception):
    """A tool is missing and cannot be installed; the message says what to do."""


def install(tools: Mapping[str, str]) -> None:
    """Install what is missing."""
    missing = sorted({package for program, package in tools.items() if shutil.which(program) is None})
    if not missing:
        return
    by_hand = f"Install {' and '.join(missing)} with your system's package manager"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotInstall(f"{', '.join(missing)} is not installed. {by_hand}")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        answer = subprocess.run(
            ["apt-get", "-qq", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
        )
    if answer.returncode:
        raise CannotInstall(f"apt-get could not install {', '.join(missing)}: {answer.stderr[-500:]}. {by_hand}")


if __name__ == "__main__":
    try:
        install(TEST)
    except CannotInstall as error:
        sys.exit(str(error))
