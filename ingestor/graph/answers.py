"""Facts as answers: sorted, JSON-ready objects with the names the API publishes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ingestor.graph.flow import Flow
from ingestor.graph.observed import Observed
from ingestor.graph.times import text_of_us
from ingestor.graph.usage import Usage
from ingestor.graph.world import World

Item = dict[str, Any]


def devices(world: World) -> list[Item]:
    """Return all devices, by id."""
    facts = world.facts
    found = []
    for key, device in sorted(facts.devices.items()):
        area = world.area_of_device.get(key)
        entries = [facts.config_entries[entry] for entry in device.config_entries if entry in facts.config_entries]
        found.append(
            {
                "id": key,
                "name": device.name,
                "manufacturer": device.manufacturer,
                "model": device.model,
                "model_id": device.model_id,
                "sw_version": device.sw_version,
                "hw_version": device.hw_version,
                "serial_number": device.serial_number,
                "entry_type": device.entry_type,
                "via_device_id": device.via_device_id,
                "parent_device_id": device.parent_device_id,
                "area_id": area,
                "floor_id": world.floor_of(area),
                "connections": [list(pair) for pair in device.connections],
                "identifiers": [list(pair) for pair in device.identifiers],
                "config_entries": list(device.config_entries),
                "integrations": sorted({entry.domain for entry in entries if entry.domain}),
                "labels": sorted(device.labels),
                "disabled_by": device.disabled_by,
                "entities": sorted(world.entities_of_device.get(key, ())),
            }
        )
    return found


def areas(world: World) -> list[Item]:
    """Return all areas with what is in them, by id."""
    inside: dict[str, list[str]] = defaultdict(list)
    for name in sorted(world.known):
        area = world.area_of(name)
        if area:
            inside[area].append(name)
    sensors: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, (area, what) in sorted(world.measures.items()):
        sensors[area][what].append(name)
    neighbours = world.neighbours
    return [
        {
            "area_id": key,
            "name": area.name,
            "floor_id": area.floor_id,
            "aliases": list(area.aliases),
            "labels": sorted(area.labels),
            "devices": sorted(device for device, at in world.area_of_device.items() if at == key),
            "entities": inside[key],
            "measures": {what: sensors[key][what] for what in sorted(sensors[key])},
            "neighbours": list(neighbours.get(key, ())),
        }
        for key, area in sorted(world.facts.areas.items())
    ]


def floors(world: World) -> list[Item]:
    """Return all floors with their areas, by id."""
    facts = world.facts
    return [
        {
            "floor_id": key,
            "name": floor.name,
            "level": floor.level,
            "aliases": list(floor.aliases),
            "areas": sorted(area for area, entry in facts.areas.items() if entry.floor_id == key),
        }
        for key, floor in sorted(facts.floors.items())
    ]


def integrations(world: World) -> list[Item]:
    """Return the integrations that are set up or provide entities, by domain."""
    facts = world.facts
    platforms: dict[str, int] = defaultdict(int)
    for entry in facts.entities.values():
        if entry.platform:
            platforms[entry.platform] += 1
    devices_of: dict[str, int] = defaultdict(int)
    for device in facts.devices.values():
        for domain in {facts.config_entries[e].domain for e in device.config_entries if e in facts.config_entries}:
            devices_of[domain] += 1
    domains = platforms.keys() | {entry.domain for entry in facts.config_entries.values() if entry.domain}
    found = []
    for domain in sorted(domains):
        manifest = facts.manifests.get(domain)
        found.append(
            {
                "domain": domain,
                "name": (manifest and manifest.name) or domain,
                "integration_type": manifest.integration_type if manifest else None,
                "iot_class": manifest.iot_class if manifest else None,
                "documentation": manifest.documentation if manifest else None,
                "config_entries": [
                    {
                        "entry_id": key,
                        "title": entry.title,
                        "source": entry.source,
                        "state": entry.state,
                        "disabled_by": entry.disabled_by,
                    }
                    for key, entry in sorted(facts.config_entries.items())
                    if entry.domain == domain
                ],
                "devices": devices_of[domain],
                "entities": platforms[domain],
            }
        )
    return found


def users(world: World) -> list[Item]:
    """Return all known user ids, by id; ``person`` names whom the account belongs to."""
    facts = world.facts
    persons = persons_of(world)
    found = []
    for key in sorted(facts.users.keys() | persons.keys()):
        user = facts.users.get(key)
        found.append(
            {
                "id": key,
                "name": (user and user.name) or persons.get(key),
                "is_owner": user.is_owner if user else None,
                "is_active": user.is_active if user else None,
                "system_generated": user.system_generated if user else None,
                "person": persons.get(key),
            }
        )
    return found


def persons_of(world: World) -> dict[str, str]:
    """Return user id -> the person's name, from the person list and from the states of person entities."""
    found = {
        state.user_id: state.name or state.user_id for _, state in sorted(world.facts.states.items()) if state.user_id
    }
    return found | world.facts.persons


def automation(usage: Usage, world: World, flow: Flow, observed: Observed) -> Item:
    """Return one automation or script: what starts it, what it looks at, what it changes."""
    state = world.facts.states.get(usage.actor)
    program = usage.program
    tally = observed.runs.get(usage.actor)
    seen = text_of_us(tally.last_us) if tally else None
    return {
        "entity_id": usage.actor,
        "id": program.config_id or (state.config_id if state else None),
        "name": program.name or world.name_of(usage.actor),
        "mode": program.mode or (state.mode if state else None),
        "enabled": not (state and state.off),
        "blueprint": program.blueprint,
        "triggers": [trigger.label for trigger in program.triggers],
        "actions": [action.label for action in program.actions],
        "triggered_by": sorted({name for name, _ in usage.triggers}),
        "reads": sorted(usage.read_entities()),
        "writes": sorted(usage.written_entities(world)),
        "calls": sorted({name for name, _ in usage.calls}),
        "fires": sorted({name for name, _, _ in usage.fires}),
        "listens": sorted({name for name, _ in usage.listens}),
        "computed": sorted(program.computed),
        "dead": [{"kind": kind, "reference": name, "role": role} for kind, name, role in sorted(usage.dead)],
        "in_cycle": usage.actor in flow.in_cycle,
        "run_count": tally.count if tally else 0,
        "last_triggered": seen or (state.last_triggered if state else None),
    }


def dependencies(usages: Mapping[str, Usage], world: World, flow: Flow, *, circular: bool) -> Item:
    """Return which program's run can set off which. Without ``circular`` edges inside a circle are left out."""
    part_of = {node.name: at for at, part in enumerate(flow.loops) for node in part if node.kind == "actor"}
    edges = []
    for first in sorted(usages):
        for then, via in sorted(flow.next_programs(first).items()):
            inside = first in part_of and part_of[first] == part_of.get(then)
            if circular or not inside:
                edges.append({"from": first, "to": then, "via": via, "circular": inside})
    nodes = [
        {
            "entity_id": name,
            "name": usage.program.name or world.name_of(name),
            "reads": sorted(usage.read_entities()),
            "writes": sorted(usage.written_entities(world)),
            "in_cycle": name in flow.in_cycle,
        }
        for name, usage in sorted(usages.items())
    ]
    return {"nodes": nodes, "edges": edges}


def sharing(usages: Mapping[str, Usage], world: World) -> list[Item]:
    """Return the entities that more than one program changes, the most contended first."""
    writers: dict[str, set[str]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    for name, usage in usages.items():
        for entity in usage.written_entities(world):
            writers[entity].add(name)
        for entity in usage.read_entities():
            readers[entity].add(name)
    shared = [
        {"entity_id": entity, "writers": sorted(names), "readers": sorted(readers.get(entity, ()))}
        for entity, names in writers.items()
        if len(names) > 1
    ]
    return sorted(shared, key=lambda item: (-len(item["writers"]), item["entity_id"]))


def dead_references(usages: Mapping[str, Usage]) -> list[Item]:
    """Return what programs refer to and the home does not have."""
    return [
        {"automation": name, "kind": kind, "reference": reference, "role": role}
        for name, usage in sorted(usages.items())
        for kind, reference, role in sorted(usage.dead)
    ]
