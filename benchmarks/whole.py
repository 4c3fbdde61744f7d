"""The whole product under load: `python -m benchmarks.whole` (about two and a half minutes, two cores).

Starts ``ha-ingestor run`` as a user does, with Ray's dashboard, on a fresh data directory, and connects it to the fake
home of ``benchmarks.load``. Three phases, each followed by the same account: everything sent is stored once, nothing is
unaccounted for, no gap was opened, nothing was sent twice.

a) a fixed rate: from an event's arrival (its ``time_fired`` is when the fake wrote its frame) to ``journaled_at``, to
   the first answer of ``GET events`` that has it, and to a live subscriber; processor time and memory of all processes;
b) as fast as it is read: events a second that reach the disk;
c) the fixed rate again, and how long questions take meanwhile.

The load, the readers and whatever else runs on the machine take their share of the same cores; the table says how much.
"""

# ruff: noqa: T201, S101, S603, S608 - it prints its table, asserts pipes, runs our own load, asks with its own numbers
from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.load import PROBE
from ingestor.history import Archive
from tests.support.product import Product

ROOT = Path(__file__).resolve().parent.parent
SETTLE_WITHIN_S = 90.0
POLL_PAUSE_S = 0.02
MOST = 4_000_000
SHOWN_CORES = 0.005
QUESTIONS = {
    "one entity, 100": f"/api/v1/events?entity_id={PROBE}&limit=100",
    "newest 100": "/api/v1/events?limit=100",
    "one state": f"/api/v1/states/{PROBE}",
}


class Fake:
    """The fake home in its own process."""

    def __init__(self, entities: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load", "--entities", str(entities)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.where = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def fire(self, rate: float | None, seconds: float) -> Callable[[], dict[str, Any]]:
        """Begin. Call what is returned to wait for the end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"rate": rate, "seconds": seconds, "most": MOST}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the fake home ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Watch:
    """Processor time and memory of the product's processes, by what they are, and of everybody else."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._began = time.monotonic()
        self._before, self._all_before = self._times(), _busy_s()

    def used(self) -> dict[str, Any]:
        """Give cores used since the beginning: in all, by process, and by others on this machine."""
        took_s = time.monotonic() - self._began
        after, everybody = self._times(), _busy_s() - self._all_before
        by_name: dict[str, float] = defaultdict(float)
        for pid, (name, seconds) in after.items():
            by_name[name] += seconds - self._before.get(pid, ("", 0.0))[1]
        total = sum(by_name.values())
        cores = {
            name: round(seconds / took_s, 3) for name, seconds in by_name.items() if seconds / took_s >= SHOWN_CORES
        }
        return {
            "cores": round(total / took_s, 3),
            "cpu_s": round(total, 2),
            "by_process": dict(sorted(cores.items(), key=lambda item: -item[1])),
            "cores_of_others": round((everybody - total) / took_s, 3),
        }

    def _times(self) -> dict[int, tuple[str, float]]:
        found = {}
        for process in self._product.family():
            with suppress(psutil.Error):
                times = process.cpu_times()
                found[process.pid] = (_title(process), times.user + times.system)
        return found


def memory_mb(product: Product) -> float:
    """Proportional set size of all its processes, in MB."""
    total = 0
    for process in product.family():
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return round(total / 1e6, 1)


class Seen:
    """When each probe event was first seen, in milliseconds after it was fired."""

    def __init__(self) -> None:
        self.latencies_ms: list[float] = []
        self.requests = 0
        self.faults: list[str] = []
        self._known: set[str] = set()

    def note(self, event: dict[str, Any], at_s: float, since_s: float) -> None:
        """Take an event that was seen at this moment, if it was fired after ``since_s`` and is new."""
        fired_s = datetime.fromisoformat(event["time_fired"]).timestamp()
        if fired_s >= since_s and event["event_id"] not in self._known:
            self._known.add(event["event_id"])
            self.latencies_ms.append((at_s - fired_s) * 1000)


@contextmanager
def beside(*jobs: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run jobs in threads until the block ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=job, args=(stop,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=15)


def poll(product: Product, seen: Seen) -> Callable[[threading.Event], None]:
    """Ask for the newest probe events over and over."""

    def job(stop: threading.Event) -> None:
        since_s, path = time.time(), f"/api/v1/events?entity_id={PROBE}&limit=40"
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
        while not stop.is_set():
            try:
                connection.request("GET", path)
                body = connection.getresponse().read()
                at_s = time.time()
                for event in json.loads(body)["items"]:
                    seen.note(event, at_s, since_s)
            except (OSError, http.client.HTTPException, KeyError) as error:
                seen.faults.append(repr(error))
                connection.close()
            seen.requests += 1
            stop.wait(POLL_PAUSE_S)
        connection.close()

    return job


def listen(product: Product, seen: Seen) -> Callable[[threading.Event], None]:
    """Follow the probe's live stream."""

    def job(stop: threading.Event) -> None:
        since_s = time.time()
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=10)
        connection.request("GET", f"/api/v1/events/stream?entity_id={PROBE}")
        answer = connection.getresponse()
        try:
            while not stop.is_set():
                line = answer.readline()
                if line.startswith(b"data: "):
                    seen.note(json.loads(line[6:]), time.time(), since_s)
                elif not line:
                    seen.faults.append("the stream ended")
                    return
        except OSError as error:
            seen.faults.append(repr(error))
        finally:
            connection.close()

    return job


def ask(product: Product, path: str, clients: int, seconds: float) -> dict[str, Any]:
    """Have so many clients ask one question, each again as soon as it is answered."""
    latencies: list[float] = []
    faults: list[str] = []

    def job(stop: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
        while not stop.is_set():
            began = time.perf_counter()
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                if answer.status != http.client.OK:
                    faults.append(str(answer.status))
            except (OSError, http.client.HTTPException) as error:
                faults.append(repr(error))
                connection.close()
            latencies.append((time.perf_counter() - began) * 1000)
        connection.close()

    with beside(*[job] * clients):
        time.sleep(seconds)
    return {**percentiles(latencies), "a_second": round(len(latencies) / seconds, 1), "faults": faults[:5]}


def percentiles(values: list[float]) -> dict[str, Any]:
    """Give p50, p95 and p99, and how many there were."""
    ordered = sorted(values)
    picked = {
        f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1) if ordered else None
        for p in (50, 95, 99)
    }
    return {**picked, "count": len(ordered)}


class Bench:
    """The phases, on one product."""

    def __init__(self, product: Product, fake: Fake) -> None:
        self._product, self._fake = product, fake

    def steady(self, rate: float, seconds: float) -> dict[str, Any]:
        """Phase a."""
        before, memory = self._product.status(), memory_mb(self._product)
        polled, streamed = Seen(), Seen()
        with beside(poll(self._product, polled), listen(self._product, streamed)):
            time.sleep(1.0)
            watch = Watch(self._product)
            end = self._fake.fire(rate, seconds)
            sent = end()
            used = watch.used()
            time.sleep(1.0)
        account = self.account(before, sent)
        return {
            "sent": sent,
            "arrival_to_journaled_ms": self._journaled(sent),
            "arrival_to_get_events_ms": percentiles(polled.latencies_ms),
            "arrival_to_stream_ms": percentiles(streamed.latencies_ms),
            "polls": polled.requests,
            "faults": [*polled.faults[:5], *streamed.faults[:5]],
            "used": used,
            "pss_mb": {"before": memory, "after": memory_mb(self._product)},
            "account": account,
        }

    def fastest(self, seconds: float) -> dict[str, Any]:
        """Phase b."""
        before = self._product.status()
        watch, began = Watch(self._product), time.monotonic()
        end = self._fake.fire(None, seconds)
        samples: list[tuple[float, int]] = []

        def sample(stop: threading.Event) -> None:
            while not stop.wait(0.5):
                with suppress(OSError, AssertionError, KeyError):
                    samples.append((time.monotonic() - began, self._product.status()["counts"]["stored"]))

        with beside(sample):
            sent = end()
        used = watch.used()
        account = self.account(before, sent)
        all_stored_s = time.monotonic() - began
        start, stop = samples[len(samples) // 10], samples[-1]
        return {
            "sent": sent,
            "journaled_per_s": round((stop[1] - start[1]) / (stop[0] - start[0])),
            "sent_until_all_stored_per_s": round(sent["sent"] / all_stored_s),
            "used": used,
            "pss_mb": memory_mb(self._product),
            "account": account,
        }

    def asked(self, rate: float, each_s: float) -> dict[str, Any]:
        """Phase c."""
        before = self._product.status()
        end = self._fake.fire(rate, each_s * 2 * len(QUESTIONS) + 3)
        time.sleep(1.0)
        watch = Watch(self._product)
        answers = {
            f"{name}, {clients} client{'s' * (clients > 1)}": ask(self._product, path, clients, each_s)
            for name, path in QUESTIONS.items()
            for clients in (1, 8)
        }
        used = watch.used()
        sent = end()
        account = self.account(before, sent)
        journaled = self._journaled(sent)
        return {"sent": sent, "answers_ms": answers, "journaled_ms": journaled, "used": used, "account": account}

    def account(self, before: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        """Wait until all is stored, then hold what was sent against what is there."""
        wanted = before["counts"]["stored"] + sent["sent"]
        began = time.monotonic()
        with suppress(AssertionError):
            self._product.wait_until(
                lambda now: now["counts"]["stored"] >= wanted and now["counts"]["in_flight"] == 0,
                within_s=SETTLE_WITHIN_S,
            )
        settled_s = time.monotonic() - began
        now = self._product.status()
        found = self._sql(
            "SELECT count(*) AS rows, count(DISTINCT event_id) AS ids FROM events",
            sent,
        )
        account = {
            "sent": sent["sent"],
            "stored": now["counts"]["stored"] - before["counts"]["stored"],
            "found": found["rows"],
            "found_ids": found["ids"],
            "balance": now["counts"]["balance"],
            "quarantined": now["counts"]["quarantined"] - before["counts"]["quarantined"],
            "duplicate": now["counts"]["duplicate"] - before["counts"]["duplicate"],
            "resent": sum(source["flow"]["resent"] for source in now["sources"]),
            "gaps_open": now["gaps"]["open"],
            "connections": sent["connections"],
            "settled_s": round(settled_s, 1),
        }
        whole = sent["sent"] == account["stored"] == found["rows"] == found["ids"]
        clean = not (account["balance"] or account["gaps_open"] or account["quarantined"]) and sent["connections"] == 1
        return {"ok": whole and clean, **account}

    def _journaled(self, sent: dict[str, Any]) -> dict[str, Any]:
        age = "(epoch_us(journaled_at) - epoch_us(time_fired)) / 1000"
        parts = [f"round(quantile_cont({age}, {p / 100}), 1) AS p{p}" for p in (50, 95, 99)]
        return self._sql(
            f"SELECT {', '.join(parts)}, round(max({age}), 1) AS most, count(*) AS count FROM events", sent
        )

    def _sql(self, select: str, sent: dict[str, Any]) -> dict[str, Any]:
        archive = Archive(self._product.data_dir)
        span = f"epoch_us(time_fired) BETWEEN {sent['first_us']} AND {sent['last_us']}"
        rows = archive.sql(f"{select} WHERE {span} AND NOT backfilled").to_pylist()
        found: dict[str, Any] = rows[0]
        return found


def _title(process: psutil.Process) -> str:
    name = process.name()
    line = " ".join(" ".join(process.cmdline()).split())
    if line.startswith("ray::"):
        words = line.removeprefix("ray::").split(":")
        return ":".join(words[:2]).split(".")[0] if words[0] == "ServeReplica" else words[0].split(".")[0]
    if "ha-ingestor" in line and " run" in line and name != "haproxy":
        return "ha-ingestor run"
    for known in ("dashboard/agent", "dashboard/dashboard", "runtime_env/agent", "log_monitor", "monitor.py"):
        if known in line.replace("runtime_env_agent", "runtime_env/agent"):
            return f"Ray {known}"
    return name


def _busy_s() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)


def report(result: dict[str, Any]) -> None:
    """Print the short table."""

    def line(name: str, numbers: dict[str, Any], unit: str = "ms") -> None:
        shown = "".join(f"{numbers.get(p) if numbers.get(p) is not None else '-':>9}" for p in ("p50", "p95", "p99"))
        print(f"  {name:42}{shown}  {unit}  ({numbers.get('count')})")

    def end(phase: dict[str, Any]) -> None:
        used, account = phase["used"], phase["account"]
        parts = ", ".join(f"{name} {cores:.2f}" for name, cores in list(used["by_process"].items())[:9])
        print(f"  product {used['cores']:.2f} cores ({parts}); load, readers and others {used['cores_of_others']:.2f}")
        words = ", ".join(f"{name} {value}" for name, value in account.items() if name != "ok")
        print(f"  account {'holds' if account['ok'] else 'DOES NOT HOLD'}: {words}")

    print(f"{'':44}{'p50':>9}{'p95':>9}{'p99':>9}")
    if steady := result.get("steady"):
        sent = steady["sent"]
        print(f"a) {sent['sent'] / sent['seconds']:,.0f} events/s for {sent['seconds']} s (late {sent['late_ms']} ms)")
        line("arrival to journaled", steady["arrival_to_journaled_ms"])
        line("arrival to visible in GET events", steady["arrival_to_get_events_ms"])
        line("arrival to a live stream", steady["arrival_to_stream_ms"])
        print(f"  memory (PSS) {steady['pss_mb']['before']} MB before, {steady['pss_mb']['after']} MB after")
        end(steady)
    if fastest := result.get("fastest"):
        print(f"b) as fast as it is read: {fastest['journaled_per_s']:,} events/s journaled")
        print(f"  all stored: {fastest['sent_until_all_stored_per_s']:,} events/s; PSS {fastest['pss_mb']} MB")
        end(fastest)
    if asked := result.get("asked"):
        print(f"c) questions during {asked['sent']['sent'] / asked['sent']['seconds']:,.0f} events/s")
        for name, numbers in asked["answers_ms"].items():
            line(name, numbers, f"ms  {numbers['a_second']:>6}/s {' '.join(numbers['faults'])}")
        line("arrival to journaled meanwhile", asked["journaled_ms"])
        end(asked)


def main() -> int:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=10_000, help="events a second of phases a and c")
    parser.add_argument("--seconds", type=float, default=30, help="of phase a")
    parser.add_argument("--fastest-seconds", type=float, default=20, help="of phase b")
    parser.add_argument("--ask-seconds", type=float, default=5, help="of each question of phase c")
    parser.add_argument("--entities", type=int, default=3_000)
    parser.add_argument("--phases", default="abc", help="which, of abc")
    parser.add_argument("--no-dashboard", action="store_true", help="without Ray's dashboard")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "benchmarks" / "whole.json")
    parser.add_argument("--keep", type=Path, help="keep the product's data and log in this new folder")
    chosen = parser.parse_args()
    result: dict[str, Any] = {"arguments": {name: str(value) for name, value in vars(chosen).items()}}
    with tempfile.TemporaryDirectory(prefix="hai-bench-") as temporary, Fake(chosen.entities) as fake:
        directory = chosen.keep or Path(temporary)
        directory.mkdir(exist_ok=True)
        environment = {
            "HA_URL": fake.where["url"],
            "HA_TOKEN": fake.where["token"],
            "HA_INGESTOR_HISTORY__COMMIT_S": "30",
        }
        product = Product(directory, environment=environment, dashboard=not chosen.no_dashboard)
        try:
            result["start_s"] = round(product.start(), 1)
            product.wait_until(
                lambda now: now["counts"]["stored"] > chosen.entities and now["counts"]["in_flight"] == 0
            )
            time.sleep(3)
            bench = Bench(product, fake)
            if "a" in chosen.phases:
                result["steady"] = bench.steady(chosen.rate, chosen.seconds)
            if "b" in chosen.phases:
                result["fastest"] = bench.fastest(chosen.fastest_seconds)
            if "c" in chosen.phases:
                result["asked"] = bench.asked(chosen.rate, chosen.ask_seconds)
        finally:
            product.close()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1))
    report(result)
    print(f"written to {chosen.out}")
    return (
        0
        if all(phase["account"]["ok"] for phase in result.values() if isinstance(phase, dict) and "account" in phase)
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
