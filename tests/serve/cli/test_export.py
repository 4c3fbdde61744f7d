"""`export` and `query --history` before a product of paper: files appear whole or not at all."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from .conftest import Paper, Shell

BUCKET = {
    "start": "2026-11-24T05:00:00.000000Z",
    "end": "2026-11-24T06:00:00.000000Z",
    "entity_id": "light.hall",
    "count": 3,
    "time_in_state": {"on": 1800.0, "off": 1800.0},
}


def asked_of(paper: Paper) -> dict[str, list[str]]:
    """Return the parameters of the one question."""
    [(_, path, _)] = paper.asked
    return parse_qs(urlsplit(path).query)


def test_an_export_is_written_to_its_file(shell: Shell, paper: Paper) -> None:
    """The file holds what came, byte for byte; nothing else is left beside it; filters reach the product."""
    content = bytes(range(256)) * 5_000
    paper.answers["/api/v1/export/parquet"] = (200, content)
    done = shell("export", "--format", "parquet", "--to", "out.parquet", "--domain", "light", "--from", "-7d", "--json")
    assert done.exit_code == 0
    assert Path("out.parquet").read_bytes() == content
    assert [path.name for path in Path().iterdir()] == ["out.parquet"]
    told = json.loads(done.stdout)
    assert (told["format"], told["file"], told["bytes"]) == ("parquet", "out.parquet", len(content))
    assert asked_of(paper) == {"domain": ["light"], "start_time": ["-7d"]}


def test_without_a_file_it_goes_to_standard_output(shell: Shell, paper: Paper) -> None:
    """Only the data stands there, so that it can be piped."""
    paper.answers["/api/v1/export/ndjson"] = (200, b'{"seq": 1}\n')
    assert shell("export").stdout == '{"seq": 1}\n'


def test_a_refused_export_says_why_and_leaves_the_old_file(shell: Shell, paper: Paper) -> None:
    """An unknown format is told in the product's own words."""
    Path("out").write_text("of yesterday")
    paper.answers["/api/v1/export/avro"] = (404, {"detail": "no export format avro. There are json, csv"})
    done = shell("export", "--format", "avro", "--to", "out")
    assert done.exit_code == 4
    assert "There are json, csv" in done.stderr
    assert Path("out").read_text() == "of yesterday"


def test_an_export_that_is_cut_off_leaves_nothing(shell: Shell) -> None:
    """A connection that ends in the midst makes no file that looks whole."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def half() -> None:
            client, _ = listener.accept()
            client.recv(65_536)
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            client.close()

        threading.Thread(target=half, daemon=True).start()
        shell.environment["HA_INGESTOR_HTTP__PORT"] = str(listener.getsockname()[1])
        done = shell("export", "--to", "out.ndjson")
    assert done.exit_code == 4
    assert "ended early" in done.stderr
    assert list(Path().iterdir()) == []


def test_buckets_are_a_table_or_json_lines(shell: Shell, paper: Paper) -> None:
    """``query --history`` asks for buckets and shows what it got, by name."""
    paper.answers["/api/v1/events/history"] = (200, {"items": [BUCKET], "next": None})
    words = (
        "query",
        "--history",
        "1h",
        "--group-by",
        "entity_id",
        "--aggregate",
        "count,time_in_state",
        "--limit",
        "5",
    )
    assert json.loads(shell(*words, "--json").stdout) == BUCKET
    asked = asked_of(paper)
    assert (asked["interval"], asked["group_by"], asked["limit"]) == (["1h"], ["entity_id"], ["5"])
    shown = shell(*words).stdout
    assert "light.hall" in shown
    assert '{"on": 1800.0, "off": 1800.0}' in shown
