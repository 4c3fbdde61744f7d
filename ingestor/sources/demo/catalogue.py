"""What stands in the demo home: floors, areas, people, integrations, devices, entities. Facts only, no time."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

TIME_ZONE: Final = "Europe/Amsterdam"
LATITUDE: Final = 52.09
LONGITUDE: Final = 5.12
ELEVATION_M: Final = 4
VERSION: Final = "2025.4.4"


def hex_id(name: str) -> str:
    """Return a registry id of 32 hex digits that stays the same for ever."""
    return blake2b(f"demo/{name}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity. ``attributes`` are those that never change; ``start`` is its state after the nightly restart."""

    entity_id: str
    name: str | None
    attributes: dict[str, Any] = field(default_factory=dict)
    start: str = "unknown"
    category: str | None = None

    @property
    def domain(self) -> str:
        """The part before the dot."""
        return self.entity_id.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, the integration it came by, and the entities it has."""

    key: str
    name: str
    area: str | None
    integration: str
    model: str
    entities: tuple[Entity, ...]
    via: str | None = None

    @property
    def id(self) -> str:
        """Its registry id."""
        return hex_id(f"device/{self.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone who lives here. ``user`` tells whether they have an account."""

    key: str
    name: str
    user: bool
    wakes: float
    sleeps: float
    bedroom: str

    @property
    def user_id(self) -> str | None:
        """The account's id."""
        return hex_id(f"user/{self.key}") if self.user else None


#: floor_id -> name, level, icon
FLOORS: Final = {
    "ground_floor": ("Ground floor", 0, "mdi:home-floor-g"),
    "first_floor": ("First floor", 1, "mdi:home-floor-1"),
    "attic": ("Attic", 2, "mdi:home-floor-a"),
}
#: area_id -> name, floor, icon
AREAS: Final = {
    "living_room": ("Living room", "ground_floor", "mdi:sofa"),
    "kitchen": ("Kitchen", "ground_floor", "mdi:silverware-fork-knife"),
    "hallway": ("Hallway", "ground_floor", "mdi:door"),
    "utility_room": ("Utility room", "ground_floor", "mdi:washing-machine"),
    "bedroom": ("Bedroom", "first_floor", "mdi:bed-king"),
    "kids_room": ("Kids room", "first_floor", "mdi:teddy-bear"),
    "bathroom": ("Bathroom", "first_floor", "mdi:shower"),
    "landing": ("Landing", "first_floor", "mdi:stairs"),
    "study": ("Study", "attic", "mdi:desk"),
    "guest_room": ("Guest room", "attic", "mdi:bed"),
    "garden": ("Garden", None, "mdi:tree"),
}
FLOOR_OF: Final = {area: floor for area, (_, floor, _) in AREAS.items()}
PEOPLE: Final = (
    Person(key="anna", name="Anna", user=True, wakes=6.5, sleeps=23.1, bedroom="bedroom"),
    Person(key="ben", name="Ben", user=True, wakes=6.85, sleeps=23.3, bedroom="bedroom"),
    Person(key="mia", name="Mia", user=True, wakes=7.0, sleeps=21.3, bedroom="kids_room"),
    Person(key="noah", name="Noah", user=False, wakes=7.05, sleeps=20.2, bedroom="kids_room"),
)
#: config entry domain -> its title
INTEGRATIONS: Final = {
    "sun": "Sun",
    "met": "Home",
    "zha": "Zigbee coordinator",
    "hue": "Light bridge",
    "shelly": "Plugs and relays",
    "tado": "Heating",
    "cast": "Television",
    "sonos": "Kitchen speaker",
    "esphome": "Air and presence",
    "xiaomi_ble": "Plant sensors",
    "dsmr": "Smart meter",
    "solaredge": "Roof",
    "roborock": "Vacuum",
    "mobile_app": "Phones",
    "fritz": "Router",
    "backup": "Backup",
}
LABELS: Final = {
    "safety": ("Safety", "red", "mdi:shield-home"),
    "energy": ("Energy", "amber", "mdi:flash"),
    "holiday": ("On while away", "blue", None),
}


def _measure(
    entity_id: str, name: str, device_class: str | None, unit: str | None, state_class: str = "measurement"
) -> Entity:
    attributes: dict[str, Any] = {"state_class": state_class}
    if unit:
        attributes["unit_of_measurement"] = unit
    if device_class:
        attributes["device_class"] = device_class
    category = "diagnostic" if device_class in {"battery", "signal_strength", "voltage"} else None
    return Entity(entity_id=f"sensor.{entity_id}", name=name, attributes=attributes, category=category)


def _temperature(key: str) -> Entity:
    return _measure(f"{key}_temperature", "Temperature", "temperature", "°C")


def _humidity(key: str) -> Entity:
    return _measure(f"{key}_humidity", "Humidity", "humidity", "%")


def _illuminance(key: str) -> Entity:
    return _measure(f"{key}_illuminance", "Illuminance", "illuminance", "lx")


def _battery(key: str) -> Entity:
    return _measure(f"{key}_battery", "Battery", "battery", "%")


def _power(key: str) -> Entity:
    return _measure(f"{key}_power", "Power", "power", "W")


def _energy(key: str, name: str = "Energy today") -> Entity:
    return _measure(f"{key}_energy", name, "energy", "kWh", "total_increasing")


def _binary(entity_id: str, name: str | None, device_class: str, start: str = "off") -> Entity:
    return Entity(
        entity_id=f"binary_sensor.{entity_id}", name=name, attributes={"device_class": device_class}, start=start
    )


def _motion(area: str, *, lux: bool = True) -> Device:
    entities = [_binary(f"{area}_motion", None, "motion")]
    entities += [_illuminance(area)] if lux else []
    return _zigbee(f"{area}_motion", f"{AREAS[area][0]} motion", area, "Motion P1", *entities)


def _climate_sensor(area: str) -> Device:
    return _zigbee(f"{area}_climate", AREAS[area][0], area, "Climate T1", _temperature(area), _humidity(area))


def _zigbee(key: str, name: str, area: str, model: str, *entities: Entity) -> Device:
    own = (*entities, _battery(key))
    return Device(key=key, name=name, area=area, integration="zha", model=model, entities=own, via="coordinator")


def _contact(key: str, name: str, area: str, device_class: str) -> Device:
    return _zigbee(key, name, area, "Contact D1", _binary(key, None, device_class))


def _light(key: str, name: str, area: str) -> Device:
    attributes = {
        "min_color_temp_kelvin": 2202,
        "max_color_temp_kelvin": 6535,
        "min_mireds": 153,
        "max_mireds": 454,
        "supported_color_modes": ["color_temp"],
    }
    light = Entity(entity_id=f"light.{key}", name=None, attributes=attributes, start="off")
    return Device(
        key=f"light_{key}", name=name, area=area, integration="hue", model="Bulb W2", entities=(light,), via="bridge"
    )


def _plug(key: str, name: str, area: str, *, switch: bool = True) -> Device:
    own = [_power(key), _energy(key)]
    if switch:
        own.append(Entity(entity_id=f"switch.{key}", name=None, attributes={"device_class": "outlet"}, start="on"))
    return Device(key=f"plug_{key}", name=name, area=area, integration="shelly", model="Plug S", entities=tuple(own))


def _thermostat(area: str) -> Device:
    attributes = {"hvac_modes": ["heat", "off", "auto"], "min_temp": 7.0, "max_temp": 28.0, "target_temp_step": 0.5}
    own = (
        Entity(entity_id=f"climate.{area}", name=None, attributes=attributes, start="heat"),
        _measure(f"{area}_heating", "Heating", None, "%"),
    )
    name = f"{AREAS[area][0]} thermostat"
    return Device(key=f"thermostat_{area}", name=name, area=area, integration="tado", model="Valve 2", entities=own)


def _blind(key: str, name: str, area: str) -> Device:
    return _zigbee(key, name, area, "Blind B2", Entity(entity_id=f"cover.{key}", name=None, start="closed"))


def _plant(key: str, name: str, area: str) -> Device:
    own = (
        _measure(f"{key}_moisture", "Moisture", "moisture", "%"),
        _measure(f"{key}_conductivity", "Conductivity", "conductivity", "µS/cm"),
        _battery(key),
    )
    return Device(key=f"plant_{key}", name=name, area=area, integration="xiaomi_ble", model="Plant probe", entities=own)


def _phone(person: Person) -> Device:
    key = f"{person.key}_phone"
    own = (
        Entity(entity_id=f"device_tracker.{key}", name=None, attributes={"source_type": "gps"}, start="home"),
        _battery(key),
        Entity(entity_id=f"sensor.{key}_battery_state", name="Battery state", start="Full", category="diagnostic"),
    )
    name = f"{person.name} phone"
    return Device(key=key, name=name, area=None, integration="mobile_app", model="Phone", entities=own)


def _service(key: str, name: str, integration: str, *entities: Entity) -> Device:
    return Device(key=key, name=name, area=None, integration=integration, model="Service", entities=entities)


def _clock(entity_id: str, name: str) -> Entity:
    return Entity(entity_id=entity_id, name=name, attributes={"device_class": "timestamp"}, category="diagnostic")


THERMOSTATS: Final = ("living_room", "bedroom", "kids_room", "bathroom", "study")
PLUGS: Final = {"tv": 0.6, "fridge": 1.0, "dishwasher": 0.4, "washing_machine": 0.5, "coffee_machine": 0.6, "desk": 4.0}
DEVICES: Final = (
    Device(
        key="coordinator", name="Zigbee coordinator", area="hallway", integration="zha", model="Stick E2", entities=()
    ),
    Device(key="bridge", name="Light bridge", area="hallway", integration="hue", model="Bridge 2", entities=()),
    *(_motion(area) for area in ("living_room", "kitchen", "hallway", "landing", "bathroom")),
    *(_motion(area, lux=False) for area in ("bedroom", "kids_room")),
    *(_climate_sensor(area) for area in ("living_room", "kitchen", "bedroom", "kids_room", "bathroom", "guest_room")),
    *(_thermostat(area) for area in THERMOSTATS),
    _light("living_room_ceiling", "Living room ceiling", "living_room"),
    _light("living_room_lamp", "Living room lamp", "living_room"),
    _light("kitchen_ceiling", "Kitchen ceiling", "kitchen"),
    _light("kitchen_counter", "Kitchen counter", "kitchen"),
    _light("hallway", "Hallway light", "hallway"),
    _light("stairs_lower", "Stairs lower", "hallway"),
    _light("stairs_upper", "Stairs upper", "landing"),
    _light("bathroom", "Bathroom light", "bathroom"),
    _light("bedroom_ceiling", "Bedroom ceiling", "bedroom"),
    _light("bedside", "Bedside lamp", "bedroom"),
    _light("kids_room", "Kids room light", "kids_room"),
    _light("study", "Study light", "study"),
    _light("guest_room", "Guest room light", "guest_room"),
    _light("garden_wall", "Garden wall", "garden"),
    _contact("front_door", "Front door", "hallway", "door"),
    _contact("back_door", "Back door", "kitchen", "door"),
    _contact("fridge_door", "Fridge door", "kitchen", "opening"),
    _contact("bedroom_window", "Bedroom window", "bedroom", "window"),
    _contact("garden_gate", "Garden gate", "garden", "opening"),
    _zigbee(
        "front_door_lock",
        "Front door lock",
        "hallway",
        "Lock L3",
        Entity(entity_id="lock.front_door", name=None, start="locked"),
    ),
    _zigbee("smoke", "Smoke detector", "landing", "Smoke S1", _binary("smoke", None, "smoke")),
    _zigbee("leak", "Leak sensor", "utility_room", "Leak F1", _binary("utility_leak", None, "moisture")),
    _zigbee("stairs_remote", "Stairs remote", "hallway", "Remote R4"),
    _blind("living_room_blind", "Living room blind", "living_room"),
    _blind("bedroom_blind", "Bedroom blind", "bedroom"),
    *(
        _plug(key, name, area)
        for key, name, area in (
            ("tv", "TV plug", "living_room"),
            ("coffee_machine", "Coffee machine", "kitchen"),
            ("dishwasher", "Dishwasher", "kitchen"),
            ("washing_machine", "Washing machine", "utility_room"),
            ("desk", "Desk", "study"),
        )
    ),
    _plug("fridge", "Fridge", "kitchen", switch=False),
    Device(
        key="tv",
        name="Living room TV",
        area="living_room",
        integration="cast",
        model="Screen 55",
        entities=(
            Entity(entity_id="media_player.living_room_tv", name=None, attributes={"device_class": "tv"}, start="off"),
        ),
    ),
    Device(
        key="speaker",
        name="Kitchen speaker",
        area="kitchen",
        integration="sonos",
        model="Speaker One",
        entities=(
            Entity(
                entity_id="media_player.kitchen_speaker",
                name=None,
                attributes={"device_class": "speaker"},
                start="idle",
            ),
        ),
    ),
    Device(
        key="air",
        name="Living room air",
        area="living_room",
        integration="esphome",
        model="Air 4",
        entities=(
            _measure("living_room_co2", "CO2", "carbon_dioxide", "ppm"),
            _measure("living_room_pm25", "PM2.5", "pm25", "µg/m³"),
            _measure("living_room_air_rssi", "Signal", "signal_strength", "dBm"),
        ),
    ),
    Device(
        key="study_presence",
        name="Study presence",
        area="study",
        integration="esphome",
        model="Radar 2",
        entities=(_binary("study_presence", None, "occupancy"), _illuminance("study"), _temperature("study")),
    ),
    Device(
        key="bathroom_fan",
        name="Bathroom fan",
        area="bathroom",
        integration="shelly",
        model="Relay 1",
        entities=(
            Entity(
                entity_id="fan.bathroom",
                name=None,
                attributes={"preset_modes": None, "percentage_step": 33.333333333333336},
                start="off",
            ),
            _power("bathroom_fan"),
        ),
    ),
    Device(
        key="heat_pump",
        name="Heat pump",
        area="utility_room",
        integration="esphome",
        model="Air to water 8",
        entities=(
            _power("heat_pump"),
            _measure("heat_pump_flow_temperature", "Flow temperature", "temperature", "°C"),
            _binary("heat_pump_compressor", "Compressor", "running"),
        ),
    ),
    Device(
        key="water_heater",
        name="Water heater",
        area="utility_room",
        integration="shelly",
        model="Relay 1 PM",
        entities=(_power("water_heater"), _energy("water_heater")),
    ),
    Device(
        key="meter",
        name="Smart meter",
        area="utility_room",
        integration="dsmr",
        model="DSMR 5",
        entities=(
            _power("grid"),
            _energy("grid_import", "Energy import"),
            _measure("grid_voltage", "Voltage", "voltage", "V"),
        ),
    ),
    Device(
        key="inverter",
        name="Solar inverter",
        area="guest_room",
        integration="solaredge",
        model="Inverter 3.6",
        entities=(_power("solar"), _energy("solar", "Energy total")),
    ),
    _plant("ficus", "Ficus", "living_room"),
    _plant("basil", "Basil", "kitchen"),
    _zigbee(
        "garden",
        "Garden weather",
        "garden",
        "Outdoor O2",
        _temperature("garden"),
        _humidity("garden"),
        _illuminance("garden"),
    ),
    Device(
        key="sprinkler",
        name="Garden sprinkler",
        area="garden",
        integration="shelly",
        model="Relay 1",
        entities=(Entity(entity_id="switch.garden_sprinkler", name=None, start="off"),),
    ),
    Device(
        key="vacuum",
        name="Vacuum",
        area="living_room",
        integration="roborock",
        model="Robot Q",
        entities=(
            Entity(entity_id="vacuum.downstairs", name=None, start="docked"),
            _battery("vacuum"),
        ),
    ),
    *(_phone(person) for person in PEOPLE),
    Device(
        key="router",
        name="Router",
        area="hallway",
        integration="fritz",
        model="Router 7",
        entities=(
            _measure("router_download", "Download", "data_rate", "kB/s"),
            _measure("router_upload", "Upload", "data_rate", "kB/s"),
            _binary("router_internet", "Internet", "connectivity", "on"),
        ),
    ),
    _service(
        "sun",
        "Sun",
        "sun",
        _clock("sensor.sun_next_rising", "Next rising"),
        _clock("sensor.sun_next_setting", "Next setting"),
    ),
    _service("forecast", "Forecast", "met", Entity(entity_id="weather.home", name=None)),
    _service("backup", "Backup", "backup", _clock("sensor.backup_last_successful_automatic_backup", "Last backup")),
)

#: Entities of no device: entity_id -> name, constant attributes, state after the restart.
HELPERS: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "input_boolean.guest_mode": ("Guest mode", {"editable": True, "icon": "mdi:account-multiple"}, "off"),
    "input_boolean.holiday": ("Holiday", {"editable": True, "icon": "mdi:beach"}, "off"),
    "input_select.house_mode": ("House mode", {"options": ["home", "away", "night"], "editable": True}, "night"),
    "input_number.comfort_temperature": (
        "Comfort temperature",
        {
            "initial": None,
            "editable": True,
            "min": 16.0,
            "max": 24.0,
            "step": 0.5,
            "mode": "slider",
            "unit_of_measurement": "°C",
        },
        "20.5",
    ),
    "counter.stair_rounds": ("Stair rounds", {"editable": True, "initial": 0, "step": 1}, "0"),
    "timer.oven": ("Oven", {"duration": "0:20:00", "editable": True}, "idle"),
}
ENTITIES: Final = {entity.entity_id: (entity, device) for device in DEVICES for entity in device.entities}


def friendly_name(entity: Entity, device: Device) -> str:
    """As the front end shows it."""
    return f"{device.name} {entity.name}" if entity.name else device.name
