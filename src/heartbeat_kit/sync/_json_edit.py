"""Puts edits into the text of a JSON document and leaves the rest as it was written.

Owns the form of what is new: where a key goes, its indentation, line ends and escapes. Decides nothing about values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from heartbeat_kit.sync._json_tree import Member, Node

__all__ = ["Form", "Piece", "edited"]

_FOLD: Final = re.compile(r"(?<![ \t\r])[ \t\r]*+\n[ \t\r\n]*+")  # begins at a run's start: linear
_FIRST_INDENT: Final = re.compile(r"\n([ \t]+)[^ \t\r\n]")
_ESCAPED: Final = re.compile(r"\\u[0-9a-fA-F]{4}")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


class Piece(NamedTuple):
    """A merged value and its text."""

    value: Any
    text: str


class Form:
    """How one document is written, for text that comes from another one.

    Args:
        ours: The document the text goes into.
        theirs: The document it comes from.
    """

    def __init__(self, ours: str, theirs: str) -> None:
        self._newline = "\r\n" if "\r\n" in ours else "\n"
        self._folded = "\n" not in ours.strip()
        self._unit, self._their_unit = _indent(ours), _indent(theirs)
        self._escape = ours.isascii() and _ESCAPED.search(ours) is not None

    def adopted(self, text: str) -> str:
        """Text of theirs in the form of ours; it stands for the same value."""
        if self._folded:
            text = _FOLD.sub("", text)
        elif "\n" in text:  # always between tokens: a JSON string holds no line end
            first, *rest = text.split("\n")
            text = self._newline.join([first.rstrip("\r"), *(self._indented(line.rstrip("\r")) for line in rest)])
        return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text) if self._escape else text

    def _indented(self, line: str) -> str:
        if not self._unit or not self._their_unit:
            return line
        levels = 0
        while line.startswith(self._their_unit, levels * len(self._their_unit)):
            levels += 1
        return self._unit * levels + line[levels * len(self._their_unit) :]


def _indent(document: str) -> str:
    found = _FIRST_INDENT.search(document)
    return found[1] if found else ""


def edited(ours: Node, theirs: Node, pieces: Mapping[str, Piece], form: Form) -> str:
    """The text of an object of ours with these members.

    Args:
        ours: The object as we wrote it.
        theirs: The object as they did; it holds something else.
        pieces: The members it shall have; each is in one of both.
        form: How theirs is written where ours is.
    """
    mine, others = ours.members or {}, theirs.members or {}
    frame = _Frame(list(mine.values()), list(others.values()), form)
    texts: list[str] = []
    order = _order(mine, others, pieces)
    for key in order:
        is_first, is_last = not texts, len(texts) == len(order) - 1
        member = mine.get(key)
        if member is None:
            name, middle, lead, trail = form.adopted(others[key].key), frame.middle, frame.lead(is_first), ""
        else:
            name, middle = member.key, member.middle
            stays_first, stays_last = is_first == (member is frame.first), is_last == (member is frame.last)
            lead = member.lead if stays_first else frame.lead(is_first)
            trail = member.trail if stays_last else ""
        texts.append(lead + name + middle + pieces[key].text + (frame.closing if is_last else trail))
    return "{" + ",".join(texts) + "}"


def _order(mine: Mapping[str, Member], others: Mapping[str, Member], pieces: Mapping[str, Piece]) -> list[str]:
    """Our order; each key that is new to us stands after the one it follows in theirs."""
    followers: dict[str | None, list[str]] = {}
    before: str | None = None
    for key in others:
        if key in pieces and key in mine:
            before = key
        elif key in pieces:
            followers.setdefault(before, []).append(key)
    order = followers.get(None, [])
    for key in mine:
        if key in pieces:
            order += [key, *followers.get(key, [])]
    return order


class _Frame:
    """The space between the members of an object, as ours has it; as theirs where ours is empty."""

    def __init__(self, mine: list[Member], others: list[Member], form: Form) -> None:
        self.first = mine[0] if mine else None
        self.last = mine[-1] if mine else None
        like = mine or others
        adopted = str if mine else form.adopted
        self.middle = adopted(like[0].middle)
        self.closing = adopted(like[-1].trail)
        self._first_lead = adopted(like[0].lead)
        if len(like) > 1:
            self._next_lead = adopted(like[1].lead)
        elif "\n" in self._first_lead or len(others) < 2:
            self._next_lead = self._first_lead
        else:
            self._next_lead = form.adopted(others[1].lead)

    def lead(self, is_first: bool) -> str:
        """The space before a member that is new in its place."""
        return self._first_lead if is_first else self._next_lead
