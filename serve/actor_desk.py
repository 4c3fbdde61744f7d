"""The desk of the running product: events from the archive on this node's disk, all else from the actors.

Events are read where they lie, table and journal together, so an acknowledged event is in the very next answer. Reading
runs in threads, for Serve hands requests to the replica's own loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from actors import handles
from actors.hub import Live
from actors.together import Together
from ingestor.errors import IngestorError, QueryError
from ingestor.event import SCHEMA
from ingestor.graph.snapshot import EntityFacts, Snapshot
from ingestor.history import Archive
from ingestor.history.aggregate import AggregatePage, Aggregation
from ingestor.history.question import Page, Question
from ingestor.journal import FrameKind, decode
from ingestor.metadata import SqliteMetadata
from ingestor.settings import Settings

from .desk import LiveBatch
from .feed import Feed, Listener

READERS = 4
#: Looks at what is new may take so much of the time: each costs more for being begun than for what it finds.
LOOKING_SHARE = 0.25
EXPORTERS = 2
ZONES_S = 60.0
CATCH_UP_ROWS = 1_000
HEARTBEAT_S = 4.0
POLL_S = 0.01


class _Place:
    """Where a stream is: what was looked at (``seen``), and what its client was told of.

    Events that no filter passes move ``seen`` only. Before events of a shard are told, the client is told how far the
    other shards are, so that each event is a place to resume from.
    """

    def __init__(self, cursor: Mapping[int, int]) -> None:
        self.seen, self._told = dict(cursor), dict(cursor)

    def told(self) -> LiveBatch:
        """Tell the client all that was seen."""
        self._told = dict(self.seen)
        return LiveBatch(rows=SCHEMA.empty_table(), cursor=dict(self._told))

    def move(self, shard: int, rows: pa.Table, last_seq: int) -> Iterator[LiveBatch]:
        """Go on in one shard, and give what the client is to be told of it."""
        if rows.num_rows:
            if {**self.seen, shard: 0} != {**self._told, shard: 0}:
                yield self.told()
            self._told[shard] = last_seq
        self.seen[shard] = last_seq
        if rows.num_rows:
            yield LiveBatch(rows=rows, cursor=dict(self._told))


class ActorDesk:
    """See ``serve.desk.Desk``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._archive = Archive(settings.data_dir)
        self._metadata = SqliteMetadata(settings.data_dir / "metadata" / "metadata.sqlite")
        self._refresh = Together(self._archive.refresh, share=LOOKING_SHARE)
        self._feed = Feed()
        self._readers = asyncio.Semaphore(READERS)
        self._exporters = asyncio.Semaphore(EXPORTERS)
        self._zones_until = 0.0
        self._snapshots: dict[str, Snapshot] = {}

    async def status(self) -> dict[str, Any]:
        """Ask the Supervisor."""
        answer: dict[str, Any] = await handles.supervisor().ask("status", patience_s=5.0)
        return answer

    async def ready(self) -> tuple[bool, list[str]]:
        """Ask the Supervisor."""
        ready, reasons = await handles.supervisor().ask("ready", patience_s=5.0)
        return ready, reasons

    async def events(self, question: Question) -> Page:
        """Read a page of table and journal as they are now."""
        page: Page = await self._read(self._archive.events, question)
        return page

    async def event(self, event_id: str) -> pa.Table:
        """Read one event."""
        return await self._read(self._archive.event, event_id)

    async def history(self, asked: Aggregation) -> AggregatePage:
        """Sum up table and journal as they are now."""
        page: AggregatePage = await self._read(self._archive.aggregate, asked)
        return page

    async def zones(self) -> dict[str, str]:
        """Ask the Graph, at most once a minute; while it is away, what it said last holds."""
        now = time.monotonic()
        if now >= self._zones_until:
            try:
                await self._entities()
            except IngestorError:
                if not self._snapshots:
                    raise
            self._zones_until = now + ZONES_S
        return {home: snapshot.place.time_zone for home, snapshot in self._snapshots.items()}

    async def export(self, question: Question) -> AsyncGenerator[pa.Table, None]:
        """Read on in a thread, a step at a time, when the consumer asks for it."""
        await self._refresh.done()
        steps = self._archive.export(question)
        step: asyncio.Future[Any] | None = None
        try:
            while True:
                async with self._exporters:
                    step = asyncio.ensure_future(asyncio.to_thread(next, steps, None))
                    rows = await asyncio.shield(step)
                if rows is None:
                    return
                yield rows
        finally:
            if step is not None:
                await asyncio.gather(step, return_exceptions=True)
            steps.close()

    async def wait_visible(self, seq: int, timeout_s: float) -> bool:
        """Look until it is there: what was acknowledged is in the journal already."""
        give_up_at = time.monotonic() + timeout_s
        while not await self._read(self._archive.visible, seq):
            if time.monotonic() >= give_up_at:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def live(self, cursor: dict[int, int] | None, question: Question) -> AsyncGenerator[LiveBatch, None]:
        """Listen first, then catch up from the archive, then go on live: no hole between, and no repeat."""
        async with aclosing(self._feed.listen()) as lent:
            listener = await anext(lent)
            place = _Place(cursor if cursor is not None else await self._read(self._archive.high))
            yield place.told()
            while True:
                listener.behind = False
                async for batch in self._catch_up(place, question):
                    yield batch
                async for batch in self._follow(listener, place, question):
                    yield batch

    async def _catch_up(self, place: _Place, question: Question) -> AsyncGenerator[LiveBatch, None]:
        while found := await self._read(self._archive.after, dict(place.seen), question, CATCH_UP_ROWS):
            for shard, rows, last_seq in found:
                for batch in place.move(shard, rows, last_seq):
                    yield batch

    async def _follow(self, listener: Listener, place: _Place, question: Question) -> AsyncGenerator[LiveBatch, None]:
        """Go on until the listener falls behind."""
        while not listener.behind:
            live = await listener.next(HEARTBEAT_S)
            if live is None:
                yield place.told()
            elif live.last_seq > (seen := place.seen.get(live.shard, 0)):
                rows = await asyncio.to_thread(self._wanted, live, seen, question)
                for batch in place.move(live.shard, rows, live.last_seq):
                    yield batch

    def _wanted(self, live: Live, after_seq: int, question: Question) -> pa.Table:
        table = pa.Table.from_batches([decode(FrameKind.EVENTS, live.payload or b"")])
        return self._archive.filter(table, question, after_seq=after_seq)

    async def states(
        self, home: str | None, domain: str | None, area_id: str | None, entity_ids: list[str] | None
    ) -> list[dict[str, Any]]:
        """Ask every shard for its last states, the Graph where the entities are."""
        shards = [handles.shard(number) for number in range(self._settings.shards)]
        answers, facts = await asyncio.gather(
            asyncio.gather(*(shard.ask("states", home, entity_ids) for shard in shards)),
            self._entities(),
        )
        found = []
        for state in (state for answer in answers for state in answer):
            known = facts.get(state["home"], {}).get(state["entity_id"])
            state["area_id"] = known.area_id if known else None
            state["floor_id"] = known.floor_id if known else None
            state["device_id"] = known.device_id if known else None
            state["integration"] = known.integration if known else None
            if domain is not None and state["entity_id"].partition(".")[0] != domain:
                continue
            if area_id is None or state["area_id"] == area_id:
                found.append(state)
        return found

    async def _entities(self) -> dict[str, Mapping[str, EntityFacts]]:
        """Tell by home where each entity is; only what changed since the last question travels."""
        known = {home: snapshot.version for home, snapshot in self._snapshots.items()}
        for snapshot in await handles.graph().ask("snapshots", known):
            self._snapshots[snapshot.home] = snapshot
        return {home: snapshot.entities for home, snapshot in self._snapshots.items()}

    async def graph(self, question: str, **arguments: Any) -> Any:
        """Ask the Graph."""
        home = arguments.pop("home", None)
        return await handles.graph().ask("answer", home, question, arguments)

    async def gaps(self, home: str | None, open_only: bool, limit: int, before: str | None) -> list[dict[str, Any]]:  # noqa: FBT001 - the ledger's own order
        """Read the gap ledger."""
        rows = await asyncio.to_thread(self._metadata.gaps, home=home, open_only=open_only, limit=limit, before=before)
        return [_gap(row) for row in rows]

    async def quarantined(self, home: str | None, limit: int, before: str | None) -> list[dict[str, Any]]:
        """Read the quarantine's index."""
        before_seq = None
        if before is not None:
            item = await asyncio.to_thread(self._metadata.quarantined_item, before)
            if item is None:
                raise QueryError("cursor", before, "a cursor of this list")
            before_seq = item["seq"]
        rows = await asyncio.to_thread(self._metadata.quarantined, home=home, limit=limit, before_seq=before_seq)
        return [_quarantined(row) for row in rows]

    async def quarantined_item(self, quarantine_id: str) -> dict[str, Any] | None:
        """Read one item with its raw bytes, as text."""
        row = await asyncio.to_thread(self._metadata.quarantined_item, quarantine_id)
        return None if row is None else _quarantined(row)

    async def retry(self, quarantine_id: str) -> dict[str, Any]:
        """Have the Gate try it again."""
        answer: dict[str, Any] = await handles.gate().ask("retry", quarantine_id)
        return answer

    async def accept(self, home: str | None, events: list[bytes], source: str) -> dict[str, Any]:
        """Have the Gate take them. Repeated while it is away: what was stored already counts as duplicate."""
        answer: dict[str, Any] = await handles.gate().ask("accept", home, events, source)
        return answer

    async def _read(self, function: Any, *arguments: Any) -> Any:
        """Ask the archive, as it is now or later."""
        await self._refresh.done()
        async with self._readers:
            return await asyncio.to_thread(function, *arguments)


def _gap(row: dict[str, Any]) -> dict[str, Any]:
    gap = {name: value for name, value in row.items() if name not in {"from_us", "to_us"}}
    return {**gap, "from": _time(row["from_us"]), "to": _time(row["to_us"])}


def _quarantined(row: dict[str, Any]) -> dict[str, Any]:
    item = {name: value for name, value in row.items() if name != "received_at_us"}
    if isinstance(item.get("raw"), bytes):
        item["raw"] = item["raw"].decode("utf-8", "backslashreplace")
    if "received_at_us" in row:
        item["received_at"] = _time(row["received_at_us"])
    return item


def _time(us: int | None) -> datetime | None:
    return None if us is None else datetime.fromtimestamp(us / 1e6, tz=UTC)
