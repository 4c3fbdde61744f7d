"""One home's graph: documents in, a snapshot for the shards and answers for everybody out.

Nothing a home sends raises here. The same documents give the same answers, whatever their order of arrival.
"""

from __future__ import annotations

import hashlib
import operator
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from ingestor.errors import NotFound
from ingestor.graph import answers
from ingestor.graph.configuration import read_program
from ingestor.graph.cycles import Cycles, find_cycles, with_counts
from ingestor.graph.documents import Faults, mapping
from ingestor.graph.flow import Flow
from ingestor.graph.layout import positions
from ingestor.graph.observed import Observed
from ingestor.graph.program import Program
from ingestor.graph.registry import PARSERS, EntityEntry, StateFacts
from ingestor.graph.relations import build_relations, node_of, related
from ingestor.graph.snapshot import EntityFacts, Snapshot
from ingestor.graph.templates import ENTITY_ID
from ingestor.graph.usage import Usage, use
from ingestor.graph.world import Facts, World

if TYPE_CHECKING:
    import networkx as nx

_PROGRAMS: Final = ("automations", "scripts")
_UNKNOWN: Final = Program()
_RUNNERS: Final = ("automation", "script")


class HomeGraph:
    """Devices, areas, automations and their relations of one home. Not thread-safe: one owner.

    What is derived is computed when first asked for after a change, and kept until the next.
    """

    def __init__(self, home: str, *, observed: Observed | None = None) -> None:
        self.home = home
        self._facts = Facts()
        self._programs: dict[str, dict[str, Program]] = {name: {} for name in _PROGRAMS}
        self._digests: dict[str, bytes] = {}
        self._read: dict[str, tuple[bytes, Program, Faults]] = {}
        self._faults: dict[str, list[Faults]] = {}
        self._observed = observed or Observed()
        self._snapshot = Snapshot(home=home)
        self._fresh = False
        self._used: dict[str, tuple[Program, Usage]] = {}
        self._used_world: World | None = None
        self._drawn_from: tuple[Usage, ...] = ()
        self._known_world: World | None = None
        self._usages: dict[str, Usage] | None = None
        self._flow: Flow | None = None
        self._cycles: Cycles | None = None
        self._relations: nx.MultiDiGraph[str] | None = None

    def put(self, name: str, content: Any) -> bool:
        """Take a document, whole. Answers whether it says anything new; what is wrong in it is in ``faults``."""
        if name not in PARSERS and name not in _PROGRAMS:
            faults = Faults(name)
            faults.add("document", "is not a document of a home")
            self._faults[name] = [faults]
            return False
        digest = _digest(content)
        if digest is not None and self._digests.get(name) == digest:
            return False
        self._digests[name] = digest or b""
        changed = self._put_programs(name, content) if name in _PROGRAMS else self._put_facts(name, content)
        if changed:
            self._usages = self._cycles = self._relations = None
            self._fresh = False
        return changed

    @property
    def faults(self) -> list[dict[str, str]]:
        """What could not be read: ``{document, where, fault}``, a bounded number of each document."""
        return [item for name in sorted(self._faults) for faults in self._faults[name] for item in faults.kept]

    @property
    def fault_count(self) -> int:
        """How many faults there are, also those beyond the kept ones."""
        return sum(faults.count for parts in self._faults.values() for faults in parts)

    @property
    def truncated(self) -> bool:
        """Whether the home has more cycles than ``cycles`` lists."""
        return self._found().truncated

    @property
    def missing(self) -> list[dict[str, str]]:
        """What the token does not allow to be seen, as the source says."""
        keys = ("kind", "event_type", "why", "remedy")
        return [dict(zip(keys, item, strict=True)) for item in self._facts.missing]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind of thing there are, without drawing them up: may be asked every second."""
        return {
            "entities": len(self.snapshot().entities),
            "devices": len(self._facts.devices),
            "areas": len(self._facts.areas),
            "automations": sum(name.startswith("automation.") for name in self._uses()),
            "cycles": len(self._found().items),
            "faults": self.fault_count,
        }

    def snapshot(self) -> Snapshot:
        """Return the picture for the shards. The same object until something in it changes; then a higher version."""
        if not self._fresh:
            drawn = self._draw()
            if replace(drawn, version=self._snapshot.version) != self._snapshot or not self._snapshot.version:
                self._snapshot = drawn
            self._fresh = True
        return self._snapshot

    def observe(
        self, *, entity_id: str, context_id: str | None, parent_id: str | None, time_us: int, source: str | None = None
    ) -> bool:
        """Take an ``automation_triggered`` or ``script_started`` event, in order. Answers whether it taught a relation.

        ``source`` is the event's own text of the trigger. ``time_us``: UTC, microseconds. Memory is bounded.
        """
        learnt = self._observed.see(
            actor=entity_id, context_id=context_id, parent_id=parent_id, time_us=time_us, source=source
        )
        if learnt:
            self._flow = self._cycles = None
            self._fresh = False
        self._relations = None
        return learnt

    def cycles(self) -> list[dict[str, Any]]:
        """Return the circles programs can run in, shortest first. ``nodes[i]`` is where ``steps[i]`` comes from."""
        return with_counts(self._found().items, self._observed.loops)

    def dependencies(self, *, include_circular: bool = True) -> dict[str, Any]:
        """Return which program sets off which. Without ``include_circular`` the answer has no circle in it."""
        found = answers.dependencies(self._uses(), self._world(), self._flows(), circular=include_circular)
        return found | {"cycles": self.cycles() if include_circular else []}

    def related(self, node_id: str, depth: int = 1) -> dict[str, list[dict[str, Any]]]:
        """Return nodes and edges within ``depth`` relations. Takes entity ids, ``area:kitchen`` and bare registry ids.

        Raises ``NotFound``.
        """
        return related(self._graph(), node_id, depth)

    def devices(self) -> list[dict[str, Any]]:
        """Return all devices, by id."""
        return answers.devices(self._world())

    def device(self, device_id: str) -> dict[str, Any]:
        """Return one device. Raises ``NotFound``."""
        return _one(self.devices(), "id", device_id, "device")

    def areas(self) -> list[dict[str, Any]]:
        """Return all areas, by id."""
        return answers.areas(self._world())

    def floors(self) -> list[dict[str, Any]]:
        """Return all floors, by id."""
        return answers.floors(self._world())

    def integrations(self) -> list[dict[str, Any]]:
        """Return the integrations in use, by domain."""
        return answers.integrations(self._world())

    def users(self) -> list[dict[str, Any]]:
        """Return the users, by id."""
        return answers.users(self._world())

    def automations(self) -> list[dict[str, Any]]:
        """Return all automations, by entity id, also those whose configuration is not known."""
        return [self._automation(name) for name in sorted(self._uses()) if name.startswith("automation.")]

    def automation(self, entity_id: str) -> dict[str, Any]:
        """Return one automation or script, by entity id or by the ``id`` of its configuration. Raises ``NotFound``."""
        if entity_id in self._uses():
            item = self._automation(entity_id)
        else:
            item = _one(self.automations(), "id", entity_id, "automation")
        cycles = [cycle["id"] for cycle in self._found().items if item["entity_id"] in cycle["nodes"]]
        return item | {"cycles": cycles}

    def nodes(self) -> list[dict[str, Any]]:
        """Return all nodes of the graph with where to draw them."""
        graph, world = self._graph(), self._world()
        names = sorted(graph)
        touches = {
            name: sorted(usage.read_entities() | usage.written_entities(world)) for name, usage in self._uses().items()
        }
        placed = positions(names, world, touches)
        in_cycle = self._flows().in_cycle
        return [
            node_of(graph, name)
            | {"x": placed[name][0], "y": placed[name][1], "area_id": world.area_of(name), "in_cycle": name in in_cycle}
            for name in names
        ]

    def sharing(self) -> list[dict[str, Any]]:
        """Return the entities that several programs change."""
        return answers.sharing(self._uses(), self._world())

    def dead_references(self) -> list[dict[str, Any]]:
        """Return what programs refer to and the home does not have."""
        return answers.dead_references(self._uses())

    def _put_facts(self, name: str, content: Any) -> bool:
        faults = Faults(name)
        found = PARSERS[name](content, faults)
        self._faults[name] = [faults]
        before = getattr(self._facts, name)
        if found == before:
            return False
        setattr(self._facts, name, found)
        self._known_world = None
        if name == "services" or (name in {"states", "entities"} and _names(found) != _names(before)):
            self._used.clear()
            self._flow = None
        return True

    def _put_programs(self, name: str, content: Any) -> bool:
        own = Faults(name)
        parts = [own]
        found = {}
        for key, config in mapping(content, own).values.items():
            if not isinstance(key, str) or not ENTITY_ID.match(key):
                own.add(str(key), "is no entity id")
                continue
            program, faults = self._program(f"{name}.{key}", config)
            found[key] = program
            parts.append(faults)
        self._faults[name] = [faults for faults in parts if faults.count]
        if found == self._programs[name]:
            return False
        for key in self._programs[name].keys() - found.keys():
            self._read.pop(f"{name}.{key}", None)
        self._programs[name] = dict(sorted(found.items()))
        return True

    def _program(self, where: str, config: Any) -> tuple[Program, Faults]:
        digest = _digest(config)
        before = self._read.get(where)
        if before is not None and digest is not None and before[0] == digest:
            return before[1], before[2]
        faults = Faults(where)
        program = read_program(config, where, faults)
        if digest is not None:
            self._read[where] = (digest, program, faults)
        return program, faults

    def _world(self) -> World:
        if self._known_world is None:
            self._known_world = World(self._facts)
        return self._known_world

    def _uses(self) -> dict[str, Usage]:
        if self._usages is None:
            world = self._world()
            programs = {key: program for name in _PROGRAMS for key, program in self._programs[name].items()}
            bare = {name: _UNKNOWN for domain in _RUNNERS for name in world.by_domain.get(domain, ())}
            self._usages = {name: self._use(name, program) for name, program in sorted((bare | programs).items())}
            self._used = {name: self._used[name] for name in self._usages}
            self._used_world = world
        return self._usages

    def _use(self, name: str, program: Program) -> Usage:
        """Look a program up, or keep what was found: while the home's names stay, only wide targets can move."""
        before, world = self._used.get(name), self._world()
        if before is not None and before[0] is program and (self._used_world is world or not program.is_wide):
            return before[1]
        usage = use(name, program, world)
        if before is not None and before[1] == usage:
            usage = before[1]
        self._used[name] = (program, usage)
        return usage

    def _flows(self) -> Flow:
        usages = tuple(self._uses().values())
        same = len(usages) == len(self._drawn_from) and all(map(operator.is_, usages, self._drawn_from))
        if self._flow is None or not same:
            self._flow = Flow(self._uses(), self._world(), self._observed.hops)
            self._drawn_from = usages
        return self._flow

    def _found(self) -> Cycles:
        if self._cycles is None:
            off = frozenset(name for name, state in self._facts.states.items() if state.off)
            self._cycles = find_cycles(self.home, self._flows(), self._uses(), off, self._observed.loops)
        return self._cycles

    def _graph(self) -> nx.MultiDiGraph[str]:
        if self._relations is None:
            self._relations = build_relations(self._world(), self._uses(), self._observed)
        return self._relations

    def _automation(self, name: str) -> dict[str, Any]:
        return answers.automation(self._uses()[name], self._world(), self._flows(), self._observed)

    def _draw(self) -> Snapshot:
        world, usages, in_cycle = self._world(), self._uses(), self._flows().in_cycle
        readers: dict[str, list[str]] = defaultdict(list)
        writers: dict[str, list[str]] = defaultdict(list)
        for name, usage in usages.items():
            for entity in usage.read_entities():
                readers[entity].append(name)
            for entity in usage.written_entities(world):
                writers[entity].append(name)
        entities = world.places.copy()
        for name in entities.keys() & (readers.keys() | writers.keys() | in_cycle):
            facts = entities[name]
            entities[name] = EntityFacts(
                device_id=facts.device_id,
                area_id=facts.area_id,
                floor_id=facts.floor_id,
                integration=facts.integration,
                read_by=tuple(readers.get(name, ())),
                written_by=tuple(writers.get(name, ())),
                in_cycle=name in in_cycle,
            )
        persons = answers.persons_of(world)
        return Snapshot(
            home=self.home,
            version=self._snapshot.version + 1,
            place=self._facts.config,
            entities=entities,
            measures=world.measures,
            neighbours=world.neighbours,
            users={key: user.name or key for key, user in self._facts.users.items()},
            persons=frozenset(persons),
        )


def _digest(content: Any) -> bytes | None:
    """Return a digest of JSON-like content, or ``None`` where it cannot be written as JSON."""
    try:
        text = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return None
    return hashlib.blake2b(text, digest_size=16).digest()


def _names(found: Mapping[str, EntityEntry | StateFacts]) -> dict[str, tuple[object, object]]:
    """Return of each entity what decides who is meant by its name."""
    return {
        key: (facts.registry_id, facts.platform) if isinstance(facts, EntityEntry) else (facts.members, facts.source)
        for key, facts in found.items()
    }


def _one(items: list[dict[str, Any]], key: str, name: str, thing: str) -> dict[str, Any]:
    for item in items:
        if item[key] == name:
            return item
    raise NotFound(thing, name)
