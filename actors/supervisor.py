"""Start everything in order, watch it, drain it, stop it. Holds nothing that cannot be asked for again."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import structlog
from ray.exceptions import RayError

from actors import handles, options
from actors.gate import Gate
from actors.graph import Graph
from actors.handles import ActorAway, Handle
from actors.historian import Historian
from actors.hub import Hub
from actors.messages import Flow
from actors.shard import Shard
from actors.source import Source
from ingestor.errors import IngestorError
from ingestor.metadata import SqliteMetadata
from ingestor.settings import Settings
from ingestor.version import VERSION

WATCH_EVERY_S = 1.0
SET_TO_WORK_EVERY = 15
STATUS_TIMEOUT_S = 5.0
FLUSH_S = 3.0

log = structlog.get_logger()


class Supervisor:
    """One for the whole installation. ``start`` may be repeated: what runs already is found, not doubled.

    ``gate``: the Gate, or one that listens by itself too.
    """

    def __init__(self, settings: Settings, gate: type[Gate] = Gate) -> None:
        self._settings, self._gate_class = settings, gate
        self._metadata = SqliteMetadata(settings.data_dir / "metadata" / "metadata.sqlite")
        self._homes = settings.home_names
        self._shards = [handles.shard(number) for number in range(settings.shards)]
        self._sources = [handles.source(home) for home in self._homes]
        self._graph, self._historian, self._hub = handles.graph(), handles.historian(), handles.hub()
        self._gate = handles.gate()
        self._started_us, self._started_s = time.time_ns() // 1000, time.monotonic()
        self._phase = "starting"
        self._away: dict[str, str] = {}
        self._starting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start what does not run yet: Historian and Graph, then shards, Hub and Gate, sources last."""
        settings = self._settings
        options.start(Historian, "historian", "historian", settings)
        options.start(Graph, "graph", "graph", settings)
        for number in range(settings.shards):
            name = self._shards[number].name
            options.start(Shard, "shard", name, settings, number, historian=self._historian, graph=self._graph)
        options.start(Hub, "hub", "hub", settings)
        options.start(self._gate_class, "gate", "gate", settings)
        for home, source in zip(self._homes, self._sources, strict=True):
            options.start(Source, "source", source.name, settings, home)
        await asyncio.gather(*(shard.ask("status") for shard in self._shards))
        await self._set_to_work()
        self._phase = "running"
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def drain(self) -> dict[str, Any]:
        """Stop reading, have everything acknowledged and moved to the history. Returns the last status."""
        self._phase = "draining"
        if self._watching is not None:
            self._watching.cancel()
        for row in ([*self._sources, self._gate], self._shards):
            await asyncio.gather(*(each.once("drain") for each in row), return_exceptions=True)
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._historian.once("flush")
        except (TimeoutError, IngestorError) as error:
            log.warning("history.flush_incomplete", error=str(error))
        status = await self.status()
        self._phase = "stopped"
        return status

    async def status(self) -> dict[str, Any]:
        """Tell everything that ``status``, ``/metrics`` and the start screen show."""
        self._continue()
        shards, sources, others = await asyncio.gather(
            self._ask_all(self._shards),
            self._ask_all(self._sources),
            self._ask_all([self._graph, self._historian, self._hub, self._gate]),
        )
        graph, historian, hub, gate = others
        quarantined = self._metadata.quarantine_counts()
        return {
            "version": VERSION,
            "phase": self._phase,
            "pid": os.getpid(),
            "started_us": self._started_us,
            "uptime_s": round(time.monotonic() - self._started_s, 1),
            "ready": int(self._phase == "running" and not self._away),
            "counts": self._conservation(shards, [*sources, gate]),
            "homes": self._homes,
            "sources": sources,
            "shards": shards,
            "history": historian,
            "graph": graph,
            "live": hub,
            "gate": gate,
            "quarantine": {"items": sum(quarantined.values()), "reasons": quarantined},
            "gaps": {"open": len(self._metadata.gaps(open_only=True, limit=1000))},
            "away": dict(self._away),
        }

    async def ready(self) -> tuple[bool, list[str]]:
        """Tell whether events are taken, kept and shown, and if not, each reason."""
        self._continue()
        reasons = [f"{name}: {why}" for name, why in self._away.items()]
        if self._phase != "running":
            reasons.append(f"the ingestor is {self._phase}")
        reasons += [
            f"source {source.get('home')}: {source.get('state')} {source.get('detail', '')}".strip()
            for source in await self._ask_all(self._sources)
            if source.get("state") not in {"connected", "starting"}
        ]
        reasons += [
            f"shard {shard['shard']}: its journal reached its quota"
            for shard in await self._ask_all(self._shards)
            if shard.get("full")
        ]
        historian = (await self._ask_all([self._historian]))[0]
        if historian.get("state") == "degraded":
            reasons.append(f"historian: {historian['detail']}")
        return not reasons, reasons

    def _continue(self) -> None:
        """Begin again after a restart: the constructor cannot wait, so the first question sets things going."""
        if self._phase == "starting" and self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self.start())

    async def _set_to_work(self) -> None:
        """Have each actor begin its own loop; one that was restarted begins again."""
        newest = await self._newest()
        await asyncio.gather(
            self._historian.ask("run"),
            self._graph.ask("run"),
            self._hub.ask("run"),
            self._gate.ask("run"),
            *(source.ask("run", newest.get(home)) for home, source in zip(self._homes, self._sources, strict=True)),
        )

    async def _newest(self) -> dict[str, int]:
        """Find the time of each home's newest stored state, for sources that resume by it."""
        newest: dict[str, int] = {}
        for states in await asyncio.gather(*(shard.ask("newest") for shard in self._shards)):
            for home, time_fired_us in states.items():
                newest[home] = max(time_fired_us, newest.get(home, 0))
        return newest

    async def _watch(self) -> None:
        """Notice who is away; set to work again whoever is a new process, and all now and then: it does no harm."""
        everyone = [*self._shards, *self._sources, self._graph, self._historian, self._hub, self._gate]
        known: dict[str, int] = {}
        rounds = 0
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            answers = await self._ask_all(everyone)
            pids = {each.name: answer.get("pid", 0) for each, answer in zip(everyone, answers, strict=True)}
            away = {
                each.name: answer.get("detail", "")
                for each, answer in zip(everyone, answers, strict=True)
                if not pids[each.name]
            }
            for name in away.keys() - self._away.keys():
                log.warning("actor.lost", actor=name)
            for name in self._away.keys() - away.keys():
                log.info("actor.returned", actor=name)
            self._away = away
            rounds += 1
            if not away and (pids != known or rounds % SET_TO_WORK_EVERY == 0):
                try:
                    await self._set_to_work()
                    known = pids
                except IngestorError as error:
                    log.warning("supervisor.retry", error=str(error))

    async def _ask_all(self, each: list[Any]) -> list[dict[str, Any]]:
        async def ask(handle: Handle) -> dict[str, Any]:
            try:
                answer: dict[str, Any] = await asyncio.wait_for(handle.once("status"), STATUS_TIMEOUT_S)
            except (ActorAway, TimeoutError):
                return {"state": "away", "detail": f"{handle.name} is being restarted"}
            except (IngestorError, RayError) as error:
                log.warning("actor.ill", actor=handle.name, error=str(error))
                return {"state": "away", "detail": f"{handle.name} cannot answer: {error}"}
            return answer

        return list(await asyncio.gather(*(ask(handle) for handle in each)))

    def _conservation(self, shards: list[dict[str, Any]], bringers: list[dict[str, Any]]) -> dict[str, int]:
        """Add up where every event is. ``balance`` is what the bringers cannot account for: always 0.

        Shards count over the installation's whole life, bringers since their process began. An event that left the
        quarantine by a retry was received twice by its shard and counts once.
        """
        retried = self._metadata.resolved_count()
        totals = {name: sum(shard.get(name, 0) for shard in shards) for name in ("stored", "duplicate", "quarantined")}
        flows = [bringer.get("flow") or Flow().as_dict() for bringer in bringers]
        filtered, in_flight = (sum(flow[name] for flow in flows) for name in ("filtered", "in_flight"))
        totals["quarantined"] -= retried
        return {
            "received": sum(totals.values()) + filtered + in_flight,
            **totals,
            "filtered": filtered,
            "in_flight": in_flight,
            "balance": sum(flow["balance"] for flow in flows),
        }
