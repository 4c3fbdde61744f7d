"""The commands before a product of paper: what people see, what programs get, and how each refusal ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Paper, Shell

STATE: dict[str, Any] = {
    "kind": "state",
    "event_type": "state_changed",
    "time_fired": "2026-11-24T07:00:00.123456Z",
    "entity_id": "sensor.porch",
    "old_state": "18.0",
    "state": "18.5",
    "unit": "°C",
    "area_id": "porch",
    "cause": None,
    "data": None,
}
STATUS: dict[str, Any] = {
    "phase": "running",
    "counts": {
        "received": 12345,
        "stored": 12300,
        "duplicate": 40,
        "filtered": 5,
        "quarantined": 0,
        "in_flight": 0,
        "balance": 0,
    },
    "sources": [
        {
            "home": "home",
            "state": "refused",
            "detail": "the token was refused",
            "missing": [{"kind": "event", "event_type": "call_service", "why": "unauthorized", "remedy": "an admin"}],
        }
    ],
    "shards": [{"shard": 0, "epoch": 3, "entities": 7, "stored": 12300, "last_seq": 99999, "commit_p50_ms": 1.25}],
    "history": {"rows": 12000, "files": 3, "bytes": 1_500_000},
    "gaps": {"open": 1},
    "away": {},
}


def test_every_command_explains_itself(shell: Shell) -> None:
    """Each has a help page that opens with a sentence."""
    for words in ([], *[[w] for w in ("run", "init", "status", "tail", "query", "replay", "gaps", "quarantine")]):
        result = shell(*words, "--help")
        assert result.exit_code == 0
        assert "Usage: " in result.output


def test_the_version_is_a_bare_line(shell: Shell) -> None:
    """``--version`` can be read by a script."""
    result = shell("--version")
    assert result.exit_code == 0
    assert result.output.strip().count(".") == 2
    assert len(result.output.splitlines()) == 1


def test_status_names_what_is_wrong_with_a_home(shell: Shell, paper: Paper) -> None:
    """The page shows counts for people, and the state of each home with its reason."""
    paper.answers["/api/v1/status"] = (200, STATUS)
    page = shell("status").output
    for text in (
        "HA Ingestor is running",
        "12,345",
        "refused: the token was refused",
        "token for: call_service",
        "1.2 ms",
        "Open gaps: 1",
    ):
        assert text in page


def test_json_is_the_answer_itself(shell: Shell, paper: Paper) -> None:
    """With ``--json`` each document is one line on standard output, and nothing else is."""
    paper.answers["/api/v1/status"] = (200, STATUS)
    paper.answers["/api/v1/events"] = (200, {"items": [STATE, STATE], "next": None})
    paper.answers["/api/v1/gaps"] = (200, {"items": [], "next": None})
    assert json.loads(shell("status", "--json").stdout) == STATUS
    assert [json.loads(line) for line in shell("query", "--json").stdout.splitlines()] == [STATE, STATE]
    assert shell("gaps", "--json").stdout == ""


def test_an_event_is_one_line(shell: Shell, paper: Paper) -> None:
    """When, what, where, from which value to which."""
    paper.answers["/api/v1/events"] = (200, {"items": [STATE], "next": None})
    lines = shell("query").stdout.splitlines()
    assert len(lines) == 1
    for text in ("state", "sensor.porch", "18.0 → 18.5 °C", "porch"):
        assert text in lines[0]


def test_an_empty_answer_says_so_beside_the_output(shell: Shell, paper: Paper) -> None:
    """People read that nothing fits; a program's standard output stays empty."""
    empty: tuple[int, Any] = (200, {"items": [], "next": None})
    paper.answers = {"/api/v1/events": empty, "/api/v1/gaps": empty, "/api/v1/quarantine": empty}
    for words, sentence in (
        (("query", "--area", "attic"), "No event fits."),
        (("gaps",), "No gap: nothing is known to be missing."),
        (("quarantine", "list"), "The quarantine is empty."),
    ):
        result = shell(*words)
        assert (result.exit_code, result.stdout, result.stderr.strip()) == (0, "", sentence)


def test_query_goes_on_over_pages_until_it_has_enough(shell: Shell, paper: Paper) -> None:
    """A limit above one page takes the next cursor, and no more events than asked."""
    paper.answers["/api/v1/events"] = (200, {"items": [STATE] * 3, "next": "more"})
    assert len(shell("query", "--limit", "7", "--json").stdout.splitlines()) == 7
    assert [path for _, path, _ in paper.asked if "cursor=more" in path]


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("tail",),
        ("query",),
        ("gaps",),
        ("quarantine", "list"),
        ("replay", "f"),
        ("export",),
    ],
)
def test_nobody_running_is_code_3_and_the_next_step(shell: Shell, words: tuple[str, ...]) -> None:
    """Every command that needs a running product says so in one line."""
    Path("f").write_text('{"event_type": "a", "data": {}}\n')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        shell.environment["HA_INGESTOR_HTTP__PORT"] = str(probe.getsockname()[1])
        result = shell(*words)
    assert result.exit_code == 3
    assert result.stderr.strip().endswith("(Connection refused). Start it with `ha-ingestor run`.")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_refusal_is_code_4_and_its_reason(shell: Shell, paper: Paper) -> None:
    """The problem's own sentence is shown, without its general title; what is no problem document is shown as it is."""
    paper.answers["/api/v1/events"] = (400, {"title": "The question cannot be answered", "detail": "kind: got 'x'"})
    paper.answers["/api/v1/gaps"] = (502, b"<html>a proxy speaks</html>")
    for words, line in ((("query", "--kind", "x"), "kind: got 'x'"), (("gaps",), "<html>a proxy speaks</html>")):
        result = shell(*words)
        assert (result.exit_code, result.stderr.strip()) == (4, f"ha-ingestor: {line}")


def test_a_missing_file_is_named_once(shell: Shell) -> None:
    """``replay`` of a file that is not there ends with 4 and one line that names it."""
    result = shell("replay", "nofile")
    assert result.exit_code == 4
    assert result.stderr.count("nofile") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("run", "--config", "nope.yaml"), "ha-ingestor: --config: there is no file nope.yaml."),
        (("run", "--port", "99999"), "ha-ingestor: http.port: at most 65535 is expected, got 99999."),
        (("run", "--shards", "0"), "ha-ingestor: shards: at least 1 is expected, got 0."),
        (("run", "--data-dir", "/dev/null"), "ha-ingestor: data_dir: /dev/null cannot be made (File exists)."),
        (("run", "--data-dir", "/dev/null/x"), "ha-ingestor: data_dir: /dev/null/x cannot be made (Not a directory)."),
        (("query", "select 1", "--data-dir", "nowhere"), "ha-ingestor: data_dir: there is no nowhere."),
    ],
)
def test_a_wrong_setting_ends_a_real_process_with_2_and_one_line(
    tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    """Through the entry point itself: no traceback, nothing on standard output."""
    here = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(here), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1
