"""The window knows the newest ids, and never grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.transforms.dedupe import Window


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_repeat_is_seen_across_and_within_batches() -> None:
    """Both a remembered id and an earlier one of the same call count as seen; asking remembers nothing."""
    window = Window(10)
    assert window.seen([name(1), name(2), name(1)]) == [False, False, True]
    assert window.seen([name(1)]) == [False]
    window.remember([name(1)])
    assert window.seen([name(2), name(1)]) == [False, True]


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(2, 20))
def test_the_newest_half_is_always_known_and_the_size_is_never_passed(numbers: list[int], size: int) -> None:
    """Whatever comes, the last size/2 ids are known and no more than size are held."""
    window = Window(size)
    for number in numbers:
        window.remember([name(number)])
        assert len(window) <= size
    newest = list(dict.fromkeys(reversed(numbers)))[: max(1, size // 2 - 1)]
    assert all(window.seen([name(number)]) == [True] for number in newest[: size // 2])


def test_old_ids_are_forgotten() -> None:
    """A window that forgot nothing would be a leak."""
    window = Window(100)
    window.remember(name(number) for number in range(1000))
    assert window.seen([name(0)]) == [False]
    assert window.seen([name(999)]) == [True]


def test_restored_ids_are_known_and_restoring_adds() -> None:
    """History first, then the journal: both are known afterwards."""
    window = Window(100)
    window.restore([name(1)])
    window.restore([name(2)])
    assert window.seen([name(1), name(2), name(3)]) == [True, True, False]
    assert window.digest(name(1)) is None


def test_a_window_of_one_is_refused() -> None:
    """Two generations need at least one id each."""
    with pytest.raises(ValueError, match="two generations"):
        Window(1)
