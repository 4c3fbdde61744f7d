"""The home's automations, scripts and scenes, word for word as Home Assistant's commands answer them.

The rule engine runs these very configurations. Exactly two automations run in a circle: the stair lights follow
each other both ways, and only a counter stops them. Nobody else may act on what they listen to.
"""

from __future__ import annotations

from typing import Any, Final

Config = dict[str, Any]


def _state(entity_id: str, to: str | None = None, more: Config | None = None) -> Config:
    trigger: Config = {"trigger": "state", "entity_id": entity_id}
    return {**trigger, **({"to": to} if to else {}), **(more or {})}


def _numeric(entity_id: str, **more: Any) -> Config:
    return {"trigger": "numeric_state", "entity_id": entity_id, **more}


def _if_state(entity_id: str, state: str) -> Config:
    return {"condition": "state", "entity_id": entity_id, "state": state}


def _if_number(entity_id: str, **more: Any) -> Config:
    return {"condition": "numeric_state", "entity_id": entity_id, **more}


def _do(action: str, entity_id: str | list[str] | None = None, **data: Any) -> Config:
    step: Config = {"action": action}
    if entity_id is not None:
        step["target"] = {"entity_id": entity_id}
    return {**step, **({"data": data} if data else {})}


def _automation(  # one line of the book each
    key: str,
    alias: str,
    triggers: list[Config],
    actions: list[Config],
    conditions: list[Config] | None = None,
    mode: str = "single",
) -> Config:
    return {
        "id": key,
        "alias": alias,
        "description": "",
        "triggers": triggers,
        "conditions": conditions or [],
        "actions": actions,
        "mode": mode,
    }


_DARK = {"condition": "sun", "after": "sunset", "before": "sunrise"}
_DOWNSTAIRS = [
    "light.living_room_ceiling",
    "light.living_room_lamp",
    "light.kitchen_ceiling",
    "light.kitchen_counter",
]

_ALL: Final = [
    _automation(
        "stairs_up",
        "Stairs: upper follows lower",
        [_state("light.stairs_lower", more={"from": ["on", "off"]})],
        [_do("counter.increment", "counter.stair_rounds"), _do("light.toggle", "light.stairs_upper")],
        [_if_number("counter.stair_rounds", below=5)],
        "queued",
    ),
    _automation(
        "stairs_down",
        "Stairs: lower follows upper",
        [_state("light.stairs_upper", more={"from": ["on", "off"]})],
        [_do("counter.increment", "counter.stair_rounds"), _do("light.toggle", "light.stairs_lower")],
        [_if_number("counter.stair_rounds", below=5)],
        "queued",
    ),
    _automation(
        "stairs_calm",
        "Stairs: forget the rounds",
        [{"trigger": "time_pattern", "minutes": "/5"}],
        [_do("counter.reset", "counter.stair_rounds")],
        [_if_number("counter.stair_rounds", above=0)],
    ),
    _automation(
        "stairs_remote",
        "Stairs: remote",
        [
            {
                "trigger": "event",
                "event_type": "zha_event",
                "event_data": {"device_ieee": "00:12:4b:00:2a:11:c4:07", "command": "toggle"},
            },
        ],
        [_do("light.toggle", "light.stairs_lower")],
    ),
    _automation(
        "hallway_light",
        "Hallway: light with motion",
        [_state("binary_sensor.hallway_motion", "on")],
        [
            _do("light.turn_on", "light.hallway", brightness_pct=70),
            {"delay": {"minutes": 2}},
            _do("light.turn_off", "light.hallway"),
        ],
        [_if_number("sensor.hallway_illuminance", below=40)],
        "restart",
    ),
    _automation(
        "kitchen_light_on",
        "Kitchen: light with motion",
        [_state("binary_sensor.kitchen_motion", "on")],
        [
            _do("light.turn_on", "light.kitchen_ceiling", brightness_pct=100, color_temp_kelvin=4000),
            _do("light.turn_on", "light.kitchen_counter", brightness_pct=60),
        ],
        [_if_number("sensor.kitchen_illuminance", below=60), _if_state("light.kitchen_ceiling", "off")],
    ),
    _automation(
        "kitchen_light_off",
        "Kitchen: dark when empty",
        [_state("binary_sensor.kitchen_motion", "off", {"for": {"minutes": 6}})],
        [_do("light.turn_off", ["light.kitchen_ceiling", "light.kitchen_counter"])],
    ),
    _automation(
        "bathroom_light",
        "Bathroom: light with motion",
        [_state("binary_sensor.bathroom_motion")],
        [
            {
                "if": [_if_state("binary_sensor.bathroom_motion", "on")],
                "then": [_do("light.turn_on", "light.bathroom", brightness_pct=80)],
                "else": [_do("light.turn_off", "light.bathroom")],
            },
        ],
        [{"condition": "or", "conditions": [_DARK, _if_state("light.bathroom", "on")]}],
    ),
    _automation(
        "fan_on",
        "Bathroom: fan on when humid",
        [_numeric("sensor.bathroom_humidity", above=70)],
        [_do("fan.turn_on", "fan.bathroom", percentage=66)],
    ),
    _automation(
        "fan_off",
        "Bathroom: fan off when dry",
        [_numeric("sensor.bathroom_humidity", below=62, **{"for": {"minutes": 3}})],
        [_do("fan.turn_off", "fan.bathroom")],
    ),
    _automation(
        "morning_heat",
        "Heating: morning",
        [{"trigger": "time", "at": "05:45:00"}],
        [
            _do("climate.set_temperature", ["climate.bathroom", "climate.living_room"], temperature=21.0),
            {"delay": {"minutes": 30}},
            _do("climate.set_temperature", ["climate.kids_room", "climate.bedroom"], temperature=19.5),
        ],
        [{"condition": "time", "weekday": ["mon", "tue", "wed", "thu", "fri"]}],
    ),
    _automation(
        "evening_heat",
        "Heating: evening",
        [{"trigger": "time", "at": "16:30:00"}],
        [_do("climate.set_temperature", ["climate.living_room", "climate.kids_room"], temperature=21.0)],
        [_if_state("input_select.house_mode", "home")],
    ),
    _automation(
        "night_heat",
        "Heating: night",
        [_state("input_select.house_mode", "night")],
        [
            _do(
                "climate.set_temperature",
                ["climate.living_room", "climate.bathroom", "climate.study", "climate.kids_room", "climate.bedroom"],
                temperature=17.0,
            ),
            _do("lock.lock", "lock.front_door"),
            _do("cover.close_cover", "cover.living_room_blind"),
        ],
    ),
    _automation(
        "window_heat",
        "Bedroom: no heating with an open window",
        [_state("binary_sensor.bedroom_window")],
        [
            {
                "if": [_if_state("binary_sensor.bedroom_window", "on")],
                "then": [_do("climate.set_hvac_mode", "climate.bedroom", hvac_mode="off")],
                "else": [_do("climate.set_hvac_mode", "climate.bedroom", hvac_mode="heat")],
            },
        ],
    ),
    _automation(
        "everyone_left",
        "Presence: everyone left",
        [_numeric("zone.home", below=1, **{"for": {"minutes": 4}})],
        [
            _do("light.turn_off", [*_DOWNSTAIRS, "light.study", "light.kids_room", "light.bedroom_ceiling"]),
            _do("climate.set_temperature", ["climate.living_room", "climate.study"], temperature=18.0),
            _do("input_select.select_option", "input_select.house_mode", option="away"),
        ],
    ),
    _automation(
        "somebody_home",
        "Presence: somebody came home",
        [_numeric("zone.home", above=0)],
        [{"action": "script.welcome_home"}],
        [_if_state("input_select.house_mode", "away")],
    ),
    _automation(
        "good_morning",
        "House: good morning",
        [_state("binary_sensor.kitchen_motion", "on")],
        [
            _do("input_select.select_option", "input_select.house_mode", option="home"),
            _do("cover.open_cover", "cover.living_room_blind"),
        ],
        [_if_state("input_select.house_mode", "night"), {"condition": "time", "after": "05:30:00"}],
    ),
    _automation(
        "bedtime",
        "House: bedtime tag",
        [{"trigger": "event", "event_type": "tag_scanned", "event_data": {"tag_id": "bedside-table"}}],
        [{"action": "script.good_night"}],
    ),
    _automation(
        "vacuum_when_away",
        "Vacuum: clean while nobody is home",
        [_state("input_select.house_mode", "away")],
        [{"delay": {"minutes": 1}}, _do("vacuum.start", "vacuum.downstairs")],
        [{"condition": "time", "weekday": ["mon", "wed", "fri", "sat"]}],
    ),
    _automation(
        "laundry_done",
        "Laundry: tell when it is done",
        [_numeric("sensor.washing_machine_power", below=6, **{"for": {"minutes": 2}})],
        [{"action": "script.laundry_reminder"}],
        [_if_number("sensor.washing_machine_energy", above=0.2)],
    ),
    _automation(
        "film_light",
        "Living room: film light",
        [_state("media_player.living_room_tv", "playing", {"from": ["off", "idle"]})],
        [_do("scene.turn_on", "scene.film")],
        [_DARK],
    ),
    _automation(
        "garden_evening",
        "Garden: light from sunset",
        [{"trigger": "sun", "event": "sunset", "offset": "00:15:00"}],
        [_do("light.turn_on", "light.garden_wall", brightness_pct=40, color_temp_kelvin=2700)],
    ),
    _automation(
        "garden_night",
        "Garden: dark at night",
        [{"trigger": "time", "at": "23:30:00"}],
        [{"action": "light.turn_off", "target": {"area_id": "garden"}}],
    ),
    _automation(
        "sprinkler",
        "Garden: water the beds",
        [{"trigger": "sun", "event": "sunrise", "offset": "-00:20:00"}],
        [
            _do("switch.turn_on", "switch.garden_sprinkler"),
            {"delay": {"minutes": 12}},
            _do("switch.turn_off", "switch.garden_sprinkler"),
        ],
        [_if_number("sensor.garden_temperature", above=14)],
    ),
    _automation(
        "thirsty_basil",
        "Plants: basil is thirsty",
        [_numeric("sensor.basil_moisture", below=22)],
        [
            _do("notify.mobile_app_anna_phone", title="Plants", message="The basil needs water"),
            _do("logbook.log", name="Basil", message="needs water", domain="plant"),
        ],
    ),
    _automation(
        "sensor_lost",
        "Bathroom: sensor lost",
        [_state("sensor.bathroom_humidity", "unavailable", {"for": {"minutes": 5}})],
        [
            _do(
                "persistent_notification.create",
                title="Bathroom sensor",
                message="No word from the bathroom sensor for five minutes.",
                notification_id="bathroom_sensor",
            ),
        ],
    ),
    _automation(
        "nightly_restart",
        "House: nightly restart",
        [{"trigger": "time", "at": "03:59:45"}],
        [_do("homeassistant.restart")],
    ),
]

AUTOMATIONS: Final[dict[str, Config]] = {f"automation.{config['id']}": config for config in _ALL}

SCRIPTS: Final[dict[str, Config]] = {
    "script.welcome_home": {
        "alias": "Welcome home",
        "sequence": [
            _do("input_select.select_option", "input_select.house_mode", option="home"),
            _do("climate.set_temperature", "climate.living_room", temperature=20.5),
            {"if": [_DARK], "then": [_do("light.turn_on", "light.living_room_lamp", brightness_pct=60)]},
        ],
        "mode": "single",
    },
    "script.good_night": {
        "alias": "Good night",
        "sequence": [
            _do("media_player.turn_off", "media_player.living_room_tv"),
            _do("scene.turn_on", "scene.night"),
            {"delay": {"seconds": 20}},
            _do("cover.close_cover", "cover.bedroom_blind"),
            _do("input_select.select_option", "input_select.house_mode", option="night"),
        ],
        "mode": "restart",
    },
    "script.laundry_reminder": {
        "alias": "Laundry reminder",
        "sequence": [
            _do(
                "notify.mobile_app_anna_phone",
                title="Laundry",
                message="The washing machine is done",
                data={"actions": [{"action": "LAUNDRY_DONE", "title": "I take it out"}]},
            ),
            {"event": "laundry_done", "event_data": {"machine": "washing_machine"}},
        ],
        "mode": "single",
    },
}

#: entity_id -> id, name, what it sets: entity -> (state, attributes)
SCENES: Final[dict[str, tuple[str, str, dict[str, tuple[str, Config]]]]] = {
    "scene.film": (
        "1732436400001",
        "Film",
        {
            "light.living_room_ceiling": ("off", {}),
            "light.living_room_lamp": ("on", {"brightness_pct": 25, "color_temp_kelvin": 2202}),
        },
    ),
    "scene.night": (
        "1732436400002",
        "Night",
        {
            **{light: ("off", {}) for light in (*_DOWNSTAIRS, "light.study", "light.garden_wall")},
            "light.bedside": ("on", {"brightness_pct": 30, "color_temp_kelvin": 2202}),
        },
    ),
    "scene.bright": (
        "1732436400003",
        "Bright",
        {
            "light.living_room_ceiling": ("on", {"brightness_pct": 100, "color_temp_kelvin": 4000}),
            "light.living_room_lamp": ("on", {"brightness_pct": 100, "color_temp_kelvin": 4000}),
        },
    ),
}
