"""What the source writes as events itself, because Home Assistant fires none: config entries and the state list.

A config entry change has no time of its own: ``time_fired`` is when it was received. A listed state becomes the
``state_changed`` that set it, at its ``last_updated``: what was seen live already is then a duplicate by its id, and
what changed while nobody listened is caught.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

CONFIG_ENTRY_CHANGED = "config_entry_changed"
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


class EntryChange(msgspec.Struct, frozen=True):
    """One message of ``config_entries/subscribe``. ``type`` is ``None`` in the list that comes first."""

    type: str | None = None
    entry: msgspec.Raw = msgspec.Raw(b"null")


class _State(msgspec.Struct, frozen=True):
    entity_id: str = ""
    last_updated: str | None = None
    context: msgspec.Raw = msgspec.Raw(b"null")


_STATE = msgspec.json.Decoder(_State)


def as_events(changes: list[EntryChange], received_us: int) -> Iterator[bytes]:
    """Write the changes (not the list that comes first) as events."""
    for change in changes:
        if change.type is not None:
            yield b'{"event_type":"%s","data":{"type":%s,"entry":%s},"origin":"LOCAL","time_fired":"%s"}' % (
                CONFIG_ENTRY_CHANGED.encode(),
                msgspec.json.encode(change.type),
                bytes(change.entry),
                datetime.fromtimestamp(received_us / 1_000_000, UTC).isoformat(timespec="microseconds").encode(),
            )


def states_as_events(states: bytes) -> Iterator[bytes]:
    """Write each state of a ``get_states`` result as the ``state_changed`` that set it, oddities included."""
    for raw in _RAWS.decode(states):
        try:
            state = _STATE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            state = _State()
        time_fired = b"" if state.last_updated is None else b',"time_fired":' + msgspec.json.encode(state.last_updated)
        yield b'{"event_type":"state_changed","data":{"entity_id":%s,"old_state":null,"new_state":%s},%s%s%s}' % (
            msgspec.json.encode(state.entity_id),
            bytes(raw),
            b'"origin":"LOCAL"',
            time_fired,
            b',"context":' + bytes(state.context),
        )
