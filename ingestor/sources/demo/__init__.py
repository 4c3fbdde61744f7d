"""A believable home to look at before one's own is connected: a world, its people, its rules, and a clock.

``catalogue`` and ``book`` say what stands in it and what it is told to do; ``plan``, ``people``, ``physics`` and
``weather`` are its world; ``bus``, ``rules`` and ``services`` are its Home Assistant; ``day`` holds them together for
one day, ``player`` plays the days, ``source`` gives them out by the clock.
"""

from ingestor.sources.demo.source import DemoSource

__all__ = ["DemoSource"]
