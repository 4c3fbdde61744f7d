"""The rim of the API: documentation, pages, health, metrics, and what every request passes."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from ingestor import telemetry
from serve.app import openapi
from serve.status import PROBLEMS

from .fake_desk import FakeDesk, event_id

IDS = {
    "event_id": event_id(7),
    "entity_id": "sensor.attic",
    "device_id": "lamp",
    "user_id": "anna",
    "automation_id": "17",
    "node_id": "lamp",
    "quarantine_id": "q1",
    "format": "json",
}
DOCUMENT = openapi()
GETS = sorted(path for path, item in DOCUMENT["paths"].items() if "get" in item and not path.endswith("/stream"))


def filled(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda name: IDS[name[1]], path)


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_the_document_is_openapi_3_1_and_whole() -> None:
    """Every schema is valid JSON Schema, every reference leads somewhere, every operation is described."""
    assert DOCUMENT["openapi"].startswith("3.1")
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(DOCUMENT)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in DOCUMENT["components"]["schemas"]
    operations = [(path, method, op) for path, item in DOCUMENT["paths"].items() for method, op in item.items()]
    assert len({op["operationId"] for _, _, op in operations}) == len(operations)
    for path, _, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        assert "422" not in operation["responses"], path
        for name in re.findall(r"{(\w+)}", path):
            assert any(p["in"] == "path" and p["name"] == name for p in operation["parameters"]), path


def test_the_public_routes_are_all_there() -> None:
    """The names users were promised."""
    promised = """
        events events/{event_id} events/stream states states/{entity_id} devices devices/{device_id}
        devices/{device_id}/events devices/{device_id}/relationships areas floors users users/{user_id}/events
        integrations automations automations/{automation_id} automations/{automation_id}/executions
        automations/dependencies graph/cycles graph/related/{node_id} graph/nodes gaps quarantine
        quarantine/{quarantine_id}/retry status events/history export/{format}
    """
    assert {f"/api/v1/{path}" for path in promised.split()} <= DOCUMENT["paths"].keys()
    assert {"get", "post"} == DOCUMENT["paths"]["/api/v1/events"].keys()


@pytest.mark.parametrize("path", GETS)
async def test_every_documented_question_works_as_documented(client: aiohttp.ClientSession, path: str) -> None:
    """Each GET, with each documented example of a parameter, answers 200 in the documented shape."""
    operation = DOCUMENT["paths"][path]["get"]
    parameters = operation.get("parameters", [])
    needed = {p["name"]: p["schema"]["examples"][0] for p in parameters if p["in"] == "query" and p.get("required")}
    queries: list[dict[str, str]] = [needed]
    for parameter in parameters:
        examples = parameter.get("schema", {}).get("examples") or []
        if parameter["in"] == "query" and not path.endswith("executions"):
            queries += [{**needed, parameter["name"]: str(example)} for example in examples]
    for query in queries:
        async with client.get(filled(path), params=query, headers={"Accept-Encoding": "identity"}) as answer:
            assert answer.status == 200, (query, await answer.text())
            content = operation["responses"]["200"].get("content", {})
            if answer.content_type == "application/json":
                check(await answer.json(), content["application/json"]["schema"])


async def test_the_documented_event_can_be_posted(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """The example body of ``POST events`` is accepted and the answer has its shape."""
    operation = DOCUMENT["paths"]["/api/v1/events"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    async with client.post("/api/v1/events", json=example) as answer:
        assert answer.status == 200
        check(await answer.json(), operation["responses"]["200"]["content"]["application/json"]["schema"])
    assert json.loads(desk.accepted[0][1][0]) == example


async def test_every_line_of_the_guide_is_understood(client: aiohttp.ClientSession) -> None:
    """No GET that ``docs/API.md`` shows is refused: at most the thing it names does not exist here."""
    guide = (Path(__file__).parents[2] / "docs/API.md").read_text(encoding="utf-8")
    paths = re.findall(r'curl "\$API(/[^"]+)"', guide)
    assert len(paths) > 25
    for path in paths:
        async with client.get("/api/v1" + path.replace("<id>", "lamp").replace("users/lamp", "users/anna")) as answer:
            assert answer.status in (200, 404) or "each has" in await answer.text(), path


async def test_problems_have_the_documented_shape(client: aiohttp.ClientSession) -> None:
    """A refusal validates against the documented problem, and its type leads to a page that explains it."""
    async with client.get("/api/v1/events?limit=0") as answer:
        problem = await answer.json(content_type=None)
        check(problem, {"$ref": "#/components/schemas/ProblemDocument"})
    page, _, anchor = problem["type"].partition("#")
    async with client.get(page) as answer:
        text = await answer.text()
    assert f'id="{anchor}"' in text
    assert all(f'id="{known.name}"' in text for known in PROBLEMS.values())


@pytest.mark.parametrize("path", ["/", "/docs", "/problems"])
async def test_pages_load_nothing_from_elsewhere(client: aiohttp.ClientSession, path: str) -> None:
    """Pages name no other origin, hold no inline script or style, and every file they name is there."""
    async with client.get(path) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy = answer.headers["content-security-policy"]
        text = await answer.text()
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert str(client._base_url).rstrip("/") in text or "://" not in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert not re.search(r"<script>|<style|style=|onclick", text)
    for name in re.findall(r'(?:src|href)="((?:assets|openapi|metrics|docs|problems|api)[^"]*)"', text):
        async with client.get("/" + name.replace("&amp;", "&")) as answer:
            assert answer.status == 200, name


async def test_the_welcome_shows_what_is_and_escapes_it(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """Counts when ready, reasons when not, a page even when nobody answers."""
    async with client.get("/") as answer:
        text = await answer.text()
    assert "<b>1,200</b> events stored" in text
    assert "state ready" in text

    async def unready() -> tuple[bool, list[str]]:
        return False, ["<img src=x onerror=alert(1)>"]

    desk.ready = unready  # type: ignore[method-assign]  # hostile text in a reason
    async with client.get("/") as answer:
        assert "<img src=x" not in await answer.text()
    desk.fails = RuntimeError("gone")
    async with client.get("/") as answer:
        assert answer.status == 200


async def test_health(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """Alive asks nobody; ready says why not."""
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": []})
    desk.is_ready = False
    async with client.get("/readyz") as answer:
        assert (answer.status, (await answer.json())["reasons"]) == (503, ["shard 1 is recovering"])
    desk.fails = RuntimeError("all is lost")
    async with client.get("/livez") as answer:
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_metrics_are_read_from_status(client: aiohttp.ClientSession) -> None:
    """Prometheus can parse them, and every one is listed in ``telemetry`` with unit or ``_total`` in its name."""
    async with client.get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    samples = {(s.name, *s.labels.values()): s.value for family in families.values() for s in family.samples}
    assert samples["ha_ingestor_events_received_total",] == 1234
    assert samples["ha_ingestor_shard_last_seq", "1"] == 99
    assert samples["ha_ingestor_source_connected", "home"] == 1
    assert samples["ha_ingestor_ready",] == 1
    assert samples["ha_ingestor_actors_away",] == 1
    assert samples["ha_ingestor_source_open_gaps", "home"] == 1
    assert samples["ha_ingestor_graph_cycles", "home"] == 1
    assert samples["ha_ingestor_shard_commit_p99_seconds", "0"] == 0.005
    assert samples["ha_ingestor_history_degraded",] == 0
    assert samples["ha_ingestor_quarantine_items", "not_json"] == 1
    assert samples["ha_ingestor_start_timestamp_seconds",] == 1_795_500_000
    for place in telemetry.METRICS:
        assert place.name.endswith("_total") == (place.kind == "counter")
        assert place.label in (None, "home", "shard", "reason")


def test_metrics_survive_any_status() -> None:
    """A status with holes or surprises exports what it holds and nothing else."""
    surprises: dict[str, Any] = {
        "counts": None,
        "shards": [None, 3, {"shard": "a", "last_seq": "many"}],
        "sources": {},
        "gaps": {"open": 2},
        "graph": {"homes": 3},
    }
    text = telemetry.exposition(surprises).decode()
    assert "ha_ingestor_gaps_open 2.0" in text
    assert "shard_last_seq{" not in text
    assert telemetry.exposition({}) == b""


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/livez", "/metrics", "/api/v1/events", "/api/v1/nothing", "/api/v1/events?x=1"]
)
async def test_every_answer_carries_the_headers(client: aiohttp.ClientSession, path: str) -> None:
    """Pages, data and refusals alike."""
    async with client.get(path) as answer:
        for name in (
            "x-content-type-options",
            "referrer-policy",
            "content-security-policy",
            "cross-origin-resource-policy",
        ):
            assert name in answer.headers, name
        assert len(answer.headers.getall("content-security-policy")) == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8080", 200),
        ("ingestor.example:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example#localhost", 421),
        ("localhost@evil.example", 421),
        ("10.0.0.1", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
async def test_only_known_hosts_are_answered(base: str, host: str, status: int) -> None:
    """A page that rebinds its name to this address gets nothing: not data, not metrics, not a stream."""
    address, port = base.removeprefix("http://").split(":")
    for path in (
        ("/livez", "/metrics", "/api/v1/states") if status == 200 else ("/livez", "/metrics", "/api/v1/events/stream")
    ):
        reader, writer = await asyncio.open_connection(address, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        assert int(line.split()[1]) == status, path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
async def test_another_site_cannot_change_anything(
    client: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    """What a foreign page sends through a user's browser is refused, even without a body."""
    async with client.post("/api/v1/quarantine/q1/retry", headers=headers) as answer:
        assert answer.status == status


async def test_paths_are_absolute_whatever_prefix_routed_them(
    applications: tuple[FastAPI, FastAPI], desk: FakeDesk
) -> None:
    """An application mounted under the prefix that leads to it finds its routes all the same."""
    for application, path in zip(applications, ("/api/v1/status", "/api/v1/events/stream"), strict=True):
        application.state.desk = desk
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "root_path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def send(message: Any, sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        await application(scope, receive, send)
        assert sent[0]["status"] == 200
