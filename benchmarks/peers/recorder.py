"""The real Home Assistant's recorder on the same frames: its own process, SQLite, default settings.

It gets the first part of the file only: it takes minutes for all of it, and its speed does not change with the number.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.peers.meter import Report
from tests.support.home_assistant import HomeAssistant

COMPONENT = Path(__file__).with_name("recorder_feed")
_CONFIGURATION = """
homeassistant:
  name: Peer
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
recorder:
logger:
  default: critical
recorder_feed:
"""
_ROWS = "select (select count(*) from states) + (select count(*) from events)"


def run(folder: Path, frames_path: Path, *, frames: int) -> tuple[Report, str]:
    """Start a home in ``folder``, feed it, stop it. Returns what it did, and its release."""
    home = HomeAssistant(folder)
    shutil.copytree(COMPONENT, folder / "custom_components" / COMPONENT.name, ignore=shutil.ignore_patterns("__*__"))
    (folder / "configuration.yaml").write_text(_CONFIGURATION, encoding="utf-8")
    with home:
        home.start()
        home.wait_running()
        before_rows, before_bytes = _ask(home.db_path, _ROWS), _size(home.db_path)
        asked = {"path": str(frames_path), "frames": frames}
        took: dict[str, Any] = home.request("POST", "/api/recorder_feed", asked, timeout_s=180)
    rows, size_bytes = _ask(home.db_path, _ROWS) - before_rows, _size(home.db_path) - before_bytes
    return Report(rows=rows, kept_bytes=size_bytes, **took), home.installation.release


def _size(database: Path) -> int:
    return _ask(database, "select page_count * page_size from pragma_page_count(), pragma_page_size()")


def _ask(database: Path, question: str) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return int(connection.execute(question).fetchone()[0])
