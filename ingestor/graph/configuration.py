"""Read an automation or script as its owner wrote it: old keys and new, nested as deep as it goes, never raising.

Triggers are what starts a run. Everything else that is looked at - conditions, templates, waits - is a read.
"""

from __future__ import annotations

from typing import Any, Final

from ingestor.graph.documents import Faults
from ingestor.graph.program import Action, Program, Target, Trigger
from ingestor.graph.services import device_action
from ingestor.graph.templates import ENTITY_ID, is_template, names_in
from ingestor.graph.triggers import read_trigger
from ingestor.graph.values import entity_names, listed, text_of

#: Nesting beyond this is a fault and not looked into.
MAX_DEPTH: Final = 60

_CONDITION_KEYS: Final = ("condition", "and", "or", "not")
_OWN_KEYS: Final = frozenset({"alias", "id", "sequence", "trigger", "triggers"})
_ENTITY_KEYS: Final = ("entity_id", "zone", "above", "below", "after", "before", "at")
_TARGET_KEYS: Final = {
    "entity_id": "entities",
    "device_id": "devices",
    "area_id": "areas",
    "floor_id": "floors",
    "label_id": "labels",
}


def read_program(config: Any, where: str, faults: Faults) -> Program:
    """Return what the configuration of one automation or script says. Cost: linear in its size."""
    if not isinstance(config, dict):
        faults.add(where, f"expected an object, got {type(config).__name__}")
        return Program()
    if isinstance(config.get("config"), dict) and not _OWN_KEYS & config.keys():
        config = config["config"]
    return _Reading(where, faults).program(config)


class _Reading:
    """One program while it is read."""

    def __init__(self, where: str, faults: Faults) -> None:
        self._where = where
        self._faults = faults
        self._triggers: list[Trigger] = []
        self._actions: list[Action] = []
        self._reads: set[str] = set()
        self._maybe: set[str] = set()
        self._computed: set[str] = set()
        self._consults: list[Target] = []

    def program(self, config: dict[str, Any]) -> Program:
        blueprint = config.get("use_blueprint")
        path = None
        if isinstance(blueprint, dict):
            path = text_of(blueprint.get("path"))
            self._blueprint(blueprint.get("input"), 0)
        for key in ("triggers", "trigger"):
            self._start(config.get(key), 0)
        conditions = [*listed(config.get("conditions")), *listed(config.get("condition"))]
        stops = self._conditions(conditions, 0)
        self._names(config.get("variables"), 0)
        self._names(config.get("trigger_variables"), 0)
        for key in ("actions", "action", "sequence"):
            self._sequence(config.get(key), 0, guarded=False)
        return Program(
            config_id=text_of(config.get("id")),
            name=text_of(config.get("alias")),
            mode=text_of(config.get("mode")),
            blueprint=path,
            triggers=tuple(self._triggers),
            actions=tuple(self._actions),
            reads=frozenset(self._reads),
            maybe=frozenset(self._maybe - self._reads),
            consults=tuple(self._consults),
            computed=frozenset(self._computed),
            has_condition=stops,
        )

    def _start(self, node: Any, depth: int) -> None:
        for trigger in listed(node):
            if self._too_deep(depth) or _is_off(trigger):
                continue
            if isinstance(trigger, dict) and "triggers" in trigger:
                self._start(trigger["triggers"], depth + 1)
                continue
            read = read_trigger(trigger)
            if read is None:
                self._faults.add(f"{self._where}.triggers", "a trigger that names no kind")
                continue
            found, names = read
            self._triggers.append(found)
            self._take(names.sure, names.literal, names.computed)
            if isinstance(trigger, dict):
                self._names({key: value for key, value in trigger.items() if key != "value_template"}, depth + 1)

    def _conditions(self, node: Any, depth: int) -> bool:
        """Read conditions; answer whether there is one that can say no."""
        found = False
        for condition in listed(node):
            if self._too_deep(depth) or _is_off(condition) or condition is None:
                continue
            found = True
            if not isinstance(condition, dict):
                self._names(condition, depth + 1)
                continue
            for key in _ENTITY_KEYS:
                self._reads.update(name for name in entity_names(condition.get(key)) if _is_reference(key, name))
            self._consult(_target_of(condition), _target_of(condition.get("target")))
            if condition.get("condition") == "sun":
                self._reads.add("sun.sun")
            for key in ("conditions", "and", "or", "not"):
                self._conditions(condition.get(key), depth + 1)
            rest = {key: value for key, value in condition.items() if key not in {"conditions", "and", "or", "not"}}
            self._names(rest, depth + 1)
        return found

    def _sequence(self, node: Any, depth: int, *, guarded: bool) -> None:
        for step in listed(node):
            if self._too_deep(depth) or _is_off(step) or step is None:
                continue
            if isinstance(step, list):
                self._sequence(step, depth + 1, guarded=guarded)
            elif not isinstance(step, dict) or any(key in step for key in _CONDITION_KEYS):
                guarded = self._conditions(step, depth + 1) or guarded
            else:
                self._step(step, depth + 1, guarded=guarded)

    def _step(self, step: dict[str, Any], depth: int, *, guarded: bool) -> None:
        self._branches(step, depth, guarded=guarded)
        service = step.get("action", step.get("service", step.get("service_template")))
        if isinstance(service, str):
            self._call(service, step, guarded=guarded)
        elif isinstance(step.get("scene"), str):
            self._act("scene.turn_on", Target(entities=entity_names(step["scene"])), {}, guarded=guarded)
        elif isinstance(step.get("type"), str) and isinstance(step.get("domain"), str):
            target = Target(entities=entity_names(step.get("entity_id")))
            self._act(device_action(step["domain"], step["type"]), target, {}, guarded=guarded)
        if isinstance(step.get("event"), str):
            data = step.get("event_data", step.get("event_data_template"))
            fired = data if isinstance(data, dict) else {}
            name = step["event"]
            self._actions.append(Action(label=f"event {name}", fires=name, data=fired, guarded=guarded))
        for trigger in listed(step.get("wait_for_trigger")):
            read = None if _is_off(trigger) else read_trigger(trigger)
            if read is not None:
                self._consults.append(read[0].target)
                self._maybe.update(read[0].maybe)
        nested = {"choose", "default", "if", "then", "else", "parallel", "repeat", "sequence"}
        self._names({key: value for key, value in step.items() if key not in nested}, depth)

    def _branches(self, step: dict[str, Any], depth: int, *, guarded: bool) -> None:
        for option in listed(step.get("choose")):
            if isinstance(option, dict) and not _is_off(option):
                self._conditions(option.get("conditions"), depth)
                self._conditions(option.get("condition"), depth)
                self._sequence(option.get("sequence"), depth, guarded=True)
        self._sequence(step.get("default"), depth, guarded=True)
        self._conditions(step.get("if"), depth)
        self._sequence(step.get("then"), depth, guarded=True)
        self._sequence(step.get("else"), depth, guarded=True)
        self._sequence(step.get("parallel"), depth, guarded=guarded)
        self._sequence(step.get("sequence"), depth, guarded=guarded)
        repeat = step.get("repeat")
        if isinstance(repeat, dict):
            bounded = self._conditions(repeat.get("while"), depth)
            self._conditions(repeat.get("until"), depth)
            self._names({key: repeat.get(key) for key in ("count", "for_each")}, depth)
            self._sequence(repeat.get("sequence"), depth, guarded=guarded or bounded)

    def _call(self, service: str, step: dict[str, Any], *, guarded: bool) -> None:
        data: dict[str, Any] = {}
        for key in ("data_template", "data"):
            if isinstance(step.get(key), dict):
                data |= step[key]
        targets = [_target_of(part) for part in (step.get("target"), step, data)]
        target = Target(**{field: _joined(targets, field) for field in _TARGET_KEYS.values()})
        speaker = entity_names(data.get("media_player_entity_id"))
        if speaker:
            self._act("media_player.play_media", Target(entities=speaker), {}, guarded=guarded)
        if isinstance(data.get("entities"), dict) and service.startswith("scene."):
            named = tuple(name for name in data["entities"] if isinstance(name, str) and ENTITY_ID.match(name))
            if service == "scene.apply":
                self._actions.append(Action(label=service, target=Target(entities=named), guarded=guarded))
        if is_template(service):
            self._computed.add(service[:80])
            self._actions.append(Action(label=service[:80], target=target, guarded=guarded))
            return
        self._act(service.strip().lower(), target, data, guarded=guarded)

    def _act(self, service: str, target: Target, data: dict[str, Any], *, guarded: bool) -> None:
        topic = text_of(data.get("topic")) if service == "mqtt.publish" else None
        self._actions.append(
            Action(label=service, service=service, target=target, data=data, topic=topic, guarded=guarded)
        )

    def _blueprint(self, node: Any, depth: int) -> None:
        """Read the inputs of a blueprint: what looks like an action or trigger is one, other entities are reads."""
        if self._too_deep(depth):
            return
        if isinstance(node, list):
            for item in node:
                self._blueprint(item, depth + 1)
        elif not isinstance(node, dict):
            self._names(node, depth)
        elif isinstance(node.get("action", node.get("service")), str) or "event" in node:
            self._sequence(node, depth + 1, guarded=False)
        elif isinstance(node.get("trigger", node.get("platform")), str):
            self._start(node, depth + 1)
        elif "condition" in node:
            self._conditions(node, depth + 1)
        else:
            self._consult(_target_of(node))
            for value in node.values():
                self._blueprint(value, depth + 1)

    def _names(self, node: Any, depth: int) -> None:
        """Collect the entities that templates and plain texts name, wherever they are."""
        if self._too_deep(depth):
            return
        if isinstance(node, str):
            names = names_in(node)
            self._take(names.sure, names.literal if is_template(node) else frozenset(), names.computed)
            if not is_template(node) and ENTITY_ID.match(node):
                self._maybe.add(node)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key not in {"target", "entity_id", "action", "service", "scene", "event", "media_player_entity_id"}:
                    self._names(value, depth + 1)
                elif isinstance(value, str | list | dict):
                    self._templates_only(value, depth + 1)
        elif isinstance(node, list):
            for item in node:
                self._names(item, depth + 1)

    def _templates_only(self, node: Any, depth: int) -> None:
        if self._too_deep(depth):
            return
        if isinstance(node, str) and is_template(node):
            self._names(node, depth)
            self._computed.add(node[:80])
        elif isinstance(node, list | dict):
            for item in node.values() if isinstance(node, dict) else node:
                self._templates_only(item, depth + 1)

    def _consult(self, *targets: Target) -> None:
        self._consults.extend(target for target in targets if target)

    def _take(self, sure: frozenset[str], literal: frozenset[str], computed: frozenset[str]) -> None:
        self._reads |= sure
        self._maybe |= literal
        self._computed |= computed

    def _too_deep(self, depth: int) -> bool:
        if depth <= MAX_DEPTH:
            return False
        self._faults.add(self._where, f"nested deeper than {MAX_DEPTH}, the rest is not read")
        return True


def _target_of(node: Any) -> Target:
    if not isinstance(node, dict):
        return Target()
    return Target(**{field: entity_names(node.get(key)) for key, field in _TARGET_KEYS.items()})


def _joined(targets: list[Target], field: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for target in targets for name in getattr(target, field)))


def _is_off(node: Any) -> bool:
    return isinstance(node, dict) and node.get("enabled") in (False, "false", "False")


def _is_reference(key: str, name: str) -> bool:
    return key == "entity_id" or ENTITY_ID.match(name) is not None
