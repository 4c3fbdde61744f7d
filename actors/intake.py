"""Door 2, for whoever brings events in: route a batch, send each shard its part, book what became of it.

A plain object inside the bringer's own process, because a further hop would cost as much as a shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors import handles
from actors.messages import Flow, Part, Receipt, Refusal
from actors.sender import Sender, ShardPort
from ingestor.graph.snapshot import Snapshot
from ingestor.settings import Settings
from ingestor.sources.base import Batch
from ingestor.transforms.route import EntityFilter, Router


class Intake:
    """Routes and sends. Its ``flow`` accounts for every event it was given."""

    def __init__(self, settings: Settings, *, shard: Callable[[int], ShardPort] = handles.shard) -> None:
        filters = {home.name: EntityFilter(home.include, home.exclude) for home in settings.homes}
        self.flow = Flow()
        self._router = Router(settings.shards, filters=filters)
        self._senders = [Sender(shard(number), self.flow) for number in range(settings.shards)]

    def set_snapshot(self, snapshot: Snapshot) -> None:
        """Learn which entities measure the environment of an area: their states go to every shard."""
        self._router.set_measures(snapshot.home, frozenset(snapshot.measures))

    async def put(self, batch: Batch) -> list[asyncio.Future[Receipt]]:
        """Take a batch. Returns once there is room for it; the futures are done once it is on disk.

        Under load it goes to the shards together with others: a receipt is then that of all of them.
        """
        futures, _ = await self._put(batch, joins=True)
        return futures

    async def put_and_wait(self, batch: Batch) -> Receipt:
        """Take a batch and return when all of it is on disk. Refusals carry their place in the whole batch."""
        futures, places = await self._put(batch, joins=False)
        receipts = await asyncio.gather(*futures)
        refusals = [
            Refusal(
                index=place[refusal.index],
                quarantine_id=refusal.quarantine_id,
                reason=refusal.reason,
                detail=refusal.detail,
            )
            for receipt, place in zip(receipts, places, strict=True)
            for refusal in receipt.quarantined
        ]
        return Receipt(
            received=len(batch.events),
            stored=sum(receipt.stored for receipt in receipts),
            duplicate=sum(receipt.duplicate for receipt in receipts),
            quarantined=sorted(refusals, key=lambda refusal: refusal.index),
            last_seq=max((receipt.last_seq for receipt in receipts), default=0),
        )

    async def drain(self) -> None:
        """Wait until everything taken is acknowledged."""
        await asyncio.gather(*(sender.drain() for sender in self._senders))

    async def close(self) -> None:
        """Stop sending."""
        await asyncio.gather(*(sender.close() for sender in self._senders))

    async def _put(self, batch: Batch, *, joins: bool) -> tuple[list[asyncio.Future[Receipt]], list[list[int]]]:
        routed = self._router.route(batch)
        self.flow.received += len(batch.events)
        self.flow.filtered += routed.filtered
        puts, places = [], []
        for shard, part in sorted(routed.parts.items()):
            own = Batch(
                home=batch.home,
                source=batch.source,
                received_at_us=batch.received_at_us,
                events=part.events,
                backfilled=batch.backfilled,
            )
            message = Part(batch=own, context=routed.context.get(shard, []))
            puts.append(self._senders[shard].put(message, joins=joins))
            places.append(part.places)
        return await asyncio.gather(*puts), places
