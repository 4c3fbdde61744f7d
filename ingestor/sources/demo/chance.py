"""Chance without surprise: the same seed, name and place in time give the same number, in any process."""

from __future__ import annotations

import math
import zlib
from random import Random

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def dice(*parts: object) -> Random:
    """Return a generator of its own for everything that has these parts as its name."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - a play, no secret


def unit(seed: int, name: str, index: int) -> float:
    """One number in [0, 1) for this name and index."""
    x = (zlib.crc32(name.encode()) * _GOLDEN + seed * 0x2545F4914F6CDD1D + index * 0xD1B54A32D192ED03) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return (x ^ (x >> 31)) / 2.0**64


def smooth(seed: int, name: str, x: float) -> float:
    """Return a number in [0, 1) that wanders gently with ``x``: a new whim at each whole ``x``, a soft path between."""
    k = math.floor(x)
    f = x - k
    a, b = unit(seed, name, k), unit(seed, name, k + 1)
    return a + (b - a) * f * f * (3 - 2 * f)
