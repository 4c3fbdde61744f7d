"""What is remembered beside the events: seq numbers, registries, gaps, the index of the quarantine, positions.

``Metadata`` is the contract in words, ``SqliteMetadata`` keeps it in one file. Nothing here knows the other rooms.
"""

from ingestor.metadata.base import Metadata
from ingestor.metadata.sqlite import SqliteMetadata

__all__ = ["Metadata", "SqliteMetadata"]
