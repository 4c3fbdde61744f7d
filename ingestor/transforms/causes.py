"""Who was behind it: automation, script or person, found through contexts.

Home Assistant gives each event a context, and each context may name a parent. A run of an automation or script opens a
context; what it changes carries that context. So the cause of an event is, in this order:

1. what is known to run under its own context;
2. the person its context names (``user:<user_id>``);
3. what is known to run under its parent context.

For ``automation_triggered`` and ``script_started`` that is what led to the run; the run itself then becomes the cause
of everything under its context. What was found by 2 or 3 is remembered, so that chains hold over several steps.
Memory is bounded: two generations of ``size / 2`` contexts.
"""

from __future__ import annotations

from typing import Final

#: Events that open a run; ``entity_id`` in their data names it.
RUN_STARTS: Final = frozenset({"automation_triggered", "script_started"})


class Causes:
    """Context id -> cause."""

    def __init__(self, size: int = 100_000) -> None:
        self._half = max(1, size // 2)
        self._young: dict[str, str] = {}
        self._old: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def learn(self, context_id: str | None, cause: str) -> None:
        """Know from now on what runs under a context."""
        if context_id is None:
            return
        self._young[context_id] = cause
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}

    def known(self, context_id: str) -> str | None:
        """Give what runs under a context."""
        return self._young.get(context_id) or self._old.get(context_id)

    def of(self, context_id: str | None, parent_id: str | None, user_id: str | None) -> str | None:
        """Find the cause of an event with this context."""
        cause = self._young.get(context_id) or self._old.get(context_id) if context_id is not None else None
        if cause is not None or (user_id is None and parent_id is None):
            return cause
        if user_id is not None:
            cause = f"user:{user_id}"
        elif parent_id is not None:
            cause = self.known(parent_id)
        if cause is not None:
            self.learn(context_id, cause)
        return cause

    def started(self, event_type: str, entity_id: str | None, context_id: str | None) -> None:
        """Take note of a run, when the event opens one."""
        if entity_id is not None and event_type in RUN_STARTS:
            self.learn(context_id, entity_id)
