"""Nobody gets an answer older than the question, and those who ask together cost one look."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise

import pytest

from actors.together import Together


class Slow:
    """A refresh that goes on until it is let go. Notes how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = threading.Semaphore(0)
        self.fault: Exception | None = None

    def __call__(self) -> None:
        self.begun += 1
        assert self.go.acquire(timeout=5)
        if self.fault is not None:
            raise self.fault


async def _until_begun(slow: Slow, times: int) -> None:
    async with asyncio.timeout(5):
        while slow.begun < times:  # noqa: ASYNC110 - it is begun in a thread
            await asyncio.sleep(0.001)


async def test_who_comes_during_a_refresh_waits_for_the_next_one() -> None:
    """A refresh that is under way may have looked already: it proves nothing to a later question."""
    slow = Slow()
    together = Together(slow)
    first = asyncio.create_task(together.done())
    await _until_begun(slow, 1)
    later = [asyncio.create_task(together.done()) for _ in range(10)]
    await asyncio.sleep(0)
    slow.go.release()
    await first
    await _until_begun(slow, 2)
    assert not any(task.done() for task in later)
    slow.go.release()
    await asyncio.gather(*later)
    assert slow.begun == 2


async def test_a_failure_is_told_to_those_who_waited_for_it_and_to_nobody_else() -> None:
    """The next question looks again."""
    slow = Slow()
    together = Together(slow)
    slow.fault = RuntimeError("no disk")
    slow.go.release()
    with pytest.raises(RuntimeError, match="no disk"):
        await together.done()
    slow.fault = None
    slow.go.release()
    await together.done()


async def test_a_question_that_is_cancelled_takes_nothing_from_the_others() -> None:
    """One client that leaves must not leave the rest waiting."""
    slow = Slow()
    together = Together(slow)
    leaving, staying = (asyncio.create_task(together.done()) for _ in range(2))
    await _until_begun(slow, 1)
    leaving.cancel()
    slow.go.release()
    await staying
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()


async def test_work_takes_no_more_than_its_share_of_the_time() -> None:
    """After a call that took a while the next one begins only after three times as long."""
    begun_s: list[float] = []
    took_s = 0.02

    def work() -> None:
        begun_s.append(time.monotonic())
        time.sleep(took_s)

    together = Together(work, share=0.25)
    for _ in range(3):
        await together.done()
    assert all(later - earlier >= took_s / 0.25 for earlier, later in pairwise(begun_s))
