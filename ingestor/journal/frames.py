"""A frame is one batch of rows, whole or not at all: header, payload, check.

    header   magic, version, kind, payload bytes, rows, epoch, bytes of the same commit before this frame,
             first_seq, last_seq, tally, CRC32C of all that
    payload  Arrow IPC record batch message, buffers in lz4; its schema is known by the kind and not repeated
    trailer  CRC32C of the payload, continued from the header's; end magic

The trailer's CRC goes on from the header's, so a payload cannot pass under another frame's header. Lengths are
multiples of eight. All numbers are little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import Enum
from functools import cache
from typing import Final

import google_crc32c
import pyarrow as pa

from ingestor.errors import JournalError
from ingestor.event import QUARANTINE_SCHEMA, SCHEMA

FRAME_VERSION: Final = 1
MAGIC: Final = b"HAJF"
END_MAGIC: Final = b"FJAH"
KIND_TALLY: Final = 101  # no rows: counts that changed without a row being written

_HEADER = struct.Struct("<4sBBHIIIQQQ5Q")
_CRC = struct.Struct("<I")
_TRAILER = struct.Struct("<I4s")
HEADER_BYTES: Final = _HEADER.size + _CRC.size
TRAILER_BYTES: Final = _TRAILER.size
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class FrameKind(Enum):
    """What the rows of a frame are."""

    EVENTS = 1
    QUARANTINED = 2


_SCHEMAS: Final = {FrameKind.EVENTS: SCHEMA, FrameKind.QUARANTINED: QUARANTINE_SCHEMA}
_SCHEMA_MESSAGES: Final = {kind: schema.serialize().to_pybytes() for kind, schema in _SCHEMAS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one shard since its first day, as of some moment."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One committed batch of rows. ``payload`` was checked against its CRC; ``batch`` decodes it."""

    shard: int
    epoch: int
    kind: FrameKind
    first_seq: int
    last_seq: int
    rows: int
    payload: bytes

    def batch(self, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Decode the rows, or only these columns of them, at a tenth of the cost."""
        return decode(self.kind, self.payload, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A frame's header, checked. ``group_bytes``: bytes of the same commit that stand before the frame."""

    kind: int
    payload_bytes: int
    rows: int
    epoch: int
    group_bytes: int
    first_seq: int
    last_seq: int
    tally: Tally
    crc: int

    @property
    def frame_bytes(self) -> int:
        """Length of the whole frame."""
        return HEADER_BYTES + self.payload_bytes + TRAILER_BYTES


class BadFrame(Exception):
    """These bytes are no frame. The message says in what."""


def decode(kind: FrameKind, payload: bytes, columns: Sequence[str] | None = None) -> pa.RecordBatch:
    """Decode a frame's payload, or only these columns, which come in the schema's order."""
    if columns is None:
        return pa.ipc.read_record_batch(pa.py_buffer(payload), _SCHEMAS[kind])
    return pa.ipc.open_stream(_SCHEMA_MESSAGES[kind] + payload, options=_only(kind, tuple(columns))).read_next_batch()


def decode_all(kind: FrameKind, payloads: Sequence[bytes], columns: Sequence[str]) -> pa.Table:
    """Decode these columns of many frames, one chunk a frame. The schema is looked at once for all of them."""
    stream = b"".join((_SCHEMA_MESSAGES[kind], *payloads))
    return pa.ipc.open_stream(stream, options=_only(kind, tuple(columns))).read_all()


@cache
def _only(kind: FrameKind, columns: tuple[str, ...]) -> pa.ipc.IpcReadOptions:
    wanted = sorted(_SCHEMAS[kind].get_field_index(name) for name in columns)
    return pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)


def encode(kind: FrameKind, batch: pa.RecordBatch) -> bytes:
    """Encode rows as a payload. Raises ``JournalError`` when the batch has another schema than the kind's."""
    sink = pa.BufferOutputStream()
    try:
        pa.ipc.new_stream(sink, _SCHEMAS[kind], options=_OPTIONS).write_batch(batch)
    except pa.ArrowInvalid as error:
        raise JournalError(f"frame of {kind.name.lower()}", f"the rows cannot be encoded: {error}") from None
    payload: bytes = sink.getvalue()[len(_SCHEMA_MESSAGES[kind]) :].to_pybytes()
    return payload


def build(
    kind: int,
    payload: bytes,
    *,
    rows: int,
    epoch: int,
    group_bytes: int,
    first_seq: int,
    last_seq: int,
    tally: Tally,
) -> bytes:
    """Put a frame together."""
    fields = _HEADER.pack(
        MAGIC,
        FRAME_VERSION,
        kind,
        0,
        len(payload),
        rows,
        epoch,
        group_bytes,
        first_seq,
        last_seq,
        *astuple(tally),
    )
    crc = google_crc32c.value(fields)
    trailer = _TRAILER.pack(google_crc32c.extend(crc, payload), END_MAGIC)
    return b"".join((fields, _CRC.pack(crc), payload, trailer))


def parse_header(data: bytes, at: int = 0) -> Header:
    """Read and check the header that begins at ``data[at]``. Raises ``BadFrame``.

    Raises ``JournalError`` for a whole one of a newer format: that is no damage, and nothing of it may be cut off.
    """
    fields = data[at : at + _HEADER.size]
    check = data[at + _HEADER.size : at + HEADER_BYTES]
    if len(check) < _CRC.size:
        raise BadFrame("the header is cut off")
    (crc,) = _CRC.unpack(check)
    if fields[:4] != MAGIC or google_crc32c.value(fields) != crc:
        raise BadFrame("the header does not match its checksum")
    _, version, kind, _, payload_bytes, rows, epoch, group_bytes, first_seq, last_seq, *tally = _HEADER.unpack(fields)
    if version > FRAME_VERSION:
        raise JournalError(
            "a journal frame", f"was written by a newer version (format {version}). Install that version again"
        )
    return Header(
        kind=kind,
        payload_bytes=payload_bytes,
        rows=rows,
        epoch=epoch,
        group_bytes=group_bytes,
        first_seq=first_seq,
        last_seq=last_seq,
        tally=Tally(**dict(zip(Tally.__slots__, tally, strict=True))),
        crc=crc,
    )


def parse_payload(header: Header, data: bytes, at: int = 0) -> bytes:
    """Return the checked payload of the frame that begins at ``data[at]``. Raises ``BadFrame``."""
    begin = at + HEADER_BYTES
    end = begin + header.payload_bytes
    payload, trailer = data[begin:end], data[end : end + TRAILER_BYTES]
    if len(trailer) < TRAILER_BYTES:
        raise BadFrame("the payload is cut off")
    if _TRAILER.unpack(trailer) != (google_crc32c.extend(header.crc, payload), END_MAGIC):
        raise BadFrame("the payload does not match its checksum")
    return payload


def is_absent(data: bytes) -> bool:
    """Tell whether the frame that should begin ``data``, the rest of a file, was never wholly written.

    That is how a power cut leaves a file: it ends too early, or nothing but zeros follows. Other bytes are damage.
    """
    content_bytes = len(data.rstrip(b"\0"))
    try:
        return content_bytes < parse_header(data).frame_bytes
    except BadFrame:
        return content_bytes < HEADER_BYTES
