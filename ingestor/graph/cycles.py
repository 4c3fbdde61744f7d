"""The circles automations can run in, the shortest first, the same ones with the same ids every time.

For each edge of a strongly connected part the shortest way back makes one cycle. That finds every program, entity and
trigger that lies on any circle; longer circles made of the same edges are not listed one by one.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import networkx as nx

from ingestor.graph.flow import Flow, Node
from ingestor.graph.observed import Loop, Tally
from ingestor.graph.times import text_of_us
from ingestor.graph.usage import Usage

MAX_CYCLES: Final = 500
MAX_EDGES: Final = 2_000

#: Edges within one node of the answer: a trigger meets its change, and a run changes its own automation's state.
_INNER: Final = {("effect", "cause"), ("actor", "effect")}

Step = dict[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """What was found. ``truncated``: the home has more, beyond ``MAX_CYCLES`` cycles or ``MAX_EDGES`` edges."""

    items: list[dict[str, Any]]
    truncated: bool


def find_cycles(
    home: str, flow: Flow, usages: Mapping[str, Usage], off: frozenset[str], loops: Mapping[Loop, Tally]
) -> Cycles:
    """Return the cycles, configured and observed. Cost: one shortest path for each edge that lies on a circle."""
    found: dict[tuple[str, ...], tuple[list[Step], bool]] = {}
    truncated = False
    left = MAX_EDGES
    for part in flow.loops:
        inner = flow.graph.subgraph(part)
        edges = sorted(inner.edges, key=lambda edge: (edge[0].key(), edge[1].key()))
        truncated = truncated or len(edges) > left
        for start, end in edges[:left]:
            back = nx.shortest_path(inner, end, start)
            steps, guarded = _steps(flow, [start, *back])
            found.setdefault(tuple(f"{step['from']}" for step in steps), (steps, guarded))
        left = max(0, left - len(edges))
    items = [_item(home, steps, guarded, usages, off) for steps, guarded in found.values()]
    items.extend(_unmatched(home, items, loops, usages, off))
    items.sort(key=lambda item: (len(item["nodes"]), item["nodes"]))
    return Cycles(items=items[:MAX_CYCLES], truncated=truncated or len(items) > MAX_CYCLES)


def with_counts(items: Iterable[dict[str, Any]], loops: Mapping[Loop, Tally]) -> list[dict[str, Any]]:
    """Return copies of cycles with how often each was seen to run round, and when last."""
    grouped: dict[tuple[str, ...], list[tuple[Loop, Tally]]] = defaultdict(list)
    for loop, tally in loops.items():
        grouped[loop.automations].append((loop, tally))
    counted = []
    for item in items:
        automations, nodes = _automations(item["nodes"]), set(item["nodes"])
        tallies = [tally for loop, tally in grouped[automations] if _is_same(loop, automations, nodes)]
        last_us = max((tally.last_us for tally in tallies), default=0)
        counted.append(
            item
            | {
                "nodes": list(item["nodes"]),
                "steps": [dict(step) for step in item["steps"]],
                "fired_count": sum(tally.count for tally in tallies),
                "last_fired": text_of_us(last_us) if last_us else None,
            }
        )
    return counted


def _steps(flow: Flow, path: list[Node]) -> tuple[list[Step], bool]:
    """Turn a closed path (first node = last node) into steps, rotated to its canonical start."""
    steps: list[Step] = []
    guarded = False
    for start, end in itertools.pairwise(path):
        edge = flow.graph[start][end]
        guarded = guarded or edge.get("guarded", False)
        if start.name == end.name and (start.kind, end.kind) in _INNER:
            continue
        acts = start.kind == "actor"
        owner = start.name if acts else end.name if end.kind == "actor" else None
        between = end.name if end.kind != "actor" else start.name if start.kind != "actor" else None
        label = edge.get("label")
        steps.append(
            {
                "from": start.name,
                "to": end.name,
                "automation": owner,
                "trigger": label if not acts and end.kind == "actor" else None,
                "action": label if acts else None,
                "entity": between if between and ":" not in between else None,
                "origin": edge.get("origin", "configured"),
            }
        )
    return _rotated(steps), guarded


def _rotated(steps: list[Step]) -> list[Step]:
    """Begin at the smallest automation; where it comes more than once, at the smallest order of all."""
    names = [str(step["from"]) for step in steps]
    starts = [name for name in names if name.startswith("automation.")] or names
    first = min(starts)
    at = min((at for at, name in enumerate(names) if name == first), key=lambda at: names[at:] + names[:at])
    return steps[at:] + steps[:at]


def _item(
    home: str,
    steps: list[Step],
    guarded: bool,  # noqa: FBT001 - half of what _steps returns
    usages: Mapping[str, Usage],
    off: frozenset[str],
) -> dict[str, Any]:
    nodes = [str(step["from"]) for step in steps]
    programs = [usages[name].program for name in nodes if name in usages]
    digest = hashlib.blake2b("\0".join([home, *nodes]).encode(), digest_size=8).hexdigest()
    return {
        "id": digest,
        "home": home,
        "nodes": nodes,
        "steps": steps,
        "breakable": guarded or any(program.has_condition for program in programs),
        "enabled": not any(name in off for name in nodes),
        "fired_count": 0,
        "last_fired": None,
    }


def _unmatched(
    home: str,
    items: Iterable[dict[str, Any]],
    loops: Mapping[Loop, Tally],
    usages: Mapping[str, Usage],
    off: frozenset[str],
) -> Iterator[dict[str, Any]]:
    """Yield the loops that were seen to run but that no cycle found above accounts for."""
    accounted = [(_automations(item["nodes"]), set(item["nodes"])) for item in items]
    seen: set[tuple[str, ...]] = set()
    for loop in loops:
        if any(_is_same(loop, automations, nodes) for automations, nodes in accounted):
            continue
        if not all(name in usages for name in loop.automations):
            continue
        steps = _rotated(list(_seen_steps(loop)))
        names = tuple(str(step["from"]) for step in steps)
        if names not in seen:
            seen.add(names)
            yield _item(home, steps, False, usages, off)


def _seen_steps(loop: Loop) -> Iterator[Step]:
    for at, (name, entity) in enumerate(zip(loop.automations, loop.entities, strict=True)):
        following = loop.automations[(at + 1) % len(loop.automations)]
        common: Step = {"trigger": None, "action": None, "entity": entity, "origin": "observed"}
        if entity is None:
            yield {"from": name, "to": following, "automation": name, **common}
        else:
            yield {"from": name, "to": entity, "automation": name, **common}
            yield {"from": entity, "to": following, "automation": following, **common}


def _is_same(loop: Loop, automations: tuple[str, ...], nodes: set[str]) -> bool:
    return loop.automations == automations and all(entity is None or entity in nodes for entity in loop.entities)


def _automations(nodes: list[str]) -> tuple[str, ...]:
    """Return what a context chain shows of a cycle: programs that get a context of their own."""
    found = tuple(name for name in nodes if name.startswith("automation."))
    return found or tuple(name for name in nodes if name.startswith("script."))
