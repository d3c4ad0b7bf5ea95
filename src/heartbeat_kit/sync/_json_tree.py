"""JSON that remembers how it was written: each value with the text it stands for.

Owns strict parsing (what it refuses is listed at `parse`) and the places of the members of objects. Must not know of a
second document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import attrs

__all__ = ["MAX_DEPTH", "Member", "Node", "parse"]

MAX_DEPTH: Final = 64
"""Nesting that is followed; the interpreter's own limit depends on who calls."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NESTING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


class _Number(NamedTuple):
    """A number as it is written: 1, 1.0 and 1e0 differ, and no digit is lost."""

    literal: str


@attrs.frozen(kw_only=True)
class Node:
    """A value and where it stands.

    Attributes:
        value: For comparing: equal for equal JSON, whatever the spaces, escapes and order of keys.
        document: The text it stands in.
        start: Of the value, in characters.
        end: After it.
        members: Of an object by key, in order; ``None`` for anything else.
    """

    value: Any
    document: str = attrs.field(repr=False)
    start: int
    end: int
    members: Mapping[str, Member] | None = None

    @property
    def text(self) -> str:
        """The value as it is written."""
        return self.document[self.start : self.end]


@attrs.frozen(kw_only=True)
class Member:
    """A key and its value in an object.

    Attributes:
        lead: Space before the key.
        key: As it is written, with its quotes.
        middle: The colon and the space around it.
        node: The value.
        trail: Space after the value.
    """

    lead: str
    key: str
    middle: str
    node: Node
    trail: str


def parse(content: bytes) -> Node | None:
    """The document, or ``None`` if it is not JSON to the letter.

    Refused are, beside what RFC 8259 refuses, a byte order mark, a key given twice, NaN and infinities, and nesting of
    more than `MAX_DEPTH`.

    >>> parse(b'{"a": 1.0}').members["a"].node.text
    '1.0'
    >>> print(parse(b'{"a": 1, "a": 2}'))
    None
    """
    try:
        document = content.decode()
        if _depth(document) > MAX_DEPTH:
            return None
        value = _DECODER.decode(document)
    except ValueError:  # not UTF-8, not JSON
        return None
    return _node(document, _after_space(document, 0), value)


def _depth(document: str) -> int:
    """Nesting of brackets outside of strings, as far as it matters."""
    depth = deepest = 0
    for found in _NESTING.finditer(document):
        depth += _STEP.get(found[0], 0)
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            break
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _constant(literal: str) -> Any:
    raise ValueError(f"{literal} is no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_constant
)


def _after_space(document: str, at: int) -> int:
    found = _SPACE.match(document, at)
    return at if found is None else found.end()


def _node(document: str, start: int, value: Any) -> Node:
    """The value that begins at `start`, of a document that is known to be sound."""
    if not isinstance(value, dict):
        return Node(value=value, document=document, start=start, end=_DECODER.raw_decode(document, start)[1])
    members: dict[str, Member] = {}
    at = start + 1
    for key in value:
        member = _member(document, at, value[key])
        members[key] = member
        at = member.node.end + len(member.trail) + 1
    # An empty object has no comma or brace that was passed.
    end = at if members else _after_space(document, at) + 1
    return Node(value=value, document=document, start=start, end=end, members=members)


def _member(document: str, at: int, value: Any) -> Member:
    key = _after_space(document, at)
    colon = _DECODER.raw_decode(document, key)[1]
    begin = _after_space(document, _after_space(document, colon) + 1)
    node = _node(document, begin, value)
    return Member(
        lead=document[at:key],
        key=document[key:colon],
        middle=document[colon:begin],
        node=node,
        trail=document[node.end : _after_space(document, node.end)],
    )
