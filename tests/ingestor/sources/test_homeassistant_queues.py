"""The bounded queue loses nothing, and standing still for its sake is not taken for silence."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import aiohttp

from ingestor.sources.homeassistant.connection import Connection, Timing
from ingestor.sources.homeassistant.queues import ByteQueue


async def test_putting_waits_while_the_queue_is_full_and_order_is_kept() -> None:
    """The limit is in bytes, and whoever puts goes on once there is room."""
    queue: ByteQueue[str] = ByteQueue(10)
    await queue.put("first", 10)
    second = asyncio.create_task(queue.put("second", 1))
    await asyncio.sleep(0)
    assert not second.done()
    assert await queue.get() == "first"
    await second
    queue.close()
    assert [await queue.get(), await queue.get()] == ["second", None]


async def test_an_item_whose_put_is_cancelled_is_in_the_queue_all_the_same() -> None:
    """What was read is not lost because reading ended while there was no room."""
    queue: ByteQueue[str] = ByteQueue(1)
    await queue.put("first", 1)
    second = asyncio.create_task(queue.put("second", 1))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert [queue.take(), queue.take()] == ["first", "second"]


async def test_with_the_limit_lifted_nobody_waits() -> None:
    """The end is near: who waits and who comes later gets through."""
    queue: ByteQueue[int] = ByteQueue(1)
    await queue.put(0, 1)
    waiting = asyncio.create_task(queue.put(1, 1))
    await asyncio.sleep(0)
    queue.lift_limit()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(queue.put(2, 1), 1)
    assert len(queue) == 3


class _TwoFrames:
    """A WebSocket that gives two frames and then nothing."""

    def __init__(self) -> None:
        self._left = 2

    async def receive(self) -> aiohttp.WSMessage:
        if not self._left:
            await asyncio.Event().wait()
        self._left -= 1
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, b"x", None)

    async def send_str(self, text: str) -> None:
        """Take it."""


async def test_silence_is_counted_from_when_reading_went_on() -> None:
    """Time spent waiting for room is ours, so it proves nothing about the home."""
    loop = asyncio.get_running_loop()
    timing = Timing(ping_every_s=10.0, silence_s=0.3)
    ws = cast("aiohttp.ClientWebSocketResponse[Any]", _TwoFrames())
    connection = Connection(ws, timing=timing, queue_bytes=1, clock=lambda: 0.0)
    running = asyncio.create_task(connection.run())
    await asyncio.sleep(0.5)
    assert not running.done()
    went_on_s = loop.time()
    connection.frames.take()
    loss = await running
    assert loss.reason == "half_open"
    assert loop.time() - went_on_s >= 0.29


async def test_the_frames_are_closed_even_if_reading_is_cancelled_while_it_ends() -> None:
    """A loss and a stop in the same moment must not leave the cutter waiting for ever."""
    ws = cast("aiohttp.ClientWebSocketResponse[Any]", _TwoFrames())
    connection = Connection(ws, timing=Timing(silence_s=0.05), queue_bytes=100, clock=lambda: 0.0)
    running = asyncio.create_task(connection.run())
    while not connection._lost:  # noqa: ASYNC110 - the very turn of the loop in which it is lost
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    frames = [await asyncio.wait_for(connection.frames.get(), 1) for _ in range(3)]
    assert [frame is None for frame in frames] == [False, False, True]


async def test_a_process_that_was_held_up_does_not_blame_the_home() -> None:
    """After a pause of our own, the silence is counted anew."""
    timing = Timing(ping_every_s=0.2, silence_s=0.3)
    ws = cast("aiohttp.ClientWebSocketResponse[Any]", _TwoFrames())
    connection = Connection(ws, timing=timing, queue_bytes=100, clock=lambda: 0.0)
    running = asyncio.create_task(connection.run())
    await asyncio.sleep(0.05)
    time.sleep(0.6)  # noqa: ASYNC251 - the pause is the point
    went_on_s = asyncio.get_running_loop().time()
    assert (await running).reason == "half_open"
    assert asyncio.get_running_loop().time() - went_on_s >= 0.29
