"""Door 1 for a real home: Home Assistant's WebSocket API, read without a hole that is not written down."""

from __future__ import annotations

from ingestor.sources.homeassistant.backoff import Backoff
from ingestor.sources.homeassistant.connection import Timing
from ingestor.sources.homeassistant.documents import Freshness
from ingestor.sources.homeassistant.source import HomeAssistantSource

__all__ = ["Backoff", "Freshness", "HomeAssistantSource", "Timing"]
