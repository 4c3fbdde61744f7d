"""Doors 3 to 6 for the events of some entities: validate, dedupe, enrich, write down, and only then acknowledge.

A shard owns its journal and the last states of its entities. After a restart it rebuilds both memory and dedupe window
from the history table and its own journal before it answers anybody. After a failed write or fsync it dies: nothing
after that may be believed, and the next incarnation reads the truth from the disk.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pyarrow as pa
import structlog

from actors import heap
from actors.committer import EXIT_JOURNAL_FAILED, Committer
from actors.messages import Part, Receipt, Refusal
from actors.room import Room
from actors.turns import Turns
from ingestor.errors import IngestorError, JournalFailed
from ingestor.graph.snapshot import Snapshot
from ingestor.journal import FrameKind, JournalReader, JournalWriter, Tally, shards_in
from ingestor.metadata import SqliteMetadata
from ingestor.pipeline import LastStates, Outcome, Pipeline, Rejection, quarantine_batch, seal
from ingestor.settings import Settings
from ingestor.sources.base import Batch
from ingestor.transforms.dedupe import Window
from ingestor.transforms.route import shard_of

SEQ_BLOCK = 65_536
WINDOW_IDS = 200_000

log = structlog.get_logger()


class Memory(Protocol):
    """Who remembers for a shard while it is away: the Historian."""

    async def ask(self, method: str, *args: Any) -> Any:
        """``recall(shard, shards, ids)`` gives its last states and newest event ids."""
        ...


class Shard:
    """One shard of ``settings.shards``. Calls may overlap; parts are taken in the order in which they arrive."""

    def __init__(self, settings: Settings, number: int, *, historian: Memory, graph: Memory) -> None:
        self._number, self._shards = number, settings.shards
        self._historian, self._graph = historian, graph
        self._journals = settings.data_dir / "journal"
        self._metadata = SqliteMetadata(settings.data_dir / "metadata" / "metadata.sqlite")
        self._journal = JournalWriter.open(
            self._journals / str(number),
            shard=number,
            segment_bytes=settings.journal.segment_bytes,
        )
        self._committer = Committer(self._journal)
        self._room = Room(self._journals / str(number), settings.journal.quota_bytes)
        self._turns = Turns()
        self._states = LastStates()
        self._window = Window(WINDOW_IDS)
        self._pipeline = Pipeline(shard=number, window=self._window, states=self._states)
        self._seq_next = self._seq_end = self._seq_found = 0
        self._recovered: asyncio.Task[None] | None = None
        self._last_event_us = 0

    async def ingest(self, part: Part) -> Receipt:
        """Take a part. On return all of it is on disk, or in quarantine on disk, or known already.

        Raises, with nothing taken, ``JournalFull`` when the history is so far behind that the quota is reached, and
        ``OutOfTurn`` when a part that goes before it was not taken.
        """
        await self._recover_once()
        if part.turn is not None:
            self._turns.check(part.turn)
        self._room.check()
        first_seq = self._lease(len(part.batch.events))
        receipt, outcome = self._take(part.batch, part.context, first_seq)
        if part.turn is not None:
            self._turns.took(part.turn)
        await self._committer.commit()
        if outcome.rejected:
            await self._index(outcome, part.batch, first_seq)
        return receipt

    async def retry(self, batch: Batch) -> Receipt | Refusal:
        """Try one quarantined event again. Refused once more, it is neither counted nor written a second time."""
        await self._recover_once()
        first_seq = self._lease(1)
        with _or_end():
            outcome = self._pipeline.process(batch, first_seq=first_seq)
            if outcome.rejected:
                return _refusal(outcome.rejected[0])
            receipt = self._append(batch, outcome, first_seq)
        await self._committer.commit()
        return receipt

    async def check_room(self) -> None:
        """Raise ``JournalFull`` when nothing can be taken now."""
        self._room.check()

    async def set_snapshot(self, snapshot: Snapshot) -> None:
        """Enrich from this picture of a home from now on."""
        self._pipeline.set_snapshot(snapshot)

    async def states(self, home: str | None = None, entity_ids: list[str] | None = None) -> list[dict[str, Any]]:
        """Give the last state of each entity of this shard, or of those named."""
        await self._recover_once()
        found = self._states.all(home) if entity_ids is None else self._states.named(dict.fromkeys(entity_ids), home)
        return [state.as_dict() for state in found]

    async def drain(self) -> None:
        """Close the journal with the tally in it. Nothing is taken after this."""
        await asyncio.to_thread(self._journal.close)

    async def newest(self) -> dict[str, int]:
        """Give, for each home, when the newest event of this shard's entities was fired (UTC, microseconds)."""
        await self._recover_once()
        newest: dict[str, int] = {}
        for state in self._states.all():
            newest[state.home] = max(state.time_fired_us, newest.get(state.home, 0))
        return newest

    async def status(self) -> dict[str, Any]:
        """Tell counts since the shard's first day, and the state of its journal."""
        await self._recover_once()
        tally = self._journal.tally
        return {
            "shard": self._number,
            "pid": os.getpid(),
            "epoch": self._journal.epoch,
            "last_seq": self._journal.last_seq,
            "entities": len(self._states),
            "received": tally.received,
            "stored": tally.stored,
            "duplicate": tally.duplicate,
            "quarantined": tally.quarantined,
            "conflicts": tally.conflicts,
            "lost_through_seq": self._journal.recovered.lost_through_seq,
            "journal_bytes": self._room.used_bytes(),
            "full": self._room.full(),
            "commits": self._committer.commits,
            "commit_p50_ms": self._committer.latency_ms(50),
            "commit_p99_ms": self._committer.latency_ms(99),
            "last_event_us": self._last_event_us or None,
        }

    async def _recover_once(self) -> None:
        if self._recovered is None:
            self._recovered = asyncio.get_running_loop().create_task(self._recover())
        if not self._recovered.done():
            await asyncio.shield(self._recovered)
        elif self._recovered.exception() is not None:
            self._recovered = None
            raise JournalFailed(f"shard {self._number}", "could not rebuild its memory; it will try again")

    async def _recover(self) -> None:
        for snapshot in await self._graph.ask("snapshots"):
            self._pipeline.set_snapshot(snapshot)
        states, ids, watermarks = await self._historian.ask("recall", self._number, self._shards, WINDOW_IDS)
        self._states.restore(states)
        self._window.restore(ids)
        self._seq_found = max([self._journal.last_seq, *watermarks.values(), *self._journaled_seqs()])
        for rows in await asyncio.to_thread(self._journaled, watermarks):
            self._pipeline.restore(rows)
        found = self._journal.recovered
        if found.lost_through_seq is not None:
            log.critical(
                "journal.disk_lost_frames",
                shard=self._number,
                after_seq=found.lost_after_seq,
                through_seq=found.lost_through_seq,
            )
        heap.settle_again()
        log.info("shard.recovered", shard=self._number, epoch=self._journal.epoch, entities=len(self._states))

    def _journaled(self, watermarks: dict[int, int]) -> list[pa.Table]:
        """Read what the table does not have yet, from every journal: there may have been another number of shards."""
        found = []
        for number in shards_in(self._journals):
            reader = JournalReader(self._journals / str(number), after_seq=watermarks.get(number, 0))
            while frames := reader.read():
                for frame in frames:
                    if frame.kind is FrameKind.EVENTS:
                        rows = pa.Table.from_batches([frame.batch()])
                        found.append(rows.filter(self._ours(rows, number)))
        return [rows for rows in found if rows.num_rows]

    def _journaled_seqs(self) -> list[int]:
        return [JournalReader(self._journals / str(number)).committed_seq() for number in shards_in(self._journals)]

    def _ours(self, rows: pa.Table, journal: int) -> pa.Array:
        """Tell which rows are this shard's: those of its entities, and in its own journal those of no entity."""
        named = zip(rows["home"].to_pylist(), rows["entity_id"].to_pylist(), strict=True)
        return pa.array(
            [
                journal == self._number if entity is None else owns(self._number, self._shards, home, entity)
                for home, entity in named
            ],
            pa.bool_(),
        )

    def _lease(self, count: int) -> int:
        """Reserve ``count`` numbers that no shard has used before."""
        if self._seq_next + count > self._seq_end:
            size = max(SEQ_BLOCK, count)
            self._seq_next = self._metadata.lease_seqs(size, above=self._seq_found)
            self._seq_end = self._seq_next + size
        first = self._seq_next
        self._seq_next += count
        return first

    def _take(self, batch: Batch, context: list[bytes], first_seq: int) -> tuple[Receipt, Outcome]:
        with _or_end():
            outcome = self._pipeline.process(batch, context, first_seq=first_seq)
            return self._append(batch, outcome, first_seq), outcome

    def _append(self, batch: Batch, outcome: Outcome, first_seq: int) -> Receipt:
        stored = outcome.events.num_rows if outcome.events is not None else 0
        refused = len(outcome.rejected)
        before = self._journal.tally
        tally = Tally(
            received=before.received + len(batch.events),
            stored=before.stored + stored,
            duplicate=before.duplicate + outcome.duplicates,
            quarantined=before.quarantined + refused,
            conflicts=before.conflicts + outcome.conflicts,
        )
        last_seq = first_seq + stored + refused - 1
        if outcome.events is not None and stored:
            sealed = seal(outcome.events, first_seq=first_seq, journaled_at_us=time.time_ns() // 1000)
            self._journal.append(
                FrameKind.EVENTS, sealed, first_seq=first_seq, last_seq=first_seq + stored - 1, tally=tally
            )
            self._last_event_us = batch.received_at_us
        if refused:
            rows = quarantine_batch(outcome.rejected, batch=batch, first_seq=first_seq + stored)
            self._journal.append(
                FrameKind.QUARANTINED, rows, first_seq=first_seq + stored, last_seq=last_seq, tally=tally
            )
        if not stored and not refused:
            self._journal.tally = tally
            last_seq = self._journal.last_seq
        return Receipt(
            received=len(batch.events),
            stored=stored,
            duplicate=outcome.duplicates,
            quarantined=[_refusal(rejection) for rejection in outcome.rejected],
            last_seq=last_seq,
        )

    async def _index(self, outcome: Outcome, batch: Batch, first_seq: int) -> None:
        """List what was refused at once. It is in the journal: when the list fails, the Historian makes it good."""
        stored = outcome.events.num_rows if outcome.events is not None else 0
        rows = quarantine_batch(outcome.rejected, batch=batch, first_seq=first_seq + stored)
        try:
            await asyncio.to_thread(self._metadata.add_quarantined, rows.to_pylist())
        except IngestorError as error:
            log.warning("quarantine.not_listed_yet", shard=self._number, error=str(error))


@contextmanager
def _or_end() -> Iterator[None]:
    """End the process when what the pipeline remembers is not written down: repeated, it would count as known."""
    try:
        yield
    except Exception as error:
        log.critical("shard.not_written_down", error=str(error), exc_info=error)
        os._exit(EXIT_JOURNAL_FAILED)


def owns(number: int, shards: int, home: str, entity_id: str) -> bool:
    """Tell whether this shard is the entity's."""
    return shard_of(home, entity_id, shards) == number


def _refusal(rejection: Rejection) -> Refusal:
    return Refusal(
        index=rejection.index,
        quarantine_id=rejection.quarantine_id,
        reason=rejection.reason,
        detail=rejection.detail,
    )
