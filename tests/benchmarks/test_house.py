"""The house of benchmarks: what was measured stays, is never mixed between commits, and is drawn without a hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import table
from benchmarks.__main__ import House
from benchmarks.borrowed import lines_of
from benchmarks.figures import FIGURES, Figure, Step, named
from benchmarks.headline import line
from benchmarks.state import State

STEPS = (Step(name="one", command=("no.such",)), Step(name="two", command=("no.such",)))
FIGURE = Figure(name="load", question="What?", full=STEPS, runs=2)


def result(value: float, *, disturbed: bool = False) -> dict[str, Any]:
    return {"headline": [line("speed", value, "events/s", to=2.0, of="floor")], "disturbed": disturbed}


class Counting(House):
    """Measures by counting; the n-th step kills it, as a pulled plug would."""

    def __init__(self, state: State, *, commit: str = "abc", dies_at: int = 99) -> None:
        super().__init__(state, full=True, until_s=None)
        self._commit, self._dies_at = commit, dies_at
        self.asked: list[str] = []

    def _run(self, step: Step) -> dict[str, Any] | None:
        if len(self.asked) == self._dies_at:
            raise KeyboardInterrupt
        self.asked.append(step.name)
        return result(len(self.asked))


def test_a_killed_house_goes_on_where_it_was(tmp_path: Path) -> None:
    """Three of four steps were done before it was killed; the next one measures the fourth only."""
    path = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        Counting(State(path), dies_at=3).measure(FIGURE)
    second = Counting(State(path))
    second.measure(FIGURE)
    assert second.asked == ["two"]
    third = Counting(State(path))
    third.measure(FIGURE)
    assert third.asked == []


def test_runs_of_one_figure_are_of_one_commit(tmp_path: Path) -> None:
    """A half-measured figure begins anew at another commit; a finished one stays, and says its commit."""
    path = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        Counting(State(path), dies_at=3).measure(FIGURE)
    second = Counting(State(path), commit="def")
    second.measure(FIGURE)
    assert len(second.asked) == 4
    third = Counting(State(path), commit="ghi")
    third.measure(FIGURE)
    assert third.asked == []
    assert State(path).figures["load"]["commit"] == "def"


def test_a_cell_is_median_range_and_ratio() -> None:
    """Three runs, each beside its own baseline."""
    lines = [line("speed", value, "events/s", to=value / 2, of="floor") for value in (10_000.0, 30_000.0, 20_000.0)]
    assert table.cell(lines) == "20,000 (10,000 to 30,000), 2 x floor"


def test_a_disturbed_run_is_told_in_the_table() -> None:
    """Whoever reads the table sees how many runs others disturbed, and that a failed one failed."""
    runs = [{"load": result(1, disturbed=True)}, {"load": result(3) | {"failed": 1}}]
    drawn = table.markdown({"load": {"commit": "abc", "runs": runs}}, short=False)
    assert "1 of 2 disturbed" in drawn
    assert "1 of 2 failed" in drawn
    assert "| speed, events/s | 2 (1 to 3), 1 x floor |" in drawn


def test_the_table_is_written_between_its_markers_only(tmp_path: Path) -> None:
    """What people wrote around it stays; a page without markers is refused, not overwritten."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write(page, "new")
    assert page.read_text() == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="markers"):
        table.write(page, "new")
    assert page.read_text() == "nothing"


def test_figures_have_names_of_their_own_and_known_ones_only() -> None:
    """A name finds one figure; an unknown one is refused with the list of those there are."""
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)
    with pytest.raises(SystemExit, match="maximum"):
        named(["nothing"])


def test_figures_in_another_form_are_lines_too() -> None:
    """What peers, a real home and answers say stands in the same table; a command's own lines go before."""
    peers = {"peers": [{"name": "a", "safety": "s", "cpu_us": 2.0, "events_a_second": 9, "bytes_each": 5.0}] * 2}
    assert [one["name"] for one in lines_of(peers)][:2] == ["a (s): processor", "a (s): taken"]
    row = {"way": "all events", "recorder": False, "load": "as fast as it goes", "rate": 100, "fired": 8, "arrived": 6}
    arrived = lines_of({"loads": [row], "ordeals": [{"held": True}]})[1]
    assert (arrived["name"], arrived["value"]) == ("all events, recorder off: arrived of them", 75.0)
    times = lines_of({"questions": {"one entity": {"p50": 4.0, "p99": 8.0, "count": 3}}})
    assert [(one["name"], one["value"]) for one in times] == [
        ("questions, one entity, p50", 4.0),
        ("questions, one entity, p99", 8.0),
    ]
    assert lines_of({"headline": [], **peers}) == []
