"""The people: they carry out the day's plan, and the home notices by doors, motion, phones and services called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ingestor.sources.demo.bus import Context
from ingestor.sources.demo.catalogue import DEVICES, FLOOR_OF, LATITUDE, LONGITUDE, PEOPLE, Person, hex_id
from ingestor.sources.demo.plan import AWAY, Stay

if TYPE_CHECKING:
    from ingestor.sources.demo.day import Day

_ZONES: Final = {"work": ("Work", 0.061), "school": ("School", 0.013), "home": ("home", 0.0), "not_home": ("", 0.03)}
_LAMPS: Final = {
    "living_room": ("light.living_room_ceiling", "light.living_room_lamp"),
    "bedroom": ("light.bedroom_ceiling", "light.bedside"),
    "kids_room": ("light.kids_room",),
    "study": ("light.study",),
    "guest_room": ("light.guest_room",),
}
_MOTION: Final = frozenset({"living_room", "kitchen", "hallway", "landing", "bathroom", "bedroom", "kids_room"})
_PRESS_AGAIN_US: Final = 310_000_000
_KEEPS_LIGHT_ON: Final = 0.15
_DIM_LX: Final = 60.0


class People:
    """Who is where, and what they do next."""

    def __init__(self, day: Day) -> None:
        self._day, self._bus, self._chance = day, day.bus, day.chance
        self.where = {person.key: person.bedroom for person in PEOPLE}
        self.asleep = {person.key: True for person in PEOPLE}
        self._zone = {person.key: "home" for person in PEOPLE}
        self._seen: dict[str, int] = {}
        self._walk = {person.key: 0 for person in PEOPLE}
        self._pressed_us = 0

    def awake_in(self, area: str) -> int:
        """How many people are up and about there."""
        return sum(place == area and not self.asleep[key] for key, place in self.where.items())

    def at_home(self) -> int:
        """How many are at home, awake or not."""
        return sum(place not in AWAY for place in self.where.values())

    # ---- the day

    def appear(self) -> None:
        """Show the persons and the zone's count, as after a restart: everyone is in bed."""
        for person in PEOPLE:
            self._show_person(person, None)
        self._count(None)

    def begin(self) -> None:
        """Put the plan on the clock."""
        day, plan = self._day, self._day.plan
        for person in PEOPLE:
            stays = sorted(plan.stays[person.key], key=lambda stay: stay.hour)[1:]
            for stay, after in zip(stays, [*stays[1:], None], strict=True):
                day.when(day.at(stay.hour), partial(self._go, person, stay, after.hour if after else 28.0))
        anna, ben = PEOPLE[0], PEOPLE[1]
        for start, end in plan.television:
            day.when(day.at(start), partial(self._television, ben, on=True))
            day.when(day.at(end), partial(self._television, ben, on=False))
        for start, _ in plan.cooking:
            day.when(day.at(start), partial(self._cook, anna))
        for start, end in plan.airing:
            day.when(day.at(start), partial(self._contact, "binary_sensor.bedroom_window", (end - start) * 3600))
            day.when(day.at(start - 0.01), partial(self._call, anna, "cover", "open_cover", "cover.bedroom_blind"))
        for start, end in plan.garden:
            day.when(day.at(start), partial(self._contact, "binary_sensor.back_door", 9.0))
            day.when(day.at(start + 0.02), partial(self._contact, "binary_sensor.garden_gate", (end - start) * 3000))
            day.when(day.at(end), partial(self._contact, "binary_sensor.back_door", 7.0))
        day.when(day.at(plan.bedtime), partial(self._scan_tag, ben))
        day.services.told = self._told

    def _go(self, person: Person, stay: Stay, until_h: float) -> None:
        key = person.key
        came_from, self.where[key] = self.where[key], stay.place
        self.asleep[key] = stay.asleep
        self._walk[key] += 1
        day = self._day
        if stay.asleep:
            day.soon(600, partial(self._lights_out, person, stay.place))
            return
        if came_from in AWAY:
            if stay.place not in AWAY:
                self._arrive(person)
        elif stay.place in AWAY:
            self._leave(person, stay.place, until_h)
        elif came_from != stay.place:
            self._cross(came_from, stay.place)
        if came_from != stay.place and came_from not in AWAY:
            day.soon(6, partial(self._leave_dark, person, came_from))
        if stay.place in AWAY:
            return
        day.soon(9, partial(self._stir, person, self._walk[key]))
        if came_from != stay.place:
            day.soon(12, partial(self._make_light, person, stay.place))

    # ---- moving

    def _cross(self, start: str, end: str) -> None:
        floors = (FLOOR_OF[start], FLOOR_OF[end])
        if floors[0] == floors[1]:
            return
        self._motion("hallway" if "ground_floor" in floors else "landing")
        self._day.soon(7, partial(self._motion, "landing"))
        if "ground_floor" in floors and self._day.physics.lux("hallway") < _DIM_LX and self._chance.random() < 0.4:  # noqa: PLR2004 - a habit
            self._press()

    def _press(self) -> None:
        """Press the remote at the stairs; whoever pressed it comes back to press it again."""
        if self._bus.now_us - self._pressed_us < _PRESS_AGAIN_US:
            return
        self._pressed_us = self._bus.now_us
        self._bus.fire(
            "zha_event",
            {
                "device_ieee": "00:12:4b:00:2a:11:c4:07",
                "device_id": hex_id("device/stairs_remote"),
                "unique_id": "00:12:4b:00:2a:11:c4:07:1:0x0006",
                "endpoint_id": 1,
                "cluster_id": 6,
                "command": "toggle",
                "args": [],
                "params": {},
            },
        )
        if self._bus.value("light.stairs_lower") == "off":
            self._day.soon(self._chance.uniform(320, 420), self._press)

    def _door(self, person: Person) -> None:
        day = self._day
        self._motion("hallway")
        self._call(person, "lock", "unlock", "lock.front_door")
        day.soon(4, partial(self._contact, "binary_sensor.front_door", self._chance.uniform(5, 14)))
        day.soon(24, partial(self._call, person, "lock", "lock", "lock.front_door"))

    def _leave(self, person: Person, place: str, until_h: float) -> None:
        day = self._day
        self._door(person)
        day.soon(self._chance.uniform(90, 200), partial(self._move_zone, person, "not_home"))
        if place != "not_home":
            day.soon(self._chance.uniform(700, 1100), partial(self._move_zone, person, place))
            day.when(day.at(until_h) - 900_000_000, partial(self._move_zone, person, "not_home"))

    def _arrive(self, person: Person) -> None:
        self._move_zone(person, "home")
        self._day.soon(self._chance.uniform(35, 70), partial(self._door, person))

    def _move_zone(self, person: Person, zone: str) -> None:
        self._zone[person.key] = zone
        name, far = _ZONES[zone]
        tracker = f"device_tracker.{person.key}_phone"
        state = name if zone != "not_home" else "not_home"
        context = self._bus.context()
        self._bus.set(tracker, state, self.tracker(person, far), context=context)
        self._show_person(person, context)
        self._count(context)

    def tracker(self, person: Person, far: float = 0.0) -> dict[str, Any]:
        """Return a phone's attributes, ``far`` degrees away."""
        named = self._day.named(f"device_tracker.{person.key}_phone")
        return {
            "source_type": "gps",
            "latitude": LATITUDE + far,
            "longitude": LONGITUDE + far,
            "gps_accuracy": 12,
            "altitude": 4.0,
            "vertical_accuracy": 3,
            "friendly_name": named["friendly_name"],
        }

    def _show_person(self, person: Person, context: Context | None) -> None:
        zone = self._zone[person.key]
        name, far = _ZONES[zone]
        tracker = f"device_tracker.{person.key}_phone"
        attributes = {
            "editable": True,
            "id": person.key,
            "device_trackers": [tracker],
            "latitude": LATITUDE + far,
            "longitude": LONGITUDE + far,
            "gps_accuracy": 12,
            "source": tracker,
            **({"user_id": person.user_id} if person.user_id else {}),
            "friendly_name": person.name,
        }
        self._bus.set(f"person.{person.key}", name or "not_home", attributes, context=context)

    def _count(self, context: Context | None) -> None:
        for zone in ("home", "work", "school"):
            inside = [f"person.{person.key}" for person in PEOPLE if self._zone[person.key] == zone]
            state = self._bus.states[f"zone.{zone}"]
            self._bus.set(state.entity_id, str(len(inside)), {**state.attributes, "persons": inside}, context=context)

    # ---- in the rooms

    def _stir(self, person: Person, walk: int) -> None:
        if self._walk[person.key] != walk or self.asleep[person.key]:
            return
        area = self.where[person.key]
        self._motion(area)
        if area == "kitchen" and self._chance.random() < 0.15:  # noqa: PLR2004 - hungry
            self._day.soon(2, partial(self._contact, "binary_sensor.fridge_door", self._chance.uniform(4, 15)))
        self._day.soon(20 + self._chance.expovariate(1 / 80), partial(self._stir, person, walk))

    def _motion(self, area: str) -> None:
        if area == "study":
            self._day.put("binary_sensor.study_presence", "on")
            self._forget(area, "binary_sensor.study_presence", 40)
        elif area in _MOTION:
            self._day.put(f"binary_sensor.{area}_motion", "on")
            self._forget(area, f"binary_sensor.{area}_motion", 60)

    def _forget(self, area: str, entity_id: str, after_s: float) -> None:
        seen = self._seen[area] = self._seen.get(area, 0) + 1

        def quiet() -> None:
            if self._seen[area] == seen:
                self._day.put(entity_id, "off")

        self._day.soon(after_s + self._chance.random() * 20, quiet)

    def _contact(self, entity_id: str, open_s: float) -> None:
        self._day.put(entity_id, "on")
        self._day.soon(open_s, partial(self._day.put, entity_id, "off"))

    def _make_light(self, person: Person, area: str) -> None:
        lamps = _LAMPS.get(area, ())
        if not lamps or self.where[person.key] != area or self.asleep[person.key]:
            return
        if self._day.physics.lux(area) < _DIM_LX and all(self._bus.value(lamp) == "off" for lamp in lamps):
            cosy = self._day.hour() > 20.5 and len(lamps) > 1  # noqa: PLR2004 - evening
            level = self._chance.choice((40, 50, 60)) if cosy else self._chance.choice((70, 80, 100))
            data = {"brightness_pct": level, "color_temp_kelvin": 2700 if cosy else 3000}
            self._call(person, "light", "turn_on", lamps[-1] if cosy else lamps[0], **data)

    def _leave_dark(self, person: Person, area: str) -> None:
        if self.awake_in(area) == 0 and self._chance.random() > _KEEPS_LIGHT_ON:
            self._off(person, area)

    def _lights_out(self, person: Person, area: str) -> None:
        if self.awake_in(area) == 0:
            self._off(person, area)

    def _off(self, person: Person, area: str) -> None:
        lit = [lamp for lamp in _LAMPS.get(area, ()) if self._bus.value(lamp) == "on"]
        if lit:
            self._call(person, "light", "turn_off", *lit)

    # ---- what they ask the home to do

    def _call(self, person: Person, domain: str, service: str, *entities: str, **data: Any) -> None:
        context = self._bus.context(user_id=person.user_id)
        self._day.services.call(domain, service, {"entity_id": list(entities), **data}, context)

    def _television(self, person: Person, *, on: bool) -> None:
        if on and not self.awake_in("living_room"):
            return
        player = "media_player.living_room_tv"
        self._call(person, "media_player", "turn_on" if on else "turn_off", player)
        if on:
            self._call(person, "media_player", "volume_set", player, volume_level=self._chance.choice((0.2, 0.3, 0.4)))

    def _cook(self, person: Person) -> None:
        if self.awake_in("kitchen"):
            self._call(person, "timer", "start", "timer.oven", duration=self._chance.choice(("0:20:00", "0:25:00")))
            self._call(person, "media_player", "media_play", "media_player.kitchen_speaker")
            done = partial(self._call, person, "media_player", "media_pause", "media_player.kitchen_speaker")
            self._day.soon(self._chance.uniform(2200, 3000), done)

    def _scan_tag(self, person: Person) -> None:
        device_id = next(device.id for device in DEVICES if device.key == f"{person.key}_phone")
        data = {"tag_id": "bedside-table", "name": "Bedside table", "device_id": device_id}
        self._bus.fire("tag_scanned", data, self._bus.context(user_id=person.user_id))

    def _told(self, data: dict[str, Any]) -> None:
        actions = data.get("data", {}).get("actions", [])
        if actions and not self.asleep["anna"]:
            self._day.soon(self._chance.uniform(40, 500), partial(self._answer, PEOPLE[0], actions[0]["action"]))

    def _answer(self, person: Person, action: str) -> None:
        context = self._bus.context(user_id=person.user_id)
        self._bus.fire("mobile_app_notification_action", {"action": action, "tag": None}, context)
