"""Change states inside Home Assistant as fast as it goes, or at a rate, bounded in number and time.

Run by Home Assistant from its folder of custom components, never imported here. ``POST /api/home_limit_drive`` with
``{"ticks", "every_s", "entities", "first"}`` answers once all has been fired; ``ticks`` lists how many in each. The
states are rising numbers from ``first`` on, so that whoever watches knows exactly which are missing; ``times_us`` says
when each was fired.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

from homeassistant.components.http import HomeAssistantView  # type: ignore[import-not-found]  # there, not here

MOST_EVENTS = 60_000
LONGEST_S = 30.0


class Drive(HomeAssistantView):  # type: ignore[misc]  # as above
    """The only door of this component. Administrators come in, as to any view."""

    url = "/api/home_limit_drive"
    name = "api:home_limit_drive"

    async def post(self, request: Any) -> Any:
        """Fire what is asked for. Between two ticks the loop is free; within one nothing else runs."""
        asked = await request.json()
        ticks, every_s = [int(count) for count in asked["ticks"]], float(asked["every_s"])
        if sum(ticks) > MOST_EVENTS or len(ticks) * every_s > LONGEST_S:
            return self.json_message("too much", HTTPStatus.BAD_REQUEST)
        entities, number = int(asked["entities"]), int(asked["first"])
        ids = [f"sensor.driven_{n}" for n in range(entities)]
        attributes = [_attributes(n) for n in range(entities)]
        states = request.app["hass"].states
        times_us: list[int] = []
        began_s = time.perf_counter()
        for tick, count in enumerate(ticks, 1):
            for _ in range(count):
                times_us.append(time.time_ns() // 1000)
                states.async_set(ids[number % entities], str(number), attributes[number % entities])
                number += 1
            ahead_s = began_s + tick * every_s - time.perf_counter()
            await asyncio.sleep(max(0.0, ahead_s))
        return self.json({"seconds": time.perf_counter() - began_s, "times_us": times_us})


def _attributes(number: int) -> dict[str, Any]:
    return {
        "state_class": "measurement",
        "unit_of_measurement": "W",
        "device_class": "power",
        "friendly_name": f"Driven {number}",
    }


async def async_setup(hass: Any, config: Any) -> bool:  # noqa: ARG001 - Home Assistant calls it so
    """Open the door."""
    hass.http.register_view(Drive())
    return True
