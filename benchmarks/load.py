"""A Home Assistant that only fires: pre-generated ``state_changed`` events at a chosen rate, in a process of its own.

    python -m benchmarks.load --entities 3000

It prints one line with its port and token, then obeys one JSON line after another from its standard input,
``{"rate": events a second or null for as fast as it is read, "seconds": n, "most": events}``, and answers each with
what it sent. Handshake, commands, coalescing and subscriptions are those of the fake Home Assistant of the tests;
events pass its queue by, so a slow reader is held back and not thrown out. Ends with its standard input.

The texts are made beforehand, with holes of fixed width for what changes: times, context ids (ULIDs) and states. Each
event's times are the moment its frame was written, so ``time_fired`` is when it arrived. Nine of ten events repeat
attributes that were seen before, as in the recorded homes; one entity, ``sensor.probe``, comes at even steps of time.
"""

# ruff: noqa: S311 - chance here draws a load, it guards nothing
from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tests.support.fake_home import FakeHome, recorded_answers

PROBE: Final = "sensor.probe"
PROBE_EVERY_S: Final = 0.05
TICK_S: Final = 0.01
TICK_EVENTS: Final = 500
AREAS: Final = 12
FRESH: Final = 0.1
CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MESSAGE: Final = b'{"type":"event","event":'

#: Domain, how many of a hundred entities, its device class and unit, and its states.
MIX: Final[tuple[tuple[str, int, str | None, str | None, tuple[str, ...]], ...]] = (
    ("sensor", 12, "temperature", "°C", tuple(f"{n / 10:.1f}" for n in range(150, 290))),
    ("sensor", 6, "humidity", "%", tuple(str(n) for n in range(30, 80))),
    ("sensor", 4, "illuminance", "lx", tuple(str(n * 7) for n in range(140))),
    ("sensor", 40, "power", "W", tuple(f"{n * 3.7:.1f}" for n in range(500))),
    ("binary_sensor", 12, "motion", None, ("on", "off")),
    ("light", 14, None, None, ("on", "off")),
    ("switch", 8, "outlet", None, ("on", "off")),
    ("climate", 4, None, None, ("heat", "off", "auto")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity: its texts with holes, and the states it takes."""

    entity_id: str
    texts: tuple[bytes, ...]
    fresh: bytes
    states: tuple[bytes, ...]


class Load:
    """Writes frames of events. The same seed gives the same sequence of entities, attributes and states."""

    def __init__(self, *, entities: int, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._entities = [_entity(number, domain, of) for number, (domain, of) in enumerate(_kinds(entities))]
        self._probe = _entity(entities, "sensor", (PROBE, "power", "W", tuple(str(n) for n in range(1000))))
        self._order = self._chance.choices(range(len(self._entities)), k=65_536)
        self._draws = [(self._chance.random() < FRESH, self._chance.randrange(1 << 16)) for _ in range(40_009)]
        started = _iso(time.time_ns() // 1000)
        self._last: dict[str, tuple[bytes, bytes, bytes]] = {
            each.entity_id: (started, b"01" + b"0" * 24, each.states[0]) for each in [*self._entities, self._probe]
        }
        self._random = "".join(self._chance.choices(CROCKFORD, k=6)).encode()
        self._fired = 0
        self._time_us = 0

    def frame(self, count: int, subscription: int, now_us: int, *, probe: bool) -> bytes:
        """Write one coalesced frame of ``count`` events of this moment, each a microsecond after the one before."""
        end = b',"id":%d}' % subscription
        self._time_us = max(self._time_us + 1, now_us)
        stamp = _ulid_time(self._time_us // 1000) + self._random
        messages = [self._event(self._probe, stamp) + end] if probe else []
        while len(messages) < count:
            entity = self._entities[self._order[self._fired % len(self._order)]]
            messages.append(self._event(entity, stamp) + end)
        return b"[" + b",".join(messages) + b"]"

    def states(self) -> list[dict[str, Any]]:
        """Give the last state of every entity, as ``get_states`` lists it."""
        listed = []
        for entity in [*self._entities, self._probe]:
            moment, context, state = self._last[entity.entity_id]
            event = json.loads(
                _filled(entity.texts[0], state, (moment, context, state), moment, context)[len(MESSAGE) :]
            )
            listed.append(event["data"]["new_state"])
        return listed

    def registries(self) -> dict[str, Any]:
        """Answer what Home Assistant's registries say of these entities: every one on a device, in an area."""
        devices, entities = [], []
        for number, entity in enumerate(self._entities):
            device = f"{number // 4:032x}"
            if number % 4 == 0:
                devices.append(_device(device, f"area_{number // 4 % AREAS}"))
            entities.append(_entry(number, entity.entity_id, device))
        areas = [{"area_id": f"area_{n}", "name": f"Area {n}", "floor_id": f"floor_{n % 3}"} for n in range(AREAS)]
        floors = [{"floor_id": f"floor_{n}", "name": f"Floor {n}", "level": n} for n in range(3)]
        return {
            "config/entity_registry/list": entities,
            "config/device_registry/list": devices,
            "config/area_registry/list": [{"aliases": [], "icon": None, "labels": [], **area} for area in areas],
            "config/floor_registry/list": [{"aliases": [], "icon": None, **floor} for floor in floors],
        }

    def _event(self, entity: Entity, stamp: bytes) -> bytes:
        is_fresh, draw = self._draws[self._fired % len(self._draws)]
        self._fired += 1
        self._time_us += 1
        moment = _iso(self._time_us)
        context = stamp + b"%010d" % self._fired
        before = self._last[entity.entity_id]
        state = entity.states[draw % len(entity.states)]
        self._last[entity.entity_id] = (moment, context, state)
        if is_fresh:
            text = entity.fresh.replace(b"<fresh>", b"%d" % self._fired)
        else:
            text = entity.texts[draw % len(entity.texts)]
        return _filled(text, state, before, moment, context)


def _filled(text: bytes, state: bytes, before: tuple[bytes, bytes, bytes], moment: bytes, context: bytes) -> bytes:
    was_at, was_of, was = before
    return text % (was, was_at, was_at, was_at, was_of, state, moment, moment, moment, context, moment, context)


def _kinds(entities: int) -> list[tuple[str, tuple[str, str | None, str | None, tuple[str, ...]]]]:
    """Give each entity its domain and nature, mixed so that every stretch of them has all kinds."""
    cards = [kind for kind in MIX for _ in range(kind[1])]
    random.Random(0).shuffle(cards)
    found = []
    for number in range(entities):
        domain, _, device_class, unit, states = cards[number % len(cards)]
        name = f"{domain}.{(device_class or domain)}_{number:04d}"
        found.append((domain, (name, device_class, unit, states)))
    return found


def _entity(number: int, domain: str, of: tuple[str, str | None, str | None, tuple[str, ...]]) -> Entity:
    entity_id, device_class, unit, states = of
    variants = [_attributes(number, domain, device_class, unit, variant) for variant in range(3)]
    fresh = {**variants[0], "last_seen": "<fresh>"}
    return Entity(
        entity_id=entity_id,
        texts=tuple(_text(entity_id, attributes) for attributes in variants),
        fresh=_text(entity_id, fresh),
        states=tuple(state.encode() for state in states),
    )


def _attributes(number: int, domain: str, device_class: str | None, unit: str | None, variant: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {"friendly_name": f"{(device_class or domain).title()} of device {number // 4}"}
    if domain == "sensor":
        attributes |= {"state_class": "measurement", "unit_of_measurement": unit}
    if device_class:
        attributes["device_class"] = device_class
    if domain in {"sensor", "binary_sensor", "switch"}:
        attributes |= {"linkquality": 60 + 40 * variant, "battery": 100 - variant}
    if domain == "light":
        attributes |= {
            "min_color_temp_kelvin": 2000,
            "max_color_temp_kelvin": 6535,
            "supported_color_modes": ["color_temp", "xy"],
            "color_mode": "color_temp",
            "brightness": 80 + 60 * variant,
            "color_temp_kelvin": 2700,
            "hs_color": [28.395, 65.723],
            "rgb_color": [255, 167, 87],
            "xy_color": [0.524, 0.387],
            "supported_features": 44,
        }
    if domain == "climate":
        attributes |= {
            "hvac_modes": ["off", "heat", "auto"],
            "min_temp": 5,
            "max_temp": 30,
            "target_temp_step": 0.5,
            "current_temperature": 19.5 + variant / 2,
            "temperature": 20,
            "hvac_action": "heating",
            "preset_mode": "none",
            "supported_features": 401,
        }
    return attributes


def _text(entity_id: str, attributes: dict[str, Any]) -> bytes:
    """Write the event as Home Assistant does, with ``%s`` where something changes."""
    hole = "<%s>"

    def state() -> dict[str, Any]:
        times = dict.fromkeys(("last_changed", "last_reported", "last_updated"), hole)
        context = {"id": hole, "parent_id": None, "user_id": None}
        return {"entity_id": entity_id, "state": hole, "attributes": attributes, **times, "context": context}

    event = {
        "event_type": "state_changed",
        "data": {"entity_id": entity_id, "old_state": state(), "new_state": state()},
        "origin": "LOCAL",
        "time_fired": hole,
        "context": {"id": hole, "parent_id": None, "user_id": None},
    }
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    return MESSAGE + text.replace(b"%", b"%%").replace(b"<%%s>", b"%s")


def _device(device_id: str, area_id: str) -> dict[str, Any]:
    return {
        "id": device_id,
        "area_id": area_id,
        "name": f"Device {device_id[-4:]}",
        "name_by_user": None,
        "config_entries": ["01M83S6SAD88BG019E8A7E65J4"],
        "connections": [],
        "identifiers": [["mqtt", device_id]],
        "labels": [],
        "manufacturer": "Bench",
        "model": "One",
        "disabled_by": None,
        "entry_type": None,
        "via_device_id": None,
    }


def _entry(number: int, entity_id: str, device_id: str) -> dict[str, Any]:
    return {
        "entity_id": entity_id,
        "id": f"{number + (1 << 64):032x}",
        "unique_id": f"bench_{number}",
        "platform": "mqtt",
        "device_id": device_id,
        "area_id": None,
        "config_entry_id": "01M83S6SAD88BG019E8A7E65J4",
        "name": None,
        "original_name": entity_id,
        "labels": [],
        "disabled_by": None,
        "hidden_by": None,
        "entity_category": None,
    }


_second: tuple[int, bytes] = (-1, b"")


def _iso(us: int) -> bytes:
    global _second  # noqa: PLW0603 - one second's text serves ten thousand events
    second, rest = divmod(us, 1_000_000)
    if second != _second[0]:
        _second = (second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.").encode())
    return _second[1] + b"%06d+00:00" % rest


def _ulid_time(ms: int) -> bytes:
    return "".join(CROCKFORD[ms >> shift & 31] for shift in range(45, -1, -5)).encode()


async def fire(home: FakeHome, load: Load, *, rate: float | None, seconds: float, most: int) -> dict[str, Any]:
    """Send for so long, or so many. ``late_ms`` is by how much the worst frame missed its time."""
    client = home.clients[-1]
    subscription = next(iter(client.subscriptions))
    began, cpu = time.monotonic(), time.process_time()
    sent = probes = size = 0
    late_s = 0.0
    first_us = time.time_ns() // 1000
    while (elapsed := time.monotonic() - began) < seconds and sent < most:
        due = TICK_EVENTS if rate is None else int(rate * elapsed) - sent
        if due > 0:
            probe = elapsed >= probes * PROBE_EVERY_S
            probes += probe
            frame = load.frame(min(due, most - sent, TICK_EVENTS), subscription, time.time_ns() // 1000, probe=probe)
            await home.send_frames([frame])
            sent += min(due, most - sent, TICK_EVENTS)
            size += len(frame)
            late_s = max(late_s, (due / rate - TICK_S) if rate else 0.0)
        if rate is not None:
            await asyncio.sleep(max(0.0, (sent / rate + TICK_S) - (time.monotonic() - began)))
        else:
            await asyncio.sleep(0)
    return {
        "sent": sent,
        "probes": probes,
        "bytes": size,
        "seconds": round(time.monotonic() - began, 3),
        "first_us": first_us,
        "last_us": load._time_us,  # noqa: SLF001 - one module
        "late_ms": round(late_s * 1000, 1),
        "cpu_s": round(time.process_time() - cpu, 3),
        "connections": len(home.logins),
    }


async def serve(entities: int) -> None:
    """Be a home until standard input ends."""
    load = Load(entities=entities)
    answers = {
        **recorded_answers("2025.4.4"),
        **load.registries(),
        "get_states": lambda _: load.states(),
    }
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with FakeHome(answers=answers) as home:
        _say({"url": home.url, "token": home.token})
        while line := await reader.readline():
            wanted = json.loads(line)
            _say(await fire(home, load, rate=wanted["rate"], seconds=wanted["seconds"], most=wanted["most"]))


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 - its way to talk


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=3_000)
    asyncio.run(serve(parser.parse_args().entities))


if __name__ == "__main__":
    main()
