"""Subscribers of each kind to a driven home: they count what arrives and do nothing else.

A ``Way`` is how one listens. ``entities`` is the compressed stream; split in four, each of four connections is given a
quarter of the entities, which is the only way that a subscription of Home Assistant can be divided at its source.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from benchmarks.home_limit_home import ENTITIES, DrivenHome
from ingestor.sources.homeassistant.frames import Message, cut

SETTLED_S = 0.3
GIVEN_UP_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A subscription: its command, whether messages are coalesced, and over how many connections it is split."""

    name: str
    command: dict[str, Any]
    coalesced: bool
    connections: int = 1


WAYS = (
    Way(name="all events", command={"type": "subscribe_events"}, coalesced=False),
    Way(name="all events, coalesced (ours)", command={"type": "subscribe_events"}, coalesced=True),
    Way(
        name="state_changed, coalesced",
        command={"type": "subscribe_events", "event_type": "state_changed"},
        coalesced=True,
    ),
    Way(name="entities, coalesced", command={"type": "subscribe_entities"}, coalesced=True),
    Way(name="entities, coalesced, split in 4", command={"type": "subscribe_entities"}, coalesced=True, connections=4),
)


class _Changes(msgspec.Struct):
    """What a compressed message tells of: entities added, changed, removed."""

    a: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    c: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    r: list[str] = msgspec.field(default_factory=list)


_CHANGES = msgspec.json.Decoder(_Changes)


@dataclass(slots=True, kw_only=True)
class Heard:
    """What came through: state changes, bytes, and the close code of each connection that Home Assistant ended."""

    changes: int = 0
    size_bytes: int = 0
    lost: bool = False
    thrown_out: list[int | None] = field(default_factory=list)

    async def settle(self, expected: int) -> None:
        """Wait for so many changes; for less, once a connection was lost or nothing came for long."""
        before, quiet_s = -1, 0.0
        while self.changes < expected and quiet_s < (SETTLED_S if self.lost else GIVEN_UP_S):
            quiet_s = quiet_s + SETTLED_S if before == self.changes else 0.0
            before = self.changes
            await asyncio.sleep(SETTLED_S)

    def note(self, frame: bytes, number: int, *, compressed: bool) -> None:
        """Count the state changes of one frame for subscription ``number``."""
        self.size_bytes += len(frame)
        for piece in cut(frame):
            if isinstance(piece, Message) and piece.id == number and piece.type == "event":
                if compressed:
                    changes = _CHANGES.decode(piece.event)
                    self.changes += len(changes.a) + len(changes.c) + len(changes.r)
                else:
                    self.changes += b'"sensor.driven_' in bytes(piece.event)


@asynccontextmanager
async def listening(way: Way, driven: DrivenHome) -> AsyncIterator[Heard]:
    """Listen in the background. What stood there before is not counted."""
    heard = Heard()
    async with aiohttp.ClientSession() as http:
        parts = [
            [f"sensor.driven_{n}" for n in range(part, ENTITIES, way.connections)] for part in range(way.connections)
        ]
        sockets = [await _subscribed(http, way, driven, part) for part in parts]
        tasks = [asyncio.create_task(_listen(ws, way, number, heard)) for ws, number in sockets]
        await asyncio.sleep(SETTLED_S)
        heard.changes = heard.size_bytes = 0
        try:
            yield heard
            heard.thrown_out += [ws.close_code for (ws, _), task in zip(sockets, tasks, strict=True) if task.done()]
        finally:
            for ws, _ in sockets:
                await ws.close()
            await asyncio.gather(*tasks)


async def _subscribed(
    http: aiohttp.ClientSession, way: Way, driven: DrivenHome, part: list[str]
) -> tuple[aiohttp.ClientWebSocketResponse[Any], int]:
    ws = await http.ws_connect(f"{driven.home.url}/api/websocket", max_msg_size=0)
    await ws.receive_json()
    await ws.send_json({"type": "auth", "access_token": driven.home.token})
    if (await ws.receive_json())["type"] != "auth_ok":
        raise SystemExit("the home refused the token")
    numbers = itertools.count(1)
    if way.coalesced:
        features = {"coalesce_messages": 1}
        await ws.send_json({"id": next(numbers), "type": "supported_features", "features": features})
        await ws.receive_json()
    number = next(numbers)
    narrowed = {"entity_ids": part} if way.connections > 1 else {}
    await ws.send_json({"id": number, **way.command, **narrowed})
    return ws, number


async def _listen(ws: aiohttp.ClientWebSocketResponse[Any], way: Way, number: int, heard: Heard) -> None:
    compressed = way.command["type"] == "subscribe_entities"
    async for message in ws:
        heard.note(message.data.encode(), number, compressed=compressed)
    heard.lost = True
