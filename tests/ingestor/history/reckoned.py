"""Time buckets reckoned row by row in plain Python, by the words of the promise and by nothing of the code's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
HELD_US = 31 * 86_400 * SECOND_US


def us_of(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def wall(time_us: int, zone: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(microseconds=time_us)).astimezone(zone)


def label(time_us: int, interval: str, zone: ZoneInfo) -> Any:
    """Name the bucket of a moment by what calendar and clock on the wall say."""
    local = wall(time_us, zone)
    if interval == "1d":
        return local.date()
    if interval == "1w":
        return local.date() - timedelta(days=local.weekday())
    if interval == "1mo":
        return date(local.year, local.month, 1)
    minute = {"1m": local.minute, "5m": local.minute // 5 * 5, "1h": 0}[interval]
    return local.replace(minute=minute, second=0, microsecond=0, tzinfo=None), local.utcoffset()


def bucket_of(time_us: int, interval: str, zone: ZoneInfo) -> tuple[int, int]:
    """Return start and end of the bucket that holds a moment."""
    return _bounds(label(time_us, interval, zone), time_us // (60 * SECOND_US), interval, zone)


_KNOWN: dict[Any, tuple[int, int]] = {}


def _bounds(name: Any, minutes: int, interval: str, zone: ZoneInfo) -> tuple[int, int]:
    if (name, interval, zone.key) not in _KNOWN:
        _KNOWN[name, interval, zone.key] = _walked(minutes * 60 * SECOND_US, interval, zone)
    return _KNOWN[name, interval, zone.key]


def _walked(time_us: int, interval: str, zone: ZoneInfo) -> tuple[int, int]:
    """Go minute by minute, where clocks of today change, to either side."""
    minute, name = 60 * SECOND_US, label(time_us, interval, zone)
    start = time_us // minute * minute
    while label(start - minute, interval, zone) == name:
        start -= minute * _leap(start, interval, zone, name, -1)
    end = time_us // minute * minute + minute
    while label(end, interval, zone) == name:
        end += minute * _leap(end, interval, zone, name, 1)
    return start, end


def _leap(time_us: int, interval: str, zone: ZoneInfo, name: Any, sign: int) -> int:
    """Go in steps of up to six hours while that stays within the bucket."""
    for minutes in (360, 60):
        if interval in ("1d", "1w", "1mo") and label(time_us + sign * minutes * 60 * SECOND_US, interval, zone) == name:
            return minutes
    return 1


def reckon(rows: list[dict[str, Any]], ask: dict[str, Any]) -> list[dict[str, Any]]:
    """Answer like the archive. ``ask``: interval, zone, now_us, start_us, end_us, group_by, aggregates, passes."""
    rows = sorted(rows, key=lambda row: (row["t"], row["seq"]))
    zone, interval, names = ask["zone"], ask["interval"], ask["aggregates"]
    if not rows:
        return []
    weighs = "time_weighted_mean" in names or "time_in_state" in names
    first, last = rows[0]["t"], rows[-1]["t"]
    start = first if ask["start_us"] is None else max(ask["start_us"], first)
    until = max(last + 1, ask["now_us"]) if weighs else last + 1
    end = until if ask["end_us"] is None else min(ask["end_us"], until)
    found: dict[Any, dict[str, Any]] = {}

    def cell(time_us: int, row: dict[str, Any]) -> dict[str, Any]:
        bounds = bucket_of(time_us, interval, zone)
        groups = tuple(row[name] for name in ask["group_by"])
        return found.setdefault((bounds, groups), {"rows": [], "held": []})

    for row in rows:
        if start <= row["t"] < end and ask["passes"](row):
            cell(row["t"], row)["rows"].append(row)
    if weighs:
        for row, begin, until_us in spells(rows, end, ask["now_us"]):
            if not ask["passes"](row) or row["state"] is None or (until_us <= max(begin, start)):
                continue
            if row["state_numeric"] is None and "time_in_state" not in names:
                continue
            at = max(begin, start)
            while at < until_us:
                _, stop = bucket_of(at, interval, zone)
                stop = min(stop, until_us)
                cell(at, row)["held"].append((row, stop - at))
                at = stop
    return [_item(key, cells, ask) for key, cells in sorted(found.items(), key=lambda one: _order(one[0]))]


def spells(rows: list[dict[str, Any]], end: int, now: int) -> list[tuple[dict[str, Any], int, int]]:
    """Say from when to when each state was held: until the next of its entity, 31 days at most, and not beyond now."""
    states = [row for row in rows if row["kind"] == "state" and row["entity_id"] is not None]
    found = []
    for at, row in enumerate(states):
        after = [r["t"] for r in states[at + 1 :] if (r["home"], r["entity_id"]) == (row["home"], row["entity_id"])]
        found.append((row, row["t"], min([row["t"] + HELD_US, end, now, *after[:1]])))
    return found


def _order(key: Any) -> Any:
    return key[0][0], [(value is not None, value or "") for value in key[1]]


def _item(key: Any, cells: dict[str, Any], ask: dict[str, Any]) -> dict[str, Any]:
    rows, held = cells["rows"], cells["held"]
    numbers = [row["state_numeric"] for row in rows if row["state_numeric"] is not None]
    told = [
        row["state"] if row["state_numeric"] is None else row["state_numeric"]
        for row in rows
        if row["state"] is not None
    ]
    weighed = [(row["state_numeric"], us) for row, us in held if row["state_numeric"] is not None]
    weight = sum(us for _, us in weighed)
    states: dict[str, float] = {}
    for row, us in held:
        states[row["state"]] = states.get(row["state"], 0.0) + us / SECOND_US
    values = {
        "count": len(rows),
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "mean": sum(numbers) / len(numbers) if numbers else None,
        "sum": sum(numbers) if numbers else None,
        "first": told[0] if told else None,
        "last": told[-1] if told else None,
        "time_weighted_mean": sum(number * us for number, us in weighed) / weight if weight else None,
        "time_in_state": states,
    }
    item = {"start": key[0][0], "end": key[0][1], **dict(zip(ask["group_by"], key[1], strict=True))}
    return item | {name: values[name] for name in ask["aggregates"]}
