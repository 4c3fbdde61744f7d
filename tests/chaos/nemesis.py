"""Breaks the running product, by a schedule that follows from a seed, and writes down what it did and whether it bit.

Every stroke is at one process of the product, or at all: ``kill`` at a random moment, ``kill_at`` as the process enters
a system call (strace sends the signal), ``freeze``. A stroke that found no victim, or whose victim outlived it, did
not bite. What is drawn depends on the seed alone, so the same seed strikes in the same order.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from tests.chaos.report import revision
from tests.support.product import Product

#: How long a process may take to come to the system call at which it shall die.
BITES_WITHIN_S: Final = 20.0
GONE_WITHIN_S: Final = 10.0

#: How often a second one is killed before the first is back.
PAIRS: Final = 0.3

#: Whom one may kill and the product goes on, and how often each is chosen.
VICTIMS: Final[dict[str, int]] = {
    "ray::Shard": 20,
    "ray::Historian": 5,
    "ray::Graph": 2,
    "ray::Hub": 2,
    "ray::Lane": 3,
    "ray::Source": 2,
    "ray::Supervisor": 1,
    "ray::ServeReplica:questions": 2,
    "ray::ServeReplica:streams": 2,
    "ray::ServeController": 1,
    "haproxy": 1,
}
#: System calls on the way of an event: what a shard writes and answers with, what the Historian commits with.
#: A thread's calls are counted, and the Historian's go round its threads, so it is struck at the first or second.
SHARD_CALLS: Final = ("pwrite64", "fdatasync", "sendmsg", "openat", "futex")
HISTORIAN_CALLS: Final = ("write", "fsync", "rename", "openat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """One deed: when, what, at whom, whether it took effect, and how long until the load went on."""

    at_s: float
    what: str
    victim: str
    pid: int
    bit: bool
    recovered_s: float | None = None


class Nemesis:
    """Strikes at one product. ``strokes`` is the timeline."""

    def __init__(self, product: Product, seed: int) -> None:
        self._product = product
        self.seed = seed
        self.chance = random.Random(seed)  # noqa: S311 - a schedule to be repeated, not a secret
        self.strokes: list[Stroke] = []
        self._began = time.monotonic()

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(stroke.bit for stroke in self.strokes if stroke.what.startswith("kill"))

    def strike(self) -> None:
        """Choose a victim and a way, and strike; sometimes at two at once."""
        pair = self.chance.random() < PAIRS
        self._strike_one()
        if pair:
            self.kill(self._choose())

    def _strike_one(self) -> Stroke:
        title = self._choose()
        calls = {"ray::Shard": SHARD_CALLS, "ray::Historian": HISTORIAN_CALLS}.get(title)
        at_a_call = self.chance.random() < 0.4
        call, nth = self.chance.choice(calls or ("",)), self.chance.randint(1, 8)
        nth = nth if title == "ray::Shard" else 1 + nth % 2
        pause_s = self.chance.uniform(0.0, 0.5)
        if calls and at_a_call:
            return self.kill_at(title, call, nth)
        time.sleep(pause_s)
        return self.kill(title)

    def _choose(self) -> str:
        return self.chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]

    def kill(self, title: str) -> Stroke:
        """Kill -9 one process with this title, now."""
        victim = self._one(title)
        if victim is not None:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        return self._note("kill", title, victim)

    def kill_at(self, title: str, call: str, nth: int) -> Stroke:
        """Kill -9 one process with this title as one of its threads enters this system call for the nth time."""
        victim = self._one(title)
        what = f"kill at {call} {nth}"
        if victim is None:
            return self._note(what, title, None)
        rule = f"inject={call}:signal=SIGKILL:when={nth}"
        tracer = subprocess.Popen(
            [strace(), "-f", "-qq", "-p", str(victim.pid), "-e", f"trace={call}", "-e", rule, "-o", "/dev/null"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with suppress(psutil.TimeoutExpired):
                victim.wait(timeout=BITES_WITHIN_S)
        finally:
            tracer.send_signal(signal.SIGINT)
            try:
                tracer.wait(timeout=5)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.wait()
        return self._note(what, title, victim)

    def freeze(self, title: str, seconds: float) -> Stroke:
        """Stop one process with this title for so long (SIGSTOP), then let it go on."""
        victim = self._one(title)
        if victim is None:
            return self._note(f"freeze {seconds:.1f} s", title, None)
        began = time.monotonic()
        stood = False
        with suppress(psutil.NoSuchProcess):
            victim.suspend()
            while time.monotonic() - began < seconds and victim.is_running():
                stood = stood or victim.status() == psutil.STATUS_STOPPED
                time.sleep(0.05)
            victim.resume()
        return self._write(f"freeze {seconds:.1f} s", title, victim.pid, bit=stood)

    def kill_everything(self) -> None:
        """Kill -9 every process of the product in one moment: one kill, however many they were."""
        count = self._product.kill_all()
        self._write("kill all at once", f"everything: {count} processes", 0, bit=count > 1)

    def note(self, what: str, victim: str, *, bit: bool) -> None:
        """Write down what was done by other means."""
        self._write(what, victim, 0, bit=bit)

    def recovered(self, seconds: float) -> None:
        """Note how long it took after the last stroke until the load went on."""
        self.strokes[-1] = replace(self.strokes[-1], recovered_s=round(seconds, 2))

    def unbitten(self) -> list[str]:
        """Tell of each way to strike that never took effect: such a run proves nothing about it."""
        tried, bit = Counter(map(_way, self.strokes)), Counter(_way(stroke) for stroke in self.strokes if stroke.bit)
        return [f"{way} was tried {count} times and never took effect" for way, count in tried.items() if not bit[way]]

    def write(self, path: Path) -> None:
        """Write seed, commit and timeline."""
        told = {"seed": self.seed, "commit": revision(), "timeline": [asdict(stroke) for stroke in self.strokes]}
        path.write_text(json.dumps(told, indent=1), encoding="utf-8")

    def _one(self, title: str) -> psutil.Process | None:
        """Choose one process with this title. A restart takes a while, so wait for it."""
        choice = self.chance.random()
        give_up_at = time.monotonic() + BITES_WITHIN_S
        while True:
            found = sorted(self._product.named(title), key=lambda each: " ".join(each.cmdline()))
            if found:
                return found[int(choice * len(found))]
            if time.monotonic() > give_up_at:
                return None
            time.sleep(0.05)

    def _note(self, what: str, title: str, victim: psutil.Process | None) -> Stroke:
        """Write a kill down, once it is known whether the victim is gone."""
        if victim is None:
            return self._write(what, title, 0, bit=False)
        _, alive = psutil.wait_procs([victim], timeout=GONE_WITHIN_S if what == "kill" else 0.5)
        return self._write(what, title, victim.pid, bit=not alive)

    def _write(self, what: str, title: str, pid: int, *, bit: bool) -> Stroke:
        at_s = round(time.monotonic() - self._began, 3)
        stroke = Stroke(at_s=at_s, what=what, victim=title, pid=pid, bit=bit)
        self.strokes.append(stroke)
        return stroke


def _way(stroke: Stroke) -> str:
    return " ".join(word for word in f"{stroke.what} {stroke.victim}".split() if not word[0].isdigit())


def strace() -> str:
    """Find strace. Raises ``RuntimeError`` with the next step where there is none."""
    found = shutil.which("strace")
    if found is None:
        raise RuntimeError("strace is not installed: run `python -m tests.chaos.tools`, or `apt-get install strace`")
    return found
