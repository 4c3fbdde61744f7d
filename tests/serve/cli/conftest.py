"""A product of paper: a local HTTP server that answers what a test gave it, and the command line asked in a process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from serve.cli import commands, output


class Paper:
    """Answers by path; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        paper = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                paper.asked.append((self.command, self.path, self.headers.get("Authorization")))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = paper.answers.get(self.path.partition("?")[0], (404, {"detail": "no such path"}))
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def paper() -> Iterator[Paper]:
    """Give a server for one test."""
    server = Paper()
    yield server
    server.close()


class Shell:
    """The command line, in a folder of its own, before a terminal of 100 columns."""

    def __init__(self, paper: Paper) -> None:
        self.environment = {"HA_INGESTOR_HTTP__PORT": str(paper.port), "TZ": "UTC"}

    def __call__(self, *words: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(commands.application, words, input=typed, env=self.environment)


@pytest.fixture
def shell(paper: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Give a command line that asks the paper product."""
    monkeypatch.chdir(tmp_path)
    for name in ("HA_URL", "HA_TOKEN", "HA_TOKEN_FILE", "SUPERVISOR_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(output.console, "_width", 100)
    monkeypatch.setattr(output.errors, "_width", 100)
    return Shell(paper)


@pytest.fixture
def wide() -> Console:
    """Give a console that remembers what it printed."""
    return Console(width=80, record=True, force_terminal=False, highlight=False)
