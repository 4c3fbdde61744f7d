"""All relations of a home as one typed multigraph, and the questions that need more than one of them.

Edges read as sentences, from subject to object: an automation ``reads``, ``writes``, ``calls``, ``fires``, ``listens``;
an entity or device ``triggers`` an automation, ``belongs_to_device``, is ``in_area``, ``provided_by`` an integration,
``member_of`` a group; a device hangs on another ``via_device``; an area is ``on_floor``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import networkx as nx

from ingestor.errors import NotFound
from ingestor.graph.observed import Observed, Tally
from ingestor.graph.times import text_of_us
from ingestor.graph.usage import Usage, scene_members
from ingestor.graph.world import World

_PREFIXES = ("device", "area", "floor", "integration", "event", "topic")


def build_relations(world: World, usages: Mapping[str, Usage], observed: Observed) -> nx.MultiDiGraph[str]:
    """Return the graph. Nodes carry ``kind`` and ``name``; edges are keyed by type. Cost: linear in relations."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    _add_places(graph, world)
    for name in sorted(world.known):
        _add_entity(graph, name, world)
    for usage in usages.values():
        _add_usage(graph, usage, world)
    _add_observed(graph, observed, usages)
    for name in graph.nodes - world.known:
        kind = _kind(name)
        graph.nodes[name].setdefault("kind", kind)
        graph.nodes[name].setdefault("name", name.partition(":")[2] if kind in _PREFIXES else name)
    return graph


def related(graph: nx.MultiDiGraph[str], node_id: str, depth: int) -> dict[str, list[dict[str, Any]]]:
    """Return everything within ``depth`` relations of a node, in either direction. Raises ``NotFound``."""
    names = (node_id, *(f"{prefix}:{node_id}" for prefix in _PREFIXES))
    start = next((name for name in names if name in graph), None)
    if start is None:
        raise NotFound("node", node_id)
    inside = nx.ego_graph(graph, start, radius=max(0, depth), undirected=True).nodes
    nodes = [node_of(graph, name) for name in sorted(inside)]
    return {"nodes": nodes, "edges": edges_of(graph.subgraph(inside))}


def node_of(graph: nx.MultiDiGraph[str], name: str) -> dict[str, Any]:
    """Return one node as an answer shows it."""
    data = graph.nodes[name]
    return {"id": name, "kind": data["kind"], "name": data["name"], "exists": data.get("exists", False)}


def _add_places(graph: nx.MultiDiGraph[str], world: World) -> None:
    facts = world.facts
    for key, floor in facts.floors.items():
        _node(graph, f"floor:{key}", "floor", floor.name)
    for key, entry in facts.areas.items():
        _node(graph, f"area:{key}", "area", entry.name)
        if entry.floor_id:
            _link(graph, f"area:{key}", f"floor:{entry.floor_id}", "on_floor")
    for domain in {entry.domain for entry in facts.config_entries.values()}:
        manifest = facts.manifests.get(domain)
        _node(graph, f"integration:{domain}", "integration", (manifest and manifest.name) or domain)
    for key, device in facts.devices.items():
        node = f"device:{key}"
        _node(graph, node, "device", device.name or key)
        area = world.area_of_device.get(key)
        if area:
            _link(graph, node, f"area:{area}", "in_area")
        for other in {device.via_device_id, device.parent_device_id} - {None}:
            _link(graph, node, f"device:{other}", "via_device")
        for domain in sorted({e.domain for i in device.config_entries if (e := facts.config_entries.get(i))}):
            _link(graph, node, f"integration:{domain}", "provided_by")


def _add_entity(graph: nx.MultiDiGraph[str], name: str, world: World) -> None:
    _node(graph, name, _kind(name), world.name_of(name))
    entry = world.facts.entities.get(name)
    if entry is not None:
        if entry.device_id:
            _link(graph, name, f"device:{entry.device_id}", "belongs_to_device")
        if entry.platform:
            _link(graph, name, f"integration:{entry.platform}", "provided_by")
    area = world.area_of(name)
    if area:
        _link(graph, name, f"area:{area}", "in_area")
    for member in world.members(name):
        _link(graph, member, name, "member_of")
    for member in scene_members(world, name) if name.startswith("scene.") else ():
        _link(graph, name, member, "writes")
    state = world.facts.states.get(name)
    if state is not None and state.source:
        _link(graph, name, state.source, "reads")


def _add_usage(graph: nx.MultiDiGraph[str], usage: Usage, world: World) -> None:
    _node(graph, usage.actor, _kind(usage.actor), usage.program.name or world.name_of(usage.actor))
    for name, _ in usage.triggers:
        _link(graph, name, usage.actor, "triggers")
    for name, _ in usage.listens:
        _link(graph, usage.actor, name, "listens")
    for name in usage.reads:
        _link(graph, usage.actor, name, "reads")
    for name, _, _ in usage.writes:
        _link(graph, usage.actor, name, "calls" if name.startswith("scene.") else "writes")
    for name, _ in usage.calls:
        _link(graph, usage.actor, name, "calls")
    for name, _, _ in usage.fires:
        _link(graph, usage.actor, name, "fires")


def _add_observed(graph: nx.MultiDiGraph[str], observed: Observed, usages: Mapping[str, Usage]) -> None:
    """Count what was seen on the edges it went along, and add the edges that no configuration shows."""
    for hop, tally in observed.hops.items():
        if hop.first not in usages or hop.then not in usages:
            continue
        _link(graph, hop.first, hop.then, "triggers", tally)
        if hop.entity is not None:
            _link(graph, hop.entity, hop.then, "triggers", tally)
            if graph.has_edge(hop.first, hop.entity, "writes"):
                _link(graph, hop.first, hop.entity, "writes", tally)
    for (first, then), tally in observed.calls.items():
        if first in usages and then in usages:
            _link(graph, first, then, "calls", tally)


def _node(graph: nx.MultiDiGraph[str], name: str, kind: str, title: str) -> None:
    graph.add_node(name, kind=kind, name=title, exists=True)


def _link(graph: nx.MultiDiGraph[str], start: str, end: str, kind: str, tally: Tally | None = None) -> None:
    if not graph.has_edge(start, end, kind):
        graph.add_edge(start, end, kind, origin="configured" if tally is None else "observed", count=0, last_us=0)
    if tally is not None:
        data = graph[start][end][kind]
        data["count"] += tally.count
        data["last_us"] = max(data["last_us"], tally.last_us)


def _edge(start: str, end: str, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    last = text_of_us(data["last_us"]) if data["last_us"] else None
    return {"from": start, "to": end, "type": kind, "origin": data["origin"], "count": data["count"], "last_time": last}


def edges_of(graph: nx.MultiDiGraph[str]) -> list[dict[str, Any]]:
    """Return all edges as an answer shows them, sorted."""
    found: Iterable[tuple[str, str, str, dict[str, Any]]] = graph.edges(keys=True, data=True)
    edges = [_edge(start, end, kind, data) for start, end, kind, data in found]
    return sorted(edges, key=lambda edge: (edge["from"], edge["to"], edge["type"]))


def _kind(name: str) -> str:
    prefix, mark, _ = name.partition(":")
    if mark and prefix in _PREFIXES:
        return prefix
    domain = name.partition(".")[0]
    return domain if domain in {"automation", "script", "scene"} else "entity"
