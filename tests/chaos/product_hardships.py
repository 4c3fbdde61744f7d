"""What a machine does to a program short of killing it: it freezes, starves, floods and stops it, and it comes back.

Each hardship is one function that takes the attack, does its worst under load, sees to it that it bit, and returns once
the load goes on. All of them work on one product whose data lies on a small disk of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import psutil

from actors.cluster import token_file
from ingestor.settings import Settings
from tests.chaos.product_attack import Attack, all_well
from tests.chaos.product_surfaces import Follower, judge_disk
from tests.support.product import Product

RATE: Final = 1_500.0
DISK_MB: Final = 600
DRAINS_WITHIN_S: Final = 20.0
LAST_CHECKS: Final = 0.15
STREAMS: Final = 12
ASKERS: Final = 25
FULL_S: Final = 5.0
STARVED_S: Final = 15.0
EXIT_REFUSED: Final = 2
EXIT_AT_ONCE: Final = 128 + signal.SIGTERM


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Do one hardship after the other, in an order drawn from the seed, again and again for so long."""
    done: dict[str, int] = {}
    with Attack(seed, rate=RATE, disk_mb=DISK_MB) as attack:
        deadline = time.monotonic() + seconds * (1 - LAST_CHECKS) - 20
        order = attack.nemesis.chance.sample(HARDSHIPS, len(HARDSHIPS))
        with attack.loaded():
            while time.monotonic() < deadline or not done:
                hardship = order[sum(done.values()) % len(order)]
                hardship(attack)
                attack.recover()
                done[hardship.__name__] = done.get(hardship.__name__, 0) + 1
        attack.judge_everything()
        return {**attack.found(), "hardships": done}


def a_shard_freezes(attack: Attack) -> None:
    """Stop a shard for some seconds and let it go on: a zombie that finds its place taken, or not."""
    attack.nemesis.freeze("ray::Shard", attack.nemesis.chance.uniform(5, 15))


def it_is_told_to_stop(attack: Attack) -> None:
    """SIGTERM under load: it drains in time, ends with 0, and the next start goes on."""
    began = time.monotonic()
    attack.product.signal(signal.SIGTERM)
    code = attack.product.wait(timeout_s=DRAINS_WITHIN_S * 3)
    took_s = time.monotonic() - began
    attack.nemesis.note("SIGTERM", "ha-ingestor", bit=True)
    if code or took_s > DRAINS_WITHIN_S:
        attack.complaints.append(f"SIGTERM under load: code {code} after {took_s:.1f} s")
    attack.judge(judge_disk(attack.product.data_dir, attack.ledger))
    attack.product.start()


def it_is_told_to_stop_at_once(attack: Attack) -> None:
    """SIGTERM twice: it ends without waiting, and nothing acknowledged is lost."""
    attack.product.signal(signal.SIGTERM)
    time.sleep(attack.nemesis.chance.uniform(0.05, 0.5))
    attack.product.signal(signal.SIGTERM)
    code = attack.product.wait(timeout_s=DRAINS_WITHIN_S)
    attack.nemesis.note("SIGTERM twice", "ha-ingestor", bit=True)
    if code not in {0, EXIT_AT_ONCE}:
        attack.complaints.append(f"SIGTERM twice: code {code}")
    attack.product.start()
    attack.recover()
    attack.look(0)


def a_second_program_starts(attack: Attack) -> None:
    """Start another on the same data: it is refused and says why, and the first does not notice."""
    second = Product(attack.directory, environment={"HA_INGESTOR_DATA_DIR": str(attack.product.data_dir)})
    answer = second.command("run")
    refused = answer.returncode == EXIT_REFUSED and "in use by another" in answer.stderr
    attack.nemesis.note("second program", "data_dir", bit=True)
    if not refused:
        attack.complaints.append(f"a second program: code {answer.returncode}, {answer.stderr[-300:]}")


def memory_runs_out(attack: Attack) -> None:
    """Forbid one process all further memory: it dies and is replaced, or goes on once it may again."""
    title = attack.nemesis.chance.choice(("ray::Shard", "ray::Historian", "ray::ServeReplica:questions"))
    victim = attack.product.named(title)[0]
    subprocess.run(["prlimit", f"--pid={victim.pid}", "--as=1048576"], check=True)
    with suppress(psutil.TimeoutExpired):
        victim.wait(timeout=STARVED_S)
    died = not victim.is_running()
    if not died:
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["prlimit", f"--pid={victim.pid}", "--as=unlimited"], check=True)
    attack.nemesis.note("no memory: it " + ("died" if died else "went on later"), title, bit=True)


def the_object_store_is_full(attack: Attack) -> None:
    """Fill Ray's shared memory from another program and hold it."""
    raylet = attack.product.named("raylet")[0].cmdline()
    address = next(word.split("=")[1] for word in raylet if word.startswith("--gcs-address="))
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file(Settings(data_dir=attack.product.data_dir))),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    answer = subprocess.run(
        [sys.executable, "-c", _FILL, address],
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    attack.nemesis.note("object store full", "raylet", bit="filled" in answer.stdout)
    if "filled" not in answer.stdout:
        attack.complaints.append(f"the object store could not be filled: {answer.stderr[-500:]}")


_FILL: Final = """
import sys, time
import numpy as np
import ray
ray.init(address=sys.argv[1], namespace="chaos", log_to_driver=False, logging_level="error")
held = [ray.put(np.ones(4_000_000, np.uint8)) for _ in range(80)]
store = ray.cluster_resources()["object_store_memory"]
if 80 * 4_000_000 > store:
    print("filled")
time.sleep(5)
"""


def the_disk_is_full(attack: Attack) -> None:
    """Take the last byte of the disk: nothing is acknowledged, 503 or 507 is told; freed, all goes on by itself."""
    filler = attack.product.data_dir / "filler"
    before = attack.load.answers.copy()
    acknowledged = attack.ledger.acknowledged
    try:
        _fill(filler)
        give_up_at = time.monotonic() + 30
        while not _told(attack, before) and time.monotonic() < give_up_at:
            time.sleep(0.1)
            _fill(filler)
        told = _told(attack, before)
        since = attack.ledger.acknowledged
        time.sleep(FULL_S)
    finally:
        filler.unlink(missing_ok=True)
    attack.nemesis.note(
        f"disk full, {since - acknowledged} acknowledged before it was told", "data_dir", bit=bool(told)
    )
    others = {code: count for code, count in (attack.load.answers - before).items() if code not in _HONEST}
    if others:
        attack.complaints.append(f"with a full disk the answers were {others}, and not 503 or 507")
    attack.recover()
    attack.product.wait_until(all_well, within_s=90, what="recovery from a full disk")


_HONEST: Final = frozenset({0, HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE})


def _told(attack: Attack, before: Any) -> int:
    news = attack.load.answers - before
    return int(news[HTTPStatus.SERVICE_UNAVAILABLE] + news[HTTPStatus.INSUFFICIENT_STORAGE])


def _fill(path: Path) -> None:
    """Grow the file until the disk has no byte left."""
    with path.open("ab") as file:
        for size in (1 << 24, 1 << 20, 1 << 16, 1 << 12):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)


def replicas_die_while_everybody_asks(attack: Attack) -> None:
    """Kill both Serve replicas with requests and streams open: streams resume without hole or repeat."""
    attack.load.settle()
    followers = [Follower(attack.product, attack.ledger.end) for _ in range(STREAMS)]
    for follower in followers:
        follower.wait_for_place()
    end = threading.Event()
    askers = [threading.Thread(target=_ask, args=(attack.product, end), daemon=True) for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    with attack.load.running():
        attack.load.wait_for_progress(2)
        for title in ("ray::ServeReplica:streams", "ray::ServeReplica:questions"):
            attack.nemesis.kill(title)
            attack.recover()
    with ThreadPoolExecutor(STREAMS) as pool:
        for verdict in pool.map(lambda follower: follower.judge(attack.ledger), followers):
            attack.judge(verdict)
    for follower in followers:
        if not follower.resumed:
            attack.complaints.append("void: a stream outlived its replica")
    end.set()
    for closes in [*(asker.join for asker in askers), *(follower.close for follower in followers)]:
        closes()
    attack.load.resume()


def _ask(product: Product, end: threading.Event) -> None:
    while not end.is_set():
        with suppress(OSError, AssertionError, ValueError):
            product.get("/api/v1/events", limit=100)
        end.wait(0.05)


HARDSHIPS: Final[tuple[Callable[[Attack], None], ...]] = (
    a_shard_freezes,
    it_is_told_to_stop,
    it_is_told_to_stop_at_once,
    a_second_program_starts,
    memory_runs_out,
    the_object_store_is_full,
    the_disk_is_full,
    replicas_die_while_everybody_asks,
)
