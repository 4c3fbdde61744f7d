"""The account after each phase: all that was sent is stored once, nothing is unaccounted for, nothing was lost.

Sent, as the load counted it; stored, as the product counts it; found, as a question over table and journal finds it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from benchmarks.whole.harness import Rig
from ingestor.history import Archive

SETTLE_WITHIN_S: Final = 180.0
_LOOK_PAUSE_S: Final = 0.02


def arrive(rig: Rig, before: dict[str, Any], sent: dict[str, Any]) -> dict[str, float]:
    """Wait until all is on disk, then until an answer of the API has the newest of it. Says how long each took."""
    wanted, began_s = before["counts"]["stored"] + sent["sent"], time.monotonic()
    with suppress(AssertionError):
        rig.product.wait_until(
            lambda now: now["counts"]["stored"] >= wanted and now["counts"]["in_flight"] == 0,
            within_s=SETTLE_WITHIN_S,
        )
    stored_s = time.monotonic() - began_s
    while time.monotonic() - began_s < SETTLE_WITHIN_S and _newest_us(rig) < sent["last_us"]:
        time.sleep(_LOOK_PAUSE_S)
    return {"stored_s": round(stored_s, 2), "visible_s": round(time.monotonic() - began_s, 2)}


def account(rig: Rig, before: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Hold what was sent against what is there. ``holds`` says whether everything is right."""
    now = rig.product.status()
    archive = Archive(rig.product.data_dir)
    not_in_table = len(archive.snapshot().tail)
    found = ask(archive, "count(*) AS rows, count(DISTINCT event_id) AS ids", sent)
    gained = {name: now["counts"][name] - before["counts"][name] for name in ("stored", "quarantined", "duplicate")}
    said = {
        "sent": sent["sent"],
        **gained,
        "found": found["rows"],
        "found_ids": found["ids"],
        "balance": now["counts"]["balance"],
        "gaps_open": now["gaps"]["open"],
        "reconnected": sent["logins"] - sent["logins_before"],
        "refused_and_sent_again": sent["refused"],
        "not_yet_in_table": not_in_table,
    }
    whole = sent["sent"] == gained["stored"] == found["rows"] == found["ids"]
    wrong = said["balance"] or said["gaps_open"] or gained["quarantined"] or gained["duplicate"]
    return {"holds": bool(whole and not (wrong or said["reconnected"] or sent["faults"])), **said}


def ask(archive: Archive, what: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Ask about the events that were fired while this was sent."""
    span = f"epoch_us(time_fired) BETWEEN {int(sent['first_us'])} AND {int(sent['last_us'])}"
    found: dict[str, Any] = archive.sql(f"SELECT {what} FROM events WHERE {span} AND NOT backfilled").to_pylist()[0]  # noqa: S608 - our own numbers
    return found


def _newest_us(rig: Rig) -> int:
    with suppress(OSError, AssertionError, ValueError, LookupError):
        fired = datetime.fromisoformat(rig.product.get("/api/v1/events", limit=1)["items"][0]["time_fired"])
        return round(fired.timestamp() * 1_000_000)
    return 0
