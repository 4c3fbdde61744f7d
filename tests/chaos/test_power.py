"""The power is cut under a process that writes on a real file system, a few times; the long run is ``make chaos``."""

from __future__ import annotations

import pytest

from tests.chaos.disk_kills import FAULTS
from tests.chaos.power import Kind, power_cuts
from tests.chaos.power_image import Image, why_not

needs_mounts = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@needs_mounts
@pytest.mark.parametrize(("kind", "cuts"), [("journal", 8), ("history", 4)])
def test_what_was_acknowledged_outlives_a_power_cut(kind: Kind, cuts: int) -> None:
    """All of it is there once, in the journal or the table; each cut really took away what was not synced."""
    found = power_cuts(cuts, seed=7, kind=kind)
    assert found["void"] == []
    assert found["violations"] == []
    assert {name: found[name] for name in FAULTS if found[name]} == {}
    assert found["cuts"] == cuts
    assert found["acknowledged"] > cuts


@needs_mounts
def test_the_cut_takes_what_was_not_synced_and_leaves_what_was() -> None:
    """The emulation itself: bytes and names without a sync are gone, with one they stay, and calls fail meanwhile."""
    with Image() as image:
        import os

        kept = os.open(image.path / "kept", os.O_RDWR | os.O_CREAT)
        os.write(kept, b"synced")
        os.fsync(kept)
        os.close(kept)
        (image.path / "kept").rename(image.path / "renamed")
        (image.path / "lost").write_bytes(b"not synced")
        image.cut()
        with pytest.raises(OSError, match="Input/output error"):
            (image.path / "more").write_bytes(b"too late")
        image.restore()
        assert (image.path / "kept").read_bytes() == b"synced"
        assert not (image.path / "lost").exists()
