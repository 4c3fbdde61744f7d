"""A stranger types ``make run``: what they see, ask and stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psutil
import pytest

from ingestor.event import Event
from tests.support.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def _caught_up(status: dict[str, Any]) -> bool:
    kept = status["counts"]
    return bool(kept["stored"] > 1_000 and status["history"]["rows"] > 1_000 and kept["balance"] == 0)


def test_the_demo_home_is_captured_enriched_and_queryable(demo: Product) -> None:
    """Twelve hours of the demo home are there: many kinds of events, placed in areas, with their causes."""
    demo.wait_until(_caught_up, what="the past of the demo home")
    events = list(demo.events())
    for event in events[:500]:
        Event.model_validate_json(json.dumps(event))
    assert len({event["event_id"] for event in events}) == len(events)
    assert len({event["event_type"] for event in events}) >= 8
    placed = [event for event in events if event["kind"] == "state" and event["area_id"]]
    assert len(placed) > len(events) / 2
    assert any(event["floor_id"] for event in placed)
    assert any((event["cause"] or "").startswith("automation.") for event in events)
    assert any(event["environment"] and event["environment"]["temperature"] is not None for event in placed)
    assert all(event["local_time"] and event["season"] for event in events)


def test_conservation_holds_and_is_shown(demo: Product) -> None:
    """Every event received is stored, filtered, quarantined, a duplicate or in flight; the metrics say the same."""
    kept = demo.wait_until(_caught_up)["counts"]
    parts = ("stored", "filtered", "quarantined", "duplicate", "in_flight")
    assert kept["received"] == sum(kept[name] for name in parts)
    assert kept["balance"] == 0
    status, text = demo.request("GET", "/metrics")
    assert status == 200
    assert b"ha_ingestor_events_received_total" in text
    assert b"entity_id=" not in text


def test_the_loop_of_two_automations_is_found(demo: Product) -> None:
    """The demo home holds one loop of two automations, and ``graph/cycles`` names each step."""
    demo.wait_until(lambda status: status["graph"]["homes"], what="the graph of the demo home")
    cycles = demo.get("/api/v1/graph/cycles")["items"]
    loops = [{step["automation"] for step in cycle["steps"] if step["automation"]} for cycle in cycles]
    assert any(len(loop) == 2 for loop in loops), cycles


def test_an_event_is_visible_in_the_answer_after_its_acknowledgement(demo: Product) -> None:
    """Read your writes: each acknowledged event is in the next answer, twenty times over."""
    begin = datetime.now(UTC) - timedelta(minutes=1)
    for number in range(20):
        fired = (begin + timedelta(milliseconds=number)).isoformat()
        answer = demo.post_events([{"event_type": "test_write", "data": {"number": number}, "time_fired": fired}])
        assert answer["accepted"] == 1
        found = demo.get("/api/v1/events", event_type="test_write", min_seq=answer["last_seq"], limit=1)["items"]
        assert found[0]["data"] == {"number": number}
        assert demo.get(f"/api/v1/events/{found[0]['event_id']}")["seq"] == found[0]["seq"]


def test_the_stream_resumes_without_hole_or_repeat(demo: Product) -> None:
    """A stream that is cut and resumed by its last id has every event once."""
    first = _read_stream(demo, None, 5, post=range(5))
    resumed = _read_stream(demo, first[-1][0], 10, post=range(5, 15))
    numbers = [json.loads(data)["data"]["number"] for _, data in first + resumed]
    assert numbers == list(range(15))


def test_history_is_readable_by_others_without_a_server(demo: Product) -> None:
    """DuckDB and Polars read the table's files as they lie on the disk."""
    demo.wait_until(_caught_up)
    table = demo.data_dir / "history" / "events"
    rows = demo.status()["history"]["rows"]
    query = f"select count(*), count(distinct event_id) from read_parquet('{table}/date=*/*.parquet')"  # noqa: S608 - our own path
    found = duckdb.sql(query).fetchall()[0]
    assert found[1] >= rows
    assert pl.scan_delta(str(table)).select(pl.len()).collect().item() >= rows


def test_bad_events_are_quarantined_and_never_hurt_their_neighbours(demo: Product) -> None:
    """One broken event among good ones: it is listed with its raw text, the others are stored."""
    good = json.dumps({"event_type": "test_good", "data": {}, "time_fired": "2026-11-01T00:00:00+00:00"}).encode()
    status, body = demo.request("POST", "/api/v1/events", good + b"\n" + b'{"event_type": 5, "data": {}}' + b"\n")
    answer = json.loads(body)
    assert (status, answer["received"], len(answer["quarantined"])) == (200, 2, 1)
    quarantine_id = answer["quarantined"][0]["quarantine_id"]
    items = demo.get("/api/v1/quarantine")["items"]
    assert quarantine_id in {item["quarantine_id"] for item in items}
    listed = demo.command("quarantine", "list", "--json")
    assert quarantine_id in listed.stdout
    retried = demo.command("quarantine", "retry", quarantine_id, "--json")
    assert json.loads(retried.stdout)["outcome"] == "quarantined"


def test_the_commands_work_beside_the_running_product(demo: Product) -> None:
    """``status``, ``tail``, ``query``, ``gaps``: a table for people, JSON for programs, code 0."""
    demo.wait_until(_caught_up)
    assert json.loads(demo.command("status", "--json").stdout)["phase"] == "running"
    assert "stored" in demo.command("status").stdout
    tail = demo.command("tail", "-n", "2", "--json").stdout.splitlines()
    assert len([json.loads(line) for line in tail]) == 2
    counted = demo.command("query", "select count(*) as n from events", "--json")
    assert json.loads(counted.stdout)["n"] > 1_000
    newest = demo.command("query", "--kind", "state", "--limit", "3", "--json").stdout.splitlines()
    assert [json.loads(line)["kind"] for line in newest] == ["state"] * 3
    assert demo.command("gaps").returncode == 0
    assert demo.command("gaps", "--config", "nowhere.yaml").returncode == 2


def test_a_recorded_file_replays_once(demo: Product) -> None:
    """Recorded frames sent twice are stored once."""
    frames = Path(__file__).parent.parent / "fixtures" / "frames" / "2024.3.3" / "A_all.frames.ndjson.zst"
    first = json.loads(demo.command("replay", str(frames), "--json").stdout)
    second = json.loads(demo.command("replay", str(frames), "--json").stdout)
    assert first["quarantined"] == second["quarantined"] == 0
    assert first["received"] == second["received"] > 6_000
    assert first["accepted"] > 0
    assert second["accepted"] == 0
    assert second["duplicate"] == second["received"]


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Product]:
    """Start a product of one's own, to be stopped."""
    product = Product(tmp_path, environment={"HA_INGESTOR_DEMO__PAST_H": "6"})
    product.start()
    yield product
    product.close()


def test_ctrl_c_drains_within_ten_seconds_and_leaves_no_process(brief: Product) -> None:
    """Stopped in the middle of its work: code 0, at most 10 s, no process left, every event in the history table."""
    brief.wait_until(lambda status: status["counts"]["stored"] > 500, what="the first events")
    family = brief.family()
    code, took_s = brief.stop()
    assert code == 0, brief.log.read_text()[-2000:]
    assert took_s <= 10
    _, left = psutil.wait_procs(family, timeout=2)
    assert left == []
    assert "0 in flight, 0 unaccounted for" in brief.log.read_text()
    stored = json.loads(brief.command("query", "select count(*) as n from events", "--json").stdout)["n"]
    assert f"{stored:,} events stored" in brief.log.read_text()


def _read_stream(product: Product, last_id: str | None, count: int, *, post: range) -> list[tuple[str, str]]:
    """Open a stream, post events once it is open, and read ``count`` of them."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=20)
    headers = {"Last-Event-ID": last_id} if last_id else {}
    connection.request("GET", "/api/v1/events/stream?event_type=test_stream", headers=headers)
    response = connection.getresponse()
    assert response.status == 200
    response.readline()
    for number in post:
        fired = (datetime(2026, 11, 2, tzinfo=UTC) + timedelta(seconds=number)).isoformat()
        product.post_events([{"event_type": "test_stream", "data": {"number": number}, "time_fired": fired}])
    found: list[tuple[str, str]] = []
    last = ""
    while len(found) < count:
        line = response.readline().decode().rstrip("\r\n")
        if line.startswith("id:"):
            last = line[3:].strip()
        elif line.startswith("data:"):
            found.append((last, line[5:].strip()))
    connection.close()
    return found
