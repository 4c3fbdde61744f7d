"""What an automation or script is made of, once read: plain values, not yet looked up in any registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ingestor.graph.services import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a service call or trigger addresses, as written. ``entities`` may hold registry ids and ``all``."""

    entities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    floors: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entities or self.is_wide)

    @property
    def is_wide(self) -> bool:
        """Whether it addresses more than entities one by one."""
        return bool(self.devices or self.areas or self.floors or self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWanted:
    """Which changes of an entity a trigger answers to. ``state_only``: a change of attributes alone is not enough."""

    to: frozenset[str] | None = None
    not_to: frozenset[str] = frozenset()
    from_: frozenset[str] | None = None
    above: float | None = None
    below: float | None = None
    attribute: str | None = None
    state_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger. ``domain`` narrows what ``target`` may expand to; ``devices`` trigger by themselves.

    ``guarded``: it waits for a certain state or time (``to``, ``for``, a bound), so that it may let a change pass.
    """

    label: str
    target: Target = Target()
    domain: str | None = None
    maybe: frozenset[str] = frozenset()
    devices: tuple[str, ...] = ()
    wanted: StateWanted = StateWanted()
    events: tuple[str, ...] = ()
    event_data: tuple[tuple[str, str], ...] = ()
    topics: tuple[str, ...] = ()
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing done. ``service`` is ``None`` where the name is computed. ``fires`` and ``topic`` are event and topic.

    ``guarded``: a condition stands before it.
    """

    label: str
    service: str | None = None
    target: Target = Target()
    data: dict[str, Any] = field(default_factory=dict)
    fires: str | None = None
    topic: str | None = None
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One automation or script, read.

    ``reads``: entities named in conditions and templates; ``maybe``: text that is an entity if the home has it;
    ``consults``: targets of conditions and waits; ``computed``: excerpts whose entities only a run knows.
    """

    config_id: str | None = None
    name: str | None = None
    mode: str | None = None
    blueprint: str | None = None
    triggers: tuple[Trigger, ...] = ()
    actions: tuple[Action, ...] = ()
    reads: frozenset[str] = frozenset()
    maybe: frozenset[str] = frozenset()
    consults: tuple[Target, ...] = ()
    computed: frozenset[str] = frozenset()
    has_condition: bool = False

    @property
    def is_wide(self) -> bool:
        """Whether it addresses devices, areas, floors or labels, so that what it does depends on who is there."""
        targets = (*(t.target for t in self.triggers), *(a.target for a in self.actions), *self.consults)
        return any(target.is_wide for target in targets) or any(trigger.devices for trigger in self.triggers)


def answers_to(wanted: StateWanted, result: Result) -> bool:
    """Whether an entity left in one of the states ``result`` can set off a trigger that wants ``wanted``."""
    if result is None or wanted.attribute is not None:
        return True
    if not result:
        return not wanted.state_only
    return any(_wants(wanted, state) for state in result)


def hears(wanted: tuple[tuple[str, str], ...], fired: tuple[tuple[str, str | None], ...]) -> bool:
    """Whether an event with the data ``fired`` (``None``: computed) can carry all the data that is ``wanted``."""
    known = dict(fired)
    return all(key in known and known[key] in (None, value) for key, value in wanted)


def _wants(wanted: StateWanted, state: str) -> bool:
    if wanted.to is not None and not _among(state, wanted.to):
        return False
    if _among(state, wanted.not_to):
        return False
    if wanted.from_ is not None and all(_among(state, frozenset({start})) for start in wanted.from_):
        return False
    if wanted.above is None and wanted.below is None:
        return True
    number = _number(state)
    if number is None:
        return False
    return (wanted.above is None or number > wanted.above) and (wanted.below is None or number < wanted.below)


def _among(state: str, states: frozenset[str]) -> bool:
    if state in states:
        return True
    number = _number(state)
    return number is not None and any(_number(other) == number for other in states)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
