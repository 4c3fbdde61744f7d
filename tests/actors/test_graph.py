"""The Graph's pictures are numbered so that nobody takes an older one for a newer."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.graph import Graph
from ingestor.settings import Settings


def test_versions_rise_over_restarts_also_when_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Graph that starts an hour earlier, by the clock, still numbers above the one before it."""
    settings = Settings(data_dir=tmp_path)
    (tmp_path / "journal").mkdir()
    versions = []
    for clock_ns in (2_000_000_000_000_000_000, 2_000_000_000_000_000_000 - 3_600_000_000_000, 0):
        monkeypatch.setattr("actors.graph.time.time_ns", lambda now=clock_ns: now)
        versions.append(Graph(settings)._begin_versions())
    assert versions == sorted(set(versions))
