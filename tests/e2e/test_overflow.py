"""A real Home Assistant throws our source out: what did not arrive lies in a gap record, and no last state is missing.

It drops a subscriber with 4,096 pending messages, however fast that one reads, and says nothing of what it dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.home_limit_home import DrivenHome, driven_home
from benchmarks.home_limit_source import undergo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrivenHome]:
    """Start a home that can be driven to its limit."""
    with driven_home(tmp_path_factory.mktemp("limit") / "home", recorder=False) as home:
        yield home


async def test_a_burst_that_never_arrives_is_a_gap_and_the_list_of_states_tells_of_every_entity(
    driven: DrivenHome,
) -> None:
    """5,000 entities change at once: none of it comes live, and all of it after the return."""
    told = await undergo("5,000 in one tick, each of another entity", driven, recorder=False)
    assert (told.live, told.missed, told.listed) == (0, 5_000, 5_000)
    assert (told.gaps_opened, told.gaps_closed, told.outside, told.stale) == (1, 1, 0, 0)


async def test_a_burst_behind_frames_that_are_still_on_their_way_lies_wholly_in_the_gap(driven: DrivenHome) -> None:
    """We hear the first 4,000 only after the 5,000 that were dropped had begun: the gap begins before that."""
    told = await undergo("5,000 events while 4,000 are on their way", driven, recorder=False)
    assert told.missed >= 5_000
    assert (told.gaps_opened, told.gaps_closed, told.outside, told.stale) == (1, 1, 0, 0)
