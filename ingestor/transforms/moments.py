"""Moments as long as Home Assistant writes them, ``2026-11-23T08:43:53.327195+00:00``, to microseconds, many at once.

Any other text is no moment here, and left to who reads everything (``models.UtcTime``). What is read here, that reads
too, and alike; a test tries every character in every place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import pyarrow as pa

from ingestor.transforms.models import END_OF_TIME_US

_CHARACTERS: Final = {32}
_UTC: Final = pa.timestamp("us", tz="UTC")


def exact_moments(texts: Sequence[str]) -> list[int] | None:
    """Give a column of moments in microseconds since 1970; null when any is not of the exact form."""
    if not texts:
        return []
    if set(map(len, texts)) != _CHARACTERS:
        return None
    column = pa.array(texts, pa.string())
    try:
        moments = column.cast(_UTC).view(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    if moments.min() < 0 or moments.max() >= END_OF_TIME_US:
        return None
    return cast("list[int]", moments.tolist())
