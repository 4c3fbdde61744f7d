"""Every metric and log-event name, commented, and how metrics are read out of ``status``.

A metric is one place in the status document: a dotted path, in which ``[]`` goes through a list whose items give the
labels. What the status does not hold is not exported. Nothing is labelled by entity, device or user: the number of
series must not grow with the home.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    """One metric: its name without prefix, where it stands in the status, and the labels its item gives."""

    name: str
    kind: Literal["counter", "gauge"]
    path: str
    help: str
    labels: tuple[str, ...] = ()


#: Counters end in ``_total``, durations in ``_seconds``, sizes in ``_bytes``; info is a gauge of 1.
METRICS: Final = (
    # Conservation: received = stored + filtered + quarantined + duplicate + in_flight, at every moment.
    Place("events_received_total", "counter", "counts.received", "Events that reached a door."),
    Place("events_stored_total", "counter", "counts.stored", "Events written to the journal."),
    Place("events_filtered_total", "counter", "counts.filtered", "Events left out by include and exclude."),
    Place("events_quarantined_total", "counter", "counts.quarantined", "Events that could not be mended."),
    Place("events_duplicate_total", "counter", "counts.duplicate", "Events that were already stored."),
    Place("events_in_flight", "gauge", "counts.in_flight", "Events between door and journal."),
    Place("events_unaccounted", "gauge", "counts.balance", "Conservation's remainder: anything but 0 is a fault."),
    # The whole.
    Place("ready", "gauge", "ready", "1 if events are taken in and questions answered."),
    Place("uptime_seconds", "gauge", "uptime_s", "Seconds since the start."),
    # Sources, one a home.
    Place("source_connected", "gauge", "sources[].connected", "1 if the home is connected.", ("home",)),
    Place("source_connects_total", "counter", "sources[].connects", "Connections made.", ("home",)),
    Place("source_silence_seconds", "gauge", "sources[].silence_s", "Seconds since the last event.", ("home",)),
    # Shards.
    Place("shard_last_seq", "gauge", "shards[].last_seq", "Last sequence number on disk.", ("shard",)),
    Place("shard_stored_total", "counter", "shards[].stored", "Events journaled since the start.", ("shard",)),
    Place("shard_journal_bytes", "gauge", "shards[].journal_bytes", "Size of the journal.", ("shard",)),
    Place("shard_sync_seconds", "gauge", "shards[].sync_s", "Duration of the last fdatasync.", ("shard",)),
    Place("shard_restarts_total", "counter", "shards[].restarts", "Times the shard came back.", ("shard",)),
    # History.
    Place("history_rows", "gauge", "history.rows", "Rows of the history table."),
    Place("history_files", "gauge", "history.files", "Files of the history table."),
    Place("history_bytes", "gauge", "history.bytes", "Size of the history table."),
    Place("history_lag_seconds", "gauge", "history.lag_s", "Age of the oldest event not committed yet."),
    Place("history_commits_total", "counter", "history.commits", "Commits made."),
    # What needs a look.
    Place("gaps_open", "gauge", "gaps.open", "Spans of possibly missing events that are still open."),
    Place("gaps_total", "counter", "gaps.total", "Spans of possibly missing events ever opened."),
    Place("quarantine_items", "gauge", "quarantine.items", "Events waiting in quarantine."),
    Place("live_subscribers", "gauge", "live.subscribers", "Open live streams."),
    Place("graph_cycles", "gauge", "graph.cycles", "Circles of automations."),
)


def exposition(status: dict[str, Any]) -> bytes:
    """Write the metrics of a status document as Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Document(status))
    return generate_latest(registry)


class _Document(Collector):
    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        version = self._status.get("version")
        if isinstance(version, str):
            info = GaugeMetricFamily(f"{PREFIX}info", "Version that runs.", labels=["version"])
            info.add_metric([version], 1.0)
            yield info
        for place in METRICS:
            family = (CounterMetricFamily if place.kind == "counter" else GaugeMetricFamily)(
                PREFIX + place.name, place.help, labels=place.labels
            )
            for labels, value in _values(self._status, place):
                family.add_metric(labels, value)
            if family.samples:
                yield family


def _values(status: dict[str, Any], place: Place) -> Iterator[tuple[list[str], float]]:
    head, through, tail = place.path.partition("[].")
    found = _at(status, head)
    items = found if through and isinstance(found, list) else [] if through else [found]
    for item in items:
        value = _at(item, tail) if through else item
        if isinstance(value, int | float):
            yield [str(item.get(label, "")) for label in place.labels], float(value)


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
