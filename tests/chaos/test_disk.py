"""Disks that refuse or damage, and writers that are killed, a few of each; many more of them in ``make chaos``."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.chaos.disk import failing_calls, full_disks
from tests.chaos.disk_damage import damages
from tests.chaos.disk_kills import FAULTS, kills
from tests.chaos.power_image import why_not

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: apt-get install strace")
needs_mounts = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@needs_strace
def test_a_writer_killed_at_a_system_call_loses_nothing() -> None:
    """Killed as it enters one of its calls, any of them: all acknowledged is there once, and the journal goes on."""
    found = kills(15, seed=5)
    _sound(found)
    assert found["writer_kills"] == 15
    assert found["moments"] > 100


@needs_strace
def test_a_call_that_fails_ends_the_writer_and_loses_nothing() -> None:
    """Any call, with the errors it can have: said in words, nothing acknowledged after it, no sync tried again."""
    found = failing_calls(15, seed=5)
    _sound(found)
    assert found["disk_faults"] == 15


@needs_strace
def test_a_failed_sync_is_never_tried_again() -> None:
    """The kernel may have dropped the bytes and would say yes the second time: the log of calls shows no second one."""
    found = failing_calls(10, seed=5, calls=("fdatasync",))
    _sound(found)
    assert found["disk_faults"] == 10


@needs_mounts
def test_a_disk_that_is_full_or_read_only_is_outlived() -> None:
    """No space, no inodes, no descriptors, read-only, and a full history alone: with the fault gone, all goes on."""
    found = full_disks(seed=5)
    _sound(found)
    assert found["disk_faults"] == 8


def test_damage_is_never_silent() -> None:
    """Bits, sectors, whole files, with the mark and without: refused or told, and a repair keeps all that is whole."""
    found = damages(100, seed=5)
    assert found["void"] == []
    assert found["violations"] == []
    assert found["refused"] > 10
    assert found["told"] > 10


def _sound(found: dict[str, Any]) -> None:
    assert found["void"] == []
    assert found["violations"] == []
    assert {name: found[name] for name in FAULTS if found[name]} == {}
    assert found["acknowledged"] > 0
