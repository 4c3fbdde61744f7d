"""How one run leads to the next: a directed graph of programs, what they bring about, and what that sets off.

    program -> effect (an entity left in a state, an event, a topic) -> cause (a trigger that answers to it) -> program

An effect is joined to a cause only when the state or data it leaves can satisfy the trigger: turning a switch off never
sets off "to: on". Conditions and templates are no causes, so reading alone never closes a loop.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx

from ingestor.graph.observed import Hop
from ingestor.graph.program import StateWanted, answers_to, hears
from ingestor.graph.services import Result
from ingestor.graph.usage import Fired, Usage, scene_members
from ingestor.graph.world import World

Wanted = StateWanted | tuple[tuple[str, str], ...]
Brought = Result | Fired

_ANY = StateWanted()


@dataclass(slots=True, eq=False)
class Node:
    """``kind``: actor, effect or cause. ``name``: program, entity, event or topic. ``how``: which variant of it.

    A graph has one object for each, so that they compare and hash by identity.
    """

    kind: str
    name: str
    how: Hashable = None

    def key(self) -> str:
        """Return text to sort by, the same in every process."""
        how = sorted(self.how) if isinstance(self.how, frozenset) else self.how
        if isinstance(how, StateWanted):
            parts = (how.to, how.not_to, how.from_)
            how = (*(sorted(p) if p is not None else None for p in parts), how.above, how.below, how.attribute)
        return f"{self.name}\0{self.kind}\0{how!r}"


class Flow:
    """The graph and the places where it runs in circles. Cost to build: linear in programs and what they address."""

    def __init__(self, usages: Mapping[str, Usage], world: World, hops: Iterable[Hop]) -> None:
        self.graph: nx.DiGraph[Node] = nx.DiGraph()
        self._world = world
        self._actors: dict[str, Node] = {}
        self._causes: dict[str, dict[Hashable, Node]] = {}
        self._effects: dict[str, dict[Hashable, Node]] = {}
        self._fresh: deque[Node] = deque()
        self._groups = _groups(world)
        for usage in usages.values():
            self._take_causes(usage)
        self._heeded = self._all_heeded()
        self._patterns = sorted(name for name in self._causes if name.startswith("topic:") and _is_pattern(name))
        for usage in usages.values():
            self._take_effects(usage)
        self._spread()
        self._join()
        for hop in hops:
            self._take_observed(hop)
        self.loops: list[list[Node]] = sorted(
            (
                sorted(part, key=Node.key)
                for part in nx.strongly_connected_components(self.graph.subgraph(self._core()).copy())
                if len(part) > 1 or self.graph.has_edge(*(list(part) * 2))
            ),
            key=lambda part: (len(part), part[0].key()),
        )
        self.in_cycle = frozenset(node.name for part in self.loops for node in part)

    def next_programs(self, actor: str) -> dict[str, list[str]]:
        """Return the programs a run can set off directly, each with what stands between."""
        found: dict[str, list[str]] = {}
        start = self._actors.get(actor)
        if start is None:
            return found
        queue: deque[tuple[Node, tuple[str, ...]]] = deque([(start, ())])
        seen = {start}
        while queue:
            node, via = queue.popleft()
            for following in self.graph.successors(node):
                if following.kind == "actor":
                    found.setdefault(following.name, list(via))
                elif following not in seen:
                    seen.add(following)
                    queue.append((following, via if via[-1:] == (following.name,) else (*via, following.name)))
        return found

    def _take_causes(self, usage: Usage) -> None:
        actor = self._actor(usage.actor)
        for name, trigger in usage.triggers:
            self._edge(self._cause(name, trigger.wanted), actor, trigger.label, guarded=trigger.guarded)
        for name, trigger in usage.listens:
            self._edge(self._cause(name, trigger.event_data), actor, trigger.label, guarded=trigger.guarded)

    def _take_effects(self, usage: Usage) -> None:
        actor = self._actor(usage.actor)
        for name, result, action in usage.writes:
            if name in self._heeded:
                self._edge(actor, self._effect(name, result), action.label, guarded=action.guarded)
        for name, fired, action in usage.fires:
            for channel in (name, *(p for p in self._patterns if name.startswith("topic:") and _matches(p, name))):
                if channel in self._causes:
                    self._edge(actor, self._effect(channel, fired), action.label, guarded=action.guarded)
        for name, action in usage.calls:
            self._edge(actor, self._actor(name), action.label, guarded=action.guarded)
        self._take_implied(usage, actor)

    def _take_implied(self, usage: Usage, actor: Node) -> None:
        """Take what every run brings about unasked, where somebody answers to it."""
        automation = usage.actor.startswith("automation.")
        if usage.actor in self._causes:
            self._edge(actor, self._effect(usage.actor, frozenset() if automation else None), "run")
        started = "event:automation_triggered" if automation else "event:script_started"
        if started in self._causes:
            self._edge(actor, self._effect(started, (("entity_id", usage.actor), ("name", None))), "run")
        if "event:call_service" in self._causes:
            for action in usage.program.actions:
                if action.service is not None:
                    domain, _, verb = action.service.partition(".")
                    data = (("domain", domain), ("service", verb), ("service_data", None))
                    self._edge(actor, self._effect("event:call_service", data), action.label, guarded=action.guarded)

    def _spread(self) -> None:
        """Carry effects on: from members to their groups, from a scene to what it sets, to what is derived."""
        everything = "event:state_changed" in self._causes
        while self._fresh:
            node = self._fresh.popleft()
            if ":" in node.name:
                continue
            for name in scene_members(self._world, node.name) if node.name.startswith("scene.") else ():
                self._edge(node, self._effect(name, None), None)
            for group, keeps in self._groups.get(node.name, ()):
                self._edge(node, self._effect(group, node.how if keeps else None), None)
            if everything:
                data = (("entity_id", node.name), ("new_state", None), ("old_state", None))
                self._edge(node, self._effect("event:state_changed", data), None)

    def _join(self) -> None:
        for name, results in self._effects.items():
            for cause in sorted(self._causes.get(name, {}).values(), key=Node.key):
                for how, effect in results.items():
                    if _fits(cause.how, how):
                        self.graph.add_edge(effect, cause)

    def _take_observed(self, hop: Hop) -> None:
        """Add what was seen to happen, where the configuration does not explain it."""
        first, then = self._actors.get(hop.first), self._actors.get(hop.then)
        if first is None or then is None or self._explained(first, then):
            return
        if hop.entity is None:
            self._edge(first, then, hop.source, origin="observed")
            return
        effect = self._effect(hop.entity, None)
        self._edge(first, effect, None, origin="observed")
        causes = [cause for cause in self._causes.get(hop.entity, {}).values() if self.graph.has_edge(cause, then)]
        causes.sort(key=Node.key)
        if not causes:
            causes = [self._cause(hop.entity, _ANY)]
            self._edge(causes[0], then, f"state of {hop.entity}", origin="observed")
        self.graph.add_edges_from((effect, cause) for cause in causes)

    def _explained(self, first: Node, then: Node) -> bool:
        queue, seen = deque([first]), {first}
        while queue:
            for following in self.graph.successors(queue.popleft()):
                if following == then:
                    return True
                passes = following.kind != "actor" or following.name.startswith("script.")
                if passes and following not in seen:
                    seen.add(following)
                    queue.append(following)
        return False

    def _core(self) -> list[Node]:
        """Return the nodes left after taking away, again and again, those without a way in or a way out."""
        ways_in = {node: len(self.graph.pred[node]) for node in self.graph}
        ways_out = {node: len(self.graph.succ[node]) for node in self.graph}
        queue = [node for node in self.graph if not ways_in[node] or not ways_out[node]]
        gone = set(queue)
        for node in queue:
            for ways, others in ((ways_in, self.graph.succ[node]), (ways_out, self.graph.pred[node])):
                for other in others:
                    ways[other] -= 1
                    if not ways[other] and other not in gone:
                        gone.add(other)
                        queue.append(other)
        return [node for node in self.graph if node not in gone]

    def _all_heeded(self) -> set[str]:
        """Return the entities whose change can set something off: directly, in a group or scene, or as source."""
        states = self._world.facts.states
        if "event:state_changed" in self._causes:
            return self._world.known | self._causes.keys()
        found = set(self._causes)
        scenes: dict[str, list[str]] = defaultdict(list)
        for scene in self._world.by_domain.get("scene", ()):
            for member in scene_members(self._world, scene):
                scenes[member].append(scene)
        queue = list(found)
        for name in queue:
            state = states.get(name)
            sources = (*self._world.members(name), *((state.source,) if state and state.source else ()))
            fresh = [other for other in (*sources, *scenes.get(name, ())) if other not in found]
            found.update(fresh)
            queue.extend(fresh)
        return found

    def _actor(self, name: str) -> Node:
        if name not in self._actors:
            self._actors[name] = Node("actor", name)
            self.graph.add_node(self._actors[name])
        return self._actors[name]

    def _cause(self, name: str, wanted: Wanted) -> Node:
        known = self._causes.setdefault(name, {})
        if wanted not in known:
            known[wanted] = Node("cause", name, wanted)
        return known[wanted]

    def _effect(self, name: str, how: Hashable) -> Node:
        known = self._effects.setdefault(name, {})
        if how not in known:
            known[how] = Node("effect", name, how)
            self._fresh.append(known[how])
        return known[how]

    def _edge(
        self, start: Node, end: Node, label: str | None, *, guarded: bool = False, origin: str = "configured"
    ) -> None:
        if self.graph.has_edge(start, end):
            self.graph[start][end]["guarded"] = self.graph[start][end].get("guarded", False) and guarded
        else:
            self.graph.add_edge(start, end, label=label, guarded=guarded, origin=origin)


def _groups(world: World) -> dict[str, list[tuple[str, bool]]]:
    """Return member -> groups and derived entities; whether these keep the member's on and off."""
    found: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for name in world.composed:
        state = world.facts.states[name]
        domain = name.partition(".")[0]
        keeps = domain in {"group", "light", "switch", "fan", "binary_sensor", "input_boolean"}
        for member in world.members(name) if domain not in {"automation", "script"} else ():
            if member != name:
                found[member].append((name, keeps))
        if state.source and state.source != name:
            found[state.source].append((name, False))
    return found


def _fits(wanted: Any, how: Any) -> bool:
    if isinstance(wanted, StateWanted):
        return answers_to(wanted, how)
    return hears(wanted, how or ())


def _is_pattern(topic: str) -> bool:
    return "+" in topic or "#" in topic


def _matches(pattern: str, topic: str) -> bool:
    wanted, parts = pattern.split("/"), topic.split("/")
    wanted[0] = wanted[0].removeprefix("topic:") if wanted[0] in {"topic:+", "topic:#"} else wanted[0]
    for at, part in enumerate(wanted):
        if part == "#":
            return True
        if at >= len(parts) or part not in {"+", parts[at]}:
            return False
    return len(wanted) == len(parts)
