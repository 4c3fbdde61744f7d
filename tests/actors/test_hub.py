"""The Hub tells each subscriber every event once, or sends it to the history: never nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import hub as hubs
from actors.hub import Hub, Live
from ingestor.errors import QueryError
from ingestor.journal import News
from ingestor.settings import Settings
from tests.ingestor.journal.test_follower import write


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(Settings(data_dir=tmp_path))


async def next_news(subscription: AsyncIterator[list[Live]]) -> list[Live]:
    async with asyncio.timeout(10):
        while True:
            news = await anext(subscription)
            if any(live.payload is not None for live in news):
                return news


async def test_what_is_journaled_reaches_each_subscriber_in_order(hub: Hub, tmp_path: Path) -> None:
    """Two subscribers, both get the same frames."""
    subscriptions = [hub.subscribe(), hub.subscribe()]
    for each in subscriptions:
        await anext(each)
    write(tmp_path / "journal", 0, 1, frames=3)
    for each in subscriptions:
        found: list[int] = []
        while len(found) < 3:
            found += [live.last_seq for live in await next_news(each) if live.payload is not None]
        assert found == [1, 2, 3]


async def test_who_is_slower_than_the_ring_is_sent_to_the_history(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring that holds nothing any more: the subscriber is refused and not left without a word."""
    monkeypatch.setattr(hubs, "RING_BYTES", 1)
    subscription = hub.subscribe()
    await anext(subscription)
    write(tmp_path / "journal", 0, 1, frames=3)
    with pytest.raises(QueryError):
        await next_news(subscription)


async def test_what_the_hub_itself_missed_is_told_although_nothing_follows(hub: Hub) -> None:
    """The Hub was overtaken by a trim: its subscribers look into the history at once."""
    subscription = hub.subscribe()
    await anext(subscription)
    await hub._tell(News(frames=[], overtaken=True))
    with pytest.raises(QueryError):
        await next_news(subscription)
