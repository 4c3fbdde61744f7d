"""What is measured is the product as a user starts it, and a run that was killed leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks import machine
from benchmarks.whole import harness, leftovers
from ingestor.settings import Settings


def test_every_setting_that_differs_is_listed() -> None:
    """It is compared with a fresh installation's, so that nobody has to remember what was changed."""
    environment = {
        "HA_URL": "http://127.0.0.1:1",
        "HA_TOKEN": "not-to-be-seen",
        "HA_INGESTOR_SHARDS": "7",
        "HA_INGESTOR_HISTORY__COMMIT_S": "",
    }
    found = harness.differing(environment)
    assert set(found) == {"homes", "shards"}
    assert found["shards"] == f"7 (else {Settings().shards})"
    assert "not-to-be-seen" not in json.dumps(found)


def test_a_copied_history_shares_its_parquet_and_nothing_else(tmp_path: Path) -> None:
    """What the product writes into its copy never reaches the history that the next run begins with."""
    source = tmp_path / "built"
    (source / "history").mkdir(parents=True)
    (source / "history" / "part.parquet").write_bytes(b"rows")
    (source / "metadata.db").write_bytes(b"before")
    harness.copy_history(source, tmp_path / "run")
    (tmp_path / "run" / "metadata.db").write_bytes(b"after")
    assert (source / "metadata.db").read_bytes() == b"before"
    assert (tmp_path / "run" / "history" / "part.parquet").samefile(source / "history" / "part.parquet")


def test_what_a_killed_run_left_is_swept_and_a_living_run_is_not(tmp_path: Path) -> None:
    """What works in the directory of a dead owner is ended and its data removed; a living owner's runs on."""
    for name in ("run-dead", "run-alive"):
        (tmp_path / name).mkdir()
        leftovers.own(tmp_path / name)
    (tmp_path / "run-dead" / "owner.json").write_text(json.dumps([psutil.Process().pid, 1.0]))
    sleeper = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    orphan, kept = (
        subprocess.Popen(sleeper, cwd=tmp_path / name, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for name in ("run-dead", "run-alive")
    )
    with orphan, kept:
        try:
            for process in (orphan, kept):
                assert process.stdout is not None
                process.stdout.readline()
            leftovers.sweep(tmp_path)
            assert orphan.poll() is not None
            assert kept.poll() is None
            assert [path.name for path in tmp_path.iterdir()] == ["run-alive"]
        finally:
            orphan.kill()
            kept.kill()


def test_a_baseline_is_taken_on_the_disk_of_the_product(tmp_path: Path) -> None:
    """Each append is waited for, and nothing stays."""
    took = machine.fdatasync_ms(tmp_path, count=3)
    assert len(took) == 3
    assert list(tmp_path.iterdir()) == []
