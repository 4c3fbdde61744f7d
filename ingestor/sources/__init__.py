"""Where events come from. One folder or file an origin; all give the items of ``base``."""

from __future__ import annotations

from ingestor.settings import Settings
from ingestor.sources.base import Source


def make_source(settings: Settings, home: str, *, newest_us: int | None) -> Source:
    """Make the source of a configured home, or of the demo home. ``newest_us``: its newest stored event."""
    for each in settings.homes:
        if each.name == home:
            from ingestor.sources.homeassistant import HomeAssistantSource

            return HomeAssistantSource(home, each.url, each.token.get_secret_value())
    from ingestor.sources.demo import DemoSource

    past_us = int(settings.demo.past_h * 3_600_000_000)
    return DemoSource(home, speed=settings.demo.speed, past_us=past_us, start_after_us=newest_us)
