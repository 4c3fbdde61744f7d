"""Questions by GET: shapes, pages, filters, and refusals that name what is wrong."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from ingestor.errors import HistoryCorrupt, IngestorError, JournalFull, Overloaded, QueryError
from ingestor.event import Event

from .fake_desk import FakeDesk, event_id

LISTS = [
    "events",
    "states",
    "devices",
    "devices/lamp/events",
    "areas",
    "floors",
    "users",
    "users/anna/events",
    "integrations",
    "automations",
    "automations/17/executions",
    "graph/cycles",
    "graph/nodes",
    "graph/dead-references",
    "graph/sharing",
    "gaps",
    "quarantine",
]
THINGS = [
    f"events/{event_id(7)}",
    "states/sensor.attic",
    "devices/lamp",
    "devices/lamp/relationships",
    "automations/automation.night",
    "graph/related/light.kitchen",
    "automations/dependencies",
    "quarantine/q1",
    "status",
]
UNKNOWN = [
    f"events/{event_id(70_000)}",
    "states/sensor.none",
    "devices/none",
    "devices/none/events",
    "devices/none/relationships",
    "users/none/events",
    "automations/none",
    "automations/none/executions",
    "graph/related/none",
    "quarantine/none",
]


async def get(client: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, Any]:
    async with client.get(path if path.startswith("/") else f"/api/v1/{path}", headers=headers) as answer:
        body = await answer.json(content_type=None)
        if answer.status >= 400:
            assert answer.content_type == "application/problem+json"
            assert body["status"] == answer.status
            assert {"type", "title", "detail", "instance"} <= body.keys()
        return answer.status, body


@pytest.mark.parametrize("path", LISTS)
async def test_every_list_has_items_and_next(client: aiohttp.ClientSession, path: str) -> None:
    """Lists answer ``{"items", "next"}`` and nothing else."""
    status, body = await get(client, path)
    assert status == 200
    assert body.keys() == {"items", "next"}
    assert isinstance(body["items"], list)


@pytest.mark.parametrize("path", THINGS)
async def test_one_thing_is_an_object(client: aiohttp.ClientSession, path: str) -> None:
    """One thing answers as an object."""
    status, body = await get(client, path)
    assert status == 200
    assert isinstance(body, dict)


@pytest.mark.parametrize("path", UNKNOWN)
async def test_what_does_not_exist_is_404(client: aiohttp.ClientSession, path: str) -> None:
    """An unknown id is 404 and the problem names it."""
    status, body = await get(client, path)
    assert status == 404
    assert "none" in body["detail"] or "0" in body["detail"]


async def test_an_event_has_the_published_shape(client: aiohttp.ClientSession) -> None:
    """Rows validate against the published ``Event`` and hold objects where objects are promised."""
    _, one = await get(client, f"events/{event_id(7)}")
    event = Event.model_validate(one)
    assert event.event_id == event_id(7)
    assert one["attributes"] == {"friendly_name": 'Kitchen "main" light'}
    assert one["time_fired"] == "2026-11-24T06:00:07.000000Z"


async def test_pages_follow_each_other_without_hole_or_repeat(client: aiohttp.ClientSession) -> None:
    """Following ``next`` gives every event once."""
    seqs: list[int] = []
    cursor = ""
    while True:
        _, body = await get(client, f"events?limit=33{cursor}")
        seqs += [item["seq"] for item in body["items"]]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert seqs == list(range(100, 0, -1))


@pytest.mark.parametrize(("path", "size"), [("devices", 26), ("gaps", 5)])
async def test_lists_of_things_page_too(client: aiohttp.ClientSession, path: str, size: int) -> None:
    """Lists that the graph and the ledgers give are paged by the same rule."""
    found: list[str] = []
    cursor = ""
    while True:
        _, body = await get(client, f"{path}?limit=2{cursor}")
        assert len(body["items"]) <= 2
        found += [str(item) for item in body["items"]]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert len(found) == len(set(found)) == size


async def test_filters_reach_the_desk(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """Each filter is passed on under its own name, times as UTC microseconds."""
    query = (
        "home=home&entity_id=a.b&device_id=d&area_id=r&floor_id=f&domain=a&integration=i&event_type=t&kind=state,automation&user_id=u"
        "&context_id=c&source=s&q=text&order=asc&limit=7&start_time=2026-11-24T07:00:00.5%2B01:00&end_time=2026-11-24T06:00:01Z"
    )
    await get(client, f"events?{query}")
    asked = desk.asked[-1]
    assert (asked.home, asked.entity_id, asked.device_id, asked.area_id, asked.floor_id) == (
        "home",
        "a.b",
        "d",
        "r",
        "f",
    )
    assert (asked.domain, asked.integration, asked.event_type, asked.kind, asked.user_id) == (
        "a",
        "i",
        "t",
        "state,automation",
        "u",
    )
    assert (asked.context_id, asked.source, asked.q, asked.order, asked.limit) == ("c", "s", "text", "asc", 7)
    assert (asked.start_us, asked.end_us) == (1_795_500_000_500_000, 1_795_500_001_000_000)


async def test_the_path_decides_its_own_filter(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """Executions are the automation's own events; a contradicting filter is refused, not ignored."""
    _, body = await get(client, "automations/17/executions?limit=3")
    assert {item["event_type"] for item in body["items"]} == {"automation_triggered"}
    assert desk.asked[-1].entity_id == "automation.night"
    status, _ = await get(client, "automations/17/executions?entity_id=light.kitchen")
    assert status == 400


async def test_a_known_person_without_acts_is_no_404(client: aiohttp.ClientSession) -> None:
    """Nothing found is an empty list; only what never was is unknown."""
    assert await get(client, "users/ben/events") == (200, {"items": [], "next": None})


async def test_min_seq_says_whether_it_is_in_view(client: aiohttp.ClientSession) -> None:
    """The answer comes either way, and the header tells."""
    for seq, visible in ((50, "true"), (5_000, "false")):
        async with client.get(f"/api/v1/events?min_seq={seq}&limit=1") as answer:
            assert (answer.status, answer.headers["x-min-seq-visible"]) == (200, visible)
    async with client.get("/api/v1/events?limit=1") as answer:
        assert "x-min-seq-visible" not in answer.headers


@pytest.mark.parametrize(
    ("query", "field", "expected"),
    [
        ("limit=5000", "limit", "less than or equal to 1000"),
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=many", "limit", "a valid integer"),
        ("entity=light.kitchen", "entity", "entity_id"),
        ("entity_ids=light.kitchen", "entity_ids", "entity_id"),
        ("zzz=1", "zzz", "one of area_id"),
        ("limit=1&limit=2", "limit", "it once"),
        ("order=up", "order", "'asc' or 'desc'"),
        ("kind=thing", "kind", "one of state, automation"),
        ("start_time=yesterday", "start_time", "RFC 3339"),
        ("start_time=2026-11-24T06:00:00", "start_time", "with a zone"),
        ("start_time=2026-02-30", "start_time", "RFC 3339"),
        ("start_time=-1h&end_time=-2h", "end_time", "not before start_time"),
        ("cursor=garbage", "cursor", "a cursor as `next` gave it"),
        ("min_seq=-1", "min_seq", "greater than or equal to 0"),
        ("min_seq=99999999999999999999", "min_seq", "less than or equal to"),
        ("home=", "home", "at least 1 character"),
    ],
)
async def test_a_wrong_parameter_is_named(client: aiohttp.ClientSession, query: str, field: str, expected: str) -> None:
    """400, never 422, with the field, what it got and what was expected."""
    status, body = await get(client, f"events?{query}")
    assert status == 400
    fault = body["errors"][0]
    assert fault["field"] == field
    assert expected in fault["expected"]
    assert fault["got"]


async def test_a_parameter_is_refused_where_it_has_no_meaning(client: aiohttp.ClientSession) -> None:
    """Routes without parameters refuse them too."""
    for path in ("status?x=1", f"events/{event_id(1)}?home=home", "/livez?x=1", "devices?domain=light"):
        status, _ = await get(client, path)
        assert status == 400, path


async def test_an_unknown_path_names_the_nearest(client: aiohttp.ClientSession) -> None:
    """A typing mistake in the path is answered with the path that was meant."""
    status, body = await get(client, "/api/v1/event")
    assert status == 404
    assert "Did you mean /api/v1/events?" in body["detail"]
    async with client.delete("/api/v1/events") as answer:
        assert answer.status == 405
        assert answer.headers["allow"]


async def test_a_state_in_two_homes_asks_which(client: aiohttp.ClientSession) -> None:
    """Where several homes have the entity, the home must be named."""
    status, body = await get(client, "states/light.kitchen")
    assert (status, body["errors"][0]["expected"][:20]) == (400, "one of cabin, home: ")
    status, body = await get(client, "states/light.kitchen?home=cabin")
    assert (status, body["area_id"], body["last_updated"]) == (200, "den", "2026-11-24T06:00:00.000000Z")


async def test_states_take_filters(client: aiohttp.ClientSession) -> None:
    """Domain, area and a list of entities narrow the states."""
    for query, count in (
        ("domain=light", 2),
        ("area_id=attic", 1),
        ("entity_id=sensor.attic,light.kitchen", 3),
        ("home=cabin", 1),
    ):
        _, body = await get(client, f"states?{query}")
        assert len(body["items"]) == count, query


async def test_circular_dependencies_can_be_left_out(client: aiohttp.ClientSession) -> None:
    """``include_circular`` decides."""
    for flag, count in (("true", 2), ("false", 1)):
        _, body = await get(client, f"automations/dependencies?include_circular={flag}")
        assert len(body["edges"]) == count


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (QueryError("cursor", "x", "y"), 400, "bad-question"),
        (Overloaded("shard-0", 2.4), 503, "overloaded"),
        (JournalFull("journal", "quota of 1 GB is reached"), 507, "journal-full"),
        (HistoryCorrupt("part-1.parquet at /secret/data", "torn"), 503, "history-unavailable"),
        (IngestorError("gone"), 503, "unavailable"),
        (TimeoutError("slow"), 503, "too-slow"),
        (RuntimeError("SELECT secret FROM /secret/place"), 500, "unexpected"),
    ],
)
async def test_errors_of_the_desk_have_one_table(
    client: aiohttp.ClientSession, desk: FakeDesk, error: Exception, status: int, name: str
) -> None:
    """Each family of errors has its status, and no answer leaks a path, SQL or a stack."""
    desk.fails = error
    async with client.get("/api/v1/events") as answer:
        text = await answer.text()
        assert answer.status == status
        assert f"#{name}" in text
        assert "secret" not in text
        assert "Traceback" not in text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert ("retry-after" in answer.headers) == (status == 503)
        assert ("trace_id" in text) == (status == 500)
        if isinstance(error, Overloaded):
            assert answer.headers["retry-after"] == "3"


HOSTILE = [
    *("\x00", "%00", "%", "\\", "{}", "[]", "NaN", "1e999", "-0", "null", "\u202e"),
    *("'; DROP TABLE events; --", "../../etc/passwd", "%2e%2e%2f", "\r\nX-Injected: 1", "<script>alert(1)</script>"),
    *("A" * 5000, "🏠" * 60, "W10", "WzFd", "bnVsbA"),
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_hostile_text_never_breaks_the_server(client: aiohttp.ClientSession, value: str) -> None:
    """Whatever stands in a parameter, a path or a header: never 500, never a header of the client's making."""
    paths = ["events", "states", "devices", "gaps", "quarantine", "automations/dependencies", "events/stream"]
    names = ["home", "entity_id", "q", "cursor", "start_time", "limit", "order", "min_seq", "open", value[:200] or "x"]
    for path in paths:
        for name in names:
            async with client.get(f"/api/v1/{path}", params={name: value}) as answer:
                assert answer.status in (200, 400), (path, name, answer.status)
                assert "x-injected" not in answer.headers
    for path in ("events", "states", "devices", "automations", "graph/related", "quarantine", "users"):
        url = URL(f"/api/v1/{path}/{quote(value, safe='')}", encoded=True)
        async with client.get(url) as answer:
            assert answer.status in (400, 404), (path, answer.status)
