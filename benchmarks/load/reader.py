"""The least that could be there instead of the product: it reads, appends to a file, waits for the disk, answers.

    python -m benchmarks.load.reader http --file F
    python -m benchmarks.load.reader websocket --url U --token T --file F

What it takes is the floor of any durable taker on this machine, and the ceiling of the load. Without ``--file`` it only
reads. Says its port (http) in one line, ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp
import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Keeper:
    """Appends and waits for the disk; or, without a file, forgets."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    async def keep(self, data: bytes) -> None:
        """Return when it is on disk."""
        if self._file is not None:
            await asyncio.to_thread(self._write, self._file, data)

    @staticmethod
    def _write(file: int, data: bytes) -> None:
        os.write(file, data)
        os.fdatasync(file)


async def by_http(keeper: Keeper) -> None:
    """Answer posts."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            size = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l")
            )
            body = await reader.readexactly(size)
            await keeper.keep(body)
            said = json.dumps({"accepted": body.count(b"\n")}).encode()
            writer.write(_OK % (len(said), said))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - its way to tell
    await asyncio.to_thread(sys.stdin.read)


async def by_websocket(keeper: Keeper, url: str, token: str) -> None:
    """Subscribe to everything, and read."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/api/websocket", max_msg_size=0, decode_text=False) as ws,
    ):
        await ws.receive()
        await ws.send_json({"type": "auth", "access_token": token})
        await ws.receive()
        await ws.send_json({"id": 1, "type": "supported_features", "features": {"coalesce_messages": 1}})
        await ws.send_json({"id": 2, "type": "subscribe_events"})
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not ended.done():
            reading = asyncio.create_task(ws.receive())
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
            elif reading.result().type is aiohttp.WSMsgType.TEXT:
                await keeper.keep(reading.result().data)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def main() -> None:
    """Read the arguments and read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=("http", "websocket"))
    parser.add_argument("--file", type=Path, help="append there and wait for the disk")
    parser.add_argument("--url", default="")
    parser.add_argument("--token", default="")
    chosen = parser.parse_args()
    keeper = Keeper(chosen.file)
    uvloop.run(by_http(keeper) if chosen.way == "http" else by_websocket(keeper, chosen.url, chosen.token))


if __name__ == "__main__":
    main()
