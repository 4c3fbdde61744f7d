"""Recorded frames of two real Home Assistants, as event bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import zstandard

from ingestor.sources.base import Batch

FRAMES = Path(__file__).parents[2] / "fixtures" / "frames"
VERSIONS = ("2024.3.3", "2025.4.4")
RECEIVED_AT_US = 1_795_423_500_000_000


class _Frame(msgspec.Struct):
    type: str
    event: msgspec.Raw = msgspec.Raw(b"")


@cache
def events(version: str, name: str = "A_all") -> list[bytes]:
    """Give the events of one recording, in order."""
    with (FRAMES / version / f"{name}.frames.ndjson.zst").open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
    found: list[bytes] = []
    for line in lines:
        decoded = msgspec.json.decode(line, type=list[_Frame] | _Frame)
        frames = decoded if isinstance(decoded, list) else [decoded]
        found += [bytes(frame.event) for frame in frames if frame.type == "event"]
    return found


def batch(raws: list[bytes], *, home: str = "home", backfilled: bool = False) -> Batch:
    """Give a batch of these events."""
    return Batch(home=home, source="test", received_at_us=RECEIVED_AT_US, events=raws, backfilled=backfilled)


def state_event(
    entity_id: str = "sensor.a",
    state: str | None = "1",
    *,
    at: str = "2026-11-23T08:00:00.000000+00:00",
    old: str | None = None,
    attributes: dict[str, object] | None = None,
    context: dict[str, object] | None = None,
) -> bytes:
    """Write a state_changed event as Home Assistant does; ``state`` null: a removal."""

    def state_object(value: str) -> dict[str, object]:
        return {
            "entity_id": entity_id,
            "state": value,
            "attributes": attributes or {},
            "last_changed": at,
            "last_reported": at,
            "last_updated": at,
            "context": {"id": "c", "parent_id": None, "user_id": None},
        }

    event = {
        "event_type": "state_changed",
        "data": {
            "entity_id": entity_id,
            "old_state": None if old is None else state_object(old),
            "new_state": None if state is None else state_object(state),
        },
        "origin": "LOCAL",
        "time_fired": at,
        "context": context or {"id": "01M83S6V9H33J1SBDCC614A9K8", "parent_id": None, "user_id": None},
    }
    return msgspec.json.encode(event)


def other_event(event_type: str, data: dict[str, object], **members: object) -> bytes:
    """Write an event of another type."""
    event: dict[str, object] = {
        "event_type": event_type,
        "data": data,
        "origin": "LOCAL",
        "time_fired": "2026-11-23T08:00:00.000000+00:00",
        "context": {"id": "01M83S6V9H33J1SBDCC614A9K8", "parent_id": None, "user_id": None},
    }
    return msgspec.json.encode(event | members)
