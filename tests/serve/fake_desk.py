"""A desk that answers from memory, and does on request what a real one does on a bad day."""

# ruff: noqa: ARG002 - the fake answers alike whatever home is named

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from ingestor.errors import NotFound, QueryError
from ingestor.event import SCHEMA
from ingestor.history.aggregate import AggregatePage, Aggregation
from ingestor.history.question import Page, Question, cursor_of
from serve.desk import LiveBatch

START = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
FILTERS = ("home", "entity_id", "device_id", "area_id", "domain", "event_type", "kind", "user_id")


def event_id(seq: int) -> str:
    return f"{seq:032x}"


def row(seq: int, **more: Any) -> dict[str, Any]:
    """Make one row; what is not given is as of a kitchen light."""
    at = START + timedelta(seconds=seq)
    return {
        **dict.fromkeys(SCHEMA.names),
        "event_id": bytes.fromhex(event_id(seq)),
        "seq": seq,
        "home": "home",
        "source": "homeassistant",
        "event_type": "state_changed",
        "kind": "state",
        "time_fired": at,
        "received_at": at,
        "journaled_at": at,
        "entity_id": "light.kitchen",
        "domain": "light",
        "device_id": "lamp",
        "area_id": "kitchen",
        "state": "on" if seq % 2 else "off",
        "attributes": '{"friendly_name": "Kitchen \\"main\\" light"}',
        "late": False,
        "backfilled": False,
        **more,
    }


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


RAN = {"event_type": "automation_triggered", "kind": "automation", "entity_id": "automation.night", "user_id": "anna"}


class FakeDesk:
    """Ninety light changes, then ten runs of an automation."""

    def __init__(self) -> None:
        self.rows = [row(seq) for seq in range(1, 91)] + [row(seq, **RAN, device_id=None) for seq in range(91, 101)]
        self.fails: BaseException | None = None
        self.breaks: BaseException | None = None
        self.is_ready = True
        self.cabin_zone = "Europe/Amsterdam"
        self.summed: list[Aggregation] = []
        self.accepted: list[tuple[str | None, list[bytes], str]] = []
        self.asked: list[Question] = []
        self.batches: list[LiveBatch] = []
        self.oldest_live = 0
        self.heartbeat_s = 0.05
        self.endless = False
        self.live_steps = 0
        self.live_open = 0

    def _fail(self) -> None:
        if self.fails is not None:
            raise self.fails

    async def status(self) -> dict[str, Any]:
        self._fail()
        return {
            "phase": "running",
            "started_us": 1_795_500_000_000_000,
            "counts": {"received": 1234, "stored": 1200, "filtered": 30, "quarantined": 1, "duplicate": 3},
            "sources": [{"home": "home", "state": "connected", "connects": 2, "open_gaps": ["g5"]}],
            "shards": [{"shard": 0, "last_seq": 100, "commit_p99_ms": 5.0}, {"shard": 1, "last_seq": 99}],
            "history": {"rows": 900, "state": "running"},
            "graph": {"homes": {"home": {"cycles": 1}}},
            "gaps": {"open": 1},
            "quarantine": {"items": 1, "reasons": {"not_json": 1}},
            "ready": 1,
            "away": {"hub": "does not answer"},
        }

    async def ready(self) -> tuple[bool, list[str]]:
        self._fail()
        return self.is_ready, [] if self.is_ready else ["shard 1 is recovering"]

    async def events(self, question: Question) -> Page:
        self._fail()
        self.asked.append(question)
        found = [r for r in self.rows if all(getattr(question, f) in (None, r[f]) for f in FILTERS)]
        found.sort(key=lambda r: r["seq"], reverse=question.order == "desc")
        start = 0
        if question.place:
            start = 1 + next(i for i, r in enumerate(found) if r["seq"] == question.place[1])
        end = start + question.limit
        following = cursor_of(question.order, 0, found[end - 1]["seq"]) if end < len(found) else None
        return Page(rows=table(found[start:end]), next=following)

    async def event(self, wanted: str) -> pa.Table:
        self._fail()
        return table([r for r in self.rows if r["event_id"].hex() == wanted])

    async def history(self, asked: Aggregation) -> AggregatePage:
        self._fail()
        self.summed.append(asked)
        at_us = int(START.timestamp()) * 1_000_000
        item = {"start": at_us, "end": at_us + 3_600_000_000, **dict.fromkeys(asked.group_by), "count": 3}
        return AggregatePage(items=[item], next=None)

    async def zones(self) -> dict[str, str]:
        return {"home": "Europe/Amsterdam", "cabin": self.cabin_zone}

    async def export(self, question: Question) -> AsyncGenerator[pa.Table, None]:
        self._fail()
        self.asked.append(question)
        self.live_open += 1
        try:
            for at in range(0, len(self.rows), 30):
                self.live_steps += 1
                if at and self.breaks is not None:
                    raise self.breaks
                yield table(self.rows[at : at + 30])
            while self.endless:
                self.live_steps += 1
                yield table(self.rows)
        finally:
            self.live_open -= 1

    async def wait_visible(self, seq: int, timeout_s: float) -> bool:
        if seq > len(self.rows):
            await asyncio.sleep(min(timeout_s, 0.05))
        return seq <= len(self.rows)

    async def live(self, cursor: dict[int, int] | None, question: Question) -> AsyncGenerator[LiveBatch, None]:
        self.live_open += 1
        try:
            if cursor is not None and cursor.get(0, 0) < self.oldest_live:
                raise QueryError("cursor", str(cursor), f"a place not before {self.oldest_live}")
            self._fail()
            self.asked.append(question)
            place = dict(cursor) if cursor else {0: 0, 1: 0}
            yield LiveBatch(rows=SCHEMA.empty_table(), cursor=dict(place))
            for batch in self.batches:
                rows = [r for r in batch.rows.to_pylist() if r["seq"] > place.get(r["seq"] % 2, 0)]
                if rows:
                    self.live_steps += 1
                    place = batch.cursor
                    yield LiveBatch(rows=table(rows), cursor=batch.cursor)
            while self.endless:
                self.live_steps += 1
                yield self.batches[-1]
            while True:
                await asyncio.sleep(self.heartbeat_s)
                yield LiveBatch(rows=SCHEMA.empty_table(), cursor=dict(place))
        finally:
            self.live_open -= 1

    async def states(
        self, home: str | None, domain: str | None, area_id: str | None, entity_ids: list[str] | None
    ) -> list[dict[str, Any]]:
        self._fail()
        known = [
            ("home", "light.kitchen", "kitchen"),
            ("home", "sensor.attic", "attic"),
            ("cabin", "light.kitchen", "den"),
        ]
        return [
            {"home": h, "entity_id": e, "state": "on", "area_id": a, "last_updated": START}
            for h, e, a in known
            if home in (None, h)
            and domain in (None, e.partition(".")[0])
            and area_id in (None, a)
            and (entity_ids is None or e in entity_ids)
        ]

    async def graph(self, question: str, **arguments: Any) -> Any:
        self._fail()
        night = {"home": "home", "entity_id": "automation.night", "id": "17", "name": "Night"}
        device = {"home": "home", "id": "lamp", "name": "Lamp", "entities": ["light.kitchen"]}
        answers: dict[str, Any] = {
            "devices": [{**device, "id": f"lamp{n:03}"} for n in range(25)] + [device],
            "areas": [{"home": "home", "area_id": "kitchen", "name": "Kitchen", "floor_id": "ground"}],
            "floors": [{"home": "home", "floor_id": "ground", "name": "Ground"}],
            "users": [
                {"home": "home", "id": "anna", "name": "Anna"},
                {"home": "home", "id": "ben", "name": "Ben"},
            ],
            "integrations": [{"home": "home", "domain": "hue"}],
            "automations": [night],
            "cycles": [{"home": "home", "id": "c1", "nodes": ["automation.night"], "steps": []}],
            "nodes": [{"id": "light.kitchen", "kind": "entity", "x": 0.5, "y": 1.0}],
            "dead_references": [],
            "sharing": [],
        }
        if question == "device":
            return device if arguments["device_id"] == "lamp" else None
        if question == "automation":
            return night if arguments["entity_id"] in ("17", "automation.night") else None
        if question == "related":
            node = {"id": arguments["node_id"], "kind": "device"}
            return {"nodes": [node], "edges": []} if node["id"] in ("lamp", "device:lamp", "light.kitchen") else None
        if question == "dependencies":
            edges = [{"from": "a", "to": "b", "circular": False}, {"from": "b", "to": "b", "circular": True}]
            kept = [edge for edge in edges if arguments["include_circular"] or not edge["circular"]]
            return {"nodes": ["a", "b"], "edges": kept, "cycles": []}
        return answers[question]

    async def gaps(self, home: str | None, open_only: bool, limit: int, before: str | None) -> list[dict[str, Any]]:  # noqa: FBT001 - as in Desk
        self._fail()
        ledger = [
            {"gap_id": f"g{n}", "home": "home", "source": "ha", "reason": "disconnect", "to": None if n == 5 else START}
            for n in range(5, 0, -1)
        ]
        kept = [gap for gap in ledger if not open_only or gap["to"] is None]
        start = next((i + 1 for i, gap in enumerate(kept) if gap["gap_id"] == before), 0)
        return kept[start : start + limit]

    async def quarantined(self, home: str | None, limit: int, before: str | None) -> list[dict[str, Any]]:
        self._fail()
        item = await self.quarantined_item("q1")
        return [item] if item and before is None else []

    async def quarantined_item(self, quarantine_id: str) -> dict[str, Any] | None:
        item = {"quarantine_id": "q1", "home": "home", "source": "http", "reason": "not_json", "raw": "{]"}
        return item if quarantine_id == "q1" else None

    async def retry(self, quarantine_id: str) -> dict[str, Any]:
        self._fail()
        if quarantine_id != "q1":
            raise NotFound("quarantine item", quarantine_id)
        return {"quarantine_id": "q1", "outcome": "stored", "seq": 101}

    async def accept(self, home: str | None, events: list[bytes], source: str) -> dict[str, Any]:
        self._fail()
        if home not in (None, "home"):
            raise NotFound("home", str(home))
        self.accepted.append((home, events, source))
        return {
            "received": len(events),
            "accepted": len(events),
            "duplicate": 0,
            "filtered": 0,
            "quarantined": [],
            "last_seq": 100 + len(events),
        }
