"""How Python looks for circles of garbage in an actor: seldom, and never among what stays for good.

A batch makes thousands of objects and drops them all at once, none of them in a circle. By default Python would look
through them every 700 objects, and now and then through all modules and memories of the process too: up to a quarter of
a shard's time (docs/adr/0005-hot-path.md).
"""

from __future__ import annotations

import gc
from typing import Final

#: Objects made and not dropped until the young are looked at; such looks until the older are, and again the oldest.
THRESHOLDS: Final = (50_000, 20, 50)


def settle() -> None:
    """Take what is there now for permanent. For processes that are an actor and nothing else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def settle_again() -> None:
    """Take what has come since for permanent too, where that was done before."""
    if gc.get_freeze_count():
        settle()
