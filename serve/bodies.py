"""Unpack and cut a request body into events. Nothing here trusts a length, a name or a nesting that a client gives.

A body is one JSON object, a JSON array, or NDJSON; plain, gzip or zstd. Its events are given on as the bytes they are:
one that is broken or nests too deep is for the quarantine. Only a body that cannot be cut at all is refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import msgspec
import zstandard

from .status import TooLarge, UnreadableBody, UnsupportedType

UNPACKED_BYTES = 32 * 1024 * 1024
RATIO = 100
RATIO_FROM_BYTES = 1024 * 1024
WINDOW_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_ZSTD_STEP_BYTES = 512

_JSON = "application/json"
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_VALUE = msgspec.json.Decoder(msgspec.Raw)


def check_headers(content_type: str, coding: str) -> None:
    """Refuse, before a byte is read, what could not be read. Raises ``UnsupportedType``."""
    kind = _kind(content_type)
    if kind != _JSON and kind not in _NDJSON:
        raise UnsupportedType(
            f"Content-Type {kind or '(none)'} is not read here",
            "Send -H 'Content-Type: application/json' (one event or an array) or application/x-ndjson",
        )
    charset = re.search(r"charset=\"?([\w-]+)", content_type, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        raise UnsupportedType(f"charset {charset[1]} is not read here", "Send UTF-8")
    if coding.strip().lower() not in ("", "identity", "gzip", "x-gzip", "zstd"):
        raise UnsupportedType(
            f"Content-Encoding {coding} is not read here", "Send it plain, or by one of gzip and zstd"
        )


def events_of(body: bytes, content_type: str, coding: str) -> list[bytes]:
    """Unpack and cut. Costs CPU in proportion to the unpacked size, at most ``UNPACKED_BYTES``."""
    plain = _unpack(body, coding.strip().lower())
    return _lines(plain) if _kind(content_type) in _NDJSON else _json(plain)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _unpack(body: bytes, coding: str) -> bytes:
    if coding in ("", "identity"):
        return body
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _gunzip(body) if "gzip" in coding else _unzstd(body):
            size += len(piece)
            if size > UNPACKED_BYTES:
                raise TooLarge(f"The body unpacks to more than {UNPACKED_BYTES:,} bytes", "Send it in smaller parts")
            if size > RATIO_FROM_BYTES and size > RATIO * len(body):
                raise TooLarge(f"The body unpacks to more than {RATIO} times its size", "Send it plain")
            pieces.append(piece)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise UnreadableBody(f"The body is not {coding}: {error}", "Pack it again") from None
    return b"".join(pieces)


def _gunzip(body: bytes) -> Iterator[bytes]:
    while body:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            piece = member.decompress(body, _PIECE_BYTES)
            body = member.unconsumed_tail
            if not piece and not member.eof and not body:
                raise EOFError("it ends too early")
            yield piece
        body = member.unused_data.lstrip(b"\0")


def _unzstd(body: bytes) -> Iterator[bytes]:
    """Frame by frame; fed so little at a time that one step unpacks to at most 16 MiB (128 KiB out of 4 bytes)."""
    rest = memoryview(body)
    while rest:
        frame = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).decompressobj()
        while rest and not frame.eof:
            yield frame.decompress(rest[:_ZSTD_STEP_BYTES])
            rest = rest[_ZSTD_STEP_BYTES:]
        if not frame.eof:
            raise EOFError("it ends too early")
        if frame.unused_data:
            rest = memoryview(bytes(frame.unused_data) + bytes(rest))


def _lines(plain: bytes) -> list[bytes]:
    return [line for line in (part.strip() for part in plain.split(b"\n")) if line]


def _json(plain: bytes) -> list[bytes]:
    text = plain.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        if text.startswith(b"["):
            return [bytes(item) for item in _ARRAY.decode(text)]
        if text.startswith(b"{"):
            return [bytes(_VALUE.decode(text))]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableBody(
            f"The body is not JSON: {error}", "Send one object or an array; events by line are application/x-ndjson"
        ) from None
    except RecursionError:
        raise UnreadableBody("The body nests too deep", "Flatten it") from None
    raise UnreadableBody(
        f"The body {'is empty' if not text else 'holds no event'}",
        "Send one object or an array of Home Assistant events",
    )
