"""The whole product, started as a user starts it: the command ``ha-ingestor run`` in a process of its own.

Free ports, its own data directory, loopback only. Nothing is stopped but what was started here, by its id.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from actors.cluster import free_ports

COMMAND = Path(sys.executable).parent / "ha-ingestor"
START_WITHIN_S = 120.0


class Product:
    """One ``ha-ingestor``. ``environment`` is added to a bare one; ``start`` again continues on the same data."""

    def __init__(self, directory: Path, *, environment: dict[str, str] | None = None, dashboard: bool = False) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.port, self.ingest_port, self.dashboard_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "product.log"
        self._environment = {
            "HA_INGESTOR_RAY__DASHBOARD": str(dashboard).lower(),
            "HA_INGESTOR_RAY__DASHBOARD_PORT": str(self.dashboard_port),
            "HA_INGESTOR_DATA_DIR": str(self.data_dir),
            "HA_INGESTOR_HTTP__PORT": str(self.port),
            "HA_INGESTOR_INGEST__PORT": str(self.ingest_port),
            "HA_INGESTOR_HISTORY__COMMIT_S": "2",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which its commands find it."""
        own = ("HA_", "RAY_", "SUPERVISOR_", "COV", "PYTEST")
        bare = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return {**bare, **self._environment}

    def start(self) -> float:
        """Start it and wait until it is ready. Returns the seconds that took."""
        began, began_at = time.monotonic(), time.time()
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [COMMAND, "run"],
                cwd=self.directory,
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while time.monotonic() - began < START_WITHIN_S:
            if self._process.poll() is not None:
                break
            with suppress(OSError, AssertionError, KeyError, ValueError):
                ready = self.request("GET", "/readyz", timeout_s=2)[0] == http.client.OK
                if ready and self.status()["started_us"] / 1e6 >= began_at:
                    return time.monotonic() - began
            time.sleep(0.1)
        raise AssertionError(f"the product is not ready:\n{self.log.read_text()[-4000:]}")

    def stop(self, *, within_s: float = 10.0) -> tuple[int, float]:
        """Press Ctrl-C. Returns the exit code and the seconds until it ended."""
        process = self._running()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=within_s + 20)
        return code, time.monotonic() - began

    def signal(self, number: int) -> None:
        """Send the command's own process a signal."""
        self._running().send_signal(number)

    def wait(self, *, timeout_s: float) -> int:
        """Wait until the command ended. Returns its exit code."""
        return self._running().wait(timeout=timeout_s)

    def kill_all(self) -> int:
        """Kill -9 every one of its processes at once. Returns how many there were."""
        process = self._running()
        family = self.family()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.suspend()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=10)
        process.wait(timeout=10)
        return len(family)

    def family(self) -> list[psutil.Process]:
        """Give the command's own process and all it started, directly or not."""
        root = psutil.Process(self._running().pid)
        return [root, *root.children(recursive=True)]

    def alive(self) -> bool:
        """Tell whether the command still runs."""
        return self._running().poll() is None

    def named(self, title: str) -> list[psutil.Process]:
        """Give its processes whose title begins so, such as ``ray::Shard``."""
        found = []
        for each in self.family():
            with suppress(psutil.NoSuchProcess):
                if title == each.name() or " ".join(each.cmdline()).startswith(title):
                    found.append(each)
        return found

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is None or self._process.poll() is not None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.stop()
            return
        self.kill_all()

    def request(
        self, method: str, path: str, body: bytes | None = None, *, timeout_s: float = 30.0
    ) -> tuple[int, bytes]:
        """Ask once. Returns status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-ndjson"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """Answer of a GET that succeeds."""
        given = {name: value for name, value in parameters.items() if value is not None}
        status, body = self.request("GET", f"{path}?{urllib.parse.urlencode(given)}" if given else path)
        assert status == http.client.OK, (path, status, body[:500])
        return json.loads(body)

    def post_events(self, events: list[dict[str, Any]], **parameters: Any) -> dict[str, Any]:
        """Send events as NDJSON and give the answer."""
        body = b"\n".join(json.dumps(event).encode() for event in events)
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        status, answer = self.request("POST", f"/api/v1/events{query}", body)
        assert status == http.client.OK, (status, answer[:500])
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    def events(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """All events that pass the filters, oldest first, page after page."""
        cursor = None
        while True:
            page = self.get("/api/v1/events", **filters, order="asc", limit=1000, cursor=cursor)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def gaps(self) -> list[dict[str, Any]]:
        """All recorded gaps."""
        items: list[dict[str, Any]] = self.get("/api/v1/gaps", limit=1000)["items"]
        return items

    def status(self) -> dict[str, Any]:
        """Give what ``GET status`` says."""
        answer: dict[str, Any] = self.get("/api/v1/status")
        return answer

    def wait_until(self, condition: Any, *, within_s: float = 60.0, what: str = "the condition") -> Any:
        """Poll ``condition(status)`` until it is true."""
        give_up_at = time.monotonic() + within_s
        status: dict[str, Any] = {}
        while time.monotonic() < give_up_at:
            with suppress(OSError, AssertionError, KeyError):
                status = self.status()
                if condition(status):
                    return status
            time.sleep(0.1)
        raise AssertionError(f"{what} was not reached within {within_s:g} s: {json.dumps(status)[:2000]}")

    def command(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run another of its commands, as a user beside it would."""
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=self.directory,
            env={**self.environment, "COLUMNS": "160"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the product was not started"
        return self._process
