"""What was measured so far: one JSON file, replaced as a whole after each step, so that killing loses one step at most.

A figure's runs all come from one commit: a half-measured figure begins anew when the commit changed. A finished one
stays as it is, with the commit it was measured at, until it is asked for again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Runs = list[dict[str, Any]]


class State:
    """The file. ``runs`` of a figure: step -> result, run after run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.figures: dict[str, Any] = json.loads(path.read_text())["figures"] if path.exists() else {}

    def begin(self, name: str, *, commit: str, runs: int, steps: list[str]) -> Runs:
        """Give a figure's runs so far, those of this commit or of a figure that is done."""
        kept = self.figures.get(name)
        if kept is None or (kept["commit"] != commit and not self.done(name, runs=runs, steps=steps)):
            kept = self.figures[name] = {"commit": commit, "runs": []}
        given: Runs = kept["runs"]
        return given

    def done(self, name: str, *, runs: int, steps: list[str]) -> bool:
        """Tell whether a figure has all its runs."""
        have: Runs = self.figures.get(name, {}).get("runs", [])
        return len(have) >= runs and all(step in run for run in have[:runs] for step in steps)

    def forget(self, name: str) -> None:
        """Measure a figure anew."""
        self.figures.pop(name, None)

    def keep(self, name: str, run: int, step: str, result: dict[str, Any]) -> None:
        """Write down a step's result. On disk when it returns."""
        runs: Runs = self.figures[name]["runs"]
        while len(runs) <= run:
            runs.append({})
        runs[run][step] = result
        self.save()

    def save(self) -> None:
        """Replace the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        with new.open("w") as file:
            json.dump({"figures": self.figures}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
