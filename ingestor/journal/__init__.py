"""Door 6, the write-ahead journal: accepted means on disk.

``JournalWriter`` is the only writer of a shard's directory, ``JournalReader`` follows it from any process on the same
machine, ``trim`` removes what others keep by now, ``repair`` makes a damaged journal usable again and says what is
lost. ``docs/adr/0001-journal.md`` tells why it looks as it does.
"""

from ingestor.journal.follower import JournalFollower, News
from ingestor.journal.frames import Frame, FrameKind, Tally, decode, decode_all
from ingestor.journal.reader import JournalReader
from ingestor.journal.recovery import Recovered
from ingestor.journal.repair import Repaired, repair
from ingestor.journal.segments import shards_in
from ingestor.journal.trimming import trim
from ingestor.journal.writer import JournalWriter

__all__ = [
    "Frame",
    "FrameKind",
    "JournalFollower",
    "JournalReader",
    "JournalWriter",
    "News",
    "Recovered",
    "Repaired",
    "Tally",
    "decode",
    "decode_all",
    "repair",
    "shards_in",
    "trim",
]
