"""Text merged per line.

Owns the rule by which two edits of one text are joined, and its bounds. Must not know what the lines mean; how two
texts differ is said by `_diff`.
"""

from __future__ import annotations

from typing import Final

from heartbeat_kit.sync._diff import Hunk, diff

__all__ = ["MAX_LINES", "merge_text"]

MAX_LINES: Final = 20_000
"""Of each version; a longer text is not merged."""


def merge_text(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    r"""Both edits of a text in one, or ``None`` if they conflict or if this is no text.

    The rule is diff3 (Khanna, Kunal, Pierce: "A Formal Investigation of Diff3", FSTTCS 2007), on the shortest edit
    scripts: lines that both sides left alone part the text into regions, and in each region one side's edit is taken if
    the other has none, or the same one. As with git, edits that touch without an untouched line between them conflict.
    Stricter than git: a line added to or taken from a run of equal ones may be any of them, so it also conflicts with
    an edit inside that run; and texts are compared downwards and upwards, which may match repeated lines differently:
    if both ways join the edits, and not alike, they conflict.

    Text is UTF-8 without NUL. A line ends with its line feed; a carriage return before it, and a missing line feed at
    the end, are part of the line and stay as they were written. `ours` and `theirs` may be exchanged.

    >>> merge_text(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nC\n")
    b'A\nb\nC\n'
    >>> print(merge_text(b"a\nb\n", b"A\nb\n", b"a\nB\n"))
    None
    """
    if not all(map(_is_text, (base, ours, theirs))):
        return None
    old, mine, others = _lines(base), _lines(ours), _lines(theirs)
    if max(len(old), len(mine), len(others)) > MAX_LINES:
        return None
    merged = _merged(old, mine, others)
    if merged is None:
        return None
    upwards = _merged(old[::-1], mine[::-1], others[::-1])
    return b"".join(merged) if upwards is None or upwards[::-1] == merged else None


def _merged(old: list[bytes], mine: list[bytes], others: list[bytes]) -> list[bytes] | None:
    my_hunks, other_hunks = diff(old, mine), diff(old, others)
    if my_hunks is None or other_hunks is None:
        return None
    return _joined(old, _Edited(mine, my_hunks), _Edited(others, other_hunks))


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _lines(content: bytes) -> list[bytes]:
    """The lines with their ends; the last one may have none."""
    *ended, rest = content.split(b"\n")
    return [line + b"\n" for line in ended] + ([rest] if rest else [])


class _Edited:
    """One side's edits, taken from the first to the last."""

    def __init__(self, lines: list[bytes], hunks: list[Hunk]) -> None:
        self._lines = lines
        self._left = hunks[::-1]
        self._ahead = 0  # new lines before the next edit, less the old ones
        self.end = 0  # of the last edit that was taken

    @property
    def next(self) -> Hunk | None:
        return self._left[-1] if self._left else None

    def take(self, until: int) -> list[Hunk]:
        """The next edits that begin at or before an old line."""
        taken: list[Hunk] = []
        while self._left and self._left[-1].start <= until:
            taken.append(self._left.pop())
        return taken

    def text(self, start: int, end: int, edits: list[Hunk]) -> list[bytes]:
        """What stands where the old lines from `start` to `end` stood, whose edits were just taken."""
        begin = start + self._ahead
        if edits:
            self.end, self._ahead = edits[-1].end, edits[-1].new_end - edits[-1].end
        return self._lines[begin : end + self._ahead]


def _joined(old: list[bytes], mine: _Edited, others: _Edited) -> list[bytes] | None:
    joined: list[bytes] = []
    done = 0
    while upcoming := [hunk for hunk in (mine.next, others.next) if hunk is not None]:
        start = end = min(hunk.start for hunk in upcoming)
        my_edits: list[Hunk] = []
        other_edits: list[Hunk] = []
        while any(more := (mine.take(end), others.take(end))):
            my_edits += more[0]
            other_edits += more[1]
            end = max(end, *(hunk.end for hunk in (*more[0], *more[1])))
        # An edit that could as well stand before the other side's last one has no certain place beside it.
        if any(hunk.lowest < others.end for hunk in my_edits) or any(hunk.lowest < mine.end for hunk in other_edits):
            return None
        my_text, other_text = mine.text(start, end, my_edits), others.text(start, end, other_edits)
        if my_edits and other_edits and my_text != other_text:
            return None
        joined += old[done:start]
        joined += my_text if my_edits else other_text
        done = end
    return joined + old[done:]
