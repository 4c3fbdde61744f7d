"""The replay source against the recorded frames and against files that are torn, damaged or strange."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from ingestor.errors import SourceError
from ingestor.sources.base import Batch
from ingestor.sources.replay import Progress, ReplaySource, read_events

FRAMES = Path(__file__).parents[2] / "fixtures" / "frames"
RECORDED = sorted(FRAMES.glob("*/[AB]_*.frames.ndjson.zst"))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def _plain(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()


def _event(second: float, **more: object) -> bytes:
    fired = f"2026-11-24T06:00:{second:09.6f}+00:00"
    return json.dumps({"event_type": "x", "data": more, "time_fired": fired}).encode()


async def _gather(source: ReplaySource, events: list[bytes]) -> None:
    async for item in source.items():
        assert isinstance(item, Batch)
        events += item.events


async def _played(source: ReplaySource) -> list[Batch]:
    return [item async for item in source.items() if isinstance(item, Batch)]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.name[0]}")
async def test_replay_equals_a_plain_reading(path: Path) -> None:
    """What the source gives is, event for event and in order, what a plain JSON reading of the frames finds."""
    text = _plain(path)
    frames = [json.loads(line) for line in text.splitlines()]
    flat = [frame for line in frames for frame in (line if isinstance(line, list) else [line])]
    expected = [frame["event"] for frame in flat if frame["type"] == "event"]
    source = ReplaySource(path, home="h")
    batches = await _played(source)
    events = [event for batch in batches for event in batch.events]
    assert [json.loads(event) for event in events] == expected
    assert all(event in text for event in events[::50]), "the bytes are those of the file"
    assert source.progress.skipped == len(flat) - len(expected) > 0
    assert source.progress.events == len(events) > 6000
    assert source.progress.read_bytes == source.progress.total_bytes == len(path.read_bytes())  # noqa: ASYNC240 - a small fixture
    assert all(len(batch.events) <= 2000 and batch.backfilled and batch.home == "h" for batch in batches)


def test_packed_and_plain_files_give_the_same(tmp_path: Path) -> None:
    """Plain, gzip and zstd of one text, even of several members, give the same events."""
    text = _plain(RECORDED[0])
    cut = text.index(b"\n", len(text) // 2) + 1
    pack = zstandard.ZstdCompressor().compress
    kinds = {
        "plain": text,
        "gzip": gzip.compress(text[:cut]) + gzip.compress(text[cut:]),
        "zstd": pack(text[: cut + 7]) + pack(text[cut + 7 :]),
    }
    found = {}
    for name, content in kinds.items():
        (tmp_path / name).write_bytes(content)
        found[name] = list(read_events(tmp_path / name))
    assert found["plain"] == found["gzip"] == found["zstd"]


@pytest.mark.parametrize("pack", [zstandard.ZstdCompressor().compress, gzip.compress])
async def test_torn_end_gives_all_whole_lines_then_an_error(tmp_path: Path, pack: object) -> None:
    """A packed file cut off anywhere yields a prefix of its lines and then says so; it never ends in silence."""
    lines = [_event(n % 60, n=n, noise=f"{n * 7919 % 10007:x}") for n in range(20_000)]
    whole = pack(b"\n".join(lines) + b"\n")  # type: ignore[operator]  # one of the two packers above
    for share in (0.999, 0.6, 0.2):
        torn = tmp_path / f"torn-{share}"
        torn.write_bytes(whole[: int(len(whole) * share)])
        source = ReplaySource(torn, home="h")
        events: list[bytes] = []
        with pytest.raises(SourceError, match="ends too early"):
            await _gather(source, events)
        assert events == lines[: len(events)]
        assert source.health.state == "stopped"
        if share > 0.5:
            assert events


def test_damaged_file_is_an_error(tmp_path: Path) -> None:
    """Flipped bytes within a packed file raise, naming the file."""
    packed = bytearray(RECORDED[0].read_bytes())
    packed[len(packed) // 2 : len(packed) // 2 + 64] = bytes(64)
    path = tmp_path / "damaged.zst"
    path.write_bytes(bytes(packed))
    with pytest.raises(SourceError, match=r"damaged\.zst"):
        list(read_events(path))


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(SourceError, match=r"nothing: cannot be read"):
        list(read_events(tmp_path / "nothing"))


def test_broken_lines_are_passed_on_as_they_are(tmp_path: Path) -> None:
    """What is no JSON reaches the consumer byte for byte, and its neighbours are unhurt."""
    good, frame = _event(1), b'{"type":"event","event":%s,"id":1}' % _event(2)
    strange = [b'{"type":"event","event":{"event_type', b"\xff\xfe\x00", b'{"event_type":"x","data":{"v":NaN}}', b"[1,"]
    skipped = [b'{"type":"result","success":true,"id":1,"result":null}', b'{"id":2,"type":"event","event":{"a":{}}}']
    lines = [good, *strange, b"", *skipped, b"[%s,%s]" % (frame, skipped[0]), frame]
    path = tmp_path / "mixed.ndjson"
    path.write_bytes(b"\r\n".join(lines))
    progress = Progress()
    assert list(read_events(path, progress)) == [good, *strange, _event(2), _event(2)]
    assert progress.skipped == 3


async def test_speed_keeps_the_gaps(tmp_path: Path) -> None:
    """With a speed, an event comes as long after the first as it happened, divided by the speed."""
    path = tmp_path / "gaps.ndjson"
    path.write_bytes(b"\n".join([_event(0), _event(0), _event(10), b"no json", _event(5), _event(40)]))
    clock = Clock()
    source = ReplaySource(path, home="h", speed=10, clock=clock, ticks=clock, sleep=clock.sleep)
    batches = await _played(source)
    assert [(round(batch.received_at_us / 1e6 - 1000, 3), len(batch.events)) for batch in batches] == [
        (0, 2),
        (1, 3),
        (4, 1),
    ]


async def test_stop_ends_even_a_long_wait(tmp_path: Path) -> None:
    """Stopping within a gap ends the items soon and yields nothing from after the gap."""
    path = tmp_path / "gap.ndjson"
    path.write_bytes(_event(0) + b"\n" + _event(59))
    clock = Clock()
    source = ReplaySource(path, home="h", speed=0.01, clock=clock, ticks=clock, sleep=clock.sleep)
    items = source.items()
    first = await anext(items)
    assert isinstance(first, Batch)
    await source.stop()
    assert [item async for item in items] == []
    assert source.health.state == "stopped"
    assert sum(clock.slept) < 1
