"""The rule engine: runs the automations and scripts of the book, so that causes and circles are real.

It knows the part of Home Assistant's language that the book uses: triggers ``state``, ``numeric_state``, ``time``,
``time_pattern``, ``sun`` and ``event``; conditions ``state``, ``numeric_state``, ``time``, ``sun``, ``or``; steps
``action``, ``delay``, ``event`` and ``if``. Anything else raises, so that the book can never promise what is not done.
A run gets a context whose parent is the context of what triggered it, as in Home Assistant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from ingestor.sources.demo.bus import Bus, Change, Context, Fired

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Config = dict[str, Any]


class Times(Protocol):
    """The clock of the home's day, as the rules need it."""

    def local(self) -> datetime:
        """Return the home's wall clock now."""
        ...

    def at_clock(self, text: str) -> int | None:
        """When the clock shows ``HH:MM:SS`` on this day, home time in microseconds; None when that is past."""
        ...

    def sun_at(self, event: str) -> int:
        """When the sun rises or sets on this day, home time in microseconds."""
        ...

    def dark(self) -> bool:
        """Whether it is after sunset or before sunrise."""
        ...

    def later(self, delay_us: int, act: Callable[[], None]) -> None:
        """Act after a while."""
        ...

    def when(self, at_us: int, act: Callable[[], None]) -> None:
        """Act at that time; never when it is past."""
        ...


def span_us(text: str | Config) -> int:
    """Return a ``for`` or ``delay`` in microseconds."""
    if isinstance(text, dict):
        scale = {"hours": 3600, "minutes": 60, "seconds": 1}
        return sum(int(value * scale[unit] * 1_000_000) for unit, value in text.items())
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = (int(part) for part in text.lstrip("-").split(":"))
    return sign * (hours * 3600 + minutes * 60 + seconds) * 1_000_000


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(slots=True)
class _Unit:
    """One automation or script with its runs."""

    entity_id: str
    config: Config
    run: int = 0
    running: bool = False
    waiting: deque[Context] = field(default_factory=deque)
    last_triggered: str | None = None


class Rules:
    """All automations and scripts on one bus. ``call`` is how an action reaches the services."""

    def __init__(
        self,
        bus: Bus,
        times: Times,
        call: Callable[[str, str, Config, Context], None],
        automations: dict[str, Config],
        scripts: dict[str, Config],
    ) -> None:
        self._bus, self._times, self._call = bus, times, call
        self._units = {key: _Unit(key, config) for key, config in {**automations, **scripts}.items()}

    def appear(self) -> None:
        """Show every automation and script."""
        for unit in self._units.values():
            self._show(unit, None)

    def listen(self) -> None:
        """Arm the triggers. Home Assistant does so only once everything has started."""
        for unit in self._units.values():
            for trigger in unit.config.get("triggers", []):
                self._arm(unit, trigger)

    # ---- triggers

    def _arm(self, unit: _Unit, trigger: Config) -> None:
        kind = trigger["trigger"]
        if kind in {"state", "numeric_state"}:
            watch = _Watch(self, unit, trigger)
            for entity_id in _listed(trigger["entity_id"]):
                self._bus.on_change.setdefault(entity_id, []).append(watch.heard)
        elif kind == "event":
            self._bus.on_event.setdefault(trigger["event_type"], []).append(partial(self._heard, unit, trigger))
        elif kind == "time":
            at_us = self._times.at_clock(trigger["at"])
            if at_us is not None:
                self._times.when(at_us, partial(self.fire, unit, "time", None))
        elif kind == "sun":
            at_us = self._times.sun_at(trigger["event"]) + span_us(trigger.get("offset", "00:00:00"))
            words = trigger["event"] + (" with offset" if "offset" in trigger else "")
            self._times.when(at_us, partial(self.fire, unit, words, None))
        elif kind == "time_pattern":
            self._pattern(unit, int(trigger["minutes"].removeprefix("/")))
        else:
            raise ValueError(f"{unit.entity_id}: trigger {kind} is not known")

    def _heard(self, unit: _Unit, trigger: Config, fired: Fired) -> None:
        if all(fired.data.get(key) == value for key, value in trigger.get("event_data", {}).items()):
            self.fire(unit, f"event '{fired.event_type}'", fired.context)

    def _pattern(self, unit: _Unit, minutes: int) -> None:
        period_us = minutes * 60_000_000

        def strike() -> None:
            self._times.later(period_us, strike)
            self.fire(unit, "time pattern", None)

        self._times.later(period_us - self._bus.now_us % period_us, strike)

    def fire(self, unit: _Unit, source: str, cause: Context | None) -> None:
        """Act on a trigger that fired: check the conditions and run."""
        if not all(self.holds(condition) for condition in unit.config["conditions"]):
            return
        mode = unit.config["mode"]
        if unit.running and mode == "single":
            return
        context = self._bus.context(parent=cause)
        if not (unit.running and mode == "queued"):
            unit.last_triggered = self._bus.stamp.text(self._bus.stamp.last_us)
        name = unit.config["alias"]
        self._bus.fire("automation_triggered", {"name": name, "entity_id": unit.entity_id, "source": source}, context)
        if unit.running and mode == "queued":
            unit.waiting.append(context)
            return
        self._begin(unit, context, unit.config["actions"])

    # ---- conditions

    def holds(self, condition: Config) -> bool:
        """Whether a condition is true now."""
        kind = condition["condition"]
        if kind == "state":
            return bool(self._bus.value(condition["entity_id"]) == condition["state"])
        if kind == "numeric_state":
            return _within(self._bus.value(condition["entity_id"]), condition)
        if kind == "sun":
            return self._times.dark()
        if kind == "time":
            return self._in_time(condition)
        if kind == "or":
            return any(self.holds(inner) for inner in condition["conditions"])
        raise ValueError(f"condition {kind} is not known")

    def _in_time(self, condition: Config) -> bool:
        now = self._times.local()
        clock = now.strftime("%H:%M:%S")
        return condition.get("after", "00:00:00") <= clock < condition.get("before", "24:00:00") and WEEKDAYS[
            now.weekday()
        ] in condition.get("weekday", WEEKDAYS)

    # ---- runs

    def script(self, entity_id: str, context: Context) -> None:
        """Start a script in the context of its caller."""
        unit = self._units[entity_id]
        if unit.running and unit.config["mode"] == "single":
            return
        unit.last_triggered = self._bus.stamp.text(self._bus.stamp.last_us)
        self._bus.fire("script_started", {"name": unit.config["alias"], "entity_id": entity_id}, context)
        self._begin(unit, context, unit.config["sequence"])

    def _begin(self, unit: _Unit, context: Context, steps: list[Config]) -> None:
        unit.run += 1
        unit.running = True
        self._show(unit, context)
        self._go_on(unit, unit.run, self._steps(steps, context), context)

    def _go_on(self, unit: _Unit, run: int, steps: Iterator[int], context: Context) -> None:
        if run != unit.run:
            return  # a newer run has taken its place
        for delay_us in steps:
            self._times.later(delay_us, partial(self._go_on, unit, run, steps, context))
            return
        unit.running = False
        self._show(unit, context)
        if unit.waiting:
            self._begin(unit, unit.waiting.popleft(), unit.config["actions"])

    def _steps(self, steps: list[Config], context: Context) -> Iterator[int]:
        """Do the steps; yield how long to wait where a step waits."""
        for step in steps:
            if "action" in step:
                data = dict(step.get("target", {}))
                data = {key: _listed(value) for key, value in data.items()} | step.get("data", {})
                domain, _, service = step["action"].partition(".")
                self._call(domain, service, data, context)
            elif "delay" in step:
                yield span_us(step["delay"])
            elif "event" in step:
                self._bus.fire(step["event"], step.get("event_data", {}), context)
            elif "if" in step:
                branch = "then" if all(self.holds(condition) for condition in step["if"]) else "else"
                yield from self._steps(step.get(branch, []), context)
            else:
                raise ValueError(f"step {sorted(step)} is not known")

    def _show(self, unit: _Unit, context: Context | None) -> None:
        mode = unit.config["mode"]
        is_automation = "triggers" in unit.config
        attributes = {
            **({"id": unit.config["id"]} if is_automation else {}),
            "last_triggered": unit.last_triggered,
            "mode": mode,
            "current": int(unit.running),
            **({"max": 10} if mode == "queued" else {}),
            "friendly_name": unit.config["alias"],
        }
        state = "on" if is_automation or unit.running else "off"
        self._bus.set(unit.entity_id, state, attributes, context=context)


class _Watch:
    """One ``state`` or ``numeric_state`` trigger with what it has to remember."""

    def __init__(self, rules: Rules, unit: _Unit, trigger: Config) -> None:
        self._rules, self._unit, self._trigger = rules, unit, trigger
        self._numeric = trigger["trigger"] == "numeric_state"
        self._for_us = span_us(trigger["for"]) if "for" in trigger else 0
        self._turn: dict[str, int] = {}
        self._inside: dict[str, bool] = {}

    def heard(self, change: Change) -> None:
        """Hear that an entity of this trigger changed."""
        entity_id = change.entity_id
        if not (self._crossed(change) if self._numeric else self._matches(change)):
            return
        turn = self._turn[entity_id] = self._turn.get(entity_id, 0) + 1
        words = ("numeric state of " if self._numeric else "state of ") + entity_id
        fire = partial(self._rules.fire, self._unit, words, change.new.context)
        if not self._for_us:
            fire()
            return

        def still() -> None:
            if self._turn[entity_id] == turn:
                fire()

        self._rules._times.later(self._for_us, still)  # noqa: SLF001 - one machine in two classes

    def _crossed(self, change: Change) -> bool:
        inside = _within(change.new.state, self._trigger)
        before = self._inside.get(change.entity_id)
        if before is None:
            before = inside if change.old is None else _within(change.old.state, self._trigger)
        self._inside[change.entity_id] = inside
        if not inside:
            self._turn[change.entity_id] = self._turn.get(change.entity_id, 0) + 1
        return inside and not before

    def _matches(self, change: Change) -> bool:
        old = change.old.state if change.old else None
        if old == change.new.state:
            return False
        self._turn[change.entity_id] = self._turn.get(change.entity_id, 0) + 1
        to, came = self._trigger.get("to"), self._trigger.get("from")
        return (to is None or change.new.state in _listed(to)) and (came is None or old in _listed(came))


def _within(text: str, limits: Config) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return bool(limits.get("above", float("-inf")) < number < limits.get("below", float("inf")))
