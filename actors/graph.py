"""The only owner of registries and relations. Publishes immutable snapshots; answers what depends on what."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from actors import handles
from actors.handles import Handle
from ingestor.errors import NotFound
from ingestor.graph.home import HomeGraph
from ingestor.graph.snapshot import Snapshot
from ingestor.journal import Frame, JournalFollower
from ingestor.metadata import SqliteMetadata
from ingestor.settings import Settings
from ingestor.transforms.causes import RUN_STARTS

PUBLISH_AFTER_S = 0.2
OBSERVE_EVERY_S = 1.0

#: Where the versions of the current incarnation begin, and how many one may use.
VERSIONS_FROM = "graph.versions_from"
VERSIONS_OF_ONE_RUN = 1_000_000

#: Events that tell that an automation or a script began to run, as Arrow compares them.
STARTS = pa.array(sorted(RUN_STARTS))

#: The questions that may be asked, and the method of ``HomeGraph`` that answers each.
QUESTIONS = frozenset(
    {
        "devices",
        "device",
        "areas",
        "floors",
        "users",
        "integrations",
        "automations",
        "automation",
        "cycles",
        "dependencies",
        "related",
        "nodes",
        "sharing",
        "dead_references",
    },
)

#: Those that are answered with one thing and not with a list.
OF_ONE = frozenset({"device", "automation", "related", "dependencies"})

log = structlog.get_logger()


class Graph:
    """Holds one ``HomeGraph`` a home, rebuilt from the stored documents after a restart."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metadata = SqliteMetadata(settings.data_dir / "metadata" / "metadata.sqlite")
        self._homes: dict[str, HomeGraph] = {}
        for home in self._metadata.homes():
            graph = self._homes[home] = HomeGraph(home)
            for name, content in self._metadata.documents(home).items():
                graph.put(name, content)
        self._first_version = self._begin_versions()
        self._follower = JournalFollower(settings.data_dir / "journal", from_now=False)
        self._dirty: set[str] = set()
        self._telling = asyncio.Lock()
        self._publishing: asyncio.Task[None] | None = None
        self._observing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Start watching which loops really fire. Harmless when it does already."""
        if self._observing is None or self._observing.done():
            self._observing = asyncio.get_running_loop().create_task(self._observe())

    async def put(self, home: str, name: str, content: Any) -> None:
        """Take a document of a home; remember it; publish a new snapshot soon when it changed anything."""
        graph = self._homes.setdefault(home, HomeGraph(home))
        changed = graph.put(name, content)
        await asyncio.to_thread(self._metadata.put_document, home, name, content)
        if changed:
            self._publish_soon(home)

    async def snapshots(self, known: dict[str, int] | None = None) -> list[Snapshot]:
        """Give the current picture of every home, or of those of which the caller does not know this version."""
        known = known or {}
        current = (self._snapshot(home) for home in self._homes)
        return [snapshot for snapshot in current if known.get(snapshot.home) != snapshot.version]

    async def answer(self, home: str | None, question: str, arguments: dict[str, Any]) -> Any:
        """Answer one of ``QUESTIONS`` for a home, or for all: lists are joined, of single things the first is given."""
        if question not in QUESTIONS:
            raise NotFound("question", question)
        if home is not None and home not in self._homes:
            raise NotFound("home", home)
        asked = [home] if home is not None else list(self._homes)
        answers, unknown = [], NotFound(question, str(next(iter(arguments.values()), "")))
        for name in asked:
            try:
                answers.append((name, getattr(self._homes[name], question)(**arguments)))
            except NotFound as error:
                unknown = error
        if not answers and question in OF_ONE:
            raise unknown
        if all(isinstance(answer, list) for _, answer in answers):
            return [{"home": name, **item} for name, answer in answers for item in answer]
        name, first = answers[0]
        return {"home": name, **first}

    async def status(self) -> dict[str, Any]:
        """Tell what is known of each home."""
        homes = {home: {"version": self._snapshot(home).version, **graph.counts} for home, graph in self._homes.items()}
        return {"pid": os.getpid(), "cycles": sum(counts["cycles"] for counts in homes.values()), "homes": homes}

    def _snapshot(self, home: str) -> Snapshot:
        """Draw the picture, numbered so that versions rise over restarts: users ignore an older one than theirs."""
        snapshot = self._homes[home].snapshot()
        return replace(snapshot, version=self._first_version + snapshot.version)

    def _begin_versions(self) -> int:
        """Find where to number from: above all numbers of earlier incarnations, whatever the clock says now."""
        before = self._metadata.get(VERSIONS_FROM)
        first = max(time.time_ns() // 1000, 0 if before is None else int(before) + VERSIONS_OF_ONE_RUN)
        self._metadata.put(VERSIONS_FROM, first)
        return first

    def _publish_soon(self, home: str) -> None:
        self._dirty.add(home)
        if self._publishing is None or self._publishing.done():
            self._publishing = asyncio.get_running_loop().create_task(self._publish())

    async def settle(self) -> None:
        """Return when all who use snapshots have the newest ones."""
        await self._publish(after_s=0)

    async def _publish(self, after_s: float = PUBLISH_AFTER_S) -> None:
        """Send changed snapshots to all who use them. Whoever is away asks for them when it is back."""
        await asyncio.sleep(after_s)
        async with self._telling:
            await self._tell_all()
        if self._dirty:
            self._publishing = asyncio.get_running_loop().create_task(self._publish())

    async def _tell_all(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for home in dirty:
            snapshot = self._snapshot(home)
            users: list[Handle] = [handles.shard(number) for number in range(self._settings.shards)]
            users += [handles.gate(), handles.source(home)]
            told = await asyncio.gather(
                *(user.once("set_snapshot", snapshot) for user in users),
                return_exceptions=True,
            )
            away = [user.name for user, answer in zip(users, told, strict=True) if isinstance(answer, BaseException)]
            log.info("snapshot.published", home=home, version=snapshot.version, away=away)

    async def _observe(self) -> None:
        """Follow the journals and tell each home's graph which automations ran, and because of what."""
        while True:
            await asyncio.sleep(OBSERVE_EVERY_S)
            for run in await asyncio.to_thread(self._triggered):
                home = run.pop("home")
                if home in self._homes and self._homes[home].observe(**run):
                    self._publish_soon(home)

    def _triggered(self) -> list[dict[str, Any]]:
        found = [run for frame in self._follower.news().frames if _has_runs(frame) for run in _runs(frame.batch())]
        return sorted(found, key=lambda run: run["time_us"])


def _has_runs(frame: Frame) -> bool:
    return bool(pc.any(pc.is_in(frame.batch(["event_type"])["event_type"], STARTS)).as_py())


def _runs(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Pick the starts of automations and scripts, as ``HomeGraph.observe`` wants them."""
    starts = batch.filter(pc.is_in(batch.column("event_type"), STARTS))
    columns = ["home", "entity_id", "context_id", "context_parent_id", "data"]
    times_us = starts.column("time_fired").cast(pa.int64()).to_pylist()
    return [
        {
            "home": row["home"],
            "entity_id": row["entity_id"],
            "context_id": row["context_id"],
            "parent_id": row["context_parent_id"],
            "time_us": time_us,
            "source": orjson.loads(row["data"] or "{}").get("source"),
        }
        for row, time_us in zip(starts.select(columns).to_pylist(), times_us, strict=True)
        if row["entity_id"]
    ]
