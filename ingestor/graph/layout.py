"""Where each node is drawn: floors as rows, areas along them, devices and entities around their area. Deterministic."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from ingestor.graph.world import World

_GOLDEN: Final = math.pi * (3 - math.sqrt(5))
_AREA_WIDTH: Final = 10.0
_FLOOR_HEIGHT: Final = 12.0
_SPREAD: Final = 0.45


def positions(names: list[str], world: World, touches: Mapping[str, list[str]]) -> dict[str, tuple[float, float]]:
    """Return node -> (x, y). ``touches``: program -> what it reads or writes; it is drawn amid these."""
    centres = _centres(world)
    nowhere = (-_AREA_WIDTH, 0.0)
    crowd: dict[str, int] = defaultdict(int)
    placed: dict[str, tuple[float, float]] = {}
    for name in names:
        area = _area(name, world)
        home = f"area:{area}" if area else ""
        if name in centres:
            placed[name] = centres[name]
        elif name not in touches:
            crowd[home] += 1
            placed[name] = _around(centres.get(home, nowhere), crowd[home])
    for at, name in enumerate(sorted(touches)):
        spots = [placed[other] for other in touches[name] if other in placed] or [nowhere]
        middle = (sum(x for x, _ in spots) / len(spots), sum(y for _, y in spots) / len(spots))
        placed[name] = _around(middle, at % 7 + 1)
    return {name: (round(x, 3), round(y, 3)) for name, (x, y) in placed.items()}


def _centres(world: World) -> dict[str, tuple[float, float]]:
    floors = sorted(world.facts.floors, key=lambda key: (world.facts.floors[key].level or 0, key))
    rows = {key: at for at, key in enumerate(floors)}
    found = {f"floor:{key}": (-_AREA_WIDTH / 2, at * _FLOOR_HEIGHT) for key, at in rows.items()}
    filled: dict[int, int] = defaultdict(int)
    for key, area in sorted(world.facts.areas.items()):
        row = rows.get(area.floor_id or "", len(rows))
        found[f"area:{key}"] = (filled[row] * _AREA_WIDTH, row * _FLOOR_HEIGHT)
        filled[row] += 1
    return found


def _area(name: str, world: World) -> str | None:
    if name.startswith("device:"):
        return world.area_of_device.get(name.removeprefix("device:"))
    return world.area_of(name)


def _around(centre: tuple[float, float], number: int) -> tuple[float, float]:
    radius = _SPREAD * math.sqrt(number)
    return centre[0] + radius * math.cos(number * _GOLDEN), centre[1] + radius * math.sin(number * _GOLDEN)
