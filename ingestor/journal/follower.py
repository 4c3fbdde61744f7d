"""Follow the journals of all shards, live: the events journaled since the last look, and whether any were missed.

A shard that appears later is followed from its first event. Who is so slow that ``trim`` overtakes it goes on from the
newest event and is told: what it missed stands in the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from ingestor.errors import JournalError
from ingestor.journal.frames import Frame, FrameKind
from ingestor.journal.reader import JournalReader
from ingestor.journal.segments import shards_in

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Frames of events, of each shard in order. ``overtaken``: others were trimmed before they were read."""

    frames: list[Frame]
    overtaken: bool


class JournalFollower:
    """Reads on in every journal below a directory. ``from_now``: skip what the journals hold already."""

    def __init__(self, journals: Path, *, from_now: bool) -> None:
        self._journals = journals
        self._readers = {shard: self._newest(shard) for shard in shards_in(journals)} if from_now else {}

    def news(self) -> News:
        """Return what was committed since the last call. Costs one look a shard when there is nothing."""
        frames: list[Frame] = []
        overtaken = False
        for shard in shards_in(self._journals):
            if shard not in self._readers:
                self._readers[shard] = JournalReader(self._journals / str(shard))
            try:
                frames += [frame for frame in self._readers[shard].read() if frame.kind is FrameKind.EVENTS]
            except JournalError as error:
                log.warning("journal.follower_overtaken", shard=shard, error=str(error))
                self._readers[shard] = self._newest(shard)
                overtaken = True
        return News(frames=frames, overtaken=overtaken)

    def _newest(self, shard: int) -> JournalReader:
        directory = self._journals / str(shard)
        return JournalReader(directory, after_seq=JournalReader(directory).committed_seq())
