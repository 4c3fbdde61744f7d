"""The table of a state file, as Markdown: `python -m benchmarks.table FILE`, `--write README` between its markers.

Each cell is the median of its runs, with the smallest and the largest behind it, and the median of the ratios to the
baseline of the same run. No number is ever written by hand.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import FIGURES, Figure
from benchmarks.headline import number
from benchmarks.machine import CACHE, ROOT

BEGIN: Final = "<!-- figures: written by benchmarks.table -->"
END: Final = "<!-- end of figures -->"
README: Final = ROOT / "benchmarks" / "README.md"


def markdown(figures: dict[str, Any], *, short: bool) -> str:
    """Draw every figure that was measured."""
    drawn = [_figure(figure, figures[figure.name], short=short) for figure in FIGURES if _measured(figures, figure)]
    return "\n\n".join([*_machines(figures), *drawn])


def write(path: Path, text: str) -> None:
    """Put the text between the markers of a file. Raises ``ValueError`` where they are missing."""
    page = path.read_text()
    if BEGIN not in page or END not in page:
        raise ValueError(f"{path} has no markers; put these two lines where the table shall stand: {BEGIN} {END}")
    head, tail = page.split(BEGIN)[0], page.split(END)[-1]
    path.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")


def cell(lines: list[dict[str, Any]]) -> str:
    """Write the median of a line's runs, its range, its ratio."""
    values = [line["value"] for line in lines if line["value"] is not None]
    if not values:
        return "-"
    text = number(statistics.median(values))
    if len(values) > 1:
        text += f" ({number(min(values))} to {number(max(values))})"
    ratios = [line["ratio"] for line in lines if line.get("ratio") is not None]
    if ratios:
        text += f", {number(statistics.median(ratios))} x {lines[0]['of']}"
    return text


def disturbed(result: dict[str, Any]) -> bool:
    """Tell whether others used the machine during a run."""
    told: bool = result.get("used", result).get("disturbed", False)
    return told


def _measured(figures: dict[str, Any], figure: Figure) -> bool:
    return any(figures.get(figure.name, {}).get("runs", []))


def _figure(figure: Figure, kept: dict[str, Any], *, short: bool) -> str:
    runs = [run for run in kept["runs"] if run]
    steps = [step.name for step in (figure.short if short else figure.full) if any(step.name in run for run in runs)]
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for run in runs:
        for step in steps:
            for line in run.get(step, {}).get("headline", []):
                if not figure.lines or line["name"] in figure.lines:
                    rows.setdefault(f"{line['name']}, {line['unit']}", {}).setdefault(step, []).append(line)
    table = [
        f"| | {' | '.join(steps)} |",
        f"|---|{'---|' * len(steps)}",
        *(f"| {name} | {' | '.join(cell(by.get(step, [])) for step in steps)} |" for name, by in rows.items()),
    ]
    return "\n".join([f"### {figure.question}", "", _origin(figure, kept, runs, short=short), "", *table])


def _origin(figure: Figure, kept: dict[str, Any], runs: list[dict[str, Any]], *, short: bool) -> str:
    """Say by which command, of which commit, in how many runs, and what to think of them."""
    results = [result for run in runs for result in run.values()]
    command = "python -m benchmarks" + (" --full" if not short else "") + f" --only {figure.name}"
    words = [f"`{command}`, commit {kept['commit']}, " + _many(figure, len(runs))]
    if off := sum(map(disturbed, results)):
        words.append(f"{off} of {len(results)} disturbed by others on the machine")
    if wrong := sum(bool(result.get("failed")) for result in results):
        words.append(f"**{wrong} of {len(results)} failed: their account does not hold**")
    settings = {name for result in results for name in result.get("settings_that_differ", {})}
    if settings:
        words.append(f"settings not as `make run` has them: {', '.join(sorted(settings))}")
    return "; ".join(words) + "."


def _many(figure: Figure, runs: int) -> str:
    if figure.inner:
        return "medians of its own runs"
    return f"median of {runs} runs" if runs > 1 else "one run"


def _machines(figures: dict[str, Any]) -> list[str]:
    facts = [
        result["machine"]
        for kept in figures.values()
        for run in kept["runs"]
        for result in run.values()
        if "machine" in result
    ]
    bases = [
        result["baseline"]["fdatasync_p50_ms"]
        for kept in figures.values()
        for run in kept["runs"]
        for result in run.values()
        if "fdatasync_p50_ms" in result.get("baseline", {})
    ]
    names = {
        f"{fact['cores']} cores, {fact['cpu']}, {fact['memory_gb']:g} GB, {fact['system']}, kernel {fact['kernel']}, "
        f"Python {fact['python']}"
        for fact in facts
    }
    synced = f" `fdatasync` of 64 KB takes {number(statistics.median(bases))} ms there (median)." if bases else ""
    return [f"Measured on {' and on '.join(sorted(names))}.{synced}"] if names else []


def main() -> None:
    """Print or write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=CACHE / "full.json", help="state file")
    parser.add_argument("--short", action="store_true", help="the file is of `make bench`")
    parser.add_argument("--write", type=Path, nargs="?", const=README, help="write between the markers of this page")
    chosen = parser.parse_args()
    text = markdown(json.loads(chosen.file.read_text())["figures"], short=chosen.short)
    if chosen.write:
        write(chosen.write, text)
    else:
        print(text)  # noqa: T201 - its job


if __name__ == "__main__":
    main()
