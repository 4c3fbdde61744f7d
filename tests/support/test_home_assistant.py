"""The installer of the test home picks and completes interpreters as it says."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support import home_assistant_install as installer
from tests.support.home_assistant_install import CannotInstall, Interpreter


def python(version: tuple[int, int, int] = (3, 11, 2), **changes: Any) -> Interpreter:
    values: dict[str, Any] = {
        "path": Path("/usr/bin/python3.11"),
        "makes_venvs": True,
        "headers": True,
        "home": Path("/usr"),
    }
    return Interpreter(version=version, **(values | changes))


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ((3, 13, 2), "2026.2.3"),
        ((3, 13, 1), "2025.4.4"),
        ((3, 12, 9), "2025.1.4"),
        ((3, 11, 0), "2024.3.3"),
    ],
)
def test_each_python_gets_the_newest_release_it_takes(version: tuple[int, int, int], release: str) -> None:
    """Releases from 2025.5 on ask for 3.13.2."""
    assert python(version).release == release


def test_what_is_missing_is_named_with_its_debian_packages() -> None:
    """A bare Debian has a Python without venv, and no compiler."""
    faults, packages = installer.missing_packages(python(makes_venvs=False, headers=False), which=lambda _: None)
    assert packages == ["python3.11-venv", "python3.11-dev", "gcc", "g++"]
    assert len(faults) == 4
    assert installer.missing_packages(python(), which=lambda name: f"/usr/bin/{name}") == ([], [])


def test_without_root_the_command_to_type_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed behind the user's back when it cannot be."""
    monkeypatch.setattr(installer, "_probe", lambda _: python(makes_venvs=False))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CannotInstall, match=r"apt-get install -y --no-install-recommends python3\.11-venv"):
        installer._choose([Path("/usr/bin/python3.11")])


def test_a_python_that_needs_nothing_is_preferred_to_a_newer_one_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that can install packages still does not need to."""
    whole, newer = python((3, 12, 1)), python((3, 13, 0), makes_venvs=False)
    monkeypatch.setattr(installer, "_probe", {Path("a"): newer, Path("b"): whole}.get)
    monkeypatch.setattr(installer, "missing_packages", lambda i: ([], [] if i is whole else ["x"]))
    assert installer._choose([Path("a"), Path("b")]) is whole


def test_no_python_at_all_is_one_clear_line() -> None:
    """A launcher whose Python is gone counts as none."""
    with pytest.raises(CannotInstall, match=r"no Python 3\.11, 3\.12 or 3\.13"):
        installer._choose([Path("/does/not/exist")])


def test_requirements_follow_the_dependencies_of_the_integrations(tmp_path: Path) -> None:
    """What an integration depends on needs its requirements too; what nobody asked for does not."""
    wheel = tmp_path / "homeassistant-2024.3.3-py3-none-any.whl"
    manifests: dict[str, dict[str, list[str]]] = {
        "demo": {"dependencies": ["conversation"]},
        "conversation": {"requirements": ["speech==1"]},
        "camera": {"requirements": ["pictures==1"]},
        "cloud": {"requirements": ["cloud==1"]},
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("homeassistant/package_constraints.txt", "aiodns==3.1.1\n")
        archive.writestr("homeassistant/components/demo/camera.py", "")
        for domain, manifest in manifests.items():
            archive.writestr(f"homeassistant/components/{domain}/manifest.json", json.dumps(manifest))
    constraints, wanted = installer.requirements(wheel)
    assert wanted == ["pictures==1", "speech==1"]
    assert "pycares<5" in constraints
    assert "josepy<2" in constraints
