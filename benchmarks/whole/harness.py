"""The product as ``make run`` starts it, and the load in a process of its own.

The data lies on the disk of this repository, never in memory. Every setting in which this product differs from a fresh
``make run`` is listed by ``differences``: it is compared, not remembered.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import psutil

from actors.cluster import free_ports
from benchmarks.load.pace import Order
from benchmarks.machine import CACHE, ROOT
from benchmarks.whole.leftovers import own, sweep
from ingestor.settings import Settings
from ingestor.settings import load as load_settings
from tests.support.product import Product

_LOG_SHOWN = 4_000
REST_LOOK_S = 2.0
REST_WITHIN_S = 60.0
RESTING_CORES = 0.4


class Load:
    """The process that brings events, and its fake homes."""

    def __init__(self, *, entities: int, homes: int) -> None:
        command = [sys.executable, "-m", "benchmarks.load", "--entities", str(entities), "--homes", str(homes)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
        self.pid = self._process.pid
        self.homes: list[dict[str, str]] = self._answer()["homes"]

    def begin(self, order: Order) -> Callable[[], dict[str, Any]]:
        """Begin to bring. Call what is returned to wait for the end, and hear what was sent."""
        self._tell(asdict(order))
        return self._answer

    def stop(self) -> None:
        """End what is under way; its answer comes as usual."""
        self._tell({"stop": True})

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _tell(self, words: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the load has no standard input")
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        if not line:
            raise RuntimeError("the load ended before it answered")
        answer: dict[str, Any] = json.loads(line)
        if "fault" in answer:
            raise RuntimeError(f"the load failed: {answer['fault']}")
        return answer


class Rig:
    """Product and load, started and connected. ``history``: a data directory whose copy it begins with."""

    def __init__(
        self,
        *,
        entities: int = 5_000,
        homes: int = 1,
        settings: dict[str, str] | None = None,
        history: Path | None = None,
        keep: bool = False,
    ) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        sweep(CACHE)
        self.directory = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE))
        own(self.directory)
        self._keep, self.entities = keep, entities
        self.load = Load(entities=entities, homes=homes)
        environment = _homes(self.load.homes) | {"HA_INGESTOR_HISTORY__COMMIT_S": ""}
        self._ingest_port = 0
        if "ingest" in Settings.model_fields:
            (self._ingest_port,) = free_ports(1)
            environment["HA_INGESTOR_INGEST__PORT"] = str(self._ingest_port)
        self.product = Product(self.directory, environment=environment | (settings or {}), dashboard=True)
        if history is not None:
            copy_history(history, self.product.data_dir)
        self.start_s = self.quiet_after_s = 0.0

    def __enter__(self) -> Self:
        try:
            self.start_s = round(self.product.start(), 1)
            self.product.wait_until(
                lambda now: now["counts"]["received"] >= self.entities and now["counts"]["in_flight"] == 0,
                within_s=180,
                what="the first state list",
            )
            self.quiet_after_s = round(self._come_to_rest(), 1)
        except BaseException:
            if self.product.log.exists():
                print(self.product.log.read_text()[-_LOG_SHOWN:], file=sys.stderr)  # noqa: T201 - the data goes with it
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.product.close()
        self.load.close()
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _come_to_rest(self) -> float:
        """Wait until the product has digested its homes: what it does then is nobody's event. Says how long."""
        began_s, used_s = time.monotonic(), self._used_s()
        while time.monotonic() - began_s < REST_WITHIN_S:
            time.sleep(REST_LOOK_S)
            before_s, used_s = used_s, self._used_s()
            if (used_s - before_s) / REST_LOOK_S < RESTING_CORES:
                break
        return time.monotonic() - began_s

    def _used_s(self) -> float:
        spent = 0.0
        for process in self.product.family():
            with suppress(psutil.Error):
                times = process.cpu_times()
                spent += times.user + times.system
        return spent

    @property
    def ingest_port(self) -> int:
        """Where events are posted: the ingest listener, or the API where there is none."""
        return self._ingest_port or self.product.port

    def differences(self) -> dict[str, str]:
        """List the settings in which this product is not as ``make run`` would start it."""
        return differing(self.product.environment)


def differing(environment: Mapping[str, str]) -> dict[str, str]:
    """Compare the settings that an environment makes with those of a fresh installation."""
    fresh = _flat(Settings().model_dump(mode="json"))
    here = _flat(load_settings(environment=environment).model_dump(mode="json"))
    return {name: f"{value} (else {fresh.get(name)})" for name, value in here.items() if fresh.get(name) != value}


def copy_history(source: Path, target: Path) -> None:
    """Copy a data directory. Parquet files, which nobody ever changes, are linked instead of copied."""

    def copy(one: str, other: str) -> str:
        if one.endswith(".parquet"):
            os.link(one, other)
            return other
        return str(shutil.copy2(one, other))

    shutil.copytree(source, target, copy_function=copy)


def _homes(homes: list[dict[str, str]]) -> dict[str, str]:
    if len(homes) == 1:
        return {"HA_URL": homes[0]["url"], "HA_TOKEN": homes[0]["token"]}
    return {"HA_INGESTOR_HOMES": json.dumps(homes)}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = f"{len(value)}" if name == "homes" else value
    return flat
