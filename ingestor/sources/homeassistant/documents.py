"""The home's registries, configurations and states: read whole after each connect, and again whenever made stale.

A document is what Home Assistant answered, untouched, whatever its version. A command this Home Assistant does not
know is passed over; one the token may not use is told as missing; one that fails is asked again later. Nothing here
can end the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from ingestor.errors import ConnectionLost
from ingestor.sources.base import DOCUMENT_NAMES, Document
from ingestor.sources.homeassistant.connection import Answer, Connection
from ingestor.sources.homeassistant.subscriptions import REMEDY, Missing

PROGRAMS: Final = {"automations": "automation.", "scripts": "script."}
PLAIN: Final = tuple(name for name in DOCUMENT_NAMES if name not in {*PROGRAMS, "missing", "states"})
EVERY: Final = (*PLAIN, "states", *PROGRAMS)
LISTED_S: Final = 10.0
_KIND: Final = {"users": "user", "persons": "user", "automations": "automation", "scripts": "automation"}
_LISTED: Final = msgspec.json.Decoder(list[msgspec.Raw])

log = structlog.get_logger()


class _Named(msgspec.Struct, frozen=True):
    entity_id: str = ""


class _Program(msgspec.Struct, frozen=True):
    config: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """When a stale document is read again.

    Once nothing made it stale for ``quiet_s``, and after ten times that in any case. Persons move all day, so theirs
    is ``persons_quiet_s``. What failed is asked again after ``retry_s``; ``at_once`` commands are asked side by side.
    """

    quiet_s: float = 0.5
    persons_quiet_s: float = 5.0
    retry_s: float = 30.0
    at_once: int = 16


class Documents:
    """Reads the documents of one connection and gives each that differs from its last to ``emit``."""

    def __init__(
        self,
        connection: Connection,
        *,
        home: str,
        freshness: Freshness,
        emit: Callable[[Document, int], Awaitable[None]],
    ) -> None:
        self._connection, self._home, self._freshness, self._emit = connection, home, freshness, emit
        self._at_once = asyncio.Semaphore(freshness.at_once)
        self._stale: dict[str, tuple[float, float]] = {}
        self._changed = asyncio.Event()
        self._digests: dict[str, bytes] = {}
        self._listed: asyncio.Future[bytes] | None = None
        self.refused: dict[str, Missing] = {}

    def expect_entries(self) -> None:
        """Wait, when config entries are first read, for the list that comes with their subscription."""
        self._listed = asyncio.get_running_loop().create_future()

    def list_entries(self, entries: bytes | None) -> None:
        """Take the list of config entries that came with their subscription. ``None``: it will not come."""
        if entries is None:
            self._listed = None
        elif self._listed is not None and not self._listed.done():
            self._listed.set_result(entries)

    def mark(self, names: Collection[str], *, after_s: float | None = None) -> None:
        """Call documents stale: they are read again soon. ``*`` is all of them."""
        if not names:
            return
        now_s = asyncio.get_running_loop().time()
        for name in EVERY if "*" in names else names:
            quiet_s = self._freshness.persons_quiet_s if name == "persons" else self._freshness.quiet_s
            wait_s = quiet_s if after_s is None else after_s
            first_s, _ = self._stale.get(name, (now_s, 0.0))
            self._stale[name] = (first_s, max(now_s, min(now_s + wait_s, first_s + 10 * wait_s)))
            self._changed.set()

    async def read(self, names: Iterable[str]) -> bytes | None:
        """Read documents side by side and emit them in the order given. Returns the states, if read and got.

        Raises ``ConnectionLost`` only.
        """
        wanted = [*names]
        states = await self._ask("get_states") if {"states", *PROGRAMS} & {*wanted} else None
        readings = [asyncio.ensure_future(self._answer(name, states)) for name in wanted]
        try:
            for name, reading in zip(wanted, readings, strict=True):
                await self._give(name, await reading)
        finally:
            for reading in readings:
                reading.cancel()
            await asyncio.gather(*readings, return_exceptions=True)
        return states.result if states is not None and states.ok else None

    async def keep_current(self) -> None:
        """Read again what was marked, for as long as the connection lives. Raises ``ConnectionLost``."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            due_s = min((due_s for _, due_s in self._stale.values()), default=None)
            try:
                async with asyncio.timeout_at(due_s):
                    await self._changed.wait()
            except TimeoutError:
                now_s = loop.time()
                due = [name for name in EVERY if name in self._stale and self._stale[name][1] <= now_s]
                for name in due:
                    del self._stale[name]
                await self.read(due)

    async def _answer(self, name: str, states: Answer | None) -> Answer:
        states = states or Answer(ok=False, code="unknown_error")
        if name == "states":
            return states
        if name in PROGRAMS:
            try:
                return await self._programs(name, states)
            except msgspec.DecodeError as error:
                return Answer(ok=False, code="unreadable", message=str(error))
        if name == "config_entries" and self._listed is not None:
            listed, self._listed = self._listed, None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTED_S):
                    return Answer(ok=True, result=await listed)
        return await self._ask(DOCUMENT_NAMES[name])

    async def _programs(self, name: str, states: Answer) -> Answer:
        """Ask for every automation or script. One that cannot be had is left out; none at all is that answer."""
        if not states.ok:
            return states
        prefix, command = PROGRAMS[name], DOCUMENT_NAMES[name]
        named = [msgspec.json.decode(raw, type=_Named).entity_id for raw in _LISTED.decode(states.result)]
        entity_ids = [entity_id for entity_id in named if entity_id.startswith(prefix)]
        answers = await asyncio.gather(*(self._ask(command, entity_id=entity_id) for entity_id in entity_ids))
        for answer in answers:
            if answer.code in {"unknown_command", "unauthorized", "timeout"}:
                return answer
        configs = {
            entity_id: msgspec.json.decode(answer.result, type=_Program).config
            for entity_id, answer in zip(entity_ids, answers, strict=True)
            if answer.ok
        }
        readable = {entity_id: config for entity_id, config in configs.items() if config is not None}
        return Answer(ok=True, result=msgspec.json.encode(readable))

    async def _ask(self, command: str, **fields: Any) -> Answer:
        async with self._at_once:
            return await self._connection.call(command, **fields)

    async def _give(self, name: str, answer: Answer) -> None:
        if not answer.ok:
            self._pass_over(name, answer)
            return
        self.refused.pop(name, None)
        digest = hashlib.blake2b(answer.result, digest_size=16).digest()
        if self._digests.get(name) == digest:
            return
        try:
            content = msgspec.json.decode(answer.result)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._pass_over(name, Answer(ok=False, code="unreadable", message=str(error)))
            return
        await self._emit(Document(home=self._home, name=name, content=content), len(answer.result))
        self._digests[name] = digest

    def _pass_over(self, name: str, answer: Answer) -> None:
        command = DOCUMENT_NAMES[name]
        if answer.code == "unauthorized":
            why = f"Home Assistant lets only an administrator read the {name.replace('_', ' ')} ({command})"
            kind = _KIND.get(name, "integration")
            self.refused[name] = {"kind": kind, "event_type": "", "why": why, "remedy": REMEDY}
        elif answer.code == "unknown_command":
            log.info("source.command_unknown", home=self._home, document=name, command=command)
        else:
            retry_s = self._freshness.retry_s
            fault = answer.message or answer.code
            log.warning("source.document_failed", home=self._home, document=name, fault=fault, retry_s=retry_s)
            self.mark([name], after_s=retry_s)


async def keep_reading(documents: Documents, home: str) -> None:
    """Keep the documents current until the connection is lost; after a surprise, read all anew.

    A document of an unforeseen shape must not stop the capture of events.
    """
    while True:
        try:
            await documents.keep_current()
        except ConnectionLost:
            return
        except Exception:
            log.exception("source.documents_failed", home=home)
            documents.mark(["*"], after_s=30.0)
