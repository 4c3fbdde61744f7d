"""The screen of ``run``: short, true, within 80 columns, and red where something is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from ingestor.settings import Home, Settings
from serve.cli.screen import Screen, command, graph_line, source_line

from .test_commands import STATUS

LIVE = {**STATUS, "sources": [{"home": "demo", "state": "connected", "detail": "live"}], "graph": {"homes": {}}}


def shown(console: Console, settings: Settings, status: dict[str, Any]) -> str:
    """Print one frame."""
    console.print(Screen(console, settings, {"dashboard": "127.0.0.1:8265"}, 12.3).panel(status, 1.25))
    return console.export_text()


def test_the_demo_home_fits_eighty_columns_and_says_how_to_connect_a_real_one(wide: Console) -> None:
    """No line is folded, and everything a stranger needs is on it."""
    text = shown(wide, Settings(), LIVE)
    assert all(len(line) <= 80 for line in text.splitlines())
    for words in (
        "a demo home, live",
        "12,300 events, 1.2 a second",
        "http://127.0.0.1:8080/docs",
        "http://127.0.0.1:8265",
        "data/run/ray-token",
        "init",
        "started in 12 s · Ctrl-C drains and stops",
    ):
        assert words in text
    assert len(text.splitlines()) <= 16


def test_a_real_home_is_not_called_a_demo_and_its_fault_stands_there(wide: Console) -> None:
    """A refused token and missing rights are told on the home's own line; a part that is away is named."""
    settings = Settings(homes=[Home(url="http://x:8123", token=SecretStr("secret"))])
    text = shown(wide, settings, {**STATUS, "graph": {"homes": {}}, "away": {"hub": "does not answer"}})
    assert "demo" not in text
    assert "secret" not in text
    for words in (
        "refused: the token was refused",
        "1 kind of event needs an administrator's token",
        "hub: restarting",
    ):
        assert words in text


def test_text_from_a_home_is_never_markup(wide: Console) -> None:
    """A version or fault with brackets is shown as it is."""
    wide.print(source_line({"state": "reconnecting", "detail": "[red]x[/] [Errno 1]"}, demo=False))
    assert "[red]x[/] [Errno 1]" in wide.export_text()


def test_counts_are_worded(wide: Console) -> None:
    """One automation is no plural."""
    one = {"homes": {"a": {"devices": 1, "entities": 1, "automations": 1, "cycles": 1}}}
    assert graph_line(one) == "1 device, 1 entity, 1 automation, 1 circle of automations"
    assert graph_line({"homes": {}}) == "0 devices, 0 entities, 0 automations, 0 circles of automations"


def test_the_rate_is_that_of_the_last_ten_seconds(wide: Console) -> None:
    """It neither jumps with each second nor remembers a burst for ever."""
    screen = Screen(wide, Settings(), {}, 0.0)
    assert screen.rate(1000, now_s=0.0) == 0.0
    assert screen.rate(1010, now_s=1.0) == 10.0
    assert screen.rate(1100, now_s=10.0) == 10.0
    assert screen.rate(1100, now_s=20.0) == 0.0


def test_the_program_is_named_as_it_can_be_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a checkout it is ``.venv/bin/ha-ingestor``, on the path it is ``ha-ingestor``."""
    program = tmp_path / ".venv/bin/ha-ingestor"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/ha-ingestor", "run"])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert command() == ".venv/bin/ha-ingestor"
    monkeypatch.setattr(sys, "argv", [str(program), "run"])
    assert command() == ".venv/bin/ha-ingestor"
    monkeypatch.setenv("PATH", str(program.parent))
    assert command() == "ha-ingestor"
