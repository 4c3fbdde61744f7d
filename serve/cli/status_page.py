"""What ``ha-ingestor status`` shows of the status document."""

from __future__ import annotations

from typing import Any

from .output import console, from_us, size, table


def status_page(answer: dict[str, Any]) -> None:
    """Print what runs, what was captured, and where every event is."""
    kept, history = answer["counts"], answer["history"]
    names = ("received", "stored", "duplicate", "filtered", "quarantined", "in_flight", "balance")
    table(
        f"HA Ingestor is {answer['phase']}",
        ["received", "stored", "duplicate", "filtered", "quarantined", "in flight", "unaccounted"],
        [[kept[name] for name in names]],
        empty="",
    )
    for name, why in answer["away"].items():
        console.print(f"[red]away[/] {name}: {why}")
    console.print()
    table(
        "Homes",
        ["home", "version", "last event", "missing kinds", "state"],
        [_home(each) for each in answer["sources"]],
        empty="No home.",
    )
    for each in answer["sources"]:
        if missing := each.get("missing"):
            kinds = ", ".join(str(kind["event_type"] or kind["why"]) for kind in missing)
            console.print(f"{each.get('home')} needs an administrator's token for: {kinds}", markup=False)
    console.print()
    table(
        "Shards",
        ["shard", "epoch", "entities", "stored", "last seq", "commit p50", "commit p99"],
        [_shard(each) for each in answer["shards"]],
        empty="No shard.",
    )
    console.print()
    rows, files = history.get("rows", 0), history.get("files", 0)
    console.print(f"History: {rows:,} rows in {files:,} files, {size(history.get('bytes', 0))}.")
    console.print(f"Open gaps: {answer['gaps']['open']}.")


def _home(source: dict[str, Any]) -> list[Any]:
    state = ": ".join(part for part in (source["state"], source.get("detail")) if part)
    missing = len(source.get("missing", []))
    return [source.get("home"), source.get("version"), from_us(source.get("last_event_us")), missing, state]


def _shard(shard: dict[str, Any]) -> list[Any]:
    counts = [shard.get(name) for name in ("shard", "epoch", "entities", "stored", "last_seq")]
    return [*counts, _ms(shard.get("commit_p50_ms")), _ms(shard.get("commit_p99_ms"))]


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} ms"
