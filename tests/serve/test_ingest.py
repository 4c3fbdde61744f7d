"""Events by POST: bodies are cut, not judged; limits hold whatever a client claims."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import zstandard

from ingestor.errors import JournalFailed, JournalFull, Overloaded
from serve.bodies import events_of
from serve.status import TooLarge

from .fake_desk import FakeDesk

FRAMES = Path(__file__).parents[1] / "fixtures/frames/2025.4.4/A_all.frames.ndjson.zst"
JSON = "application/json"
NDJSON = "application/x-ndjson"
ONE = b'{"event_type":"test","data":{"x":1}}'
MIB = 1024 * 1024


def real_events(count: int) -> list[bytes]:
    """Events as Home Assistant sent them."""
    reader = zstandard.ZstdDecompressor().stream_reader(FRAMES.read_bytes())
    found: list[bytes] = []
    for line in reader.read(4 * MIB).split(b"\n")[:-1]:
        frames = json.loads(line)
        for frame in frames if isinstance(frames, list) else [frames]:
            if frame.get("type") == "event" and "event_type" in frame.get("event", {}):
                found.append(json.dumps(frame["event"]).encode())  # noqa: PERF401 - three levels read better as loops
    return found[:count]


async def post(
    client: aiohttp.ClientSession, body: Any, kind: str = JSON, coding: str = "", query: str = ""
) -> tuple[int, Any]:
    headers = {"content-type": kind, **({"content-encoding": coding} if coding else {})}
    async with client.post(f"/api/v1/events{query}", data=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize("coding", ["", "gzip", "zstd"])
@pytest.mark.parametrize("shape", ["one", "array", "lines"])
async def test_events_arrive_byte_for_byte(
    client: aiohttp.ClientSession, desk: FakeDesk, shape: str, coding: str
) -> None:
    """One event, an array or lines, plain or packed: the desk gets each event's own bytes, in order."""
    events = real_events(200)[: 1 if shape == "one" else 200]
    assert events
    body = {"one": events[0], "array": b"[" + b" ,\n".join(events) + b"]", "lines": b"\n".join(events) + b"\r\n\n"}[
        shape
    ]
    packed = {"": body, "gzip": gzip.compress(body), "zstd": zstandard.compress(body)}[coding]
    status, answer = await post(client, packed, NDJSON if shape == "lines" else JSON, coding)
    assert status == 200, answer
    assert answer["received"] == len(events)
    assert desk.accepted == [(None, events, "http")]


async def test_a_broken_line_is_passed_on_for_the_quarantine(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """A line that is not JSON never fails its neighbours."""
    status, _ = await post(client, b'%s\n{"event_type": \n\xff\xfe\n%s' % (ONE, ONE), NDJSON)
    assert status == 200
    assert desk.accepted[0][1] == [ONE, b'{"event_type":', b"\xff\xfe", ONE]


@pytest.mark.parametrize(
    "body", [b"", b"   ", b"{", b"[1,", b'{"a":1} {"b":2}', b"42", b'"text"', b"null", b"nonsense", b"{]", b"\x00"]
)
async def test_an_unreadable_body_is_400(client: aiohttp.ClientSession, desk: FakeDesk, body: bytes) -> None:
    """What cannot be cut into events is refused whole, and says how to send it."""
    status, problem = await post(client, body)
    assert (status, problem["type"]) == (400, "/problems#unreadable-body")
    assert not desk.accepted


async def test_nothing_to_take_in_is_no_error(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """An empty array is answered with zeros, without asking anyone."""
    status, answer = await post(client, b"[]")
    assert (status, answer["received"], answer["last_seq"]) == (200, 0, None)
    assert not desk.accepted


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
async def test_another_content_type_is_415(client: aiohttp.ClientSession, kind: str) -> None:
    """Types a web form can send are refused: a foreign page must not post events without the browser asking first."""
    async with client.post("/api/v1/events", data=ONE, headers={"content-type": kind}) as answer:
        assert answer.status == 415
        assert (await answer.json(content_type=None))["detail"]


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd,gzip"])
async def test_another_coding_is_415(client: aiohttp.ClientSession, coding: str) -> None:
    """Only one coding, and only gzip or zstd."""
    assert (await post(client, ONE, JSON, coding))[0] == 415


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [1, 5, 30])
async def test_a_cut_off_body_is_400(client: aiohttp.ClientSession, desk: FakeDesk, coding: str, cut: int) -> None:
    """A packed body that ends too early is refused: part of it would pass for the whole."""
    body = b"\n".join(real_events(50))
    packed = gzip.compress(body) if coding == "gzip" else zstandard.compress(body)
    status, _ = await post(client, packed[:-cut], NDJSON, coding)
    assert status == 400
    assert not desk.accepted


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_body_packed_in_parts_is_whole(client: aiohttp.ClientSession, desk: FakeDesk, coding: str) -> None:
    """Members of gzip and frames of zstd may follow each other."""
    pack = gzip.compress if coding == "gzip" else zstandard.compress
    status, _ = await post(client, b"".join(pack(ONE + b"\n") for _ in range(3)), NDJSON, coding)
    assert status == 200
    assert desk.accepted[0][1] == [ONE] * 3


def bomb(coding: str, size: int) -> bytes:
    """Pack zeros, as many as asked, without holding them. The gzip one repeats a block: its end is never looked at."""
    piece = bytes(MIB)
    if coding == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        first, again = (packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
        return first + again * (size // MIB - 1)
    zpacker = zstandard.ZstdCompressor(level=3).compressobj()
    return b"".join([zpacker.compress(piece) for _ in range(size // MIB)] + [zpacker.flush()])


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_bomb_is_refused_quickly_and_in_little_memory(
    client: aiohttp.ClientSession, desk: FakeDesk, coding: str
) -> None:
    """1 GB packed small is 413 before it is unpacked."""
    body = bomb(coding, 1024 * MIB)
    process = psutil.Process()
    before = process.memory_info().rss
    started_s = time.process_time()
    status, problem = await post(client, io.BytesIO(body), NDJSON, coding)
    assert (status, problem["type"]) == (413, "/problems#too-large")
    assert time.process_time() - started_s < 0.5
    assert process.memory_info().rss - before < 64 * MIB
    assert not desk.accepted


def test_each_limit_of_unpacking_holds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only zeros: what packs ten to one meets the size cap, and what is small may pack well."""
    monkeypatch.setattr("serve.bodies.UNPACKED_BYTES", 4 * MIB)
    noise = b"".join(b"%016x%s\n" % (n * 2_654_435_761 % 2**64, b" " * 200) for n in range(25_000))
    for pack, coding in ((gzip.compress, "gzip"), (zstandard.compress, "zstd")):
        packed = pack(noise)
        assert len(noise) / len(packed) < 100
        with pytest.raises(TooLarge, match="4,194,304"):
            events_of(packed, NDJSON, coding)
        with pytest.raises(TooLarge, match="100 times"):
            events_of(pack(b" " * (3 * MIB)), NDJSON, coding)
        assert len(events_of(pack((ONE + b"\n") * 20_000), NDJSON, coding)) == 20_000


async def test_a_wide_zstd_window_is_refused(client: aiohttp.ClientSession) -> None:
    """A frame may not ask for more memory than the window allows."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = packed.compress(ONE) + packed.flush()
    assert (await post(client, body, NDJSON, "zstd"))[0] == 400


async def endless() -> AsyncIterator[bytes]:
    for _ in range(200):
        yield b"x" * MIB


async def test_a_body_is_counted_as_it_arrives(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """Without any declared length, a body ends at 8 MiB with 413."""
    status, _ = await post(client, endless(), NDJSON)
    assert status == 413
    assert (await post(client, io.BytesIO(b"[" + b" " * (8 * MIB + 10) + b"]")))[0] == 413
    assert not desk.accepted


async def test_a_length_that_lies_changes_nothing(base: str, desk: FakeDesk) -> None:
    """Fewer bytes than declared, then silence: nothing is taken in."""
    host, port = base.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: 999\r\n\r\n" + ONE
    )
    await writer.drain()
    writer.close()
    await asyncio.sleep(0.1)
    assert not desk.accepted


async def test_a_deep_event_never_fails_its_neighbours(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """Nesting too deep is for the quarantine, as any other fault of one event."""
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    assert (await post(client, b"[" + ONE + b"," + deep + b"]"))[0] == 200
    assert (await post(client, ONE + b"\n" + b"[{" * 100_000, NDJSON))[0] == 200
    assert [events for _, events, _ in desk.accepted] == [[ONE, deep], [ONE, b"[{" * 100_000]]


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
async def test_absurd_nesting_is_no_crash(client: aiohttp.ClientSession, opening: bytes) -> None:
    """A body that cannot be cut because of its nesting is 400."""
    assert (await post(client, opening * 100_000))[0] == 400


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [
        (Overloaded("shard-1", 0.2), 503, "1"),
        (JournalFull("journal", "2 GB of 2 GB are used"), 507, None),
        (JournalFailed("shard-0", "fsync failed"), 503, "2"),
    ],
)
async def test_who_cannot_take_in_says_when_to_come_back(
    client: aiohttp.ClientSession, desk: FakeDesk, error: Exception, status: int, again: str | None
) -> None:
    """Overload and a full journal have their own answers."""
    desk.fails = error
    async with client.post("/api/v1/events", data=ONE, headers={"content-type": JSON}) as answer:
        assert (answer.status, answer.headers.get("retry-after")) == (status, again)


async def test_home_is_named_in_the_query(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """A known home is passed on, an unknown one is 404."""
    assert (await post(client, ONE, query="?home=home"))[0] == 200
    assert desk.accepted[0][0] == "home"
    assert (await post(client, ONE, query="?home=castle"))[0] == 404


async def test_quarantine_retry_is_answered(client: aiohttp.ClientSession) -> None:
    """A retried item says what became of it."""
    async with client.post("/api/v1/quarantine/q1/retry") as answer:
        assert (await answer.json())["outcome"] == "stored"
    async with client.post("/api/v1/quarantine/none/retry") as answer:
        assert answer.status == 404
