"""The short words of one phase."""

from __future__ import annotations

from typing import Any

from benchmarks.borrowed import lines_of
from benchmarks.headline import Line, line, text

_SYNC = "fdatasync"
_READ = "orjson.loads"


def headline(phase: str, result: dict[str, Any]) -> list[Line]:
    """Choose what stands in the table."""
    base, memory = result["baseline"], result["memory_mb"]
    lines: list[Line] = []
    if phase == "maximum":
        lines += [
            line("acknowledged, on disk and queryable", result["events_per_s"], "events/s"),
            line("slowest tenth of seconds", result["second_by_second"]["p10"], "events/s"),
            line("behind the history table at the end", result["account"]["not_yet_in_table"], "events"),
        ]
    if phase != "maximum":
        lines.append(line("rate that was held", result["events_per_s"], "events/s"))
        lines += _latencies("arrival to journaled", result["journaled_ms"], base)
    if phase == "steady":
        lines += _latencies("arrival to visible in a query", result["query_ms"], base)
        lines += _latencies("arrival to a live subscriber", result["stream_ms"], base)
    if phase == "answers":
        lines += lines_of(result["answers"])
    if result.get("answers_ms", {}).get("count"):
        lines += _latencies("POST to its answer", result["answers_ms"], base)
    if "us_per_event" in result:
        lines.append(
            line("processor time of the product", result["us_per_event"], "µs/event", to=base["orjson_us"], of=_READ)
        )
    lines += [
        line("processor of the product", result["used"]["product_cores"], "cores"),
        line("processor of the load", result["used"]["load_cores"], "cores"),
        line("memory at start (PSS)", memory["start"], "MB"),
        line("memory at the end (PSS)", memory["after"], "MB"),
    ]
    return lines


def show(result: dict[str, Any]) -> None:
    """Print it."""
    used, account, sent = result["used"], result["account"], result["sent"]
    parts = ", ".join(f"{name} {cores:.2f}" for name, cores in list(used["by_process"].items())[:12])
    words = ", ".join(f"{name} {value}" for name, value in account.items() if name != "holds")
    settings = "; ".join(f"{name} {value}" for name, value in result["settings_that_differ"].items())
    for words_of_line in (
        f"{sent['sent']:,} events in {sent['seconds']} s, {result['events_per_s']:,} events/s",
        *map(text, result["headline"]),
        f"  by process, cores: {parts}",
        f"  readers {used['reader_cores']}, others {used['others_cores']}{', DISTURBED' if used['disturbed'] else ''}",
        f"  account {'holds' if account['holds'] else 'DOES NOT HOLD'}: {words}",
        *(f"  fault: {fault}" for fault in [*sent["faults"], *result.get("faults", [])]),
        f"  not as make run: {settings}",
    ):
        print(words_of_line)  # noqa: T201 - its job


def _latencies(name: str, found: dict[str, Any], base: dict[str, float]) -> list[Line]:
    return [
        line(f"{name}, {share}", found[share], "ms", to=base["fdatasync_p50_ms"] if share == "p50" else None, of=_SYNC)
        for share in ("p50", "p99", "p99.9")
    ]
