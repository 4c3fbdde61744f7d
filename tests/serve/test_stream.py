"""The live stream: resume without hole or repeat, bounded memory, and an end on every way out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from ingestor.errors import HistoryError
from ingestor.event import SCHEMA
from serve.desk import LiveBatch
from serve.rest.stream import EventStream, frames, read_id, write_id

from .fake_desk import FakeDesk, row, table

PATH = "/api/v1/events/stream"


@dataclass
class Message:
    """One server-sent message; ``last_id`` as a browser would remember it."""

    name: str = ""
    data: list[str] = field(default_factory=list)
    last_id: str = ""
    comment: bool = False


async def messages(answer: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    """Read as the standard's parser does."""
    last_id = ""
    message = Message()
    async for line in answer.content:
        text = line.decode().removesuffix("\n")
        if text == "":
            message.last_id = last_id
            if message.data or message.comment:
                yield message
            message = Message()
        elif text.startswith(":"):
            message.comment = True
        else:
            name, _, value = text.partition(": ")
            if name == "id":
                last_id = value
            elif name == "event":
                message.name = value
            elif name == "data":
                message.data.append(value)


def of_shard(seqs: list[int], cursor: dict[int, int]) -> LiveBatch:
    return LiveBatch(rows=table([row(seq) for seq in seqs]), cursor=cursor)


@pytest.fixture
def lively(desk: FakeDesk) -> FakeDesk:
    """Shard 0 holds even seqs, shard 1 odd ones."""
    desk.batches = [of_shard([2, 4, 6], {0: 6, 1: 0}), of_shard([1, 3], {0: 6, 1: 3}), of_shard([8], {0: 8, 1: 3})]
    return desk


async def read(client: aiohttp.ClientSession, count: int, last_id: str | None = None) -> list[tuple[int, str]]:
    """Read so many events, then leave."""
    found = []
    headers = {"last-event-id": last_id} if last_id else {}
    async with client.get(PATH, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        async for message in messages(answer):
            if message.name == "event":
                found.append((json.loads(message.data[0])["seq"], message.last_id))
            if len(found) == count:
                break
    return found


async def test_a_stream_resumes_after_any_event_without_hole_or_repeat(
    client: aiohttp.ClientSession, lively: FakeDesk
) -> None:
    """Wherever a client was cut off, ``Last-Event-ID`` brings exactly the rest."""
    whole = await read(client, 6)
    assert [seq for seq, _ in whole] == [2, 4, 6, 1, 3, 8]
    for cut in range(1, 6):
        rest = await read(client, 6 - cut, last_id=whole[cut - 1][1])
        assert [seq for seq, _ in rest] == [2, 4, 6, 1, 3, 8][cut:], cut


async def test_a_client_that_saw_nothing_yet_can_resume_too(client: aiohttp.ClientSession) -> None:
    """The place a stream starts from is told before any event; heartbeats keep the line open."""
    async with client.get(PATH) as answer:
        beats = [message async for message, _ in _take(messages(answer), 3)]
    assert all(beat.comment and beat.last_id == write_id({0: 0, 1: 0}) for beat in beats)


async def _take(source: AsyncIterator[Message], count: int) -> AsyncIterator[tuple[Message, int]]:
    seen = 0
    async for message in source:
        seen += 1
        yield message, seen
        if seen == count:
            return


async def test_filters_and_cursor_reach_the_desk(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """Filters are those of ``events``; what has no meaning in a stream is refused."""
    async with client.get(f"{PATH}?domain=light&q=kitchen&cursor={write_id({0: 7})}") as answer:
        assert answer.status == 200
    assert (desk.asked[-1].domain, desk.asked[-1].q) == ("light", "kitchen")
    async with client.get(f"{PATH}?limit=3") as answer:
        assert answer.status == 400


async def test_a_cursor_too_old_is_refused_before_the_stream_begins(
    client: aiohttp.ClientSession, desk: FakeDesk
) -> None:
    """A hole is never bridged in silence: 400 with what to do."""
    desk.oldest_live = 50
    async with client.get(PATH, headers={"last-event-id": write_id({0: 7})}) as answer:
        assert answer.status == 400
        assert "a place not before 50" in await answer.text()
    assert desk.live_open == 0


@pytest.mark.parametrize(
    "text", ["x", "bnVsbA", "W10", "eyJhIjoxfQ", "eyIwIjoiMSJ9", "eyIwIjoxZTk5fQ", "A" * 20_000, "eyItMiI6MX0", "é"]
)
async def test_a_cursor_we_did_not_write_is_refused(client: aiohttp.ClientSession, desk: FakeDesk, text: str) -> None:
    """400, and the desk is not asked."""
    for request in ({"params": {"cursor": text}}, {"headers": {"last-event-id": text}}):
        try:
            async with client.get(PATH, **request) as answer:  # type: ignore[arg-type]  # two shapes of the same call
                assert answer.status == 400
        except aiohttp.ClientError:
            assert len(text) > 8_000  # the server closes on a header line of such length
    assert not desk.asked


async def test_leaving_ends_the_desks_generator(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """A closed connection is noticed at once, idle or not."""
    desk.heartbeat_s = 60
    answer = await client.get(PATH)
    await answer.content.readline()
    assert desk.live_open == 1
    answer.close()
    for _ in range(100):
        if not desk.live_open:
            break
        await asyncio.sleep(0.01)
    assert desk.live_open == 0


async def test_who_does_not_read_holds_up_only_itself(base: str, client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """An endless stream to a client that never reads stops after what the sockets hold; others are served."""
    desk.batches = [of_shard(list(range(2, 402, 2)), {0: 400, 1: 0})]
    desk.endless = True
    host, port = base.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(f"GET {PATH} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    await writer.drain()
    before = -1
    while desk.live_steps != before:
        before = desk.live_steps
        async with client.get("/livez") as answer:
            assert answer.status == 200
        await asyncio.sleep(0.3)
    assert 0 < desk.live_steps < 200
    writer.transport.abort()
    for _ in range(100):
        if not desk.live_open:
            break
        await asyncio.sleep(0.01)
    assert desk.live_open == 0


async def test_a_stalled_client_is_let_go() -> None:
    """After ``stall_s`` without reading, the stream ends and the generator is closed."""
    desk = FakeDesk()
    batches = desk.live(None, None)  # type: ignore[arg-type]  # the fake keeps the question, no more
    first = asyncio.ensure_future(anext(batches, None))

    async def silent() -> dict[str, object]:
        return (await asyncio.Event().wait() and {}) or {}

    async def stuck(message: object) -> None:
        if isinstance(message, dict) and message["type"] == "http.response.body":
            await asyncio.Event().wait()

    stream = EventStream(first, batches, None, PATH, stall_s=0.05)
    await asyncio.wait_for(stream({"type": "http"}, silent, stuck), 5)
    assert desk.live_open == 0


async def test_a_failure_in_the_midst_is_told(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """The last message of a stream that the server ends is a problem document."""

    async def failing(*_: object) -> AsyncIterator[LiveBatch]:
        yield LiveBatch(rows=SCHEMA.empty_table(), cursor={0: 1})
        raise HistoryError("/secret/place", "torn")

    desk.live = failing  # type: ignore[assignment,method-assign]  # a desk on a bad day
    async with client.get(PATH) as answer:
        told = [message async for message in messages(answer)]
    assert told[-1].name == "problem"
    assert json.loads(told[-1].data[0])["status"] == 503
    assert "secret" not in told[-1].data[0]


def test_a_batch_of_several_shards_can_be_resumed_only_at_its_end() -> None:
    """Where the cursor cannot tell the shard of a row, only the last row carries an id."""
    batch = LiveBatch(rows=table([row(seq) for seq in (2, 1, 4)]), cursor={0: 4, 1: 1})
    text = b"".join(frames(batch, {0: 0, 1: 0})).decode()
    assert text.count("id: ") == 1
    assert read_id(text.split("id: ")[1].split("\n")[0]) == {0: 4, 1: 1}


def test_an_event_is_one_line_however_its_json_was_written() -> None:
    """Line ends between the tokens of stored JSON text cannot break a message in two."""
    batch = LiveBatch(rows=table([row(2, attributes='{"a":\n\r 1}')]), cursor={0: 2})
    lines = b"".join(frames(batch, {0: 0})).split(b"\n")
    assert [line.partition(b":")[0] for line in lines] == [b"id", b"event", b"data", b"", b""]
    assert json.loads(lines[2].removeprefix(b"data: "))["attributes"] == {"a": 1}


def test_writes_are_small() -> None:
    """A large batch goes out in pieces, so that one write cannot fill a buffer."""
    batch = LiveBatch(rows=table([row(seq) for seq in range(2_000)]), cursor={0: 1_999})
    pieces = list(frames(batch, {0: -1}))
    assert len(pieces) == 20
    assert max(map(len, pieces)) < 300_000
