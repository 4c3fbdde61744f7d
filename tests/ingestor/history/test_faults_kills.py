"""A writer killed as it enters a system call: nothing half visible, nothing lost, nothing left behind."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.chaos.history_kills import DEEDS, Victims, prepare
from tests.chaos.tools import TEST, install

#: ``python -m tests.chaos.history`` kills at every call; here a few are drawn, with one seed.
DRAWN = 2


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    install(TEST)
    base = tmp_path_factory.mktemp("kills")
    with Victims(prepare(base / "home"), base / "work") as victims:
        yield victims


@pytest.mark.parametrize("deed", DEEDS)
def test_killed_at_a_system_call_every_row_is_shown_and_kept(victims: Victims, deed: str) -> None:
    """Append and compaction with their checkpoint reach the disk in some 27 calls; each can be the last."""
    steps = victims.steps(deed)
    assert {"openat", "write", "fsync", "rename", "linkat", "unlink"} <= {step.call for step in steps}
    log = [step for step in steps if "#" in step.path]
    drawn = [random.Random(4).choice(log), *random.Random(8).sample(steps, DRAWN)]  # noqa: S311 - which calls
    assert [wrong for step in drawn if (wrong := victims.kill(deed, step))] == []
