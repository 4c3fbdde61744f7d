"""Which rows a page needs, told by their times and seqs alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingestor.history.question import Question


def after_place(times_us: Any, seqs: Any, at: Any, question: Question) -> Any:
    """Return those of the places whose rows come after the cursor."""
    if question.place is None:
        return at
    time_us, seq = question.place
    times, numbers = times_us[at], seqs[at]
    if question.order == "desc":
        return at[(times < time_us) | ((times == time_us) & (numbers < seq))]
    return at[(times > time_us) | ((times == time_us) & (numbers > seq))]


def near(times: Any, most: int, *, newest_first: bool) -> Any:
    """Return, rising, the places of times before which fewer than ``most`` others come, equal ones not counted."""
    if len(times) <= 4 * most:
        return np.arange(len(times))
    if newest_first:
        return np.flatnonzero(times >= np.partition(times, len(times) - most)[len(times) - most])
    return np.flatnonzero(times <= np.partition(times, most - 1)[most - 1])
