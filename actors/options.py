"""Every Ray option of every actor, in one table; the only place that makes an actor of a class.

All actors are detached, so that the death of the Supervisor leaves the others at work, and restart for ever: each
rebuilds its state from disk. Calls are not repeated by Ray (``max_task_retries`` 0): whoever calls knows what a
repeat means. The object store carries nothing in the embedded size; batches travel inline.

Ray gives an actor up for good when its constructor raises. At the first start that is right: the fault is told, and the
start refused. Of a restart it would make a disk that was full for a moment the end of a shard; so there the process
ends instead, after a pause, and Ray tries again with a new one.
"""

from __future__ import annotations

import os
import time
from typing import Any, Final

import ray
import structlog

from actors import heap

NAMESPACE: Final = "ha-ingestor"
EXIT_CANNOT_BEGIN: Final = 71
BEGIN_AGAIN_S: Final = 1.0

log = structlog.get_logger()

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
    return ray.remote(_persistent(cls)).options(name=name, **_COMMON, **OPTIONS[role]).remote(*args, **kwargs)


def _persistent(cls: type) -> type:
    """Make of a restart that cannot begin one that is tried again."""

    def begin(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            cls.__dict__["__init__"](self, *args, **kwargs)
        except Exception as error:
            if not ray.get_runtime_context().was_current_actor_reconstructed:
                raise
            log.critical("actor.cannot_begin", actor=cls.__name__, error=str(error))
            time.sleep(BEGIN_AGAIN_S)
            os._exit(EXIT_CANNOT_BEGIN)
        heap.settle()

    return type(cls.__name__, (cls,), {"__init__": begin, "__module__": cls.__module__, "__doc__": cls.__doc__})
