"""Do once what many wait for: blocking work that serves all who asked before it began.

The work costs as much for one as for a hundred, so whoever comes while it is under way waits for the next turn,
together with all others who came meanwhile. A group commit works so, and a look at what is new: one under way may be
too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Together:
    """Calls ``work`` in a thread, one call at a time, for as long as somebody waits. For one event loop.

    ``share``: how much of the time it may be at work. With a quarter, who comes right after a call of 2 ms waits 6 ms,
    together with all who come meanwhile; after one that took nothing, nobody waits.
    """

    def __init__(self, work: Callable[[], object], *, share: float = 1.0) -> None:
        self._work, self._share = work, share
        self._not_before_s = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def done(self) -> None:
        """Return when work that began after this call is over. Raises what it raised. Safe to cancel."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(done)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        await done

    async def _run(self) -> None:
        now_s = asyncio.get_running_loop().time
        while self._waiting:
            await asyncio.sleep(max(0.0, self._not_before_s - now_s()))
            began_s = now_s()
            waiting, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._work)
            except Exception as error:  # noqa: BLE001 - it is theirs who asked
                for done in waiting:
                    if not done.done():
                        done.set_exception(error)
            else:
                for done in waiting:
                    if not done.done():
                        done.set_result(None)
            self._not_before_s = began_s + (now_s() - began_s) / self._share
