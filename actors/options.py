"""Every Ray option of every actor, in one table; the only place that makes an actor of a class.

All actors are detached, so that the death of the Supervisor leaves the others at work, and restart for ever: each
rebuilds its state from disk. Calls are not repeated by Ray (``max_task_retries`` 0): whoever calls knows what a
repeat means. The object store carries nothing in the embedded size; batches travel inline.
"""

from __future__ import annotations

from typing import Any, Final

import ray

NAMESPACE: Final = "ha-ingestor"

_COMMON: Final[dict[str, Any]] = {
    "namespace": NAMESPACE,
    "lifetime": "detached",
    "get_if_exists": True,
    "max_restarts": -1,
    "max_task_retries": 0,
    "num_cpus": 0,
}

OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "supervisor": {"max_concurrency": 64},
    "source": {"max_concurrency": 64},
    "gate": {"max_concurrency": 256},
    "shard": {"max_concurrency": 256},
    "graph": {"max_concurrency": 64},
    "historian": {"max_concurrency": 64},
    "hub": {"max_concurrency": 256},
}


def start(cls: type, role: str, name: str, *args: Any, **kwargs: Any) -> Any:
    """Start the class as the actor ``name`` with the options of its ``role``, or find the one that runs."""
    return ray.remote(cls).options(name=name, **_COMMON, **OPTIONS[role]).remote(*args, **kwargs)
