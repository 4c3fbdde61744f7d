"""What a service call does to the home. Each call is an event first; its effects carry the caller's context."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from functools import partial
from typing import Any, Final

from ingestor.sources.demo.book import SCENES
from ingestor.sources.demo.bus import Bus, Context
from ingestor.sources.demo.catalogue import ENTITIES
from ingestor.sources.demo.rules import Rules, Times

_S: Final = 1_000_000
#: kelvin -> mired, hs, rgb, xy
_WHITES: Final = {
    2202: (454, [29.115, 84.643], [255, 144, 39], [0.566, 0.39]),
    2700: (370, [28.327, 64.71], [255, 167, 89], [0.524, 0.387]),
    3000: (333, [27.825, 56.895], [255, 177, 110], [0.496, 0.384]),
    4000: (250, [26.812, 34.87], [255, 206, 166], [0.42, 0.365]),
}
_TITLES: Final = ("Evening news", "The long walk home", "Baking with friends", "Deep sea", "Quiz night", "Weather")
_SONGS: Final = ("Morning radio", "Slow kitchen", "Sunday strings", "Rain on the roof")
#: The services the home offers. ``documents`` and the restart read the same table.
SERVICES: Final[dict[str, tuple[str, ...]]] = {
    "homeassistant": ("restart", "turn_on", "turn_off", "toggle", "update_entity"),
    "persistent_notification": ("create", "dismiss"),
    "logbook": ("log",),
    "automation": ("reload", "trigger", "turn_on", "turn_off", "toggle"),
    "script": ("welcome_home", "good_night", "laundry_reminder", "reload", "turn_on", "turn_off"),
    "scene": ("turn_on", "reload", "apply"),
    "light": ("turn_on", "turn_off", "toggle"),
    "switch": ("turn_on", "turn_off", "toggle"),
    "fan": ("turn_on", "turn_off", "toggle", "set_percentage"),
    "cover": ("open_cover", "close_cover", "set_cover_position"),
    "lock": ("lock", "unlock"),
    "climate": ("set_temperature", "set_hvac_mode"),
    "media_player": ("turn_on", "turn_off", "media_play", "media_pause", "volume_set"),
    "vacuum": ("start", "return_to_base"),
    "input_boolean": ("turn_on", "turn_off", "toggle"),
    "input_select": ("select_option",),
    "input_number": ("set_value",),
    "counter": ("increment", "decrement", "reset"),
    "timer": ("start", "cancel", "finish"),
    "notify": ("mobile_app_anna_phone", "mobile_app_ben_phone", "persistent_notification"),
}


class Services:
    """Carries out service calls on the bus. ``rules`` is set once both exist; ``told`` hears each notification."""

    def __init__(self, bus: Bus, times: Times, named: Callable[[str], dict[str, Any]]) -> None:
        self._bus, self._times, self._named = bus, times, named
        self.rules: Rules | None = None
        self.told: Callable[[dict[str, Any]], None] = lambda _data: None
        self.vacuum_sent: Callable[[Context], None] = lambda _context: None
        self.titles_us: dict[str, int] = {}

    def call(self, domain: str, service: str, data: dict[str, Any], context: Context) -> None:
        """One call: the event, then what it does. Raises ``ValueError`` for a service the home does not have."""
        if service not in SERVICES.get(domain, ()):
            raise ValueError(f"service {domain}.{service} is not known")
        self._bus.fire("call_service", {"domain": domain, "service": service, "service_data": data}, context)
        act = getattr(self, f"_{domain}", None)
        if act is None:
            return
        targets = list(data.get("entity_id", []))
        for area in data.get("area_id", []):
            targets += [
                entity_id
                for entity_id, (entity, device) in ENTITIES.items()
                if device.area == area and entity.domain == domain
            ]
        for entity_id in targets or [f"{domain}.{service}"]:
            act(entity_id, service, data, context)

    def _on_or_off(self, entity_id: str, service: str) -> bool:
        return self._bus.value(entity_id) != "on" if service == "toggle" else service == "turn_on"

    def _light(self, entity_id: str, service: str, data: dict[str, Any], context: Context) -> None:
        state = self._bus.states.get(entity_id)
        if state is None or state.state == "unavailable":
            return
        on = self._on_or_off(entity_id, service)
        brightness = round(data.get("brightness_pct", 100) * 2.55) if on else None
        if on and "brightness_pct" not in data:
            brightness = state.attributes.get("brightness") or 255
        kelvin = data.get("color_temp_kelvin") or state.attributes.get("color_temp_kelvin") or 3000
        self._bus.set(entity_id, "on" if on else "off", self.light(entity_id, brightness, kelvin), context=context)

    def light(self, entity_id: str, brightness: int | None, kelvin: int) -> dict[str, Any]:
        """Return a light's attributes, all null while it is off."""
        on = brightness is not None
        mired, hs, rgb, xy = _WHITES[kelvin]
        named = self._named(entity_id)
        name = named.pop("friendly_name")
        return {
            **named,
            "color_mode": "color_temp" if on else None,
            "brightness": brightness,
            "color_temp_kelvin": kelvin if on else None,
            "color_temp": mired if on else None,
            "hs_color": hs if on else None,
            "rgb_color": rgb if on else None,
            "xy_color": xy if on else None,
            "friendly_name": name,
            "supported_features": 44,
        }

    def _switch(self, entity_id: str, service: str, _data: dict[str, Any], context: Context) -> None:
        self._bus.set(entity_id, "on" if self._on_or_off(entity_id, service) else "off", context=context)

    _input_boolean = _switch

    def _fan(self, entity_id: str, service: str, data: dict[str, Any], context: Context) -> None:
        on = service == "set_percentage" or self._on_or_off(entity_id, service)
        self._bus.set(entity_id, "on" if on else "off", self.fan(on, data.get("percentage", 66)), context=context)

    def fan(self, on: bool, percentage: int) -> dict[str, Any]:  # noqa: FBT001 - read at the call as it stands
        """Return the fan's attributes."""
        named = self._named("fan.bathroom")
        name = named.pop("friendly_name")
        return {
            **named,
            "percentage": percentage if on else 0,
            "preset_mode": None,
            "friendly_name": name,
            "supported_features": 49,
        }

    def _cover(self, entity_id: str, service: str, _data: dict[str, Any], context: Context) -> None:
        opens = service == "open_cover"
        state = self._bus.states[entity_id]
        if state.state in {"unavailable", "open" if opens else "closed"}:
            return
        self._bus.set(entity_id, "opening" if opens else "closing", context=context)
        end = ("open", 100) if opens else ("closed", 0)
        attributes = {**self._named(entity_id), "supported_features": 15}
        move = partial(self._settle_cover, entity_id, *end, attributes, context)
        self._times.later(17 * _S, move)

    def _settle_cover(
        self, entity_id: str, state: str, position: int, attributes: dict[str, Any], context: Context
    ) -> None:
        if self._bus.value(entity_id) in {"opening", "closing"}:
            self._bus.set(entity_id, state, {"current_position": position, **attributes}, context=context)

    def _lock(self, entity_id: str, service: str, _data: dict[str, Any], context: Context) -> None:
        done = "locked" if service == "lock" else "unlocked"
        if self._bus.value(entity_id) in {"unavailable", done}:
            return
        self._bus.set(entity_id, f"{service}ing", context=context)
        self._times.later(_S + 400_000, partial(self._settle_lock, entity_id, done, context))

    def _settle_lock(self, entity_id: str, done: str, context: Context) -> None:
        if self._bus.value(entity_id) in {"locking", "unlocking"}:
            self._bus.set(entity_id, done, context=context)

    def _climate(self, entity_id: str, service: str, data: dict[str, Any], context: Context) -> None:
        state = self._bus.states[entity_id]
        mode = data.get("hvac_mode", state.state)
        attributes = dict(state.attributes)
        if service == "set_temperature":
            attributes["temperature"] = data["temperature"]
        attributes["hvac_action"] = (
            "off" if mode == "off" else "idle" if state.state == "off" else attributes["hvac_action"]
        )
        self._bus.set(entity_id, mode, attributes, context=context)

    def _media_player(self, entity_id: str, service: str, data: dict[str, Any], context: Context) -> None:
        state = self._bus.states[entity_id]
        rest = "off" if entity_id.endswith("tv") else "idle"
        if service == "volume_set":
            if "volume_level" in state.attributes:
                attributes = {**state.attributes, "volume_level": data["volume_level"]}
                self._bus.set(entity_id, state.state, attributes, context=context)
            return
        wanted = {"turn_on": "playing", "media_play": "playing", "media_pause": "paused"}.get(service, rest)
        if wanted == rest:
            self._bus.set(entity_id, rest, {**self._named(entity_id), "supported_features": 152461}, context=context)
            return
        self.play(entity_id, wanted, context)

    def play(self, entity_id: str, state: str, context: Context | None) -> None:
        """Play the next title."""
        number = self.titles_us[entity_id] = self.titles_us.get(entity_id, self._times.local().day) + 1
        titles = _TITLES if entity_id.endswith("tv") else _SONGS
        named = self._named(entity_id)
        name = named.pop("friendly_name")
        attributes = {
            "volume_level": 0.35,
            "is_volume_muted": False,
            "media_content_type": "video" if titles is _TITLES else "music",
            "media_duration": 1800 if titles is _TITLES else 240,
            "media_position": 0,
            "media_position_updated_at": self._bus.stamp.text(self._bus.stamp.last_us),
            "media_title": titles[number % len(titles)],
            **named,
            "friendly_name": name,
            "supported_features": 152461,
        }
        self._bus.set(entity_id, state, attributes, context=context)

    def _vacuum(self, entity_id: str, service: str, _data: dict[str, Any], context: Context) -> None:
        if service == "start" and self._bus.value(entity_id) == "docked":
            self._bus.set(entity_id, "cleaning", context=context)
            self.vacuum_sent(context)

    def _input_select(self, entity_id: str, _service: str, data: dict[str, Any], context: Context) -> None:
        self._bus.set(entity_id, data["option"], context=context)

    def _input_number(self, entity_id: str, _service: str, data: dict[str, Any], context: Context) -> None:
        self._bus.set(entity_id, str(float(data["value"])), context=context)

    def _counter(self, entity_id: str, service: str, _data: dict[str, Any], context: Context) -> None:
        step = {"increment": 1, "decrement": -1}.get(service, 0)
        self._bus.set(entity_id, str(int(self._bus.value(entity_id)) + step if step else 0), context=context)

    def _timer(self, entity_id: str, service: str, data: dict[str, Any], context: Context) -> None:
        if service != "start":
            return
        duration = data["duration"]
        hours, minutes, seconds = (int(part) for part in duration.split(":"))
        span_s = hours * 3600 + minutes * 60 + seconds
        ends = (self._times.local() + timedelta(seconds=span_s)).astimezone(UTC).isoformat(timespec="seconds")
        named = self._named(entity_id)
        idle = {**named, "duration": duration}
        active = {**idle, "finishes_at": ends, "remaining": duration}
        self._bus.set(entity_id, "active", active, context=context)
        self._bus.fire("timer.started", {"entity_id": entity_id}, context)

        def finish() -> None:
            self._bus.set(entity_id, "idle", idle)
            self._bus.fire("timer.finished", {"entity_id": entity_id, "finished_at": ends})

        self._times.later(span_s * _S, finish)

    def _scene(self, entity_id: str, service: str, _data: dict[str, Any], context: Context) -> None:
        if service == "reload":
            self._bus.fire("scene_reloaded", {}, context)
            return
        key, name, wanted = SCENES[entity_id]
        attributes = {"entity_id": list(wanted), "id": key, "friendly_name": name}
        self._bus.set(entity_id, self._bus.stamp.text(self._bus.stamp.last_us), attributes, context=context)
        for target, (state, data) in wanted.items():
            if self._bus.value(target) != state or state == "on":
                self._light(target, f"turn_{state}", data, context)

    def _script(self, entity_id: str, _service: str, _data: dict[str, Any], context: Context) -> None:
        if self.rules is not None:
            self.rules.script(entity_id, context)

    def _automation(self, _entity_id: str, service: str, _data: dict[str, Any], context: Context) -> None:
        if service == "reload":
            self._bus.fire("automation_reloaded", {}, context)

    def _logbook(self, _entity_id: str, _service: str, data: dict[str, Any], context: Context) -> None:
        self._bus.fire("logbook_entry", data, context)

    def _notify(self, _entity_id: str, _service: str, data: dict[str, Any], _context: Context) -> None:
        self.told(data)
