"""One day of the demo home, from one nightly restart (04:00 on its wall clock) to the next.

A day depends on seed and date alone: the restart brings every entity to a state that can be computed, as a real
restart does, so any moment can be played again by simulating at most one day. In between nothing is invented: a
heap of what happens next, physics, people with a plan, and the rules of the book.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from ingestor.sources.demo.book import AUTOMATIONS, SCENES, SCRIPTS
from ingestor.sources.demo.bus import Bus, Context, Stamp
from ingestor.sources.demo.catalogue import (
    DEVICES,
    ENTITIES,
    HELPERS,
    INTEGRATIONS,
    LATITUDE,
    LONGITUDE,
    Device,
    friendly_name,
)
from ingestor.sources.demo.chance import dice
from ingestor.sources.demo.documents import updates
from ingestor.sources.demo.people import People
from ingestor.sources.demo.physics import Physics
from ingestor.sources.demo.plan import plan_of
from ingestor.sources.demo.rules import Rules
from ingestor.sources.demo.services import SERVICES, Services
from ingestor.sources.demo.weather import sun_times

ZONE: Final = ZoneInfo("Europe/Amsterdam")
RESTART_H: Final = 4
_S: Final = 1_000_000
_BASE: Final = ("http", "recorder", "history", "logbook", "automation", "script", "scene", "person", "zone", "mqtt")


def day_of(at_us: int) -> date:
    """Return the date of the day that moment belongs to: before the restart it is still the day before."""
    local = datetime.fromtimestamp(at_us / 1e6, ZONE)
    return local.date() - timedelta(days=local.hour < RESTART_H)


def restart_us(day: date) -> int:
    """When the day begins."""
    return int(datetime.combine(day, time(RESTART_H), ZONE).timestamp()) * _S


class Day:
    """The home on one day. ``run`` plays on; what happened waits in ``bus.out``."""

    def __init__(self, *, seed: int, day: date, stamp: Stamp) -> None:
        self.seed, self.day = seed, day
        self.start_us, self.end_us = restart_us(day), restart_us(day + timedelta(days=1))
        self.chance = dice(seed, day.isoformat(), "day")
        self.bus = Bus(stamp=stamp, chance=dice(seed, day.isoformat(), "bus"))
        self.bus.now_us = self.start_us
        self.changed_documents: set[str] = set()
        self.updated = updates(day)
        self.lost: dict[str, tuple[str, dict[str, Any] | None]] = {}
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._minute, self._hour = -1, 0.0
        self._sun = sun_times(day)
        self._sun_next = sun_times(day + timedelta(days=1))
        self.services = Services(self.bus, self, self.named)
        self.plan = plan_of(seed, day)
        self.physics = Physics(self)
        self.people = People(self)
        self.rules = Rules(self.bus, self, self.services.call, AUTOMATIONS, SCRIPTS)
        self.services.rules = self.rules
        self._boot()

    # ---- time

    def run(self, until_us: int, events: int = 1 << 30) -> bool:
        """Live until that home time, the end of the day, or about so many events. Whether the time was reached."""
        bus, heap = self.bus, self._heap
        until_us = min(until_us, self.end_us - 1)
        while heap and heap[0][0] <= until_us:
            if len(bus.out) >= events:
                return False
            bus.now_us, _, act = heapq.heappop(heap)
            act()
            bus.settle()
        return True

    def next_us(self) -> int:
        """Home time of what happens next; the end of the day when nothing does."""
        return min(self._heap[0][0], self.end_us) if self._heap else self.end_us

    def when(self, at_us: int, act: Callable[[], None]) -> None:
        """Act at that time; never when it is past."""
        if at_us >= self.bus.now_us:
            self._count += 1
            heapq.heappush(self._heap, (at_us, self._count, act))

    def later(self, delay_us: int, act: Callable[[], None]) -> None:
        """Act after a while."""
        self.when(self.bus.now_us + delay_us, act)

    def soon(self, delay_s: float, act: Callable[[], None]) -> None:
        """Act after so many seconds."""
        self.when(self.bus.now_us + int(delay_s * 1e6), act)

    def every(self, period_s: float, act: Callable[[], None], *, shake: float = 0.02) -> None:
        """Act again and again, beginning somewhere within the first period, never quite on time."""
        chance = self.chance

        def again() -> None:
            self.soon(period_s * (1 + shake * (chance.random() - 0.5)), again)
            act()

        self.soon(chance.random() * period_s, again)

    def at(self, hour: float) -> int:
        """Home time when the wall clock shows that hour; 25.5 is half past one in the night after."""
        naive = datetime.combine(self.day, time()) + timedelta(hours=hour)
        return int(naive.replace(tzinfo=ZONE).timestamp() * 1e6)

    def local(self) -> datetime:
        """Return the home's wall clock now."""
        return datetime.fromtimestamp(self.bus.now_us / 1e6, ZONE)

    def hour(self) -> float:
        """Hours since midnight before this day; 25.5 is half past one in the night after."""
        minute, rest_us = divmod(self.bus.now_us, 60 * _S)
        if minute != self._minute:
            now = self.local()
            self._minute, self._hour = minute, now.hour + now.minute / 60 + 24 * (now.date() > self.day)
        return self._hour + rest_us / 3.6e9

    def at_clock(self, text: str) -> int | None:
        """When the clock shows ``HH:MM:SS`` on this day; None when that is past."""
        hours, minutes, seconds = (int(part) for part in text.split(":"))
        hour = hours + minutes / 60 + seconds / 3600
        at_us = self.at(hour if hours >= RESTART_H else hour + 24)
        return at_us if at_us >= self.bus.now_us else None

    def sun_at(self, event: str) -> int:
        """When the sun rises or sets on this day."""
        return int(self._sun[event].timestamp() * 1e6)

    def next_sun(self, event: str) -> datetime:
        """Return the next such moment after now."""
        now = datetime.fromtimestamp(self.bus.now_us / 1e6, UTC)
        return self._sun[event] if self._sun[event] > now else self._sun_next[event]

    def dark(self) -> bool:
        """Whether it is after sunset or before sunrise."""
        return not self.sun_at("sunrise") <= self.bus.now_us < self.sun_at("sunset")

    # ---- states

    def named(self, entity_id: str) -> dict[str, Any]:
        """Return the attributes of an entity that never change, its name last."""
        if entity_id in ENTITIES:
            entity, device = ENTITIES[entity_id]
            return {**entity.attributes, "friendly_name": friendly_name(entity, device)}
        name, attributes, _ = HELPERS[entity_id]
        return {**attributes, "friendly_name": name}

    def put(
        self, entity_id: str, state: str, attributes: dict[str, Any] | None = None, context: Context | None = None
    ) -> None:
        """Take what a device reports. While it is lost, the last report waits until it is found again."""
        if entity_id in self.lost:
            self.lost[entity_id] = (state, attributes)
        elif entity_id in self.bus.states:
            self.bus.set(entity_id, state, attributes, context=context)

    def lose(self, devices: list[Device], duration_s: float) -> None:
        """Devices fall silent for a while."""
        gone = []
        for device in devices:
            for entity in device.entities:
                state = self.bus.states.get(entity.entity_id)
                if state is not None and entity.entity_id not in self.lost:
                    self.lost[entity.entity_id] = (state.state, state.attributes)
                    self.bus.set(entity.entity_id, "unavailable", self.named(entity.entity_id))
                    gone.append(entity.entity_id)
        self.soon(duration_s, partial(self._find, gone))

    def _find(self, entities: list[str]) -> None:
        for entity_id in entities:
            state, attributes = self.lost.pop(entity_id)
            self.bus.set(entity_id, state, attributes)

    # ---- the restart

    def _boot(self) -> None:
        begin = self.start_us + 5 * _S
        self.when(begin, partial(self._load, _BASE))
        self.when(begin + 300_000, self._load_services)
        self.when(begin + 700_000, self._load_helpers)
        for number, domain in enumerate(INTEGRATIONS):
            self.when(begin + 1_000_000 + number * 240_000, partial(self._load_integration, domain))
        done = begin + 1_500_000 + len(INTEGRATIONS) * 240_000
        self.when(done, self._started)

    def _load(self, components: tuple[str, ...]) -> None:
        for component in components:
            self.bus.fire("component_loaded", {"component": component})

    def _load_services(self) -> None:
        for domain, services in SERVICES.items():
            for service in services:
                self.bus.fire("service_registered", {"domain": domain, "service": service})

    def _load_helpers(self) -> None:
        bus = self.bus
        zones = (("home", "Home", 0.0, "mdi:home"), ("work", "Work", 0.061, None), ("school", "School", 0.013, None))
        for key, name, far, icon in zones:
            attributes = {
                "latitude": LATITUDE + far,
                "longitude": LONGITUDE + far,
                "radius": 100,
                "passive": False,
                "persons": [],
                "editable": True,
                **({"icon": icon} if icon else {}),
                "friendly_name": name,
            }
            bus.set(f"zone.{key}", "0", attributes)
        for entity_id, (_, _, start) in HELPERS.items():
            bus.set(entity_id, start, self.named(entity_id))
        for entity_id, (key, name, wanted) in SCENES.items():
            bus.set(entity_id, "unknown", {"entity_id": list(wanted), "id": key, "friendly_name": name})
        self.people.appear()
        self.physics.sky()
        self.rules.appear()

    def _load_integration(self, domain: str) -> None:
        self._load((domain,))
        for device in DEVICES:
            if device.integration == domain:
                for entity in device.entities:
                    state, attributes = self.physics.first(entity)
                    self.bus.set(entity.entity_id, state, attributes)

    def _started(self) -> None:
        self.bus.fire("homeassistant_start", {})
        self.bus.fire("homeassistant_started", {})
        self.rules.listen()
        self.physics.begin()
        self.people.begin()
