"""The Supervisor's account and watch stand whatever the others answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayError

from actors.handles import ActorAway
from actors.messages import Flow, Receipt
from actors.supervisor import Supervisor
from ingestor.errors import JournalFailed
from ingestor.settings import Settings


class Actor:
    """An actor with a scripted answer."""

    def __init__(self, name: str, answer: dict[str, Any] | Exception) -> None:
        self.name, self._answer = name, answer

    async def once(self, method: str) -> dict[str, Any]:
        assert method == "status"
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(Settings(data_dir=tmp_path))


@pytest.mark.parametrize(
    "error",
    [ActorAway("shard-0", "status"), JournalFailed("shard 0", "no memory"), RayError("a bug there"), TimeoutError()],
)
async def test_whoever_cannot_answer_is_away_and_stops_nobody(supervisor: Supervisor, error: Exception) -> None:
    """One actor fails in any way: it is shown as away with a reason, the others with their answers."""
    answers = await supervisor._ask_all([Actor("shard-0", error), Actor("shard-1", {"pid": 7})])
    assert answers[0]["state"] == "away"
    assert "shard-0" in answers[0]["detail"]
    assert answers[1] == {"pid": 7}


def test_every_event_is_counted_in_one_place(supervisor: Supervisor) -> None:
    """Received is the sum of where events are; what a bringer cannot account for is the balance."""
    flow = Flow(received=10, filtered=2, in_flight=3)
    flow.acknowledge(Receipt(received=4, stored=3, duplicate=1, quarantined=[], last_seq=4))
    shards: list[dict[str, Any]] = [{"stored": 3, "duplicate": 1, "quarantined": 0}, {"state": "away"}]
    counts = supervisor._conservation(shards, [{"flow": flow.as_dict()}, {"state": "away"}])
    assert counts == {
        "received": 9,
        "stored": 3,
        "duplicate": 1,
        "quarantined": 0,
        "filtered": 2,
        "in_flight": 3,
        "balance": 1,
    }
