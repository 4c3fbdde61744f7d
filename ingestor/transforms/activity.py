"""How lively a home usually is at this hour of the week, learned from its own events and slowly forgotten.

A week has 168 local hours. Each keeps a rate, the number of live events in such an hour. When an hour ``h`` that had
``n`` events is over::

    rate[h] = n                          the first time
    rate[h] = rate[h] + (n - rate[h])/4  after that

An hour without any event teaches nothing: silence cannot be told from our absence. ``peak_score`` of an event is
``rate[h] / max(rate)`` of its own hour ``h``, hence 0 to 1; ``peak`` is a score of at least 0.7. Both are null until 24
different hours of the week are known, and for an hour that is not. Only events in or after the newest hour count;
back-filled and late ones do not. No clock: the same events give the same scores, however they are cut into batches.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestor.transforms.temporal import HOUR_US, Int64s

WEEK_H: Final = 168
LEARNED_H: Final = 24
FORGET: Final = 0.25
PEAK: Final = 0.7
#: 1970 began on a Thursday: hours from Monday 00:00 of that week.
_MONDAY_H: Final = 72


class Activity:
    """The profile of one home. 168 numbers."""

    def __init__(self) -> None:
        self._rate = np.full(WEEK_H, np.nan)
        self._score = np.full(WEEK_H, np.nan)
        self._hour: int | None = None
        self._count = 0

    def read(self, local_us: Int64s, *, learn: bool) -> npt.NDArray[np.float64]:
        """Score a column of local times in order (NaN is null), and learn from them."""
        hours = local_us // HOUR_US
        scores = np.empty(len(hours))
        cuts = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)] if len(hours) else [0]
        for start, end in pairwise(cuts):
            hour = int(hours[start])
            if learn:
                self._learn(hour, end - start)
            scores[start:end] = self._score[(hour + _MONDAY_H) % WEEK_H]
        return scores

    def _learn(self, hour: int, count: int) -> None:
        if self._hour is None or hour > self._hour:
            if self._hour is not None:
                self._close((self._hour + _MONDAY_H) % WEEK_H)
            self._hour, self._count = hour, 0
        if hour == self._hour:
            self._count += count

    def _close(self, hour_of_week: int) -> None:
        rate = self._rate[hour_of_week]
        self._rate[hour_of_week] = self._count if np.isnan(rate) else rate + FORGET * (self._count - rate)
        if np.count_nonzero(~np.isnan(self._rate)) >= LEARNED_H:
            self._score = self._rate / np.nanmax(self._rate)
