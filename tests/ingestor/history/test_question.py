"""Questions are checked when they are made, and a cursor is either ours or refused."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.errors import QueryError
from ingestor.history import Question
from ingestor.history.question import cursor_of, place_of

_INT64 = st.integers(-(2**63), 2**63 - 1)


@given(order=st.sampled_from(["asc", "desc"]), time_us=_INT64, seq=_INT64)
def test_a_cursor_comes_back_as_its_place(order: Literal["asc", "desc"], time_us: int, seq: int) -> None:
    """Any place, and only letters that a URL takes as they are."""
    cursor = cursor_of(order, time_us, seq)
    assert Question(order=order, cursor=cursor).place == (time_us, seq)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(garbage=st.one_of(st.text(max_size=60), st.binary(max_size=40).map(lambda raw: raw.hex())))
def test_a_cursor_that_is_not_ours_is_refused(garbage: str) -> None:
    """Garbage is the caller's mistake: ``QueryError`` on ``cursor``, never another place or another error."""
    with pytest.raises(QueryError) as caught:
        place_of(garbage, "desc")
    assert caught.value.field == "cursor"


def test_an_altered_cursor_is_refused() -> None:
    """One letter changed anywhere is noticed."""
    cursor = cursor_of("desc", 1_700_000_000_000_000, 42)
    for at, letter in enumerate(cursor[:-1]):
        with pytest.raises(QueryError):
            place_of(cursor[:at] + ("A" if letter != "A" else "B") + cursor[at + 1 :], "desc")


def test_a_cursor_of_the_other_order_is_refused() -> None:
    """It would jump to the wrong side."""
    with pytest.raises(QueryError, match="order"):
        Question(order="asc", cursor=cursor_of("desc", 1, 1))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"order": "up"}, "order"),
        ({"kind": "state,weather"}, "kind"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
    ],
)
def test_what_cannot_be_asked_names_its_field(asked: dict[str, Any], field: str) -> None:
    """The error says which field, what it got and what it expected."""
    with pytest.raises(QueryError) as caught:
        Question(**asked)
    assert caught.value.field == field
    assert caught.value.expected
