"""Heat, moisture, light and electricity of the home, and the sensors that report them.

What carries over a restart is a function of the date: meters, batteries, plants. Two tricks make it so honestly. The
roof's curve is scaled to the day's yield, and the water heater, which runs at night, takes just what is left of the
day's draw from the grid.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ingestor.sources.demo.bus import Change, Context
from ingestor.sources.demo.catalogue import DEVICES, ENTITIES, PEOPLE, PLUGS, THERMOSTATS, Entity
from ingestor.sources.demo.chance import smooth, unit
from ingestor.sources.demo.documents import firmware
from ingestor.sources.demo.weather import Weather, need_wh, needed_wh, sun_direction, sun_height

if TYPE_CHECKING:
    from ingestor.sources.demo.day import Day

_ROOMS: Final = ("living_room", "kitchen", "bedroom", "kids_room", "bathroom", "study", "guest_room")
_WINDOW: Final = {
    "living_room": 0.012,
    "kitchen": 0.009,
    "hallway": 0.003,
    "landing": 0.002,
    "bathroom": 0.004,
    "bedroom": 0.007,
    "kids_room": 0.008,
    "study": 0.010,
    "guest_room": 0.008,
}
_LIGHTS: Final = {
    area: [
        entity.entity_id
        for device in DEVICES
        if device.area == area
        for entity in device.entities
        if entity.domain == "light"
    ]
    for area in {device.area for device in DEVICES if device.area}
}
_ALL_LIGHTS: Final = [entity_id for entity_id in ENTITIES if entity_id.startswith("light.")]
_GRID_S: Final = 5
_PLANT_DAYS: Final = {"ficus": 7, "basil": 4}
_WASH: Final = ((0.0, 120), (0.10, 2050), (0.42, 180), (0.95, 420), (1.12, 90), (1.2, 2))
_DISH: Final = ((0.0, 60), (0.08, 1900), (0.35, 70), (0.8, 1850), (1.0, 25), (1.3, 1))
_NIGHT_HEAT: Final = (25.0, 27.9)


class Physics:
    """The state of the rooms and the grid on one day."""

    def __init__(self, day: Day) -> None:
        self._day, self._bus, self._chance = day, day.bus, day.chance
        self._seed = day.seed
        self._weather = Weather(day.seed)
        self._heights = [sun_height(day.start_us + n * 300_000_000) for n in range(26 * 12)]
        free = self._weather.unheated(day.start_us)
        self._warm = {room: max(16.9, free) + 0.3 * unit(self._seed, room, day.day.toordinal()) for room in _ROOMS}
        self._warm |= {room: self._warm[room] - max(0.0, min(1.2, 17 - free)) for room in ("kitchen", "guest_room")}
        self._damp = dict.fromkeys(_ROOMS, 50.0)
        self._heats = dict.fromkeys(THERMOSTATS, False)
        self._co2 = 520.0
        self._flow = 24.0
        self._watts = dict.fromkeys((*PLUGS, "heat_pump", "water_heater", "bathroom_fan", "oven"), 0.0)
        self._used_wh = dict.fromkeys((*PLUGS, "water_heater"), 0.0)
        self._meter_wh = needed_wh(self._weather, day.day)
        self._meter_end_wh = self._meter_wh + need_wh(self._weather, day.day)
        self._solar_scale, self._solar_wh = 0.0, self._weather.yielded_wh(day.day)
        self._solar_end_wh = self._solar_wh + self._weather.yield_wh(day.day)
        self._phone = {person.key: 100.0 for person in PEOPLE}
        self._vacuum = 100.0
        self._lamps_w = 0.0
        self._vacuum_context: Context | None = None

    # ---- the sky

    def _height(self) -> float:
        x = (self._bus.now_us - self._day.start_us) / 300_000_000
        k = int(x)
        return self._heights[k] + (self._heights[k + 1] - self._heights[k]) * (x - k)

    def outside(self) -> float:
        """Degrees Celsius in the garden."""
        return self._weather.temperature(self._bus.now_us, self._day.hour())

    def sunlight(self) -> float:
        """Lux in the garden."""
        return self._weather.sunlight(self._bus.now_us, self._height())

    def sky(self) -> None:
        """Show the sun."""
        day, text = self._day, {}
        for event, name in (("dawn", "dawn"), ("dusk", "dusk"), ("noon", "noon"), ("sunrise", "rising")):
            text[f"next_{name}"] = day.next_sun(event).isoformat()
        text["next_setting"] = day.next_sun("sunset").isoformat()
        text["next_midnight"] = (day.next_sun("noon") - timedelta(hours=12)).isoformat()
        now_us = self._bus.now_us
        height = sun_height(now_us)
        attributes = {
            **text,
            "elevation": round(height, 2),
            "azimuth": round(sun_direction(now_us), 2),
            "rising": now_us < int(day.next_sun("noon").timestamp() * 1e6) and day.hour() < 14,  # noqa: PLR2004 - noon
            "friendly_name": "Sun",
        }
        self._bus.set("sun.sun", "below_horizon" if day.dark() else "above_horizon", attributes)
        day.put("sensor.sun_next_rising", text["next_rising"])
        day.put("sensor.sun_next_setting", text["next_setting"])

    def lux(self, area: str) -> float:
        """How light it is in a room: daylight through the window and the lamps."""
        lamps = 0.0
        for entity_id in _LIGHTS.get(area, ()):
            lamps += self._brightness(entity_id)
        blind = f"cover.{area}_blind"
        window = 0.12 if self._bus.value(blind) == "closed" else 1.0
        return self.sunlight() * _WINDOW[area] * window + lamps * 0.55

    def _brightness(self, entity_id: str) -> float:
        state = self._bus.states.get(entity_id)
        return (state.attributes.get("brightness") or 0) if state is not None and state.state == "on" else 0

    # ---- the first states after a restart

    def first(self, entity: Entity) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911 - one return a domain
        """State and attributes of an entity as it comes up."""
        entity_id, day = entity.entity_id, self._day
        named = day.named(entity_id)
        domain, _, key = entity_id.partition(".")
        if domain == "light":
            return "off", day.services.light(entity_id, None, 3000)
        if domain == "fan":
            return "off", day.services.fan(False, 0)
        if domain == "climate":
            attributes = {
                **named,
                "current_temperature": round(self._warm[key], 1),
                "temperature": 17.0,
                "hvac_action": "idle",
                "supported_features": 385,
            }
            return "heat", attributes
        if domain == "cover":
            return "closed", {"current_position": 0, **named, "supported_features": 15}
        if domain == "lock":
            return "locked", {**named, "supported_features": 0}
        if domain == "vacuum":
            return "docked", self._vacuum_attributes()
        if domain == "media_player":
            return entity.start, {**named, "supported_features": 152461}
        if domain == "weather":
            return self._forecast()
        if domain == "device_tracker":
            person = next(person for person in PEOPLE if key == f"{person.key}_phone")
            return "home", day.people.tracker(person)
        return self._first_reading(key, entity.start) if domain == "sensor" else entity.start, named

    def _first_reading(self, key: str, start: str) -> str:  # noqa: PLR0911 - one return a kind of reading
        day = self._day
        number = day.day.toordinal()
        area, _, what = key.rpartition("_")
        if key.endswith("_battery"):
            whole = key.endswith("phone_battery") or key == "vacuum_battery"
            return "100" if whole else str(self.battery(key, day.day))
        if key == "garden_temperature":
            return f"{self.outside():.1f}"
        if key == "garden_humidity":
            return f"{self._weather.humidity(self._bus.now_us, 4.0):.1f}"
        if what == "temperature" and area in self._warm:
            return f"{self._warm[area]:.2f}"
        if what == "humidity":
            return f"{self._damp[area]:.2f}"
        if what == "illuminance":
            return "0"
        if what in {"moisture", "conductivity"}:
            return self._plant(area, what)
        fixed = {
            "grid_import_energy": f"{self._meter_wh / 1000:.3f}",
            "solar_energy": f"{self._solar_wh / 1000:.3f}",
            "grid_voltage": "231.4",
            "living_room_co2": "520",
            "living_room_pm25": "4",
            "living_room_air_rssi": "-61",
            "heat_pump_flow_temperature": "24.0",
            "router_download": "42.0",
            "router_upload": "9.0",
            "sun_next_rising": day.next_sun("sunrise").isoformat(),
            "sun_next_setting": day.next_sun("sunset").isoformat(),
            "backup_last_successful_automatic_backup": f"{day.day}T02:{15 + number % 40:02d}:07+00:00",
        }
        zero = {"power": "0.0", "energy": "0.0", "heating": "0"}
        return fixed.get(key) or zero.get(what) or start

    def battery(self, key: str, day: date) -> int:
        """Return a battery's charge on that day: down slowly, changed when nearly empty."""
        life = 240 + int(unit(self._seed, key, 0) * 300)
        age = (day.toordinal() + int(unit(self._seed, key, 1) * life)) % life
        return max(4, round(100 - 96 * age / life))

    def _plant(self, plant: str, what: str) -> str:
        period_us = _PLANT_DAYS[plant] * 86_400_000_000
        dry = (self._bus.now_us - 66_600_000_000) % period_us / period_us  # watered at half past six
        if what == "moisture":
            return f"{58 - 40 * dry**0.8:.0f}"
        return f"{820 - 260 * dry:.0f}"

    # ---- the clockwork

    def begin(self) -> None:
        """Let every sensor report in its own rhythm."""
        day, put = self._day, self._day.put
        for entity_id in _ALL_LIGHTS:
            self._bus.on_change.setdefault(entity_id, []).append(self._lamps)
        total = sum(
            self._weather.sunlight(day.start_us + n * 300_000_000, height)
            for n, height in enumerate(self._heights[:288])
        )
        self._solar_scale = (self._solar_end_wh - self._solar_wh) / (total / 12)
        day.every(60, self._tick, shake=0)
        day.every(_GRID_S, self._grid, shake=0)
        day.every(10, self._solar)
        day.every(60, lambda: put("sensor.grid_voltage", f"{231 + 3 * self._chance.random():.1f}"))
        day.every(15, partial(self._traffic, "download", 60, 4200))
        day.every(60, partial(self._traffic, "upload", 15, 500))
        day.every(240, self.sky)
        for event in ("sunrise", "sunset"):
            day.when(day.sun_at(event) + 1_000_000, self.sky)
        day.every(600, lambda: put("weather.home", *self._forecast()))
        for room in ("living_room", "kitchen", "bedroom", "kids_room", "bathroom", "guest_room"):
            day.every(150, partial(self._climate_sensor, room))
        day.every(150, lambda: put("sensor.study_temperature", f"{self._noisy(self._warm['study'], 0.04):.1f}"))
        for area in THERMOSTATS:
            day.every(60, partial(self._thermostat, area))
        for area in ("living_room", "kitchen", "hallway", "landing", "bathroom", "study"):
            day.every(75, partial(self._report_lux, area))
        day.every(60, lambda: put("sensor.living_room_co2", f"{self._noisy(self._co2, 4):.0f}"))
        day.every(180, self._air)
        day.every(150, self._garden)
        for plug in PLUGS:
            day.every({"fridge": 20, "desk": 15}.get(plug, 10), partial(self._plug, plug))
            day.every(120, partial(self._energy, plug))
        day.every(15, self._heat_pump)
        day.every(10, partial(self._plain_power, "water_heater"))
        day.every(120, partial(self._energy, "water_heater"))
        day.every(20, partial(self._plain_power, "bathroom_fan"))
        day.every(600, self._phones)
        day.every(1800, self._plants)
        for start in day.plan.laundry:
            self._program("washing_machine", start, _WASH)
        for start in day.plan.dishes:
            self._program("dishwasher", start, _DISH)
        for start in day.plan.coffee:
            self._program("coffee_machine", start, ((0.0, 1250), (0.06, 40), (0.5, 0.4)))
        for start, end in day.plan.cooking:
            self._program("oven", start, ((0.0, 1900), (end - start, 0)))
        self._disturb()
        day.services.vacuum_sent = self._clean

    def _program(self, key: str, start: float, profile: tuple[tuple[float, float], ...]) -> None:
        for after, watts in profile:
            self._day.when(self._day.at(start + after), partial(self._watts.__setitem__, key, watts))

    def _disturb(self) -> None:
        """Put on the clock what goes wrong today, and what is maintained."""
        day = self._day
        flaky = [device for device in DEVICES if device.key == "bathroom_climate"]
        for start, end in day.plan.lost_sensor:
            day.when(day.at(start), partial(day.lose, flaky, (end - start) * 3600))
        if day.plan.lost_network is not None:
            zigbee = [device for device in DEVICES if device.integration == "zha" and device.entities]
            day.when(day.at(day.plan.lost_network), partial(day.lose, zigbee, 41))
        number = day.day.toordinal()
        device = DEVICES[number % len(DEVICES)]
        hour = 13.1 + unit(self._seed, "update", number)
        day.when(day.at(hour), partial(self._update_device, device.id))
        sensors = [entity_id for entity_id in ENTITIES if entity_id.startswith("sensor.")]
        day.when(day.at(hour + 0.3), partial(self._update_entity, sensors[number % len(sensors)]))
        day.when(day.at(hour + 0.31), self._update_places)
        day.when(day.at(hour + 0.33), self._reload)

    def _update_device(self, device_id: str) -> None:
        self._day.updated[device_id], old = self._day.day, self._day.updated[device_id]
        data = {"action": "update", "device_id": device_id, "changes": {"sw_version": firmware(old)}}
        self._day.changed_documents.add("devices")
        self._bus.fire("device_registry_updated", data)

    def _update_entity(self, entity_id: str) -> None:
        self._day.changed_documents.add("entities")
        data = {"action": "update", "entity_id": entity_id, "changes": {"options": {}}}
        self._bus.fire("entity_registry_updated", data)

    def _update_places(self) -> None:
        self._day.changed_documents.update(("areas", "labels"))
        self._bus.fire("area_registry_updated", {"action": "update", "area_id": "guest_room"})
        self._bus.fire("label_registry_updated", {"action": "update", "label_id": "holiday"})
        self._bus.fire("config_entry_discovered", {})

    def _reload(self) -> None:
        context = self._bus.context(user_id=PEOPLE[0].user_id)
        self._day.services.call("automation", "reload", {}, context)
        self._day.services.call("scene", "reload", {}, context)

    # ---- once a minute

    def _tick(self) -> None:
        day, people, warm = self._day, self._day.people, self._warm
        outside, sun = self.outside(), self.sunlight()
        inside = sum(warm.values()) / len(warm)
        for room in _ROOMS:
            leak = 0.0011
            if room == "bedroom" and self._bus.value("binary_sensor.bedroom_window") == "on":
                leak = 0.02
            heat = 0.085 if self._heats.get(room) else 0.0
            gain = 0.004 * people.awake_in(room) + sun * _WINDOW[room] * 2.5e-5
            warm[room] += leak * (outside - warm[room]) + 0.012 * (inside - warm[room]) + heat + gain
            self._damp[room] += 0.02 * (48 - self._damp[room]) + 0.12 * people.awake_in(room)
        if self._watts["oven"]:
            warm["kitchen"] += 0.03
            self._damp["kitchen"] += 0.25
        hour = day.hour()
        if any(start <= hour < end for start, end in day.plan.showers):
            self._damp["bathroom"] = min(93.0, self._damp["bathroom"] + 5.5)
            warm["bathroom"] += 0.08
        if self._bus.value("fan.bathroom") == "on":
            self._damp["bathroom"] -= 0.075 * (self._damp["bathroom"] - 46)
        crowd = people.awake_in("living_room")
        self._co2 += 0.012 * (430 - self._co2) + 7.5 * crowd
        self._watts["desk"] = 95.0 if people.awake_in("study") else 4.0
        self._watts["tv"] = 104.0 if self._bus.value("media_player.living_room_tv") == "playing" else 0.6
        self._watts["bathroom_fan"] = 23.0 if self._bus.value("fan.bathroom") == "on" else 0.0
        minute = (self._bus.now_us - day.start_us) / 6e7
        self._watts["fridge"] = 78.0 if (minute + 17 * unit(self._seed, "fridge", 0)) % 47 < 18 else 1.1  # noqa: PLR2004 - its cycle
        self._titles()
        put = day.put
        put("sensor.grid_import_energy", f"{self._meter_wh / 1000:.3f}")

    def _titles(self) -> None:
        for player, span_us in (("media_player.living_room_tv", 1_800e6), ("media_player.kitchen_speaker", 240e6)):
            state = self._bus.states.get(player)
            if state is not None and state.state == "playing":
                gone_us = self._bus.stamp.wall_us(self._bus.now_us) - state.last_updated_us
                if gone_us * self._bus.stamp.speed > span_us:
                    self._day.services.play(player, "playing", None)

    def _thermostat(self, area: str) -> None:
        state = self._bus.states[f"climate.{area}"]
        wanted = state.attributes["temperature"]
        warm = self._warm[area]
        heats = self._heats[area] = state.state == "heat" and warm < wanted + (0.15 if self._heats[area] else -0.15)
        action = "off" if state.state == "off" else "heating" if heats else "idle"
        attributes = {**state.attributes, "current_temperature": round(warm, 1), "hvac_action": action}
        self._day.put(state.entity_id, state.state, attributes)
        share = min(100, max(20, round((wanted - warm) * 60))) if heats else 0
        self._day.put(f"sensor.{area}_heating", str(share))

    # ---- sensors

    def _noisy(self, value: float, spread: float) -> float:
        return value + spread * (self._chance.random() - 0.5)

    def _climate_sensor(self, room: str) -> None:
        self._day.put(f"sensor.{room}_temperature", f"{self._noisy(self._warm[room], 0.05):.2f}")
        self._day.put(f"sensor.{room}_humidity", f"{self._noisy(self._damp[room], 0.4):.2f}")

    def _report_lux(self, area: str) -> None:
        lux = self.lux(area)
        self._day.put(f"sensor.{area}_illuminance", f"{self._noisy(lux, lux * 0.04):.0f}")

    def _air(self) -> None:
        base = 4 + 9 * bool(self._watts["oven"])
        self._day.put("sensor.living_room_pm25", f"{self._noisy(base, 3):.0f}")
        self._day.put("sensor.living_room_air_rssi", f"{self._noisy(-61, 9):.0f}")

    def _garden(self) -> None:
        put, lux = self._day.put, self.sunlight()
        put("sensor.garden_temperature", f"{self.outside():.1f}")
        put("sensor.garden_humidity", f"{self._weather.humidity(self._bus.now_us, self._day.hour()):.1f}")
        put("sensor.garden_illuminance", f"{self._noisy(lux, lux * 0.03):.0f}")

    def _forecast(self) -> tuple[str, dict[str, Any]]:
        now_us, weather = self._bus.now_us, self._weather
        attributes = {
            "temperature": round(self.outside(), 1),
            "temperature_unit": "°C",
            "humidity": round(weather.humidity(now_us, self._day.hour())),
            "cloud_coverage": round(weather.clouds(now_us) * 100, 1),
            "pressure": round(weather.pressure_hpa(now_us), 1),
            "pressure_unit": "hPa",
            "wind_bearing": round(360 * smooth(self._seed, "bearing", now_us / 4e10), 1),
            "wind_speed": round(weather.wind_kmh(now_us), 1),
            "wind_speed_unit": "km/h",
            "visibility_unit": "km",
            "precipitation_unit": "mm",
            "friendly_name": "Forecast",
            "supported_features": 3,
        }
        return weather.condition(now_us, self._height()), attributes

    def _plants(self) -> None:
        for plant in _PLANT_DAYS:
            self._day.put(f"sensor.{plant}_moisture", self._plant(plant, "moisture"))
            self._day.put(f"sensor.{plant}_conductivity", self._plant(plant, "conductivity"))

    def _phones(self) -> None:
        put, people = self._day.put, self._day.people
        for person in PEOPLE:
            key = person.key
            charging = people.asleep[key]
            step = 6.0 if charging else -0.7 * (1 + self._chance.random())
            level = self._phone[key] = min(100.0, max(9.0, self._phone[key] + step))
            put(f"sensor.{key}_phone_battery", f"{level:.0f}")
            full = level > 99.5  # noqa: PLR2004 - rounds to full
            put(f"sensor.{key}_phone_battery_state", "Full" if full else "Charging" if charging else "Not Charging")

    def _traffic(self, way: str, idle: float, busy: float) -> None:
        online = sum(not asleep for asleep in self._day.people.asleep.values()) * (self._day.people.at_home() > 0)
        peak = busy * (self._chance.random() ** 4) * online / 3
        watching = 900 if way == "download" and self._watts["tv"] > 50 else 0  # noqa: PLR2004 - it is on
        rate = idle * (0.5 + self._chance.random()) + peak + watching
        self._day.put(f"sensor.router_{way}", f"{rate:.1f}")

    # ---- electricity

    def _consumption(self) -> float:
        return 88 + self._lamps_w + sum(self._watts.values()) + 9 * self._chance.random()

    def _lamps(self, _change: Change) -> None:
        self._lamps_w = sum(self._brightness(entity_id) for entity_id in _ALL_LIGHTS) * (9 / 255)

    def _sunpower(self) -> float:
        return self._solar_scale * self.sunlight()

    def _grid(self) -> None:
        hour = self._day.hour()
        start, end = _NIGHT_HEAT
        power = self._consumption() - self._sunpower()
        if start <= hour < end:
            left_wh = self._meter_end_wh - 120 - self._meter_wh
            others = power - self._watts["water_heater"]
            heat = left_wh / max(end - hour, 0.02) - others
            self._watts["water_heater"] = min(3_500.0, max(0.0, heat))
        elif hour >= end:
            self._watts["water_heater"] = 0.0
        spent_wh = max(power, 0.0) * _GRID_S / 3600
        self._meter_wh = min(self._meter_wh + spent_wh, self._meter_end_wh)
        for key in self._used_wh:
            self._used_wh[key] += self._watts[key] * _GRID_S / 3600
        self._day.put("sensor.grid_power", f"{power:.0f}")

    def _solar(self) -> None:
        power = self._sunpower()
        self._solar_wh = min(self._solar_wh + power * 10 / 3600, self._solar_end_wh)
        self._day.put("sensor.solar_power", f"{power:.1f}")
        if self._chance.random() < 0.05:  # noqa: PLR2004 - the inverter counts at its leisure
            self._day.put("sensor.solar_energy", f"{self._solar_wh / 1000:.3f}")

    def _plug(self, plug: str) -> None:
        watts = self._watts[plug]
        switch = f"switch.{plug}"
        if self._bus.value(switch) == "off":
            watts = 0.0
        self._day.put(f"sensor.{plug}_power", f"{self._noisy(watts, watts * 0.03) if watts > 5 else watts:.1f}")  # noqa: PLR2004 - standby

    def _plain_power(self, key: str) -> None:
        watts = self._watts[key]
        self._day.put(f"sensor.{key}_power", f"{self._noisy(watts, watts * 0.02):.1f}")

    def _energy(self, key: str) -> None:
        self._day.put(f"sensor.{key}_energy", f"{self._used_wh[key] / 1000:.3f}")

    def _heat_pump(self) -> None:
        rooms = sum(self._heats.values())
        cold = max(0.0, 14 - self.outside())
        self._watts["heat_pump"] = 240 + 95 * rooms + 14 * cold if rooms else 6.0
        target = 27 + 0.7 * cold + rooms if rooms else 23.0
        self._flow += 0.04 * (target - self._flow)
        put = self._day.put
        put("sensor.heat_pump_power", f"{self._noisy(self._watts['heat_pump'], 10 if rooms else 0):.0f}")
        put("sensor.heat_pump_flow_temperature", f"{self._flow:.1f}")
        put("binary_sensor.heat_pump_compressor", "on" if rooms else "off")

    # ---- the vacuum

    def _vacuum_attributes(self) -> dict[str, Any]:
        return {
            "fan_speed_list": ["quiet", "balanced", "max"],
            "battery_level": round(self._vacuum),
            "battery_icon": f"mdi:battery-{max(10, round(self._vacuum / 10) * 10)}",
            "fan_speed": "balanced",
            **self._day.named("vacuum.downstairs"),
            "supported_features": 14204,
        }

    def _clean(self, context: Context) -> None:
        self._vacuum_context = context
        for minute in range(2, 44, 2):
            self._day.soon(minute * 60, self._drain)
        self._day.soon(44 * 60, partial(self._vacuum_to, "returning"))
        self._day.soon(47 * 60, partial(self._vacuum_to, "docked"))
        self._day.soon(52 * 60, self._charge)

    def _drain(self) -> None:
        self._vacuum -= 1.9
        self._vacuum_to("cleaning")

    def _charge(self) -> None:
        self._vacuum = min(100.0, self._vacuum + 2.5)
        self._vacuum_to("docked")
        if self._vacuum < 100:  # noqa: PLR2004 - full
            self._day.soon(300, self._charge)

    def _vacuum_to(self, state: str) -> None:
        self._day.put("vacuum.downstairs", state, self._vacuum_attributes())
        self._day.put("sensor.vacuum_battery", f"{self._vacuum:.0f}")
