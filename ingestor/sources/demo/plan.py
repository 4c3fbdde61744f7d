"""What people mean to do on one day, from restart to restart: a pure function of seed and date.

Hours are the home's wall clock; 25.5 is half past one in the night after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from random import Random

from ingestor.sources.demo.catalogue import PEOPLE, Person
from ingestor.sources.demo.chance import dice

AWAY = frozenset({"work", "school", "not_home"})


@dataclass(frozen=True, slots=True)
class Stay:
    """From ``hour`` on someone is in ``place``, an area or a zone. ``asleep``: they do not stir."""

    hour: float
    place: str
    asleep: bool = False


@dataclass(slots=True)
class Plan:
    """The day's intentions. Spans are (from hour, to hour)."""

    stays: dict[str, list[Stay]] = field(default_factory=dict)
    showers: list[tuple[float, float]] = field(default_factory=list)
    television: list[tuple[float, float]] = field(default_factory=list)
    cooking: list[tuple[float, float]] = field(default_factory=list)
    laundry: list[float] = field(default_factory=list)
    dishes: list[float] = field(default_factory=list)
    coffee: list[float] = field(default_factory=list)
    airing: list[tuple[float, float]] = field(default_factory=list)
    garden: list[tuple[float, float]] = field(default_factory=list)
    lost_sensor: list[tuple[float, float]] = field(default_factory=list)
    lost_network: float | None = None
    bedtime: float = 23.2


_WEDNESDAY = 2
_WEEKEND = 5


def plan_of(seed: int, day: date) -> Plan:
    """Make the plan of a day."""
    chance = dice(seed, day.isoformat(), "plan")
    weekday = day.weekday()
    plan = Plan()
    late = (chance.uniform(0.6, 1.7) if weekday in {4, 5} else 0.0) + chance.uniform(-0.2, 0.3)
    outing = _outing(chance, weekday)
    for person in PEOPLE:
        wake = person.wakes + chance.uniform(-0.12, 0.15) + (chance.uniform(1.3, 2.0) if weekday >= _WEEKEND else 0)
        sleep = person.sleeps + late * (1 if person.bedroom == "bedroom" else 0.5) + chance.uniform(-0.1, 0.1)
        plan.stays[person.key] = _weave(chance, person, _day(chance, plan, person, weekday, wake, sleep, outing))
    parents_sleep = max(plan.stays[key][-1].hour for key in ("anna", "ben"))
    plan.bedtime = parents_sleep - 0.03
    film = 20.4 + chance.uniform(-0.2, 0.3)
    plan.television.append((film, min(film + chance.uniform(1.2, 2.4), plan.bedtime - 0.4)))
    if weekday >= _WEEKEND:
        plan.television.append((9.6 + chance.random() * 0.3, 10.4))
    _household(chance, plan, day)
    return plan


def _outing(chance: Random, weekday: int) -> tuple[float, float] | None:
    if weekday < _WEEKEND:
        return None
    start = chance.uniform(13.6, 14.6)
    return start, start + chance.uniform(1.8, 3.0)


def _day(  # one person's day from waking to sleeping
    chance: Random,
    plan: Plan,
    person: Person,
    weekday: int,
    wake: float,
    sleep: float,
    outing: tuple[float, float] | None,
) -> list[Stay]:
    grown = person.bedroom == "bedroom"
    shower = wake + 0.08 + chance.random() * 0.05
    stays = [Stay(4.0, person.bedroom, asleep=True), Stay(wake, person.bedroom), Stay(shower, "bathroom")]
    dressed = shower + (chance.uniform(0.2, 0.3) if grown else 0.12)
    if grown:
        plan.showers.append((shower + 0.02, dressed - 0.04))
    stays.append(Stay(dressed, "kitchen"))
    if person.key == "anna" or (person.key == "ben" and weekday >= _WEEKEND):
        plan.coffee.append(dressed + 0.04)
    if outing:
        stays += _weekend(chance, person, dressed, outing, weekday)
    elif grown:
        stays += _work(chance, person, weekday)
    else:
        stays += _school(chance, person, weekday)
    if sleep - 0.5 > stays[-1].hour:
        stays.append(Stay(sleep - 0.4, "bathroom"))
        stays.append(Stay(sleep - 0.2, person.bedroom))
    stays.append(Stay(sleep, person.bedroom, asleep=True))
    return stays


def _work(chance: Random, person: Person, weekday: int) -> list[Stay]:
    def near(hour: float) -> float:
        return hour + chance.uniform(-0.2, 0.2)

    if person.key == "anna" and weekday in {1, 3}:  # works at home
        stays = [Stay(near(8.5), "study"), Stay(near(12.4), "kitchen"), Stay(near(13.2), "study")]
        stays.append(Stay(near(17.0), "kitchen"))
    else:
        leave, back = (near(8.05), near(17.3)) if person.key == "anna" else (near(7.75), near(18.0))
        stays = [Stay(leave, "work"), Stay(back, "kitchen")]
    stays.append(Stay(near(18.9), "living_room"))
    if person.key == "ben" and weekday == 1:  # sport
        stays += [Stay(near(19.5), "not_home"), Stay(near(21.7), "living_room")]
    return stays


def _school(chance: Random, person: Person, weekday: int) -> list[Stay]:
    leave = 8.0 + chance.uniform(-0.08, 0.08)
    back = (12.7 if weekday == _WEDNESDAY else 15.2) + chance.uniform(-0.1, 0.2)
    stays = [Stay(leave, "school"), Stay(back, "kitchen"), Stay(back + 0.4, "living_room")]
    stays += [Stay(back + 1.3, "kids_room"), Stay(18.2 + chance.uniform(-0.1, 0.1), "kitchen")]
    return [*stays, Stay(18.9 + chance.uniform(-0.1, 0.2), "living_room" if person.key == "mia" else "kids_room")]


def _weekend(chance: Random, person: Person, dressed: float, outing: tuple[float, float], weekday: int) -> list[Stay]:
    stays = [Stay(dressed + chance.uniform(0.6, 0.9), "living_room")]
    if weekday == _WEEKEND and person.key == "ben":
        stays += [Stay(10.8 + chance.random() * 0.3, "not_home"), Stay(12.2 + chance.random() * 0.4, "kitchen")]
    elif person.bedroom == "kids_room":
        stays.append(Stay(11.0 + chance.random() * 0.4, "kids_room"))
    stays.append(Stay(12.7 + chance.random() * 0.2, "kitchen"))
    stays.append(Stay(outing[0] + chance.random() * 0.05, "not_home"))
    stays.append(Stay(outing[1] + chance.random() * 0.05, "living_room"))
    return [*stays, Stay(17.8 + chance.random() * 0.3, "kitchen"), Stay(19.0 + chance.random() * 0.3, "living_room")]


def _weave(chance: Random, person: Person, stays: list[Stay]) -> list[Stay]:
    """Put short walks into long stays at home: people fetch things and wash their hands."""
    woven: list[Stay] = []
    for stay, after in zip(stays, [*stays[1:], Stay(28.0, "")], strict=True):
        woven.append(stay)
        if stay.asleep or stay.place in AWAY:
            continue
        hour = stay.hour + chance.uniform(0.25, 0.7)
        while hour < after.hour - 0.25:
            elsewhere = chance.choice(("kitchen", "bathroom", "hallway", "landing", person.bedroom))
            if elsewhere != stay.place:
                woven.append(Stay(hour, elsewhere))
                woven.append(Stay(hour + chance.uniform(0.03, 0.1), stay.place))
            hour += chance.uniform(0.35, 1.1)
    return woven


def _household(chance: Random, plan: Plan, day: date) -> None:
    weekday = day.weekday()
    plan.cooking.append((17.9 + chance.uniform(-0.2, 0.2), 18.6 + chance.uniform(-0.1, 0.1)))
    if weekday in {0, 2, 4, 5, 6}:
        plan.laundry.append((10.2 if weekday >= _WEEKEND else 18.8) + chance.uniform(-0.3, 0.3))
    plan.dishes.append(19.4 + chance.uniform(-0.2, 0.5))
    opened = 7.3 + (1.8 if weekday >= _WEEKEND else 0) + chance.uniform(-0.1, 0.2)
    plan.airing.append((opened, opened + chance.uniform(0.2, 0.5)))
    if weekday >= _WEEKEND:
        plan.garden.append((16.9 + chance.uniform(-0.2, 0.2), 17.5 + chance.uniform(-0.1, 0.2)))
    for _ in range(chance.randint(1, 3)):
        lost = chance.uniform(7.0, 26.0)
        plan.lost_sensor.append((lost, lost + chance.choice((0.03, 0.06, 0.2, 0.55))))
    plan.lost_sensor.sort()
    if chance.random() < 0.15:  # noqa: PLR2004 - once a week or so
        plan.lost_network = chance.uniform(9.0, 25.0)
