"""``init`` before a Home Assistant of paper: nothing is written that does not work, and the token stays private."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ingestor.errors import ConfigError
from ingestor.settings import load

from .conftest import Paper, Shell

SECRET = "eyJ-very-secret"  # noqa: S105 - the tests look for it where it must not be


def refused(result: object) -> str:
    """Give the line of a refusal."""
    error = getattr(result, "exception", None)
    assert isinstance(error, ConfigError)
    return str(error)


def test_a_working_home_is_written_for_its_owner_alone(shell: Shell, paper: Paper) -> None:
    """The file can be loaded, only its owner may read it, and the token is shown nowhere."""
    paper.answers["/api/config"] = (200, {"version": "2025.4.4"})
    result = shell("init", "--url", f"{paper.url}/", "--token", f" {SECRET}\n")
    assert result.exit_code == 0, result.output
    assert "2025.4.4" in result.output
    assert SECRET not in result.output
    file = Path("ha-ingestor.yaml")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    home = load(environment={}).homes[0]
    assert (home.name, home.url, home.token.get_secret_value()) == ("home", paper.url, SECRET)
    assert paper.asked == [("GET", "/api/config", f"Bearer {SECRET}")]


def test_what_is_not_given_is_asked_for(shell: Shell, paper: Paper) -> None:
    """Address and token are prompted for, and the token is not echoed."""
    paper.answers["/api/config"] = (200, {"version": "2025.4.4"})
    result = shell("init", typed=f"{paper.url}\n{SECRET}\n")
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (401, b"", "--token: Home Assistant refused it. Create one"),
        (404, b"", "--url: {url} answered 404. Is this Home Assistant?"),
        (200, b"<html>", "--url: {url} does not answer like Home Assistant"),
        (200, b"[]", "--url: {url} does not answer like Home Assistant"),
        (200, b"{}", "--url: {url} does not answer like Home Assistant"),
    ],
)
def test_what_does_not_work_is_not_written(shell: Shell, paper: Paper, status: int, body: bytes, line: str) -> None:
    """A refused token, another server, and no server: one line each, and no file."""
    paper.answers["/api/config"] = (status, body)
    told = refused(shell("init", "--url", paper.url, "--token", SECRET))
    assert told.startswith(line.format(url=paper.url))
    assert SECRET not in told
    assert not Path("ha-ingestor.yaml").exists()


def test_a_silent_address_is_named(shell: Shell, paper: Paper) -> None:
    """Nobody there: the address and the fault, in words."""
    paper.close()
    assert refused(shell("init", "--url", paper.url, "--token", SECRET)).startswith(
        f"--url: {paper.url} does not answer (Connection refused). Check address and port"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--url", "x:8123", "--token", SECRET), "--url: an address as in the browser is expected"),
        (("--url", "http://me:pw@x", "--token", SECRET), "--url: an address without user and password"),
        (("--url", "http://x:1", "--token", "a b"), "--token: one word of printable ASCII"),
        (("--url", "http://x:1", "--token", SECRET, "--name", "My Home"), "--name: lower-case letters"),
    ],
)
def test_what_cannot_be_a_setting_is_refused_before_anybody_is_asked(
    shell: Shell, paper: Paper, words: tuple[str, ...], line: str
) -> None:
    """The same rules as in the file, told by the option's name."""
    assert refused(shell("init", *words)).startswith(line)
    assert paper.asked == []


def test_an_existing_file_stays_unless_forced(shell: Shell, paper: Paper) -> None:
    """Settings are not overwritten by accident; with ``--force`` they are, and become private."""
    paper.answers["/api/config"] = (200, {"version": "2025.4.4"})
    file = Path("ha-ingestor.yaml")
    file.write_text("shards: 3\n")
    file.chmod(0o644)
    words = ("init", "--url", paper.url, "--token", SECRET)
    assert "exists already" in refused(shell(*words))
    assert file.read_text() == "shards: 3\n"
    assert shell(*words, "--force").exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_does_not_exist_is_named(shell: Shell, paper: Paper) -> None:
    """The file cannot be written: one line, no traceback."""
    paper.answers["/api/config"] = (200, {"version": "2025.4.4"})
    told = refused(shell("init", "--url", paper.url, "--token", SECRET, "--file", "no/such.yaml"))
    assert told == "--file: no/such.yaml cannot be written (No such file or directory). Name another file"
