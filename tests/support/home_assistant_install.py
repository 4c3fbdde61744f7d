"""Install a real Home Assistant once per machine, in a virtual environment of its own, by the newest Python there is.

Home Assistant pins every dependency and needs a matching Python, so it never shares the project's environment.
What is installed is Home Assistant's own wheel, the requirements of the integrations the tests use, and nothing
that would be fetched later: it runs with ``--skip-pip``. A lock file lets several test runs ask at once, and the
stamp ``installed.json`` is written last and holds what was asked for, so a broken or older installation is made again.

    python -m tests.support.home_assistant_install
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]

#: The newest Home Assistant release for each Python: the first row that the interpreter reaches counts.
RELEASES: tuple[tuple[tuple[int, int, int], str], ...] = (
    ((3, 13, 2), "2026.2.3"),
    ((3, 13, 0), "2025.4.4"),
    ((3, 12, 0), "2025.1.4"),
    ((3, 11, 0), "2024.3.3"),
)
_PYTHONS = ("python3.13", "python3.12", "python3.11")

#: What the test home sets up, apart from the platforms of ``demo``, which are read from the wheel.
INTEGRATIONS = (
    *("analytics", "api", "application_credentials", "assist_pipeline", "auth", "automation", "backup", "blueprint"),
    *("config", "counter", "demo", "ffmpeg", "frontend", "group", "hardware", "history", "homeassistant", "http"),
    *("input_boolean", "input_button", "input_datetime", "input_number", "input_select", "input_text", "isal"),
    *("logbook", "logger", "network", "person", "recorder", "scene", "schedule", "script", "search", "stream"),
    *("sun", "system_health", "system_log", "tag", "template", "timer", "trace", "websocket_api", "zone"),
)

_PROBE = """
import json, sys, sysconfig, pathlib
try:
    import ensurepip, venv
    makes_venvs = True
except ImportError:
    makes_venvs = False
headers = pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()
print(json.dumps({"version": sys.version_info[:3], "makes_venvs": makes_venvs, "headers": headers,
                  "home": sys.base_prefix}))
"""


class CannotInstall(Exception):
    """Home Assistant cannot be installed here; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that was run once, and what it can do."""

    path: Path
    version: tuple[int, int, int]
    makes_venvs: bool
    headers: bool
    home: Path

    @property
    def release(self) -> str:
        """The newest Home Assistant it takes."""
        return next(release for least, release in RELEASES if self.version >= least)

    @property
    def debian_name(self) -> str:
        """The name its Debian packages begin with."""
        return f"python{self.version[0]}.{self.version[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installed Home Assistant. ``seconds`` is what the installation took, 0 when it was there."""

    python: Path
    release: str
    seconds: float


def cache_dir() -> Path:
    """Return where installations are kept: ``HA_INGESTOR_TEST_CACHE``, else ``.cache`` in the repository."""
    return Path(os.environ.get("HA_INGESTOR_TEST_CACHE") or REPOSITORY / ".cache").resolve() / "home-assistant"


def install(base: Path | None = None, *, python: Path | None = None) -> Installation:
    """Return the installation under ``base``, made first where it is not there (less than a minute).

    ``python``, else ``HA_INGESTOR_TEST_PYTHON``, names the interpreter, and so the release; without either the newest
    is taken. Safe to call from several processes. Raises ``CannotInstall`` with the next step.
    """
    forced = python or os.environ.get("HA_INGESTOR_TEST_PYTHON")
    interpreter = _choose([Path(forced)] if forced else list(_candidates()))
    name = f"{interpreter.release}-py{interpreter.version[0]}.{interpreter.version[1]}"
    folder = (base or cache_dir()) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{name}.lock")):
        stamp = folder / "installed.json"
        recipe = {"release": interpreter.release, "integrations": sorted(INTEGRATIONS)}
        if _read(stamp).get("recipe") == recipe and (folder / "venv/bin/python").exists():
            return Installation(python=folder / "venv/bin/python", release=interpreter.release, seconds=0.0)
        began = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        made = _make(interpreter, folder)
        seconds = round(time.monotonic() - began, 1)
        stamp.write_text(json.dumps({"recipe": recipe, "seconds": seconds}) + "\n", encoding="utf-8")
        return Installation(python=made, release=interpreter.release, seconds=seconds)


def missing_packages(
    interpreter: Interpreter, *, which: Callable[[str], str | None] = shutil.which
) -> tuple[list[str], list[str]]:
    """Return what is missing to build with ``interpreter``, in words, and the Debian packages that bring it."""
    faults, packages = [], []
    if not interpreter.makes_venvs:
        faults.append("its venv module")
        packages.append(f"{interpreter.debian_name}-venv")
    if not interpreter.headers:
        faults.append("its header files")
        packages.append(f"{interpreter.debian_name}-dev")
    if not which("gcc"):
        faults.append("a C compiler")
        packages.append("gcc")
    if not which("g++"):
        faults.append("a C++ compiler")
        packages.append("g++")
    return faults, packages


def requirements(wheel: Path) -> tuple[str, list[str]]:
    """Read Home Assistant's own constraints and the requirements of ``INTEGRATIONS`` and all they depend on."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        constraints = archive.read("homeassistant/package_constraints.txt").decode()
        demo = re.findall(r"^homeassistant/components/demo/(\w+)\.py$", "\n".join(names), re.MULTILINE)
        waiting, seen, wanted = [*INTEGRATIONS, *demo], set[str](), set[str]()
        while waiting:
            domain = waiting.pop()
            manifest = f"homeassistant/components/{domain}/manifest.json"
            if domain in seen or manifest not in names:
                continue
            seen.add(domain)
            content = json.loads(archive.read(manifest))
            wanted.update(content.get("requirements", []))
            waiting += content.get("dependencies", [])
    if re.search(r"^aiodns==[123]\.", constraints, re.MULTILINE):
        constraints += "\npycares<5  # aiodns before 4 calls a method that pycares 5 no longer has\n"
    if wheel.name.split("-")[1] < "2025.2":
        constraints += "\njosepy<2  # the acme of those releases uses a class that josepy 2 no longer has\n"
    return constraints, sorted(wanted)


def _make(interpreter: Interpreter, folder: Path) -> Path:
    python = folder / "venv/bin/python"
    release = f"homeassistant=={interpreter.release}"
    _run([str(interpreter.path), "-m", "venv", str(folder / "venv")], folder)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", "-q", "uv"], folder)
    _run([*pip, "download", "-q", "--no-deps", "-d", str(folder), release], folder)
    wheel = next(folder.glob("homeassistant-*.whl"))
    constraints, wanted = requirements(wheel)
    (folder / "constraints.txt").write_text(constraints, encoding="utf-8")
    uv = [str(folder / "venv/bin/uv"), "pip", "install", "--python", str(python)]
    # Home Assistant pins pre-releases, which uv takes only when told.
    uv += ["--prerelease=allow", "-c", str(folder / "constraints.txt"), str(wheel), *wanted]
    _run(uv, folder)
    wheel.unlink()
    return python


def _read(stamp: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _candidates() -> Iterator[Path]:
    folders = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    folders += [Path("/usr/bin"), *sorted((Path.home() / ".pyenv/versions").glob("3.1[123].*/bin"))]
    for name in _PYTHONS:
        for folder in folders:
            if os.access(folder / name, os.X_OK):
                yield folder / name


def _probe(path: Path) -> Interpreter | None:
    try:
        answer = subprocess.run([str(path), "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True)
        found: dict[str, Any] = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # a launcher whose Python is not there
    return Interpreter(
        path=path,
        version=(found["version"][0], found["version"][1], found["version"][2]),
        makes_venvs=found["makes_venvs"],
        headers=found["headers"],
        home=Path(found["home"]),
    )


def _choose(paths: list[Path]) -> Interpreter:
    """Take the newest that can build now, else the newest that Debian's packages can complete."""
    found = [i for i in map(_probe, paths) if i and RELEASES[-1][0] <= i.version < (3, 14, 0)]
    if not found:
        raise CannotInstall(
            "Home Assistant: there is no Python 3.11, 3.12 or 3.13 on this machine. "
            "Install one: apt-get update && apt-get install -y python3 python3-venv python3-dev gcc g++"
        )
    found.sort(key=lambda i: i.version, reverse=True)
    complete = [i for i in found if i.makes_venvs and i.headers]
    mendable = [i for i in found if i.home == Path("/usr")]
    chosen = next(iter([*complete, *mendable]), found[0])
    faults, packages = missing_packages(chosen)
    if packages:
        command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
        if os.geteuid() != 0 or not shutil.which("apt-get") or (chosen not in complete and chosen not in mendable):
            raise CannotInstall(f"Home Assistant: {chosen.path} lacks {', '.join(faults)}. Run as root: {command}")
        print(f"Home Assistant: {chosen.path} lacks {', '.join(faults)}. Running: {command}", file=sys.stderr)  # noqa: T201 - the user waits
        _apt(packages, command)
        again = _probe(chosen.path)
        if again is None or missing_packages(again)[1]:
            raise CannotInstall(f"Home Assistant: still incomplete after: {command}. Run it by hand")
        return again
    return chosen


def _apt(packages: list[str], command: str) -> None:
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    lock = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    for step in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run([*lock, *step], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotInstall(f"Home Assistant: {command} failed: {done.stderr.strip()[-500:]}")


def _run(command: list[str], folder: Path) -> None:
    log = folder / "install.log"
    with log.open("a", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        tail = log.read_text(encoding="utf-8")[-2000:]
        raise CannotInstall(f"Home Assistant: `{' '.join(command[:6])} ...` failed, see {log}:\n{tail}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Install and say where; 2 with what is missing, and the command that brings it, when it cannot be done."""
    try:
        made = install()
    except CannotInstall as fault:
        print(fault, file=sys.stderr)  # noqa: T201 - a command's answer
        return 2
    took = f"installed in {made.seconds:g} s" if made.seconds else "was installed"
    print(f"Home Assistant {made.release} {took}: {made.python}")  # noqa: T201 - a command's answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
