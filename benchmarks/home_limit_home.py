"""A real Home Assistant to be driven to its limit: smallest configuration, with its recorder or without.

The component that drives it (``home_limit_drive``) is copied into its folder. It is started on loopback by
``tests.support`` and stopped by its own process id.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.home_assistant import HomeAssistant

COMPONENT = Path(__file__).with_name("home_limit_drive")
ENTITIES = 200
_PLAIN = """
homeassistant:
  name: Limit
  latitude: 52.37
  longitude: 4.89
  elevation: 2
  unit_system: metric
  currency: EUR
  country: NL
  time_zone: Europe/Amsterdam
http:
  server_host: 127.0.0.1
  server_port: !env_var HA_PORT
api:
websocket_api:
config:
logger:
  default: critical
home_limit_drive:
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What was fired: the numbers from ``first`` on, each at its moment, to one entity after the other in turn."""

    first: int
    entities: int
    times_us: list[int]
    seconds: float

    def __len__(self) -> int:
        return len(self.times_us)

    def entity_of(self, number: int) -> str:
        """Name the entity whose state was set to this number."""
        return f"sensor.driven_{number % self.entities}"


class DrivenHome:
    """The running home. Give it one drive after another."""

    def __init__(self, home: HomeAssistant) -> None:
        self.home = home
        self._process = psutil.Process(home.pid)
        self._next = 1

    def fire(self, ticks: list[int], *, every_s: float = 0.0, entities: int = ENTITIES) -> Fired:
        """Fire so many events in each tick and wait for the last. ``every_s`` 0: as fast as it goes."""
        first, self._next = self._next, self._next + sum(ticks)
        asked = {"ticks": ticks, "every_s": every_s, "entities": entities, "first": first}
        answer: dict[str, Any] = self.home.request("POST", "/api/home_limit_drive", asked, timeout_s=90)
        return Fired(first=first, entities=entities, times_us=answer["times_us"], seconds=answer["seconds"])

    def cpu_s(self) -> float:
        """Processor time of Home Assistant since its start."""
        times = self._process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def driven_home(folder: Path, *, recorder: bool) -> Iterator[DrivenHome]:
    """Start a home in ``folder``, which must not be there yet, and stop it at the end."""
    home = HomeAssistant(folder)
    shutil.copytree(COMPONENT, folder / "custom_components" / COMPONENT.name, ignore=shutil.ignore_patterns("__*__"))
    text = _PLAIN + ("recorder:\n" if recorder else "")
    (folder / "configuration.yaml").write_text(text, encoding="utf-8")
    with home:
        home.start()
        home.wait_running()
        yield DrivenHome(home)
