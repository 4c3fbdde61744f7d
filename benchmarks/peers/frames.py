"""The input that all peers read: recorded frames of a real Home Assistant, played again and again with fresh times.

Each round moves all times on by the length of the recording and gives every context a new id, so nothing of it is a
repeat but the one frame in a hundred that is written twice on purpose. What a hostile test made the recorded home say
(``weird_...``) is left out. One frame a line, as Home Assistant sends it.
"""

from __future__ import annotations

import json
import random
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import zstandard

RECORDED: Final = Path(__file__).parents[2] / "tests/fixtures/frames/2025.4.4/A_all.frames.ndjson.zst"
REPEATED_EVERY: Final = 100
#: Where the second copy of a frame stands behind the first.
REPEATED_AFTER: Final = 500
_TIME = re.compile(rb'"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00)"')
_CONTEXT = re.compile(rb'"([0-7][0-9A-HJKMNP-TV-Z]{25})"')
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Where frames and places are; ``distinct`` of the ``frames`` are no repeats."""

    frames_path: Path
    places_path: Path
    frames: int
    distinct: int
    frame_bytes: float


def make(folder: Path, *, frames: int, now: datetime, seed: int = 7) -> Input:
    """Write ``frames.ndjson``, which ends at ``now``, and ``places.json``: entity -> where it belongs."""
    lines = _recorded()
    rng = random.Random(seed)  # noqa: S311 - makes ids, guards nothing
    frames_path, places_path = folder / "frames.ndjson", folder / "places.json"
    written = distinct = size_bytes = 0
    behind: deque[bytes] = deque()
    with frames_path.open("wb") as file:
        for line in _fresh(lines, now, rounds=-(-frames // len(lines)), rng=rng):
            if written >= frames:
                break
            behind.append(line)
            repeated = [behind.popleft()] if len(behind) > REPEATED_AFTER else []
            for copy in (line, *(repeated if distinct % REPEATED_EVERY == 0 else ())):
                file.write(copy + b"\n")
                size_bytes += len(copy)
                written += 1
            distinct += 1
    places_path.write_text(json.dumps(_places(lines)), encoding="utf-8")
    return Input(
        frames_path=frames_path,
        places_path=places_path,
        frames=written,
        distinct=distinct,
        frame_bytes=size_bytes / written,
    )


def _recorded() -> list[bytes]:
    with RECORDED.open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
    return [line for line in lines if _is_usual(orjson.loads(line))]


def _is_usual(frame: dict[str, Any]) -> bool:
    return frame["type"] == "event" and not frame["event"]["event_type"].startswith(("weird", "xxx"))


def _fresh(lines: list[bytes], now: datetime, *, rounds: int, rng: random.Random) -> Iterator[bytes]:
    times = sorted(orjson.loads(line)["event"]["time_fired"] for line in lines)
    first, last = datetime.fromisoformat(times[0]), datetime.fromisoformat(times[-1])
    length = last - first + timedelta(milliseconds=10)
    for number in range(rounds):
        forward = now - last - length * (rounds - 1 - number)
        ids: dict[bytes, bytes] = {}

        def moved(found: re.Match[bytes], forward: timedelta = forward) -> bytes:
            moment = datetime.fromisoformat(found[1].decode()) + forward
            return b'"%s"' % moment.isoformat(timespec="microseconds").encode()

        def renamed(found: re.Match[bytes], ids: dict[bytes, bytes] = ids, forward: timedelta = forward) -> bytes:
            if found[1] not in ids:
                ids[found[1]] = _ulid(found[1].decode(), forward, rng)
            return b'"%s"' % ids[found[1]]

        for line in lines:
            yield _CONTEXT.sub(renamed, _TIME.sub(moved, line))


def _ulid(old: str, forward: timedelta, rng: random.Random) -> bytes:
    """Make the id of a context as Home Assistant does: 48 bits of milliseconds, 80 by chance."""
    number = 0
    for letter in old[:10]:
        number = number * 32 + _LETTERS.index(letter)
    number = (number + forward // timedelta(milliseconds=1)) << 80 | rng.getrandbits(80)
    return "".join(_LETTERS[number >> shift & 31] for shift in range(125, -1, -5)).encode()


def _places(lines: list[bytes]) -> dict[str, dict[str, str]]:
    found = {
        frame["event"]["data"]["entity_id"]
        for frame in map(orjson.loads, lines)
        if frame["event"]["event_type"] == "state_changed"
    }
    return {
        entity_id: {
            "device_id": f"d{number % 80}",
            "area_id": f"a{number % 12}",
            "floor_id": f"f{number % 3}",
            "integration": "demo",
            **({"measure": "temperature"} if number % 8 == 0 else {}),
        }
        for number, entity_id in enumerate(sorted(found))
    }
