"""Each engine in a virtual environment of its own, with exactly the pinned packages, made when it is first needed.

It lies below ``.cache`` and is made again when the pins or the Python change.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
INSTALL_WITHIN_S: Final = 900.0


class NotInstalled(Exception):
    """The engine does not install here; the message is the end of what pip said."""


def python_of(engine: str) -> Path:
    """Return the interpreter that has ``engine``, installed from ``<engine>.txt`` first where it is not there.

    Raises ``NotInstalled``.
    """
    pins = Path(__file__).with_name(f"{engine}.txt")
    folder = ROOT / ".cache" / "peers" / engine
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = f"{sys.version} {hashlib.sha256(pins.read_bytes()).hexdigest()}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{engine}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            _run([*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(pins)])
            stamp.write_text(wanted, encoding="utf-8")
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"pip was not done after {INSTALL_WITHIN_S:g} s") from None
    if done.returncode:
        raise NotInstalled((done.stderr.strip().splitlines() or ["pip failed"])[-1])
