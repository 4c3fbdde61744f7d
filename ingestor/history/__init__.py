"""Door 8 and the reading side of door 9: kept for ever, small, and asked by anybody on the node.

``HistoryTable`` writes (one process), ``Archive`` answers (any process), ``verify`` reads every byte. How and why:
docs/adr/0002-history.md.
"""

from ingestor.history.archive import Archive, Resumed, Snapshot
from ingestor.history.layout import DataFile
from ingestor.history.question import Page, Question
from ingestor.history.recall import Recall
from ingestor.history.scrub import Damage, Scrubbed, verify
from ingestor.history.table import Appended, HistoryTable
from ingestor.history.tail import Tail

__all__ = [
    "Appended",
    "Archive",
    "Damage",
    "DataFile",
    "HistoryTable",
    "Page",
    "Question",
    "Recall",
    "Resumed",
    "Scrubbed",
    "Snapshot",
    "Tail",
    "verify",
]
