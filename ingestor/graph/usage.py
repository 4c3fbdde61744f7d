"""What an automation or script does in this home: its program looked up in the registries, entity by entity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from ingestor.graph.program import Action, Program, Target, Trigger
from ingestor.graph.services import ENTITY_DOMAINS, Result, result_of, writes_nothing
from ingestor.graph.templates import ENTITY_ID, is_template
from ingestor.graph.world import World

#: Event data as fired: key -> text, or ``None`` where it is computed.
Fired = tuple[tuple[str, str | None], ...]

_SCRIPT_VERBS: Final = frozenset({"turn_on", "turn_off", "toggle", "reload"})


@dataclass(slots=True, kw_only=True)
class Usage:
    """``triggers``: entity or device -> trigger. ``writes``: entity, the states it is left in, by which action.

    ``calls``: scripts and automations it runs. ``dead``: (kind, reference, role) of what the home does not have.
    """

    actor: str
    program: Program
    triggers: list[tuple[str, Trigger]] = field(default_factory=list)
    listens: list[tuple[str, Trigger]] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    writes: list[tuple[str, Result, Action]] = field(default_factory=list)
    calls: list[tuple[str, Action]] = field(default_factory=list)
    fires: list[tuple[str, Fired, Action]] = field(default_factory=list)
    dead: set[tuple[str, str, str]] = field(default_factory=set)

    def read_entities(self) -> set[str]:
        """Return all it looks at: triggers, conditions and templates."""
        return self.reads | {name for name, _ in self.triggers if not name.startswith("device:")}

    def written_entities(self, world: World) -> set[str]:
        """Return all it changes, also through the scenes it activates."""
        found = {name for name, _, _ in self.writes}
        for name in list(found):
            if name.startswith("scene."):
                found.update(scene_members(world, name))
        return found


def use(actor: str, program: Program, world: World) -> Usage:
    """Look a program up. Names the home does not have are kept, and listed as dead."""
    usage = Usage(actor=actor, program=program)
    for trigger in program.triggers:
        _trigger(usage, trigger, world)
    for action in program.actions:
        _action(usage, action, world)
    for name in sorted(program.reads):
        usage.reads.add(_checked(usage, world.entity_id(name), "read", world))
    usage.reads.update(name for name in program.maybe if name in world.known)
    for target in program.consults:
        usage.reads.update(_checked(usage, name, "read", world) for name in world.named(target, None))
        usage.reads.update(world.reached(target))
        _check_places(usage, target, "read", world)
    usage.reads.discard("")
    return usage


def scene_members(world: World, scene: str) -> tuple[str, ...]:
    """Return the entities a scene sets."""
    state = world.facts.states.get(scene)
    return state.members if state else ()


def fired_data(data: dict[str, Any]) -> Fired:
    """Return event data as what is known of it before it is fired."""
    return tuple(sorted((str(key), _static(value)) for key, value in data.items()))


def _trigger(usage: Usage, trigger: Trigger, world: World) -> None:
    domain = trigger.domain if trigger.domain in ENTITY_DOMAINS else None
    names = [_checked(usage, name, "trigger", world) for name in world.named(trigger.target, trigger.domain)]
    names += [name for name in sorted(trigger.maybe) if name in world.known]
    names += [name for name in world.reached(trigger.target) if domain is None or name.startswith(f"{domain}.")]
    usage.triggers.extend((name, trigger) for name in dict.fromkeys(names))
    for device in trigger.devices:
        if world.facts.devices and device not in world.facts.devices:
            usage.dead.add(("device", device, "trigger"))
        usage.triggers.append((f"device:{device}", trigger))
    usage.listens.extend((f"event:{kind}", trigger) for kind in trigger.events)
    usage.listens.extend((f"topic:{topic}", trigger) for topic in trigger.topics)
    _check_places(usage, trigger.target, "trigger", world)


def _action(usage: Usage, action: Action, world: World) -> None:
    if action.fires is not None:
        usage.fires.append((f"event:{action.fires}", fired_data(action.data), action))
        return
    service = action.service
    if service is None:
        named = [name for name in world.named(action.target, None) if ENTITY_ID.match(name)]
        usage.writes.extend((name, None, action) for name in world.with_members(named))
        return
    domain, _, verb = service.partition(".")
    if world.facts.services and service not in world.facts.services and domain != "script":
        usage.dead.add(("service", service, "call"))
    if action.topic is not None:
        usage.fires.append((f"topic:{action.topic}", (), action))
    if domain == "script" and verb not in _SCRIPT_VERBS:
        usage.calls.append((_checked(usage, service, "call", world), action))
        return
    if domain == "scene" and verb == "create":
        return
    _check_places(usage, action.target, "write", world)
    names = _addressed(usage, service, action.target, world)
    if (domain == "script" and verb in {"turn_on", "toggle"}) or service == "automation.trigger":
        usage.calls.extend((name, action) for name in names)
    elif writes_nothing(service):
        usage.reads.update(names)
    else:
        usage.writes.extend((name, result_of(service, action.data, _domain(name)), action) for name in names)


def _addressed(usage: Usage, service: str, target: Target, world: World) -> list[str]:
    """Return the entities a call addresses: of its own domain, of its own integration, or any."""
    domain = service.partition(".")[0]
    named = world.with_members(_checked(usage, name, "write", world) for name in world.named(target, domain))
    reached = world.with_members(world.reached(target))
    if domain in ENTITY_DOMAINS:
        keep = f"{domain}."
        return list(dict.fromkeys(name for name in [*named, *reached] if name.startswith(keep)))
    if domain in {"homeassistant", "group"}:
        return list(dict.fromkeys([*named, *reached]))
    own = [name for name in reached if _platform(name, world) == domain]
    return list(dict.fromkeys([*named, *own]))


def _checked(usage: Usage, name: str, role: str, world: World) -> str:
    if world.known and name not in world.known:
        usage.dead.add(("entity", name, role))
    return name


def _check_places(usage: Usage, target: Target, role: str, world: World) -> None:
    if not target.is_wide:
        return
    facts = world.facts
    kinds: tuple[tuple[str, Iterable[str], dict[str, Any]], ...] = (
        ("device", target.devices, facts.devices),
        ("area", target.areas, facts.areas),
        ("floor", target.floors, facts.floors),
        ("label", target.labels, facts.labels),
    )
    for kind, names, there in kinds:
        if there:
            usage.dead.update((kind, name, role) for name in names if name not in there)


def _platform(name: str, world: World) -> str | None:
    entry = world.facts.entities.get(name)
    return entry.platform if entry else None


def _domain(name: str) -> str:
    return name.partition(".")[0]


def _static(value: Any) -> str | None:
    if isinstance(value, str | int | float) and not is_template(str(value)):
        return str(value)
    return None
