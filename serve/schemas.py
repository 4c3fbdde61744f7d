"""The shapes of answers, as the documentation shows them. Answers are not validated against them on the way out."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ingestor.event import Event

Item = TypeVar("Item")

EVENT_EXAMPLE: dict[str, Any] = {
    "event_id": "5f0c6f2d9a7b4c1e8d3a2b1c0f9e8d7c",
    "seq": 184467,
    "home": "home",
    "source": "homeassistant",
    "event_type": "state_changed",
    "kind": "state",
    "time_fired": "2026-11-24T06:12:31.104233Z",
    "received_at": "2026-11-24T06:12:31.106871Z",
    "journaled_at": "2026-11-24T06:12:31.118402Z",
    "entity_id": "sensor.kitchen_temperature",
    "domain": "sensor",
    "area_id": "kitchen",
    "state": "21.4",
    "state_numeric": 21.4,
    "unit": "°C",
    "old_state": "21.3",
    "attributes": {"unit_of_measurement": "°C", "friendly_name": "Kitchen temperature"},
    "late": False,
    "backfilled": False,
}

BUCKET_EXAMPLE: dict[str, Any] = {
    "start": "2026-11-24T05:00:00.000000Z",
    "end": "2026-11-24T06:00:00.000000Z",
    "entity_id": "sensor.kitchen_temperature",
    "mean": 21.35,
    "max": 21.6,
}


class Loose(BaseModel):
    """An answer that may grow: readers ignore names they do not know."""

    model_config = ConfigDict(extra="allow")


class Listing(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(None, description="Cursor of the next page; null on the last.")


class Fault(BaseModel):
    """One parameter that does not fit."""

    field: str
    got: str
    expected: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems#bad-question",
                    "title": "The question cannot be answered",
                    "status": 400,
                    "detail": "limit: got 5000, expected less than or equal to 1000",
                    "instance": "/api/v1/events",
                    "errors": [{"field": "limit", "got": "5000", "expected": "less than or equal to 1000"}],
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault] | None = None
    trace_id: str | None = Field(None, description="Only with status 500: the entry in the server's log.")


class Quarantined(BaseModel):
    """One event of a posted body that went to quarantine; ``index`` is its place in the body."""

    index: int
    quarantine_id: str
    reason: str


class Accepted(BaseModel):
    """What became of posted events. All of them are on disk."""

    received: int
    accepted: int
    duplicate: int
    filtered: int
    quarantined: list[Quarantined]
    last_seq: int | None


class State(Loose):
    """Last known state of an entity."""

    home: str
    entity_id: str
    state: str | None
    state_numeric: float | None = None
    unit: str | None = None
    attributes: dict[str, Any] | None = None
    last_changed: str | None = None
    last_updated: str | None = None
    device_id: str | None = None
    area_id: str | None = None
    floor_id: str | None = None
    integration: str | None = None


class Device(Loose):
    """A device of the home's registry."""

    id: str
    name: str | None = None
    area_id: str | None = None
    floor_id: str | None = None
    entities: list[str] = Field(default_factory=list)


class Area(Loose):
    """An area of the home's registry."""

    area_id: str
    name: str | None = None
    floor_id: str | None = None


class Floor(Loose):
    """A floor of the home's registry."""

    floor_id: str
    name: str | None = None


class User(Loose):
    """A user of the home."""

    id: str
    name: str | None = None


class Integration(Loose):
    """An integration of the home and what it provides."""

    domain: str


class Automation(Loose):
    """An automation: what it reads, what it writes."""

    entity_id: str
    id: str | None = Field(None, description="Id of its configuration.")
    name: str | None = None


class Dependencies(Loose):
    """Which automation sets off which: the run of ``from`` can start ``to``."""

    nodes: list[Any]
    edges: list[dict[str, Any]]
    cycles: list[Any]


class Related(Loose):
    """Nodes around a node, and the edges between them, each with its kind."""

    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]


class Node(Loose):
    """A node of the graph and where to draw it."""

    id: str
    kind: str


class Cycle(Loose):
    """Automations that trigger each other in a circle: ``nodes`` in order, ``steps`` with the cause of each."""

    id: str
    nodes: list[str]
    steps: list[dict[str, Any]]
    breakable: bool | None = None
    fired_count: int | None = None
    last_fired: str | None = None


class Gap(Loose):
    """A span in which events may be missing. ``to`` is null while it is open."""

    gap_id: str
    home: str
    source: str
    reason: str
    detail: str | None = None


class QuarantineItem(Loose):
    """An event that could not be mended, and why."""

    quarantine_id: str
    home: str
    source: str
    reason: str
    field: str | None = None
    detail: str | None = None


class Retried(Loose):
    """What became of an item that went through the pipeline again."""

    quarantine_id: str
    outcome: str = Field(description="`stored`, `duplicate`, `filtered` or `quarantined`.")


class Ready(BaseModel):
    """Whether events are taken in and questions answered."""

    ready: bool
    reasons: list[str]


class Bucket(Loose):
    """A span of time, and what was asked to be told of it: groups and aggregates, each by its name."""

    start: str
    end: str


EventListing = Listing[Event]
BucketListing = Listing[Bucket]
