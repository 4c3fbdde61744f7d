"""Give Home Assistant's recorder the frames of a file, as fast as it commits them.

Run by Home Assistant from its folder of custom components, never imported here. ``POST /api/recorder_feed`` with
``{"path", "frames"}`` sets the states and fires the other events under ``recorded_...``, so that nobody acts on them;
it holds back while 500 wait, and answers once all is committed. Processor time is that of the whole process.
"""

from __future__ import annotations

import asyncio
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

from homeassistant.components.http import HomeAssistantView  # type: ignore[import-not-found]  # there, not here
from homeassistant.components.recorder import get_instance  # type: ignore[import-not-found]  # same

MOST_WAITING = 500
LONGEST_S = 120.0
PAUSE_EVERY = 50


class Feed(HomeAssistantView):  # type: ignore[misc]  # as above
    """The only door of this component. Administrators come in, as to any view."""

    url = "/api/recorder_feed"
    name = "api:recorder_feed"

    async def post(self, request: Any) -> Any:
        """Feed what is asked for, wait for the commit, and tell what it took."""
        asked, home = await request.json(), request.app["hass"]
        recorder = get_instance(home)
        lines = await asyncio.to_thread(_read, Path(asked["path"]), int(asked["frames"]))
        await recorder.async_block_till_done()
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        fed = 0
        for line in lines:
            _play(home, json.loads(line)["event"])
            fed += 1
            if fed % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
                await _room(recorder)
                if time.perf_counter() - began_s > LONGEST_S:
                    break
        await recorder.async_block_till_done()
        took = {"wall_s": time.perf_counter() - began_s, "cpu_s": time.process_time() - began_cpu_s}
        return self.json({"read": fed, **took})


async def _room(recorder: Any) -> None:
    waits = recorder.backlog > MOST_WAITING
    while waits:
        await asyncio.sleep(0.001)
        waits = recorder.backlog > MOST_WAITING


def _read(path: Path, frames: int) -> list[bytes]:
    with path.open("rb") as file:
        return list(islice(file, frames))


def _play(home: Any, event: dict[str, Any]) -> None:
    data = event["data"]
    if event["event_type"] != "state_changed":
        home.bus.async_fire(f"recorded_{event['event_type']}"[:64], data)
    elif data["new_state"] is None:
        home.states.async_remove(data["entity_id"])
    else:
        new = data["new_state"]
        home.states.async_set(data["entity_id"], new["state"], new["attributes"], force_update=True)


async def async_setup(hass: Any, config: Any) -> bool:  # noqa: ARG001 - Home Assistant calls it so
    """Open the door."""
    hass.http.register_view(Feed())
    return True
