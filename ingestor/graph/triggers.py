"""Read one trigger: which entities, events, topics or devices start the run, and which changes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ingestor.graph.program import StateWanted, Target, Trigger
from ingestor.graph.templates import ENTITY_ID, Names, is_template, names_in
from ingestor.graph.values import duration_text, entity_names, listed, number_of, states_of, text_of

_NOTHING: Final = Names()
_DEVICE_STATES: Final = {"turned_on": frozenset({"on"}), "turned_off": frozenset({"off"})}

Read = tuple[Trigger, Names]


def read_trigger(node: Any) -> Read | None:
    """Return the trigger and what it merely looks at, or ``None`` where it says not even its kind."""
    if isinstance(node, str) and is_template(node):
        return _template({"value_template": node})
    if not isinstance(node, dict):
        return None
    kind = node.get("trigger", node.get("platform"))
    if not isinstance(kind, str):
        return None
    return _KINDS.get(kind, _other)(node)


def _state(node: dict[str, Any]) -> Read:
    keys = ("to", "from", "not_to", "not_from")
    wanted = StateWanted(
        to=states_of(node.get("to")),
        not_to=states_of(node.get("not_to")) or frozenset(),
        from_=states_of(node.get("from")),
        attribute=text_of(node.get("attribute")),
        state_only=any(key in node for key in keys),
    )
    names = entity_names(node.get("entity_id"))
    label = f"state of {', '.join(names)}"
    label += f" attribute {wanted.attribute}" if wanted.attribute else ""
    label += f" from {_words(wanted.from_)}" if wanted.from_ else ""
    label += f" to {_words(wanted.to)}" if wanted.to else ""
    label += f" for {duration_text(node['for'])}" if node.get("for") else ""
    guarded = bool(wanted.to or wanted.from_ or wanted.not_to or node.get("not_from") or node.get("for"))
    return Trigger(label=label, target=Target(entities=names), wanted=wanted, guarded=guarded), _NOTHING


def _numeric(node: dict[str, Any]) -> Read:
    names = entity_names(node.get("entity_id"))
    bounds = [f" {key} {node[key]}" for key in ("above", "below") if node.get(key) is not None]
    computed = node.get("value_template") is not None
    wanted = StateWanted(
        above=None if computed else number_of(node.get("above")),
        below=None if computed else number_of(node.get("below")),
        attribute=text_of(node.get("attribute")) or ("value_template" if computed else None),
        state_only=True,
    )
    label = f"numeric state of {', '.join(names)}{''.join(bounds)}"[:200]
    return Trigger(label=label, target=Target(entities=names), wanted=wanted, guarded=True), _bounds(node)


def _bounds(node: dict[str, Any]) -> Names:
    named = frozenset(
        name for key in ("above", "below") for name in entity_names(node.get(key)) if ENTITY_ID.match(name)
    )
    own = names_in(node["value_template"]) if isinstance(node.get("value_template"), str) else _NOTHING
    return Names(sure=named | own.sure, literal=own.literal, computed=own.computed)


def _template(node: dict[str, Any]) -> Read:
    text = node.get("value_template")
    names = names_in(text) if isinstance(text, str) and is_template(text) else _NOTHING
    label = f"template {text}"[:120]
    label += f" for {duration_text(node['for'])}" if node.get("for") else ""
    target = Target(entities=tuple(sorted(names.sure)))
    trigger = Trigger(label=label, target=target, maybe=names.literal, guarded=True)
    return trigger, Names(computed=names.computed)


def _event(node: dict[str, Any]) -> Read:
    kinds = tuple(str(kind) for kind in listed(node.get("event_type")) if isinstance(kind, str))
    data = node.get("event_data")
    items = data.items() if isinstance(data, dict) else ()
    plain = {str(key): str(value) for key, value in items if isinstance(value, str | int | float)}
    wanted = tuple(sorted((key, value) for key, value in plain.items() if not is_template(value)))
    label = f"event {', '.join(kinds)}"
    if kinds == ("state_changed",) and "entity_id" in plain:
        return Trigger(label=label, target=Target(entities=entity_names(plain["entity_id"]))), _NOTHING
    return Trigger(label=label, events=kinds, event_data=wanted, guarded=bool(wanted)), _NOTHING


def _tag(node: dict[str, Any]) -> Read:
    tags = entity_names(node.get("tag_id"))
    wanted = (("tag_id", tags[0]),) if len(tags) == 1 else ()
    return Trigger(label=f"tag {', '.join(tags)}", events=("tag_scanned",), event_data=wanted), _NOTHING


def _mqtt(node: dict[str, Any]) -> Read:
    topic = text_of(node.get("topic"))
    guarded = node.get("payload") is not None
    return Trigger(label=f"mqtt {topic}", topics=(topic,) if topic else (), guarded=guarded), _NOTHING


def _device(node: dict[str, Any]) -> Read:
    verb = text_of(node.get("type")) or "event"
    names = entity_names(node.get("entity_id"))
    devices = entity_names(node.get("device_id"))
    label = f"device {' '.join(filter(None, (verb, text_of(node.get('subtype')))))}"
    to = _DEVICE_STATES.get(verb)
    wanted = StateWanted(to=to, state_only=to is not None)
    target = Target(entities=names)
    guarded = to is not None or bool(node.get("for"))
    return Trigger(
        label=label, target=target, devices=() if names else devices, wanted=wanted, guarded=guarded
    ), _NOTHING


def _clock(node: dict[str, Any]) -> Read:
    named: set[str] = set()
    for moment in listed(node.get("at")):
        value = moment.get("entity_id") if isinstance(moment, dict) else moment
        named.update(name for name in entity_names(value) if ENTITY_ID.match(name))
    return Trigger(label=f"time {', '.join(sorted(named))}".strip(), guarded=True), Names(sure=frozenset(named))


def _sun(node: dict[str, Any]) -> Read:
    return Trigger(label=f"sun {text_of(node.get('event')) or ''}".strip(), guarded=True), Names(
        sure=frozenset({"sun.sun"})
    )


def _zone(node: dict[str, Any]) -> Read:
    zones = frozenset(name for name in entity_names(node.get("zone")) if ENTITY_ID.match(name))
    names = entity_names(node.get("entity_id"))
    label = f"zone {', '.join(sorted(zones))} {text_of(node.get('event')) or ''}".strip()
    return Trigger(label=label, target=Target(entities=names), guarded=True), Names(sure=zones)


def _other(node: dict[str, Any]) -> Read:
    """Read a kind that has no reading of its own: ``entity_id`` and ``target`` start it, within its domain if named."""
    kind = str(node.get("trigger", node.get("platform")))
    inner = node.get("target")
    parts = [node, inner] if isinstance(inner, dict) else [node]
    keys = ("entity_id", "device_id", "area_id", "floor_id", "label_id")
    found = [tuple(name for part in parts for name in entity_names(part.get(key))) for key in keys]
    target = Target(entities=found[0], devices=found[1], areas=found[2], floors=found[3], labels=found[4])
    domain = kind.partition(".")[0] if "." in kind else None
    return Trigger(label=kind[:120], target=target, domain=domain, guarded=bool(node.get("for"))), _NOTHING


def _words(states: frozenset[str]) -> str:
    return "|".join(sorted(states))


_KINDS: Final[dict[str, Callable[[dict[str, Any]], Read]]] = {
    "state": _state,
    "numeric_state": _numeric,
    "template": _template,
    "event": _event,
    "tag": _tag,
    "mqtt": _mqtt,
    "device": _device,
    "time": _clock,
    "time_pattern": _clock,
    "sun": _sun,
    "zone": _zone,
    "geo_location": _zone,
}
