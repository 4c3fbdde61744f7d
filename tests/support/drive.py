"""Drive a home through its own API as a household and its administrator would, and keep an independent witness.

The witness is a second, plain connection with one ``subscribe_events`` for everything: what it noted is what the
product must have. Commands are awaited one by one, so that no subscriber ever has thousands of events pending.
In the middle Home Assistant restarts itself; each half ends only after the product has shown that it is connected.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from tests.support.home_assistant import HomeAssistant

LIGHTS = ("light.bed_light", "light.ceiling_lights", "light.kitchen_lights", "light.office_rgbw_lights")
LOOPS = {
    "input_boolean.ping": "counter.pair",
    "input_boolean.ring_one": "counter.ring",
    "input_boolean.mirror": "counter.mirror",
    "input_boolean.scripted": "counter.scripted",
    "input_boolean.templated": "counter.templated",
}


@dataclass(slots=True, kw_only=True)
class Witness:
    """Every event seen on a connection of its own, as received, and the two marks between which all counts."""

    events: list[dict[str, Any]] = field(default_factory=list)
    began: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    restarted_at_us: int = 0
    running_again_at_us: int = 0
    seconds: float = 0.0

    def types(self) -> Counter[str]:
        """Count the events by type."""
        return Counter(event["event_type"] for event in self.events)

    def of(self, *event_types: str) -> list[dict[str, Any]]:
        """Return the events of these types, in arrival order."""
        return [event for event in self.events if event["event_type"] in event_types]


class Connection:
    """One WebSocket to the home. ``command`` waits for its result; events go to ``on_event``."""

    def __init__(
        self, home: HomeAssistant, http: aiohttp.ClientSession, on_event: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._home, self._http, self._on_event = home, http, on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.closed = asyncio.Event()

    async def open(self) -> Self:
        """Connect and authenticate; with ``on_event``, subscribe to everything."""
        self._socket = await self._http.ws_connect(f"{self._home.url}/api/websocket", max_msg_size=0)
        await self._socket.receive_json()
        await self._socket.send_json({"type": "auth", "access_token": self._home.token})
        answer = await self._socket.receive_json()
        if answer["type"] != "auth_ok":
            raise ConnectionError(f"the home refused the token: {answer}")
        self._reader = asyncio.create_task(self._read())
        if self._on_event:
            await self.command("subscribe_events")
        return self

    async def command(self, kind: str, **fields: Any) -> Any:
        """Send one command and return its result. Raises ``ValueError`` on an error answer."""
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "type": kind, **fields})
        answer = await asyncio.wait_for(self._waiting[number], 30)
        if not answer["success"]:
            raise ValueError(f"{kind} {fields}: {answer['error']}")
        return answer["result"]

    async def close(self) -> None:
        """Close and wait for the reader."""
        await self._socket.close()
        await self._reader

    async def _read(self) -> None:
        async for message in self._socket:
            content = message.json()
            if content["type"] == "event":
                if self._on_event:
                    self._on_event(content["event"])
            elif content["type"] == "result":
                waiting = self._waiting.pop(content["id"])
                if not waiting.done():
                    waiting.set_result(content)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the home closed the connection"))
        self.closed.set()


class Drive:
    """``captured`` tells whether the product has the event with this context id; it runs in a thread."""

    def __init__(self, home: HomeAssistant, *, captured: Callable[[str], bool]) -> None:
        self._home, self._captured = home, captured
        self.witness = Witness()

    async def run(self, *, least_events: int = 3_000) -> Witness:
        """Drive until the witness saw ``least_events``, with the restart in the middle."""
        began = time.monotonic()
        async with aiohttp.ClientSession() as http:
            self._http = http
            await self._connect()
            self.witness.began = await self._mark("drive_began")
            await self._half(least_events // 2)
            await self._restart()
            await self._mark("drive_resumed")
            await self._half(least_events)
            self.witness.ended = await self._mark("drive_ended")
            await self._actor.close()
            await self._watcher.close()
        self.witness.seconds = time.monotonic() - began
        return self.witness

    @property
    def _has_floors(self) -> bool:
        """Areas lie on floors, and areas and entities carry labels, from 2024.4 on."""
        return self._home.installation.release >= "2024.4"

    async def _connect(self) -> None:
        self._watcher = await Connection(self._home, self._http, self.witness.events.append).open()
        self._actor = await Connection(self._home, self._http).open()

    async def _mark(self, event_type: str, timeout_s: float = 90.0) -> dict[str, Any]:
        """Fire an event again and again until the product has one of them; return that one."""
        ends = time.monotonic() + timeout_s
        fired: list[str] = []
        while time.monotonic() < ends:
            answer = await self._actor.command("fire_event", event_type=event_type, event_data={"try": len(fired)})
            fired.append(answer["context"]["id"])
            for _ in range(5):
                await asyncio.sleep(0.2)
                if await asyncio.to_thread(self._captured, fired[-1]):
                    return next(e for e in self.witness.of(event_type) if e["context"]["id"] == fired[-1])
        raise TimeoutError(f"{event_type}: fired {len(fired)} times in {timeout_s:g} s, the product has none of them")

    async def _restart(self) -> None:
        self.witness.restarted_at_us = time.time_ns() // 1000
        with suppress(ConnectionError, ValueError, TimeoutError):
            await self._call("homeassistant", "restart")
        await asyncio.wait_for(self._watcher.closed.wait(), 60)
        await self._actor.close()
        await self._watcher.close()
        for _ in range(600):
            with suppress(aiohttp.ClientError, ConnectionError):
                await self._connect()
                break
            await asyncio.sleep(0.1)
        await asyncio.to_thread(self._home.wait_running)
        self.witness.running_again_at_us = time.time_ns() // 1000

    async def _half(self, least_events: int) -> None:
        await self._administrate()
        for number in itertools.count():
            await self._household(number)
            await self._loops()
            if len(self.witness.events) >= least_events:
                break
        await self._quiet()

    async def _quiet(self, for_s: float = 0.4, timeout_s: float = 20.0) -> None:
        ends = time.monotonic() + timeout_s
        seen = -1
        while seen != len(self.witness.events) and time.monotonic() < ends:
            seen = len(self.witness.events)
            await asyncio.sleep(for_s)

    async def _call(self, domain: str, service: str, target: str | None = None, **data: Any) -> None:
        fields: dict[str, Any] = {"domain": domain, "service": service, "service_data": data}
        if target:
            fields["target"] = {"entity_id": target}
        await self._actor.command("call_service", **fields)

    async def _loops(self) -> None:
        for counter in (*LOOPS.values(), "counter.evented"):
            await self._call("counter", "reset", counter)
        for start in LOOPS:
            await self._call("input_boolean", "toggle", start)
        await self._actor.command("fire_event", event_type="loop_there", event_data={})
        await self._call("input_number", "set_value", "input_number.level", value=1)
        await self._quiet(0.25)
        await self._call("input_number", "set_value", "input_number.level", value=500)
        await self._call("input_number", "set_value", "input_number.echo", value=500)

    async def _household(self, number: int) -> None:
        for light, step in zip(LIGHTS, itertools.count(), strict=False):
            await self._call("light", "turn_on", light, brightness=20 + (number * 37 + step * 11) % 230)
        await self._call("light", "turn_on", "light.office_rgbw_lights", rgb_color=[255, number % 256, 40])
        await self._call("light", "toggle", "light.bed_light")
        await self._call("input_boolean", "turn_on", "input_boolean.motion")
        await self._call("input_boolean", "turn_off", "input_boolean.motion")
        await self._call("input_text", "set_value", "input_text.note", value=f"Grüße, 家, {number} 🏠")
        await self._call("input_select", "select_next", "input_select.mode")
        await self._call("input_datetime", "set_datetime", "input_datetime.alarm", datetime="2026-03-29 02:30:00")
        await self._call("input_button", "press", "input_button.doorbell")
        await self._call("script", "evening")
        await self._call("climate", "set_temperature", "climate.heatpump", temperature=18 + number % 5)
        await self._call("cover", "set_cover_position", "cover.hall_window", position=number % 100)
        await self._call("timer", "start", "timer.tea")
        await self._call("timer", "cancel", "timer.tea")
        await self._call("persistent_notification", "create", message="Tea is ready", notification_id="tea")
        await self._call("persistent_notification", "dismiss", notification_id="tea")
        await self._actor.command(
            "fire_event", event_type="drive custom é", event_data={"number": number, "nested": {"list": [1, None, 2.5]}}
        )
        await self._rest("POST", "/api/events/rest_custom", {"number": number})
        state = {"state": str(20 + number / 4), "attributes": {"unit_of_measurement": "°C", "n": number}}
        await self._rest("POST", "/api/states/sensor.set_by_rest", state)
        await self._rest("POST", "/api/states/sensor.set_by_rest", state | {"force_update": True})
        await self._rest("DELETE", "/api/states/sensor.set_by_rest")

    async def _administrate(self) -> None:
        command = self._actor.command
        floor = await command("config/floor_registry/create", name="Attic", level=2)
        label = await command("config/label_registry/create", name="Watched", icon="mdi:eye")
        on_floor = {"floor_id": floor["floor_id"]} if self._has_floors else {}
        labelled = {"labels": [label["label_id"]]} if self._has_floors else {"name": "Library"}
        area = await command("config/area_registry/create", name="Study", **on_floor)
        await command("config/area_registry/update", area_id=area["area_id"], **labelled)
        devices = await command("config/device_registry/list")
        entry = next(e for e in await command("config_entries/get") if e["domain"] == "demo")
        demo = [device for device in devices if entry["entry_id"] in device["config_entries"]][:3]
        for device in demo:
            await command("config/device_registry/update", device_id=device["id"], area_id=area["area_id"])
        await command("config/device_registry/update", device_id=demo[0]["id"], name_by_user="The good one")
        await self._entities(label["label_id"], area["area_id"])
        await self._users()
        for domain in ("automation", "script", "scene", "template"):
            await self._call(domain, "reload")
        await self._reload(entry["entry_id"])
        await self._automation()
        for device in demo:
            await command("config/device_registry/update", device_id=device["id"], area_id=None)
        await command("config/device_registry/update", device_id=demo[0]["id"], name_by_user=None)
        await command("config/label_registry/update", label_id=label["label_id"], name="Seen")
        await command("config/label_registry/delete", label_id=label["label_id"])
        await command("config/area_registry/delete", area_id=area["area_id"])
        await command("config/floor_registry/update", floor_id=floor["floor_id"], name="Roof")
        await command("config/floor_registry/delete", floor_id=floor["floor_id"])

    async def _reload(self, entry_id: str) -> None:
        await self._rest("POST", f"/api/config/config_entries/entry/{entry_id}/reload")
        await self._quiet()
        entries = await self._actor.command("config_entries/get")
        state = next(entry["state"] for entry in entries if entry["entry_id"] == entry_id)
        if state != "loaded":
            raise ValueError(f"the demo integration is {state} after its reload")

    async def _entities(self, label_id: str, area_id: str) -> None:
        update, light = "config/entity_registry/update", "light.bed_light"
        labels: dict[str, Any] = {"labels": [label_id]} if self._has_floors else {}
        await self._actor.command(update, entity_id=light, area_id=area_id, name="Bed, renamed", **labels)
        await self._actor.command(update, entity_id=light, area_id=None, name=None, **{name: [] for name in labels})
        await self._actor.command(update, entity_id="switch.ac", new_entity_id="switch.cooling")
        await self._actor.command(update, entity_id="switch.cooling", new_entity_id="switch.ac")
        helper = await self._actor.command("input_boolean/create", name="Made by hand")
        await self._quiet(0.2)
        await self._actor.command("input_boolean/update", input_boolean_id=helper["id"], name="Made by hand, renamed")
        await self._actor.command("config/entity_registry/remove", entity_id=f"input_boolean.{helper['id']}")
        await self._actor.command("input_boolean/delete", input_boolean_id=helper["id"])

    async def _users(self) -> None:
        made = await self._actor.command("config/auth/create", name="Visitor", group_ids=["system-users"])
        await self._actor.command("config/auth/update", user_id=made["user"]["id"], name="Visitor, renamed")
        await self._actor.command("config/auth/delete", user_id=made["user"]["id"])

    async def _automation(self) -> None:
        """Write an automation as the editor would, run it, and delete it again: its entity leaves the home."""
        path = "/api/config/automation/config/written_by_hand"
        action = {"service": "input_boolean.toggle", "target": {"entity_id": "input_boolean.guests"}}
        trigger = {"platform": "event", "event_type": "by_hand"}
        await self._rest("POST", path, {"alias": "Written by hand", "trigger": [trigger], "action": [action]})
        await self._quiet(0.2)
        await self._actor.command("fire_event", event_type="by_hand", event_data={})
        await self._quiet(0.2)
        await self._rest("DELETE", path)

    async def _rest(self, method: str, path: str, body: Any = None) -> None:
        headers = {"Authorization": f"Bearer {self._home.token}"}
        async with self._http.request(method, f"{self._home.url}{path}", json=body, headers=headers) as answer:
            if answer.status >= 400:
                raise ValueError(f"{method} {path}: {answer.status} {await answer.text()}")
