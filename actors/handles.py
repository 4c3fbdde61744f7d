"""Typed handles on the actors: the only place that looks an actor up, and where a restart is waited for.

An actor that was killed is back within seconds and has rebuilt itself. ``ask`` repeats a call until then, so it may be
executed twice: use it for what is idempotent. Ingest goes through ``once``: its sender decides what to repeat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from actors.messages import Part, Receipt
from actors.options import NAMESPACE
from ingestor.errors import IngestorError, Overloaded

PATIENCE_S = 20.0
RETRY_S = 0.1


class ActorAway(IngestorError):
    """The actor did not answer: it is being restarted, and may or may not have executed the call."""

    def __init__(self, name: str, method: str) -> None:
        super().__init__(name, method)
        self.name, self.method = name, method

    def __str__(self) -> str:
        return f"{self.name} did not answer {self.method}; it is being restarted"


class Handle:
    """One named actor. Looked up when first asked, and again after it was away."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._actor: Any = None

    def __reduce__(self) -> tuple[type[Handle], tuple[str]]:
        return (type(self), (self.name,))

    async def once(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call once. Raises what the actor raised, or ``ActorAway``."""
        try:
            return await getattr(self._look_up(method), method).remote(*args, **kwargs)
        except (ActorUnavailableError, ActorDiedError):
            self._actor = None
            raise ActorAway(self.name, method) from None
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, IngestorError) else error) from None

    async def ask(self, method: str, *args: Any, patience_s: float = PATIENCE_S, **kwargs: Any) -> Any:
        """Call, and again while the actor is away, for at most ``patience_s``. Raises ``Overloaded`` after that."""
        give_up_at = time.monotonic() + patience_s
        while True:
            try:
                return await self.once(method, *args, **kwargs)
            except ActorAway:
                if time.monotonic() >= give_up_at:
                    raise Overloaded(self.name, RETRY_S * 10) from None
                await asyncio.sleep(RETRY_S)

    async def stream(self, method: str, *args: Any) -> AsyncIterator[Any]:
        """Iterate over what a streaming method yields. Raises ``ActorAway`` when the actor goes."""
        try:
            generator = getattr(self._look_up(method), method).options(num_returns="streaming").remote(*args)
            async for reference in generator:
                yield await reference
        except (ActorUnavailableError, ActorDiedError):
            self._actor = None
            raise ActorAway(self.name, method) from None
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, IngestorError) else error) from None

    def _look_up(self, method: str) -> Any:
        if self._actor is None:
            try:
                self._actor = ray.get_actor(self.name, namespace=NAMESPACE)
            except ValueError:
                raise ActorAway(self.name, method) from None
        return self._actor


class ShardHandle(Handle):
    """One shard."""

    async def ingest(self, part: Part) -> Receipt:
        """Have the part validated, enriched and journaled. On return it is on disk."""
        receipt: Receipt = await self.once("ingest", part)
        return receipt


def shard(number: int) -> ShardHandle:
    """Return the handle of the shard with this number."""
    return ShardHandle(f"shard-{number}")


def source(home: str) -> Handle:
    """Return the handle of the source that reads this home."""
    return Handle(f"source-{home}")


def gate() -> Handle:
    """Return the handle of the Gate: the door for events that are sent to us."""
    return Handle("gate")


def graph() -> Handle:
    """Return the handle of the Graph: sole owner of registries and relations."""
    return Handle("graph")


def historian() -> Handle:
    """Return the handle of the Historian: sole writer of the history table."""
    return Handle("historian")


def hub() -> Handle:
    """Return the handle of the Hub: live subscribers."""
    return Handle("hub")


def supervisor() -> Handle:
    """Return the handle of the Supervisor."""
    return Handle("supervisor")
