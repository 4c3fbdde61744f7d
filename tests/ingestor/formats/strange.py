"""Rows as nobody would like to meet them: every column with the values that break writers, the same for a seed."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa

from ingestor.event import JSON_COLUMNS, SCHEMA

_TEXTS = [
    "",
    " ",
    "a,b",
    '"',
    '""',
    "\r\n",
    "\n",
    "\x00",
    "\x1f",
    "null",
    "NaN",
    "-1",
    "\\",
    "\u2028",
    "🏠",
    "é\ud7ff",
    "ok",
]
_FLOATS = [0.0, -0.0, 5e-324, 1e22, 21.0, 1 / 3, -1e-7, 1.7976931348623157e308, 123456789.123]
_FIRST = datetime(1, 1, 1, tzinfo=UTC)


def strange_rows(seed: int, count: int = 40) -> pa.Table:
    """Return rows whose every value is drawn from what breaks writers."""
    random = Random(seed)  # noqa: S311 - no secret
    return pa.Table.from_pylist([{f.name: _value(random, f) for f in SCHEMA} for _ in range(count)], schema=SCHEMA)


def _value(random: Random, field: Any) -> Any:
    if field.nullable and random.random() < 0.3:
        return None
    if field.name == "event_id":
        return random.randbytes(16)
    if field.name in JSON_COLUMNS:
        value = {
            random.choice(_TEXTS): [random.choice(_TEXTS), random.getrandbits(70), {"deep": random.choice(_FLOATS)}]
        }
        return json.dumps(value, indent=random.choice([None, 1]), ensure_ascii=random.choice([True, False]))
    if field.name == "utc_offset_s":
        return random.choice([0, 3600, -12_600, 20_700])
    return _of(random, field.type)


def _of(random: Random, kind: Any) -> Any:  # noqa: PLR0911 - one for each type
    if pa.types.is_string(kind):
        return "".join(random.choices(_TEXTS, k=random.randrange(3)))
    if pa.types.is_boolean(kind):
        return random.random() < 0.5
    if pa.types.is_integer(kind):
        return random.randrange(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1))
    if pa.types.is_float32(kind):
        return random.random()
    if pa.types.is_floating(kind):
        return random.choice([*_FLOATS, random.uniform(-1e3, 1e3)])
    if pa.types.is_timestamp(kind):
        time = _FIRST + timedelta(microseconds=random.randrange(9999 * 365 * 86_400_000_000))
        return time if kind.tz else time.replace(tzinfo=None)
    if pa.types.is_list(kind):
        return [_maybe(random, kind.value_type) for _ in range(random.randrange(4))]
    return {field.name: _maybe(random, field.type) for field in kind}


def _maybe(random: Random, kind: Any) -> Any:
    return None if random.random() < 0.3 else _of(random, kind)


def alike(one: Any, other: Any) -> bool:
    """Compare values and their types, numbers to the bit."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and bool(one == other)
