"""Every metric and log-event name, commented, and how metrics are read out of ``status``.

A metric is one place in the status document: a dotted path, in which ``[]`` goes through a list, whose items hold the
label, and ``{}`` through an object, whose keys are the label. What the status does not hold is not exported. Nothing is
labelled by entity, device or user: the number of series must not grow with the home.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

EXPOSITION_TYPE: Final = CONTENT_TYPE_LATEST
PREFIX: Final = "ha_ingestor_"

# Log events of the HTTP API.
REQUEST_FAILED: Final = "request.failed"  # nobody expected this error; the answer repeats trace_id
REQUEST_REFUSED: Final = "request.refused"  # a part of the house is away, full or broken
STREAM_ENDED: Final = "stream.ended"  # a live stream was ended by us: the client did not read, or the desk failed


@dataclass(frozen=True, slots=True)
class Place:
    """One metric: its name without prefix, where it stands in the status, and what its labels are called.

    ``unit`` is what one of the status is worth. With ``equals`` the value is 1 where that text stands, else 0. A list
    or an object at the end of the path counts its items.
    """

    name: str
    kind: Literal["counter", "gauge"]
    path: str
    help: str
    label: str | None = None
    unit: float = 1.0
    equals: str | None = None


_MICRO: Final = 1e-6
_MILLI: Final = 1e-3

#: Counters end in ``_total``, durations and moments in ``_seconds``, sizes in ``_bytes``.
METRICS: Final = (
    # Conservation: received = stored + filtered + quarantined + duplicate + in_flight, at every moment.
    Place("events_received_total", "counter", "counts.received", "Events that reached a door."),
    Place("events_stored_total", "counter", "counts.stored", "Events written to the journal."),
    Place("events_filtered_total", "counter", "counts.filtered", "Events left out by include and exclude."),
    Place("events_duplicate_total", "counter", "counts.duplicate", "Events that were already stored."),
    Place("events_quarantined", "gauge", "counts.quarantined", "Events in quarantine. A retry takes them out."),
    Place("events_in_flight", "gauge", "counts.in_flight", "Events between door and journal."),
    Place("events_unaccounted", "gauge", "counts.balance", "Conservation's remainder: not 0 is a fault."),
    # The whole.
    Place("ready", "gauge", "ready", "1 while events are taken in and questions answered."),
    Place("uptime_seconds", "gauge", "uptime_s", "Seconds since the start."),
    Place("start_timestamp_seconds", "gauge", "started_us", "When it was started.", unit=_MICRO),
    Place("actors_away", "gauge", "away", "Actors that do not answer."),
    # Sources, one a home.
    Place("source_connected", "gauge", "sources[].state", "1 if the home is connected.", "home", equals="connected"),
    Place("source_connects_total", "counter", "sources[].connects", "Connections made.", "home"),
    Place("source_last_event_seconds", "gauge", "sources[].last_event_us", "When it last gave one.", "home", _MICRO),
    Place("source_silence_seconds", "gauge", "sources[].silence_s", "Time since then.", "home"),
    Place("source_open_gaps", "gauge", "sources[].open_gaps", "Spans in which events are missed now.", "home"),
    # Shards.
    Place("shard_last_seq", "gauge", "shards[].last_seq", "Last sequence number on disk.", "shard"),
    Place("shard_entities", "gauge", "shards[].entities", "Entities whose last state is known.", "shard"),
    Place("shard_stored_total", "counter", "shards[].stored", "Events journaled, ever.", "shard"),
    Place("shard_duplicate_total", "counter", "shards[].duplicate", "Events stored before, ever.", "shard"),
    Place("shard_conflicts_total", "counter", "shards[].conflicts", "Same id, other attributes, ever.", "shard"),
    Place("shard_commits_total", "counter", "shards[].commits", "Group commits since its process began.", "shard"),
    Place("shard_commit_p50_seconds", "gauge", "shards[].commit_p50_ms", "Median commit.", "shard", _MILLI),
    Place("shard_commit_p99_seconds", "gauge", "shards[].commit_p99_ms", "99th percentile commit.", "shard", _MILLI),
    # History.
    Place("history_rows", "gauge", "history.rows", "Rows of the history table."),
    Place("history_files", "gauge", "history.files", "Files of the history table."),
    Place("history_bytes", "gauge", "history.bytes", "Size of the history table."),
    Place("history_waiting", "gauge", "history.waiting", "Events in the journal, not in the table yet."),
    Place("history_lag_seconds", "gauge", "history.lag_s", "How long the oldest of them may have waited."),
    Place("history_commits_total", "counter", "history.commits", "Commits since its process began."),
    Place("history_commit_seconds", "gauge", "history.last_commit_s", "Duration of the last commit."),
    Place("history_degraded", "gauge", "history.state", "1 while the table cannot be written.", equals="degraded"),
    # What needs a look.
    Place("gaps_open", "gauge", "gaps.open", "Spans of possibly missing events that are still open."),
    Place("quarantine_items", "gauge", "quarantine.reasons{}", "Events in quarantine, by reason.", "reason"),
    Place("graph_cycles", "gauge", "graph.homes{}.cycles", "Automations that run in circles.", "home"),
    Place("graph_automations", "gauge", "graph.homes{}.automations", "Automations known.", "home"),
    Place("graph_entities", "gauge", "graph.homes{}.entities", "Entities known.", "home"),
    # Live streams.
    Place("live_subscribers", "gauge", "live.subscribers", "Processes that follow live."),
    Place("live_ring_bytes", "gauge", "live.ring_bytes", "Size of what is kept for those who follow."),
)


def exposition(status: dict[str, Any]) -> bytes:
    """Write the metrics of a status document as Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Document(status))
    return generate_latest(registry)


class _Document(Collector):
    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        for place in METRICS:
            family = (CounterMetricFamily if place.kind == "counter" else GaugeMetricFamily)(
                PREFIX + place.name, place.help, labels=[place.label] if place.label else []
            )
            for label, found in _found(self._status, place):
                value = _number(found, place)
                if value is not None:
                    family.add_metric([label] if place.label else [], value)
            if family.samples:
                yield family


def _found(status: dict[str, Any], place: Place) -> Iterator[tuple[str, Any]]:
    for mark, kind in (("[]", list), ("{}", dict)):
        head, through, tail = place.path.partition(mark)
        items = _at(status, head) if through else None
        if not isinstance(items, kind):
            continue
        pairs = items.items() if isinstance(items, dict) else ((_at(item, place.label or ""), item) for item in items)
        for label, item in pairs:
            yield str(label), _at(item, tail[1:]) if tail else item
    if place.label is None:
        yield "", _at(status, place.path)


def _number(value: Any, place: Place) -> float | None:
    if place.equals is not None:
        return None if value is None else float(value == place.equals)
    if isinstance(value, list | dict):
        return float(len(value))
    return value * place.unit if isinstance(value, int | float) else None


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
