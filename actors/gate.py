"""Door 1 for events that are sent to us: they enter by the same routing, and are answered once they are on disk."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actors import handles
from actors.intake import Intake
from actors.messages import Receipt, Refusal
from ingestor.errors import NotFound, Overloaded
from ingestor.graph.snapshot import Snapshot
from ingestor.metadata import SqliteMetadata
from ingestor.settings import Settings
from ingestor.sources.base import Batch
from ingestor.transforms.route import shard_of_event

ROOM_FOR_S = 1.0
MOST_EVENTS = 20_000
MOST_BYTES = 64 * 1024 * 1024
BUSY_FOR_S = 1.0
ANSWER_WITHIN_S = 5.0


class Gate:
    """Takes batches from the API and gives back what became of each event."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metadata = SqliteMetadata(settings.data_dir / "metadata" / "metadata.sqlite")
        self._intake: Intake | None = None
        self._room_checked_at = -ROOM_FOR_S
        self._events = self._bytes = self._refused = 0

    async def run(self) -> None:
        """Learn how to route from the current pictures of the homes. Harmless when they are known."""
        for snapshot in await handles.graph().ask("snapshots"):
            self._door().set_snapshot(snapshot)

    async def accept(self, home: str | None, events: list[bytes], source: str) -> dict[str, Any]:
        """Take events of a home (the first configured one by default).

        Raises, with nothing taken, ``NotFound`` for an unknown home, ``JournalFull`` when nothing can be written down
        now, and ``Overloaded`` while too much waits to be written: so what is taken is written soon. ``Overloaded``
        too when a shard is away for longer than ``ANSWER_WITHIN_S``: then what was taken is written later.
        """
        storing = asyncio.ensure_future(self._store(self._known(home), events, source))
        await asyncio.wait({storing}, timeout=ANSWER_WITHIN_S)
        if not storing.done():
            storing.add_done_callback(_let_go)
            raise Overloaded("the journal", BUSY_FOR_S)
        receipt = storing.result()
        return {
            "received": receipt.received,
            "accepted": receipt.stored,
            "duplicate": receipt.duplicate,
            "filtered": receipt.received - receipt.stored - receipt.duplicate - len(receipt.quarantined),
            "quarantined": [
                {"index": refusal.index, "quarantine_id": refusal.quarantine_id, "reason": refusal.reason}
                for refusal in receipt.quarantined
            ],
            "last_seq": receipt.last_seq,
        }

    async def retry(self, quarantine_id: str) -> dict[str, Any]:
        """Try a quarantined event again. It leaves the quarantine when it is stored, or was stored meanwhile."""
        item = self._metadata.quarantined_item(quarantine_id)
        if item is None:
            raise NotFound("quarantined event", quarantine_id)
        batch = Batch(
            home=item["home"],
            source=item["source"],
            received_at_us=item["received_at_us"],
            events=[item["raw"]],
            backfilled=item["backfilled"],
        )
        number = shard_of_event(batch.home, item["raw"], self._settings.shards)
        outcome = await handles.shard(number).ask("retry", batch)
        if isinstance(outcome, Refusal):
            return {"quarantine_id": quarantine_id, "outcome": "quarantined", "reason": outcome.detail}
        self._metadata.resolve_quarantined(quarantine_id, str(outcome.last_seq))
        if outcome.stored:
            return {"quarantine_id": quarantine_id, "outcome": "stored", "seq": outcome.last_seq}
        return {"quarantine_id": quarantine_id, "outcome": "duplicate"}

    async def set_snapshot(self, snapshot: Snapshot) -> None:
        """Route by this picture of a home from now on."""
        self._door().set_snapshot(snapshot)

    async def drain(self) -> None:
        """Return once everything accepted is on disk."""
        if self._intake is not None:
            await self._intake.drain()

    async def status(self) -> dict[str, Any]:
        """Tell the account of events sent to us since this process began."""
        return {"pid": os.getpid(), "flow": self._door().flow.as_dict(), "overloaded": self._refused}

    async def _store(self, home: str, events: list[bytes], source: str) -> Receipt:
        with self._room_for(events):
            await self._check_room()
            return await self._door().put_and_wait(
                Batch(home=home, source=source, received_at_us=time.time_ns() // 1000, events=events),
            )

    @contextmanager
    def _room_for(self, events: list[bytes]) -> Iterator[None]:
        """Hold a place for them. Whoever comes first gets one, whatever the size."""
        size_bytes = sum(map(len, events))
        if self._events and (self._events + len(events) > MOST_EVENTS or self._bytes + size_bytes > MOST_BYTES):
            self._refused += 1
            raise Overloaded("the ingest door", BUSY_FOR_S)
        self._events += len(events)
        self._bytes += size_bytes
        try:
            yield
        finally:
            self._events -= len(events)
            self._bytes -= size_bytes

    async def _check_room(self) -> None:
        """Refuse at the door instead of queueing what has to wait long; ask the shards at most every second."""
        if time.monotonic() - self._room_checked_at > ROOM_FOR_S:
            shards = (handles.shard(number) for number in range(self._settings.shards))
            await asyncio.gather(*(shard.ask("check_room") for shard in shards))
            self._room_checked_at = time.monotonic()

    def _door(self) -> Intake:
        if self._intake is None:
            self._intake = Intake(self._settings)
        return self._intake

    def _known(self, home: str | None) -> str:
        names = self._settings.home_names
        if home is None:
            return names[0]
        if home not in names:
            raise NotFound("home", home)
        return home


def _let_go(storing: asyncio.Future[Receipt]) -> None:
    """Take note of how it ended, so that nobody complains that nobody did."""
    if not storing.cancelled():
        storing.exception()
