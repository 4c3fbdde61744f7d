"""Time buckets and exports by HTTP: what is asked reaches the desk, refusals name what is wrong, files come whole."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ingestor.errors import HistoryCorrupt, Overloaded
from ingestor.formats import FORMATS
from ingestor.formats.json import rows_to_json
from serve.rest import export as exporting

from .fake_desk import START, FakeDesk, table

HISTORY = "/api/v1/events/history"
EXPORT = "/api/v1/export/"


async def test_a_bucket_has_its_times_groups_and_aggregates(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """The question reaches the desk as asked, in the home's zone; items hold RFC 3339 times."""
    asked = f"{HISTORY}?interval=1h&group_by=area_id,kind&aggregate=count,mean&domain=light&start_time=2026-11-24"
    async with client.get(asked) as answer:
        body = await answer.json()
        assert answer.status == 200
        assert answer.headers["x-time-zone"] == "Europe/Amsterdam"
    times = {"start": "2026-11-24T06:00:00.000000Z", "end": "2026-11-24T07:00:00.000000Z"}
    assert body == {"items": [{**times, "area_id": None, "kind": None, "count": 3}], "next": None}
    [question] = desk.summed
    assert (question.group_by, question.aggregates) == (("area_id", "kind"), ("count", "mean"))
    assert (question.events.domain, question.events.start_us) == ("light", 1_795_478_400_000_000)


async def test_homes_of_several_zones_need_one_named(client: aiohttp.ClientSession, desk: FakeDesk) -> None:
    """A day of two homes in different zones is no one span of time: the answer says what to name."""
    desk.cabin_zone = "America/New_York"
    async with client.get(f"{HISTORY}?interval=1d") as answer:
        assert answer.status == 400
        [fault] = (await answer.json())["errors"]
        assert fault["field"] == "time_zone"
        assert "America/New_York" in fault["got"]
    for more, zone in (("home=cabin", "America/New_York"), ("time_zone=Asia/Tokyo", "Asia/Tokyo")):
        async with client.get(f"{HISTORY}?interval=1d&{more}") as answer:
            assert answer.headers["x-time-zone"] == zone


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "interval"),
        ("interval=2h", "interval"),
        ("interval=1h&aggregate=median", "aggregate"),
        ("interval=1h&aggregate=count,count", "aggregate"),
        ("interval=1h&aggregate=,", "aggregate"),
        ("interval=1h&group_by=state", "group_by"),
        ("interval=1h&limit=1001", "limit"),
        ("interval=1h&cursor=nonsense", "cursor"),
        ("interval=1h&time_zone=../../etc/passwd", "time_zone"),
        ("interval=1h&time_zone=Mars/Olympus", "time_zone"),
        ("interval=1h&start_time=1066-10-14", "start_time"),
        ("interval=1h&start_time=now&end_time=-1h", "end_time"),
        ("interval=1h&kind=odd", "kind"),
        ("interval=1h&intervall=1h", "intervall"),
    ],
)
async def test_a_question_that_does_not_fit_is_refused_by_name(
    client: aiohttp.ClientSession, query: str, field: str
) -> None:
    """Each refusal names the field, what it got and what was expected."""
    async with client.get(f"{HISTORY}?{query}") as answer:
        assert answer.status == 400
        assert answer.content_type == "application/problem+json"
        [fault] = (await answer.json())["errors"]
        assert fault["field"] == field
        assert fault["got"]
        assert fault["expected"]


@pytest.mark.parametrize("name", list(FORMATS))
async def test_every_format_comes_whole(client: aiohttp.ClientSession, desk: FakeDesk, name: str) -> None:
    """A file of each format holds all events, by readers that did not write it."""
    plain = {"Accept-Encoding": "identity"}
    async with client.get(f"{EXPORT}{name}?domain=light&end_time=2030-01-01", headers=plain) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == FORMATS[name].media_type
        assert answer.headers["content-disposition"] == f'attachment; filename="events.{name}"'
        content = await answer.read()
    assert desk.asked[0].domain == "light"
    assert read(name, content) == list(range(1, 101))
    assert desk.live_open == 0


def read(name: str, content: bytes) -> list[int]:
    """Return the seqs of a file."""
    if name == "json":
        assert json.loads(content) == json.loads(rows_to_json(table(FakeDesk().rows)))
        return [event["seq"] for event in json.loads(content)]
    if name == "ndjson":
        return [json.loads(line)["seq"] for line in content.splitlines()]
    if name == "csv":
        return [int(row["seq"]) for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]
    if name == "parquet":
        return list(pq.read_table(pa.BufferReader(content))["seq"].to_pylist())
    return list(pa.ipc.open_stream(content).read_all()["seq"].to_pylist())


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("gzip, zstd", "zstd"), ("zstd;q=0, gzip", "gzip"), ("br", None), ("identity", None)],
)
async def test_a_content_coding_is_chosen_by_the_client(
    client: aiohttp.ClientSession, accepted: str, coding: str | None
) -> None:
    """Text is compressed as the client accepts it, zstd first, and Parquet never."""
    async with client.get(f"{EXPORT}ndjson", headers={"Accept-Encoding": accepted}) as answer:
        assert answer.headers.get("content-encoding") == coding
        content = await answer.read()
    plain = {
        "gzip": gzip.decompress,
        "zstd": lambda packed: bytes(zstandard.decompress(packed, max_output_size=10**8)),  # type: ignore[no-untyped-call]  # its stubs leave it open
        None: bytes,
    }[coding](content)
    assert read("ndjson", plain) == list(range(1, 101))
    async with client.get(f"{EXPORT}parquet", headers={"Accept-Encoding": accepted}) as answer:
        assert "content-encoding" not in answer.headers


async def test_a_format_that_is_not_there_is_answered_with_those_that_are(client: aiohttp.ClientSession) -> None:
    """The answer to an unknown format lists all known ones."""
    for name in ("avro", "protobuf", "xlsx"):
        async with client.get(f"{EXPORT}{name}") as answer:
            assert answer.status == 404
            detail = (await answer.json())["detail"]
            assert all(known in detail for known in FORMATS)


async def test_what_fails_at_once_is_a_problem_and_what_fails_later_cuts_the_file(
    client: aiohttp.ClientSession, desk: FakeDesk
) -> None:
    """Before the first byte an error is answered; after it nobody may take a part for the whole."""
    desk.fails = Overloaded("history", 3)
    async with client.get(f"{EXPORT}csv") as answer:
        assert answer.status == 503
    desk.fails, desk.breaks = None, HistoryCorrupt("date=2026-11-24/a.parquet", "is altered")
    async with client.get(f"{EXPORT}csv") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    assert desk.live_open == 0
    assert not exporting._open


async def test_a_client_that_does_not_read_holds_the_reading_back(
    client: aiohttp.ClientSession, desk: FakeDesk
) -> None:
    """An endless export is read no further than its client takes it, and ends when the client leaves."""
    desk.endless = True
    async with client.get(f"{EXPORT}ndjson") as answer:
        await answer.content.read(100)
        steps = -1
        while steps != desk.live_steps:
            steps = desk.live_steps
            await asyncio.sleep(0.3)
        assert desk.live_open == 1
    answer.close()
    for _ in range(100):
        if not desk.live_open:
            break
        await asyncio.sleep(0.05)
    assert desk.live_open == 0
    assert not exporting._open


async def test_more_exports_at_once_than_there_is_room_for_are_asked_to_come_back(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each export holds rows in memory, so their number is bounded."""
    monkeypatch.setattr(exporting, "EXPORTS_AT_ONCE", 0)
    async with client.get(f"{EXPORT}ndjson") as answer:
        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"


def test_the_fake_begins_where_its_events_do() -> None:
    """The tests above rely on it."""
    rows: list[dict[str, Any]] = FakeDesk().rows
    assert rows[0]["time_fired"] > START
