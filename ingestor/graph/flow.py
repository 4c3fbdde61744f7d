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


@dataclass(frozen=True, slots=True)
class Node:
    """``kind``: actor, effect or cause. ``name``: program, entity, event or topic. ``how``: which variant of it."""

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
        self._causes: dict[str, set[Hashable]] = defaultdict(set)
        self._effects: dict[str, dict[Hashable, None]] = defaultdict(dict)
        self._fresh: deque[Node] = deque()
        self._groups = _groups(world)
        for usage in usages.values():
            self._take_causes(usage)
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
                for part in nx.strongly_connected_components(self.graph)
                if len(part) > 1 or self.graph.has_edge(*(list(part) * 2))
            ),
            key=lambda part: (len(part), part[0].key()),
        )
        self.in_cycle = frozenset(node.name for part in self.loops for node in part)

    def next_programs(self, actor: str) -> dict[str, list[str]]:
        """Return the programs a run can set off directly, each with what stands between."""
        found: dict[str, list[str]] = {}
        start = Node("actor", actor)
        queue: deque[tuple[Node, tuple[str, ...]]] = deque([(start, ())] if start in self.graph else [])
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
        actor = Node("actor", usage.actor)
        self.graph.add_node(actor)
        for name, trigger in usage.triggers:
            self._edge(self._cause(name, trigger.wanted), actor, trigger.label, guarded=trigger.guarded)
        for name, trigger in usage.listens:
            self._edge(self._cause(name, trigger.event_data), actor, trigger.label, guarded=trigger.guarded)

    def _take_effects(self, usage: Usage) -> None:
        actor = Node("actor", usage.actor)
        for name, result, action in usage.writes:
            self._edge(actor, self._effect(name, result), action.label, guarded=action.guarded)
        for name, fired, action in usage.fires:
            for channel in (name, *(p for p in self._patterns if name.startswith("topic:") and _matches(p, name))):
                self._edge(actor, self._effect(channel, fired), action.label, guarded=action.guarded)
        for name, action in usage.calls:
            self._edge(actor, Node("actor", name), action.label, guarded=action.guarded)
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
            causes = (Node("cause", name, wanted) for wanted in self._causes.get(name, ()))
            for cause in sorted(causes, key=Node.key):
                for how in results:
                    if _fits(cause.how, how):
                        self.graph.add_edge(Node("effect", name, how), cause)

    def _take_observed(self, hop: Hop) -> None:
        """Add what was seen to happen, where the configuration does not explain it."""
        first, then = Node("actor", hop.first), Node("actor", hop.then)
        if first not in self.graph or then not in self.graph or self._explained(first, then):
            return
        if hop.entity is None:
            self._edge(first, then, hop.source, origin="observed")
            return
        effect = self._effect(hop.entity, None)
        self._edge(first, effect, None, origin="observed")
        causes = [Node("cause", hop.entity, wanted) for wanted in self._causes.get(hop.entity, ())]
        causes = sorted((cause for cause in causes if self.graph.has_edge(cause, then)), key=Node.key)
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

    def _cause(self, name: str, wanted: Wanted) -> Node:
        self._causes[name].add(wanted)
        return Node("cause", name, wanted)

    def _effect(self, name: str, how: Hashable) -> Node:
        node = Node("effect", name, how)
        if how not in self._effects[name]:
            self._effects[name][how] = None
            self._fresh.append(node)
        return node

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
    for name, state in sorted(world.facts.states.items()):
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
