"""The Historian goes on by itself after a commit that failed, and loses nothing by it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors import historian as historians
from actors.historian import Historian
from ingestor.errors import HistoryError
from ingestor.history import Archive
from ingestor.journal import FrameKind, JournalWriter, Tally
from ingestor.settings import Settings
from tests.support.rows import make_events


async def until(historian: Historian, name: str, value: object) -> None:
    """Wait until the status says so."""
    for _ in range(4_000):
        if (await historian.status())[name] == value:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{name} did not become {value}: {await historian.status()}")


async def test_a_commit_that_failed_is_found_out_and_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk refuses a commit: it is told, the table is opened anew, and the rows come in once."""
    monkeypatch.setattr(historians, "POLL_S", 0.01)
    settings = Settings.model_validate({"data_dir": tmp_path, "history": {"commit_s": 0.05}})
    journal = JournalWriter.open(tmp_path / "journal" / "0", shard=0, segment_bytes=1 << 20)
    journal.append(FrameKind.EVENTS, make_events(50), first_seq=1, last_seq=50, tally=Tally(received=50, stored=50))
    journal.commit()
    historian = Historian(settings)
    first = historian._table

    def refuse(*_: Any, **__: Any) -> None:
        raise HistoryError("history", "no space left on device")

    monkeypatch.setattr(first._commits, "commit", refuse)
    await historian.run()
    await until(historian, "state", "degraded")
    await until(historian, "rows", 50)
    assert historian._table is not first
    assert Archive(tmp_path).count() == 50
    journal.close()
