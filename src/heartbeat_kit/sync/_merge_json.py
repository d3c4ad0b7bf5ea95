"""JSON merged per key.

Owns the rule by which two edits of one document are joined. Must not know how the result is written; that is
`_json_edit`.
"""

from __future__ import annotations

from typing import TypeGuard

from heartbeat_kit.sync._json_edit import Form, Piece, edited
from heartbeat_kit.sync._json_tree import Node, parse
from heartbeat_kit.sync._merge_text import merge_text

__all__ = ["merge_json"]


def merge_json(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Both edits of a JSON document in one, or ``None`` if they conflict or if one of the three is not sound JSON.

    A key that one side added, changed or removed is taken; one that both treated alike as well; everything else
    conflicts. Objects are merged key by key, lists and all other values as a whole. Numbers are what is written: 1 and
    1.0 differ, and neither is changed. Space, escapes and the order of keys carry no meaning; they are kept as written,
    and where they differ as in `ours`. So `ours` and `theirs` may be exchanged as far as values go.

    The text merge is preferred if it says the same (`merge_text`); otherwise their edits are put into the text of
    `ours`, new keys after the one they follow in `theirs`.

    >>> merge_json(b'{"a": 1}', b'{"a": 1, "b": 2.50}', b'{"a": 1, "c": 3}')
    b'{"a": 1, "c": 3, "b": 2.50}'
    """
    nodes = [parse(content) for content in (base, ours, theirs)]
    old, mine, other = nodes
    if old is None or mine is None or other is None:
        return None
    try:
        merged = _merged(old, mine, other, Form(mine.document, other.document))
    except _ConflictError:
        return None
    if merged is None:
        raise AssertionError("a document cannot be removed")
    as_text = merge_text(base, ours, theirs)
    if as_text is not None:
        read = parse(as_text)
        if read is not None and read.value == merged.value:
            return as_text
    return (mine.document[: mine.start] + merged.text + mine.document[mine.end :]).encode()


class _ConflictError(Exception):
    pass


def _merged(old: Node | None, mine: Node | None, other: Node | None, form: Form) -> Piece | None:
    """What becomes of a value, where ``None`` is a key that is not there."""
    if _same(mine, other) or _same(old, other):
        return None if mine is None else Piece(mine.value, mine.text)
    if _is_object(old) and _is_object(mine) and _is_object(other):
        pieces: dict[str, Piece] = {}
        for key in {**mine.value, **other.value}:
            piece = _merged(_child(old, key), _child(mine, key), _child(other, key), form)
            if piece is not None:
                pieces[key] = piece
        return Piece({key: piece.value for key, piece in pieces.items()}, edited(mine, other, pieces, form))
    if _same(old, mine):
        return None if other is None else Piece(other.value, form.adopted(other.text))
    raise _ConflictError


def _same(one: Node | None, another: Node | None) -> bool:
    if one is None or another is None:
        return one is another
    return bool(one.value == another.value)


def _is_object(node: Node | None) -> TypeGuard[Node]:
    return node is not None and node.members is not None


def _child(node: Node, key: str) -> Node | None:
    member = (node.members or {}).get(key)
    return None if member is None else member.node
