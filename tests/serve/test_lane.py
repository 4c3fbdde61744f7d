"""The lane takes events in and nothing else, and refuses what it could not hold, before it reads it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvicorn

from actors import gate as gates
from actors.gate import Gate
from actors.messages import Receipt
from ingestor.errors import Overloaded
from ingestor.settings import Settings
from ingestor.sources.base import Batch
from serve.app import lane
from serve.crowd import AT_ONCE

from .fake_desk import FakeDesk

ONE = b'{"event_type":"test","data":{"x":1}}'
NDJSON = {"content-type": "application/x-ndjson"}


class Slow(FakeDesk):
    """A desk that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.full = asyncio.Event()
        self.waiting = 0

    async def accept(self, home: str | None, events: list[bytes], source: str) -> dict[str, Any]:
        self.waiting += 1
        if self.waiting == AT_ONCE:
            self.full.set()
        await self.go.wait()
        return await super().accept(home, events, source)


@asynccontextmanager
async def client(desk: FakeDesk) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the lane on loopback, and connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(lane(desk), lifespan="off", log_level="critical"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{listening.getsockname()[1]}", connector=connector) as http:
            yield http
        server.should_exit = True
        await serving


async def post(http: aiohttp.ClientSession, body: bytes) -> tuple[int, Any, str | None]:
    """Send lines; give status, answer and when to come again."""
    async with http.post("/api/v1/events", data=body, headers=NDJSON) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("retry-after")


async def test_events_go_in_and_health_comes_out_and_there_is_nothing_else() -> None:
    """Ingest and the probes answer; a question is not found, and the ways there are are named."""
    desk = FakeDesk()
    async with client(desk) as http:
        status, taken, _ = await post(http, ONE + b"\n" + ONE)
        assert (status, taken["accepted"]) == (200, 2)
        assert [events for _, events, _ in desk.accepted] == [[ONE, ONE]]
        for probe in ("/livez", "/readyz", "/metrics"):
            async with http.get(probe) as answer:
                assert answer.status == 200
        async with http.get("/api/v1/event") as lost:
            assert lost.status == 404
            assert (await lost.json(content_type=None))["detail"] == (
                "There is no /api/v1/event. Did you mean /api/v1/events?"
            )
            assert lost.headers["x-content-type-options"] == "nosniff"


async def test_more_bodies_than_it_can_hold_are_refused_and_probes_still_answer() -> None:
    """With all places taken the next sender is told when to come again, and health can be asked; then all go on."""
    desk = Slow()
    async with client(desk) as http:
        waiting = [asyncio.create_task(post(http, ONE)) for _ in range(AT_ONCE)]
        await asyncio.wait_for(desk.full.wait(), 10)
        status, problem, retry_after = await post(http, ONE)
        assert (status, problem["type"], retry_after) == (503, "/problems#overloaded", "1")
        async with http.get("/livez") as answer:
            assert answer.status == 200
        desk.go.set()
        assert {status for status, _, _ in await asyncio.gather(*waiting)} == {200}
        assert (await post(http, ONE))[0] == 200


class Door:
    """An intake that acknowledges when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def put_and_wait(self, batch: Batch) -> Receipt:
        await self.go.wait()
        count = len(batch.events)
        return Receipt(received=count, stored=count, duplicate=0, quarantined=[], last_seq=count)


async def test_the_gate_takes_no_more_than_it_can_soon_write_down(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever waits for the disk is bounded by number and by bytes; the first comer gets in whatever its size."""
    gate, door = Gate(Settings(data_dir=tmp_path)), Door()

    async def there_is_room() -> None:
        return None

    monkeypatch.setattr(gate, "_check_room", there_is_room)
    monkeypatch.setattr(gate, "_door", lambda: door)
    monkeypatch.setattr(gates, "MOST_EVENTS", 3)
    monkeypatch.setattr(gates, "MOST_BYTES", 1_000)
    first = asyncio.create_task(gate.accept(None, [b"e"] * 2, "http"))
    await asyncio.sleep(0)
    for too_many in ([b"e"] * 2, [b"e" * 999]):
        with pytest.raises(Overloaded):
            await gate.accept(None, too_many, "http")
    door.go.set()
    assert (await first)["accepted"] == 2
    assert (await gate.accept(None, [b"e" * 500] * 9, "http"))["accepted"] == 9
