"""How long to wait before the next try: longer each time, never the same for two ingestors, never beyond a cap."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waiting times in seconds.

    After a lost connection: evenly between 0 and ``first_s`` doubled with each try, up to ``cap_s``; up to
    ``restart_cap_s`` for the first ``restart_s`` after the home was told to restart, for it is soon back and its start
    is worth seeing. After a refused token: between half and all of ``refused_first_s`` doubled with each try, up to
    ``refused_cap_s``, because Home Assistant counts wrong logins and may ban an address. A connection that lived
    ``stable_s`` starts the count again.
    """

    first_s: float = 1.0
    cap_s: float = 60.0
    restart_cap_s: float = 2.0
    restart_s: float = 120.0
    refused_first_s: float = 10.0
    refused_cap_s: float = 300.0
    stable_s: float = 60.0

    def after_loss_s(self, tries: int, rng: random.Random, *, restarting: bool = False) -> float:
        """Wait this long after ``tries`` attempts in a row that did not last."""
        return rng.uniform(0.0, _doubled(self.first_s, tries, self.restart_cap_s if restarting else self.cap_s))

    def after_refusal_s(self, tries: int, rng: random.Random) -> float:
        """Wait this long after the token was refused ``tries`` times in a row."""
        longest_s = _doubled(self.refused_first_s, tries, self.refused_cap_s)
        return rng.uniform(longest_s / 2, longest_s)


def _doubled(first_s: float, tries: int, cap_s: float) -> float:
    return min(cap_s, first_s * 2.0 ** min(tries, 32))
