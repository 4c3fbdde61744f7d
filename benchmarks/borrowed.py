"""The lines of commands that tell their figures in a form of their own: peers, a real home at its limit, answers."""

from __future__ import annotations

from typing import Any

from benchmarks.headline import Line, line

_FASTEST = "as fast as it goes"


def lines_of(result: dict[str, Any]) -> list[Line]:
    """Give a result's lines: its own, or those made from what it says."""
    given: list[Line] | None = result.get("headline")
    if given is not None:
        return given
    borrowed = [*_peers(result.get("peers", [])), *_loads(result.get("loads", [])), *_ordeals(result.get("ordeals"))]
    return borrowed or _times(result, "")


def _times(found: dict[str, Any], name: str) -> list[Line]:
    """Give whatever has percentiles in milliseconds, under the names on the way to it."""
    shares = [share for share in ("p50", "p99") if isinstance(found.get(share, found.get(f"{share}_ms")), int | float)]
    lines = [line(f"{name}, {share}", found.get(share, found.get(f"{share}_ms")), "ms") for share in shares]
    for key, value in found.items():
        if isinstance(value, dict):
            lines += _times(value, f"{name}, {key}" if name else key)
    return lines


def _peers(found: list[dict[str, Any]]) -> list[Line]:
    lines = []
    for peer in found:
        name = f"{peer['name']} ({peer['safety']})"
        lines += [
            line(f"{name}: processor", peer["cpu_us"], "µs/event", to=found[0]["cpu_us"], of=found[0]["name"]),
            line(f"{name}: taken", peer["events_a_second"], "events/s"),
            line(f"{name}: kept", peer["bytes_each"], "bytes/event"),
        ]
    return lines


def _loads(found: list[dict[str, Any]]) -> list[Line]:
    lines = []
    for row in found:
        if row["load"] == _FASTEST:
            name = f"{row['way']}, recorder {'on' if row['recorder'] else 'off'}"
            lines.append(line(f"{name}: fired", row["rate"], "events/s"))
            if row["way"] != "nobody":
                lines.append(line(f"{name}: arrived of them", round(100 * row["arrived"] / row["fired"], 1), "%"))
    return lines


def _ordeals(found: list[dict[str, Any]] | None) -> list[Line]:
    if found is None:
        return []
    silent = sum(not one["held"] for one in found)
    return [line(f"losses that our source did not tell, of {len(found)} ordeals", silent, "")]
