"""Every event of recorded frames comes out once, in order, exact to the byte."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from ingestor.sources.base import Batch
from ingestor.sources.homeassistant.frames import Message, cut
from tests.ingestor.sources.watching import source_of, watched
from tests.support.fake_home import VERSIONS, FakeHome, recorded_lines


class _Event(msgspec.Struct):
    type: str
    event: msgspec.Raw = msgspec.Raw()


def events_in(frames: list[bytes]) -> list[bytes]:
    """Cut recorded frames the plain way: whole-frame decoding into raw values."""
    found = []
    for frame in frames:
        texts = msgspec.json.decode(frame, type=list[msgspec.Raw]) if frame.startswith(b"[") else [frame]
        messages = [msgspec.json.decode(text, type=_Event) for text in texts]
        found += [bytes(each.event) for each in messages if each.type == "event"]
    return found


def event_frames(version: str, name: str) -> list[bytes]:
    """Return the recorded frames that carry events."""
    return [line for line in recorded_lines(version, f"{name}.frames.ndjson") if b'"type":"event"' in line]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["A_all", "B_coalesced"])
async def test_every_recorded_event_comes_out_once_in_order_and_byte_for_byte(version: str, name: str) -> None:
    """What Home Assistant sent is what the batches hold, whether it coalesced or not."""
    frames = event_frames(version, name)
    expected = events_in(frames)
    assert len(expected) > 6_000
    async with FakeHome(version=version) as home, watched(source_of(home)) as watch:
        await watch.ready()
        await home.send_frames(frames)
        await watch.until(lambda: len(watch.events()) >= len(expected), timeout_s=15)
    assert watch.events() == expected
    assert max(len(batch.events) for batch in watch.all(Batch)) <= 2_000


async def test_a_lonely_event_waits_no_longer_than_its_batch_may_be_old() -> None:
    """One event and then silence: its batch is closed by age."""
    async with FakeHome() as home, watched(source_of(home)) as watch:
        await watch.ready()
        began_s = asyncio.get_running_loop().time()
        home.emit([b'{"event_type":"ping_me","data":{}}'])
        await watch.until(lambda: watch.events() == [b'{"event_type":"ping_me","data":{}}'])
        assert asyncio.get_running_loop().time() - began_s < 0.5


async def test_batches_end_at_their_number_of_events() -> None:
    """A burst is cut into batches of the size asked for."""
    burst: list[bytes | dict[str, Any]] = [b'{"event_type":"n","data":{"n":%d}}' % n for n in range(250)]
    async with FakeHome() as home, watched(source_of(home, batch_events=100, batch_ms=2_000)) as watch:
        await watch.ready()
        home.emit(burst)
        await watch.until(lambda: len(watch.events()) == 200)
        assert [len(batch.events) for batch in watch.all(Batch)] == [100, 100]
    assert watch.events() == burst


async def test_what_is_not_json_is_passed_on_as_it_is() -> None:
    """A broken frame becomes one event with its bytes, and the frames around it suffer nothing."""
    good = b'{"type":"event","event":{"event_type":"x","data":{}},"id":2}'
    async with FakeHome() as home, watched(source_of(home)) as watch:
        await watch.ready()
        await home.send_frames([good, b'{"type":"event","event":{"event_ty', b"\xff\xfe", good])
        await watch.until(lambda: len(watch.events()) == 4)
    assert watch.events()[1:3] == [b'{"type":"event","event":{"event_ty', b"\xff\xfe"]


@pytest.mark.parametrize("odd", [rb'{"x":NaN}', rb'{"x":"\ud800"}', b'{"x":"\xff"}', b"[1, Infinity]"])
def test_a_neighbour_strict_json_forbids_costs_the_others_nothing(odd: bytes) -> None:
    """In a coalesced frame only the odd message is odd, and its event keeps its exact bytes."""
    good = b'{"type":"event","event":{"n": 1.00},"id":2}'
    pieces = cut(b"[" + good + b' , {"type":"event", "event": ' + odd + b',"id":2},' + good + b"]")
    assert [bytes(piece.event) for piece in pieces if isinstance(piece, Message)] == [
        b'{"n": 1.00}',
        odd,
        b'{"n": 1.00}',
    ]


def test_of_a_torn_array_what_is_whole_is_cut_and_the_rest_is_kept() -> None:
    """Nothing that arrived is dropped, even of a frame that ends in the middle."""
    good = b'{"type":"event","event":{"n":1},"id":2}'
    pieces = cut(b"[" + good + b"," + good[:20])
    assert isinstance(pieces[0], Message)
    assert bytes(pieces[0].event) == b'{"n":1}'
    assert pieces[1] == good[:20]


@pytest.mark.parametrize("junk", [b"", b"[", b"null", b"[[[", b'{"id":"seven"}', b"[" * 100_000])
def test_junk_is_kept_whatever_it_is(junk: bytes) -> None:
    """No frame makes the cutter fail."""
    assert b"".join(piece for piece in cut(junk) if isinstance(piece, bytes)) in {junk, junk[1:]}
