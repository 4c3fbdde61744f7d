"""The report fails a run that broke something, that proved nothing, or that fell over."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from tests.chaos.report import FAULTS, PartReport, show


def part(**found: object) -> PartReport:
    """Make the report of a part that did something."""
    return PartReport(name="part", seed=1, seconds=1.0, found={"acknowledged": 10, "kills": 1, **found})


def test_a_part_without_faults_is_sound() -> None:
    """What must be zero is zero, and something was done."""
    assert part().sound
    assert part(missing=0, violations=[], void=[], note="extra").sound


@pytest.mark.parametrize("fault", FAULTS)
def test_any_fault_fails_the_part_and_is_shown(fault: str) -> None:
    """Each name that must stay zero is looked at."""
    broken = part(**{fault: 3})
    assert not broken.sound
    console = Console(file=StringIO(), width=200)
    show([part(), broken], console)
    assert f"3 {fault.replace('_', ' ')}" in console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO


def test_a_violation_a_void_fault_and_a_failure_fail_the_part() -> None:
    """Sentences count as much as numbers."""
    assert part(violations=["it broke", "it broke"]).complaints == ["it broke (2 times)"]
    assert part(void=["kill of nobody"]).complaints == ["void: kill of nobody"]
    assert not PartReport(name="part", seed=1, seconds=1.0, failure="Traceback").sound
    assert PartReport(name="part", seed=1, seconds=1.0, found={}).complaints == ["void: it did nothing that is counted"]
