"""Live events as server-sent events. A stream holds at most one batch; whoever does not read holds it up, then ends it.

Each event's ``id`` is a cursor: a client that comes back with it in ``Last-Event-ID`` misses nothing and sees nothing
twice. Where a batch holds events of several shards only its last event has an ``id``: a client cut off in its midst
sees the batch again, and tells by ``event_id``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated

import msgspec
import orjson
import pyarrow as pa
import structlog
from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingestor import telemetry
from ingestor.errors import QueryError
from ingestor.formats.json import rows_to_json
from ingestor.history.question import Question

from ..desk import LiveBatch
from ..status import answer
from .parameters import LIMIT, SEQ_MAX, EventFilter, Strict, TheDesk

log = structlog.get_logger(__name__)

RETRY_MS = 2000
START_PATIENCE_S = 1.0
STALL_S = 30.0
CHUNK_ROWS = 100
_SHARDS = 1024
_CURSOR_CHARS = 16_384
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_EXAMPLE = 'retry: 2000\n\nid: eyIwIjoxMjN9\nevent: event\ndata: {"event_id": "5f0c…", …}\n\n: ping\n\n'

router = APIRouter(route_class=Strict, tags=["events"])


class StreamFilter(EventFilter):
    """Which events, and after which place."""

    cursor: Annotated[str, Field(max_length=_CURSOR_CHARS)] | None = Field(
        None, description="As `Last-Event-ID`, for clients that cannot set it."
    )


@router.get(
    "/events/stream",
    response_class=Response,
    responses={200: {"description": "A stream without end.", "content": {"text/event-stream": {"example": _EXAMPLE}}}},
    summary="Follow events live",
)
async def follow(
    request: Request,
    desk: TheDesk,
    wanted: Annotated[StreamFilter, Query()],
    last_event_id: Annotated[
        str | None,
        Header(
            max_length=_CURSOR_CHARS, description="`id` of the last event seen: resume after it. Wins over `cursor`."
        ),
    ] = None,
) -> Response:
    """Events as they are stored (server-sent events). Filters as in `events`.

    Without a cursor the stream starts now. Messages named `event` hold one event each; comments keep the line open at
    least every 5 s; a message named `problem` tells why the server ends the stream. A cursor that is too old is
    answered 400: read `events` from the last known time, then follow anew.
    """
    start = last_event_id or wanted.cursor
    question = Question(**wanted.filters(), start_us=None, end_us=None, order="asc", limit=LIMIT, cursor=None)
    place = None if not start else read_id(start)
    batches = desk.live(place, question)
    first = asyncio.ensure_future(_next(batches))
    try:
        await asyncio.wait({first}, timeout=START_PATIENCE_S)
        if first.done():
            first.result()  # raises what must be answered before a stream is begun
    except BaseException:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await batches.aclose()
        raise
    return EventStream(first, batches, place, request.url.path)


class EventStream(Response):
    """The stream as an ASGI response. Ends when the client leaves, stops reading, or the desk ends it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        first: asyncio.Future[LiveBatch | None],
        batches: AsyncGenerator[LiveBatch, None],
        place: dict[int, int] | None,
        path: str,
        *,
        stall_s: float = STALL_S,
    ) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._first, self._batches, self._place, self._path, self._stall_s = first, batches, place, path, stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Write until it ends; the desk's generator is closed on every way out."""
        pump = asyncio.ensure_future(self._pump(send))
        gone = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pump, gone):
                task.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
            await self._batches.aclose()

    async def _pump(self, send: Send) -> None:
        async def write(body: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(self._stall_s):
                await send({"type": "http.response.body", "body": body, "more_body": more})
            await asyncio.sleep(0)  # a server whose client left takes writes at once: let that be noticed

        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await write(f"retry: {RETRY_MS}\n\n".encode())
            batch = await self._first
            while batch is not None:
                for chunk in frames(batch, self._place):
                    await write(chunk)
                self._place = batch.cursor
                batch = await _next(self._batches)
            await write(b"", more=False)
        except TimeoutError:
            log.info(telemetry.STREAM_ENDED, path=self._path, reason="the client did not read", stalled_s=self._stall_s)
        except Exception as error:  # noqa: BLE001 - the stream's last word to its client
            problem = bytes(answer(error, self._path).body)
            await write(b"event: problem\ndata: " + problem + b"\n\n")
            await write(b"", more=False)


async def _next(batches: AsyncGenerator[LiveBatch, None]) -> LiveBatch | None:
    return await anext(batches, None)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def frames(batch: LiveBatch, before: dict[int, int] | None) -> Iterator[bytes]:
    """Cut a batch into writes of at most ``CHUNK_ROWS`` events. An empty one keeps the line open."""
    end = write_id(batch.cursor)
    count = batch.rows.num_rows
    if not count:
        yield f"id: {end}\n: ping\n\n".encode() if batch.cursor != before else b": ping\n\n"
        return
    moved = [] if before is None else [shard for shard, seq in batch.cursor.items() if before.get(shard) != seq]
    alone = moved[0] if len(moved) == 1 else None
    for start in range(0, count, CHUNK_ROWS):
        rows: pa.Table = batch.rows.slice(start, CHUNK_ROWS)
        seqs = rows.column("seq").to_pylist()
        parts: list[bytes] = []
        for offset, (seq, text) in enumerate(zip(seqs, _ROWS.decode(rows_to_json(rows)), strict=True)):
            if start + offset == count - 1:
                parts.append(f"id: {end}\n".encode())
            elif alone is not None:
                parts.append(f"id: {write_id({**batch.cursor, alone: seq})}\n".encode())
            parts += (b"event: event\ndata: ", _line(bytes(text)), b"\n\n")
        yield b"".join(parts)


def _line(text: bytes) -> bytes:
    """Keep JSON on one line: a line end would end the field."""
    return msgspec.json.format(text, indent=-1) if b"\n" in text or b"\r" in text else text


def write_id(cursor: dict[int, int]) -> str:
    """Encode a place in the stream."""
    text = orjson.dumps(cursor, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_id(text: str) -> dict[int, int]:
    """Decode it. Raises ``QueryError`` for what ``write_id`` did not write."""
    try:
        found = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        cursor = {int(shard): seq for shard, seq in found.items()}
    except (binascii.Error, ValueError, AttributeError):
        cursor = {-1: -1}
    fits = all(0 <= shard < _SHARDS and type(seq) is int and -1 <= seq <= SEQ_MAX for shard, seq in cursor.items())
    if not fits:
        raise QueryError("Last-Event-ID", text, "the id of an event of this stream")
    return cursor
