"""See what is new once for all who ask at the same time: a question's answer must not be older than the question.

Looking costs as much for one as for a hundred, so whoever comes while a look is under way waits for the next one,
together with all others who came meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Refresher:
    """Calls ``refresh`` in a thread, one call at a time, for as long as somebody waits. For one event loop."""

    def __init__(self, refresh: Callable[[], object]) -> None:
        self._refresh = refresh
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def refreshed(self) -> None:
        """Return when a refresh that began after this call is over. Raises what it raised. Safe to cancel."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(done)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        await done

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._refresh)
            except Exception as error:  # noqa: BLE001 - it is theirs who asked
                for done in waiting:
                    if not done.done():
                        done.set_exception(error)
            else:
                for done in waiting:
                    if not done.done():
                        done.set_result(None)
