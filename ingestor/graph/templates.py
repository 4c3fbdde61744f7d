"""Which entities a Jinja template names. A name that is computed is reported as computed, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_ENTITY: Final = r"[a-z][a-z0-9_]*\.[a-z0-9_]+"
ENTITY_ID: Final = re.compile(rf"^{_ENTITY}$")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_READER = re.compile(
    r"(?<![\w.'\"])(states|is_state|is_state_attr|state_attr|has_value|state_translated|expand|closest|distance)\s*\(\s*"
)
_GROUP = re.compile(r"(?<![\w.'\"])((?:area|device|floor|label|integration)_(?:entities|devices|areas))\s*\(")
_LITERAL = re.compile(r"(['\"])([^'\"]*)\1\s*(?=[,)])")
_ATTRIBUTE = re.compile(r"(?<![\w.'\"])states\.([a-z][a-z0-9_]*)\.([a-z0-9_]+)")
_DOMAIN = re.compile(r"(?<![\w.'\"])states\.([a-z][a-z0-9_]*)(?![\w.])")
_ALL = re.compile(r"\bin\s+states\b(?!\s*[.(\[])|(?<![\w.'\"])states\s*\[\s*(?!['\"\s])")
_QUOTED = re.compile(rf"(['\"])({_ENTITY})\1")
_EXCERPT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a template names.

    ``sure``: where only an entity can stand. ``literal``: text that looks like one, and is one if the home has it.
    ``computed``: excerpts that read entities whose names only the running template knows.
    """

    sure: frozenset[str] = frozenset()
    literal: frozenset[str] = frozenset()
    computed: frozenset[str] = frozenset()


_NONE: Final = Names()


def is_template(text: str) -> bool:
    """Whether Home Assistant would render it."""
    return "{{" in text or "{%" in text


@lru_cache(maxsize=4096)
def names_in(text: str) -> Names:
    """Find the names in a template; in plain text only a whole entity id counts, as ``literal``."""
    if not is_template(text):
        return Names(literal=frozenset({text})) if ENTITY_ID.match(text) else _NONE
    body = _COMMENT.sub("", text)
    sure: set[str] = set()
    computed: set[str] = set()
    for call in _READER.finditer(body):
        argument = _LITERAL.match(body, call.end())
        if argument is None:
            if not body.startswith(")", call.end()):
                computed.add(_excerpt(body, call.start()))
        elif ENTITY_ID.match(argument.group(2)):
            sure.add(argument.group(2))
    sure.update(f"{domain}.{name}" for domain, name in _ATTRIBUTE.findall(body))
    for found in (*_GROUP.finditer(body), *_DOMAIN.finditer(body), *_ALL.finditer(body)):
        computed.add(_excerpt(body, found.start()))
    literal = frozenset(name for _, name in _QUOTED.findall(body)) - sure
    return Names(sure=frozenset(sure), literal=literal, computed=frozenset(computed))


def _excerpt(body: str, start: int) -> str:
    end = min((at for at in (body.find("}}", start), body.find("%}", start)) if at > 0), default=len(body))
    return body[start : min(end, start + _EXCERPT)].strip()
