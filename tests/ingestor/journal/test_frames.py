"""A frame gives back exactly what went in, or nothing."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pytest
import zstandard

from ingestor.errors import JournalError
from ingestor.event import QUARANTINE_SCHEMA
from ingestor.journal import FrameKind, Tally, decode
from ingestor.journal.frames import BadFrame, build, encode, parse_header, parse_payload
from tests.support.rows import START_US, make_events, make_quarantined

FRAMES = Path(__file__).parents[2] / "fixtures" / "frames"
TALLY = Tally(received=9, stored=5, duplicate=2, quarantined=1, conflicts=1)


@pytest.mark.parametrize("rows", [1, 2, 500])
def test_events_come_back_equal(rows: int) -> None:
    """Every column of the event schema survives."""
    batch = make_events(rows)
    assert decode(FrameKind.EVENTS, encode(FrameKind.EVENTS, batch)).equals(batch, check_metadata=True)


@pytest.mark.parametrize("version", ["2024.3.3", "2025.4.4"])
def test_recorded_frames_come_back_byte_for_byte(version: str) -> None:
    """What a real Home Assistant sent, taken as raw bytes, is kept as it was."""
    packed = (FRAMES / version / "A_all.frames.ndjson.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()[:400]
    rows = [
        {**row, "raw": line}
        for row, line in zip(make_quarantined(len(lines)).to_pylist(), lines, strict=True)
        if orjson.loads(line)
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=QUARANTINE_SCHEMA)
    payload = encode(FrameKind.QUARANTINED, batch)
    assert decode(FrameKind.QUARANTINED, payload).column("raw").to_pylist() == lines
    assert len(payload) < sum(map(len, lines))


def test_a_frame_tells_what_it_holds() -> None:
    """Header and payload are read back; lengths are multiples of eight."""
    frame = _frame()
    header = parse_header(frame)
    assert (header.rows, header.epoch, header.group_bytes) == (3, 4, 80)
    assert (header.first_seq, header.last_seq, header.tally) == (10, 12, TALLY)
    assert header.frame_bytes == len(frame)
    assert len(frame) % 8 == 0
    assert decode(FrameKind.QUARANTINED, parse_payload(header, frame)).equals(make_quarantined(3))


def test_every_flipped_bit_is_found() -> None:
    """No single bit of a frame can change unnoticed."""
    frame = _frame()
    for at in range(len(frame)):
        for bit in range(8):
            broken = bytearray(frame)
            broken[at] ^= 1 << bit
            with pytest.raises(BadFrame):
                parse_payload(parse_header(bytes(broken)), bytes(broken))


def test_a_payload_under_another_header_is_found() -> None:
    """A payload and its check, moved under the header of a frame of the same length, do not pass."""
    one, other = _frame(first_seq=10), _frame(first_seq=11)
    mixed = other[:88] + one[88:]
    with pytest.raises(BadFrame, match="payload does not match"):
        parse_payload(parse_header(mixed), mixed)


def test_rows_of_another_schema_are_refused() -> None:
    """The schema is not in the frame, so rows have to be of the kind's."""
    with pytest.raises(JournalError, match="frame of events"):
        encode(FrameKind.EVENTS, make_quarantined(1))


def test_rows_are_the_same_each_time() -> None:
    """The shared test rows depend on their arguments only and are valid."""
    batch = make_events(60, first_seq=7, entities=5, step_us=1_000, home="cabin")
    batch.validate(full=True)
    assert batch.equals(make_events(60, first_seq=7, entities=5, step_us=1_000, home="cabin"))
    assert batch.column("seq").to_pylist() == list(range(7, 67))
    assert len(set(batch.column("entity_id").to_pylist())) == 5
    assert len(set(batch.column("event_id").to_pylist())) == 60
    assert batch.column("time_fired").cast(pa.int64())[1].as_py() == START_US + 1_000


def _frame(first_seq: int = 10) -> bytes:
    return build(
        FrameKind.QUARANTINED.value,
        encode(FrameKind.QUARANTINED, make_quarantined(3)),
        rows=3,
        epoch=4,
        group_bytes=80,
        first_seq=first_seq,
        last_seq=first_seq + 2,
        tally=TALLY,
    )
