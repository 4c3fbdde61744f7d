"""Cut a frame into messages without touching the bytes of what they carry.

A frame is one message, or (coalesced) a JSON array of messages. What is not JSON comes out as the bytes it is, and
costs its neighbours in the same frame nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec

_EMPTY = msgspec.Raw()


class Fault(msgspec.Struct, frozen=True, gc=False):
    """Why a command failed."""

    code: str = "unknown_error"
    message: str = ""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of Home Assistant's WebSocket API. ``event`` and ``result`` are the exact bytes received."""

    type: str
    id: int | None = None
    event: msgspec.Raw = _EMPTY
    success: bool = False
    result: msgspec.Raw = _EMPTY
    error: Fault | None = None
    ha_version: str | None = None
    message: str | None = None


_ONE = msgspec.json.Decoder(Message)
_MANY = msgspec.json.Decoder(list[Message])
_TOLERANT = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
Piece = Message | bytes


def cut(frame: bytes) -> list[Piece]:
    """Return the frame's messages in order; what cannot be read as a message stands among them as bytes."""
    try:
        if frame[:1] == b"[":
            return [*_MANY.decode(frame)]
        return [_ONE.decode(frame)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [_read(piece) for piece in _split(frame)]


def _read(piece: bytes) -> Piece:
    """Read one message that may hold what strict JSON forbids (NaN, lone surrogates, bytes that are no UTF-8)."""
    try:
        return _ONE.decode(piece)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            event = _member(piece, "event")
        except (ValueError, RecursionError):
            return piece
        return piece if event is None else Message(type="event", event=msgspec.Raw(event))


def _split(frame: bytes) -> Iterator[bytes]:
    """Split an array into the texts of its elements; from the first unreadable one on, the rest is one piece."""
    text = frame.decode("utf-8", "surrogateescape")
    at = _skip(text, 0)
    if text[at : at + 1] != "[" or _skip(text, at + 1) == len(text):
        yield frame
        return
    at = _skip(text, at + 1)
    while at < len(text) and text[at] != "]":
        try:
            _, end = _TOLERANT.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield _bytes(text[at:])
            return
        yield _bytes(text[at:end])
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)


def _member(piece: bytes, name: str) -> bytes | None:
    """Return the exact bytes of an object's member. Raises ``ValueError`` if the piece is no object."""
    text = piece.decode("utf-8", "surrogateescape")
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("not an object")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        key, at = _TOLERANT.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        _, end = _TOLERANT.raw_decode(text, at)
        if key == name:
            return _bytes(text[at:end])
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
    return None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
