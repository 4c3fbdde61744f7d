"""Events as a file: begun at once, sent as fast as it is taken, in constant memory however long it is.

One window of rows is read ahead of the client and no more. What goes wrong before the first byte is answered as a
problem; after it the transfer is cut off, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, Final, Protocol

import pyarrow as pa
import structlog
import zstandard
from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingestor import telemetry
from ingestor.errors import NotFound, Overloaded
from ingestor.formats import FORMATS, Format, Writer
from ingestor.history.question import Question

from ..schemas import EVENT_EXAMPLE
from . import answers
from .parameters import EventFilter, Strict, Text, TheDesk, now_us, span_of

log = structlog.get_logger(__name__)

EXPORTS_AT_ONCE: Final = 16
RETRY_AFTER_S: Final = 5.0
STALL_S: Final = 120.0
#: So many rows are written at once: a few megabytes of text.
PIECE_ROWS: Final = 2_048
_EVENT: Final = {"$ref": "#/components/schemas/Event"}

router = APIRouter(route_class=Strict, tags=["events"])
_open: set[Download] = set()


class ExportQuestion(EventFilter):
    """Which events, of which span."""

    start_time: Text | None = Field(
        None,
        description="Fired at or after: RFC 3339 with a zone, a date, or back from now as `-7d`.",
        examples=["-7d"],
    )
    end_time: Text | None = Field(None, description="Fired before: same forms.")


@router.get(
    "/export/{format}",
    response_class=Response,
    responses={
        200: {
            "description": "The file.",
            "content": {each.media_type.partition(";")[0]: {} for each in FORMATS.values()}
            | {answers.JSON: {"schema": {"type": "array", "items": _EVENT}, "example": [EVENT_EXAMPLE]}},
        },
        **answers.UNKNOWN,
    },
    summary="Events as a file",
)
async def export(
    request: Request,
    desk: TheDesk,
    name: Annotated[str, Path(alias="format", description=f"One of {', '.join(FORMATS)}.", examples=["ndjson"])],
    asked: Annotated[ExportQuestion, Query()],
) -> Response:
    """All events that pass all filters, oldest first, in one file.

    The same names and values in every format: times in RFC 3339 and `event_id` in hex where it is text; structs and
    lists as they are, in CSV as JSON. `Accept-Encoding: zstd` or `gzip` is obeyed, but for Parquet, which is packed. A
    transfer that ends early is cut off, never closed as if it were whole.
    """
    if name not in FORMATS:
        raise NotFound("export format", f"{name[:64]}. There are {', '.join(FORMATS)}")
    start_us, end_us = span_of(asked.start_time, asked.end_time, now_us())
    if len(_open) >= EXPORTS_AT_ONCE:
        raise Overloaded("The export", RETRY_AFTER_S)
    question = Question(**asked.filters(), start_us=start_us, end_us=end_us, order="asc")
    download = Download(FORMATS[name], desk.export(question), request.headers)
    await download.begin()
    return download


class Packer(Protocol):
    """A content coding."""

    def compress(self, content: bytes, /) -> bytes:
        """Take content in, and give out what is ready."""
        ...

    def flush(self) -> bytes:
        """Give out the rest."""
        ...


class Download(Response):
    """An export as an ASGI response. Ends with the last row, or when the client leaves or stops reading."""

    def __init__(
        self,
        kind: Format,
        steps: AsyncGenerator[pa.Table, None],
        headers: Mapping[str, str],
        *,
        stall_s: float = STALL_S,
    ) -> None:
        coding, self._packer = (None, None) if kind.packed else coding_of(headers.get("accept-encoding", ""))
        more = {"content-disposition": f'attachment; filename="events.{kind.name}"', "vary": "accept-encoding"}
        super().__init__(headers=more | ({"content-encoding": coding} if coding else {}))
        self.raw_headers += [(b"content-type", kind.media_type.encode())]
        del self.headers["content-length"]
        self._writer: Writer = kind.writer()
        self._steps, self._stall_s = steps, stall_s
        self._first: pa.Table | None = None

    async def begin(self) -> None:
        """Read the first rows. Raises what must be answered before a file is begun."""
        _open.add(self)
        try:
            self._first = await anext(self._steps, None)
        except BaseException:
            await self._end()
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until it ends; the desk's generator is closed on every way out."""
        pump = asyncio.ensure_future(self._pump(send))
        gone = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
        except TimeoutError:
            log.info(telemetry.STREAM_ENDED, path=scope["path"], reason="the client did not read")
            raise
        finally:
            for task in (pump, gone):
                task.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)
            await self._end()

    async def _pump(self, send: Send) -> None:
        async def write(body: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(self._stall_s):
                await send({"type": "http.response.body", "body": body, "more_body": more})
            await asyncio.sleep(0)  # a server whose client left takes writes at once: let that be noticed

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        head = self._packed(self._writer.begin())
        rows = self._first
        while rows is not None:
            for at in range(0, len(rows), PIECE_ROWS):
                body = head + await asyncio.to_thread(self._piece, rows.slice(at, PIECE_ROWS))
                head = b""
                if body:
                    await write(body)
            rows = await anext(self._steps, None)
        await write(head + await asyncio.to_thread(self._rest), more=False)

    def _piece(self, rows: pa.Table) -> bytes:
        return self._packed(self._writer.write(rows))

    def _rest(self) -> bytes:
        return self._packed(self._writer.end()) + (self._packer.flush() if self._packer else b"")

    def _packed(self, content: bytes) -> bytes:
        return self._packer.compress(content) if self._packer else content

    async def _end(self) -> None:
        _open.discard(self)
        await self._steps.aclose()


def coding_of(accepted: str) -> tuple[str | None, Packer | None]:
    """Choose a content coding by the header ``Accept-Encoding``: zstd before gzip, and none that has a weight of 0."""
    codings = {}
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        codings[name.strip()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    if codings.get("zstd"):
        packer: Any = zstandard.ZstdCompressor(level=1).compressobj()
        return "zstd", packer
    if codings.get("gzip"):
        packer = zlib.compressobj(level=1, wbits=31)
        return "gzip", packer
    return None, None


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
