"""Valid rows of the event schema for tests: the same arguments give the same rows, shaped like a lived-in home."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from ingestor.event import QUARANTINE_SCHEMA, SCHEMA

START_US = 1_700_000_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_events(
    count: int,
    *,
    first_seq: int = 1,
    entities: int = 50,
    start_us: int = START_US,
    step_us: int = 50_000,
    home: str = "home",
) -> pa.RecordBatch:
    """Return ``count`` state changes of sensors, seqs from ``first_seq`` without holes, one each ``step_us``.

    Row ``seq`` belongs to entity ``sensor.room_<seq % entities>``; its state, ids and times follow from ``seq`` and the
    arguments alone.
    """
    rows = [
        _event(seq, entity=seq % entities, fired_us=start_us + number * step_us, home=home, entities=entities)
        for number, seq in enumerate(range(first_seq, first_seq + count))
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def make_quarantined(count: int, *, first_seq: int = 1, home: str = "home", reason: str = "not_json") -> pa.RecordBatch:
    """Return ``count`` refused events, seqs from ``first_seq`` without holes; ``raw`` is no UTF-8."""
    rows = [
        {
            "quarantine_id": _digest("quarantined", home, seq).hex(),
            "seq": seq,
            "home": home,
            "source": "demo",
            "received_at": _time(START_US + seq),
            "reason": reason,
            "field": None,
            "detail": f"event {seq} is no JSON",
            "raw": b'\xff{"event_type": ' + str(seq).encode(),
            "backfilled": False,
        }
        for seq in range(first_seq, first_seq + count)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=QUARANTINE_SCHEMA)


def _event(seq: int, *, entity: int, fired_us: int, home: str, entities: int) -> dict[str, Any]:
    fired = _time(fired_us)
    value = 18.0 + (seq * 7 % 100) / 10
    before = 18.0 + ((seq - entities) * 7 % 100) / 10
    area = f"area_{entity % 8}"
    attributes = {
        "state_class": "measurement",
        "unit_of_measurement": "°C",
        "device_class": "temperature",
        "friendly_name": f"Room {entity} temperature",
    }
    return {
        "event_id": _digest(home, entity, fired_us, seq),
        "seq": seq,
        "home": home,
        "source": "demo",
        "event_type": "state_changed",
        "kind": "state",
        "time_fired": fired,
        "received_at": fired + timedelta(milliseconds=3),
        "journaled_at": fired + timedelta(milliseconds=9),
        "entity_id": f"sensor.room_{entity}",
        "domain": "sensor",
        "device_id": _digest("device", entity).hex(),
        "area_id": area,
        "floor_id": f"floor_{entity % 2}",
        "integration": "mqtt",
        "state": f"{value:.1f}",
        "state_numeric": value,
        "unit": "°C",
        "device_class": "temperature",
        "old_state": f"{before:.1f}",
        "last_changed": fired,
        "last_updated": fired,
        "attributes": json.dumps(attributes, ensure_ascii=False, separators=(",", ":")),
        "context_id": "01" + _digest("context", seq).hex()[:24].upper(),
        "origin": "LOCAL",
        "local_time": fired.replace(tzinfo=None) + timedelta(hours=1),
        "utc_offset_s": 3600,
        "hour": (fired + timedelta(hours=1)).hour,
        "weekday": (fired + timedelta(hours=1)).weekday(),
        "season": "autumn",
        "daylight": True,
        "peak": False,
        "peak_score": 0.25,
        "since_last_change_s": 2.5,
        "environment": {"temperature": value, "humidity": 41.0, "illuminance": None, "occupancy": entity % 3 == 0},
        "neighbours": [f"area_{(entity + 1) % 8}", f"area_{(entity + 3) % 8}"],
        "relations": {"read_by": [f"automation.heat_{area}"], "written_by": [], "in_cycle": False},
        "quality": None,
        "late": False,
        "backfilled": False,
    }


def _time(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
