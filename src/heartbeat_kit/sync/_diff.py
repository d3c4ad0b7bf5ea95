"""How two texts differ: the shortest script of edits, with what is ambiguous about it.

Owns the line-by-line difference. Must not know of a third text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["MAX_STEPS", "Hunk", "diff"]

MAX_STEPS: Final = 2_000_000
"""Comparisons spent on one difference, about a second's worth: some 2,000 lines that were moved or repeated."""

Lines = Sequence[bytes]


class Hunk(NamedTuple):
    """Lines that were replaced by others; one of both may be none.

    Attributes:
        lowest: The first old line where the same edit could begin as well: a line that is added to a run of equal
            lines, or taken from it, may be any of them. The edit itself stands at the last such place.
        start: The first old line that is replaced.
        end: The old line after the last of them.
        new_start: The first new line in their place.
        new_end: The new line after the last of them.
    """

    lowest: int
    start: int
    end: int
    new_start: int
    new_end: int


def diff(old: Lines, new: Lines) -> list[Hunk] | None:
    """The edits that make `new` of `old`, in order and never touching, or ``None`` if finding them takes too long.

    >>> diff([b"a", b"a", b"b"], [b"a", b"a", b"a", b"c"])
    [Hunk(lowest=2, start=2, end=3, new_start=2, new_end=4)]
    >>> diff([b"a", b"a"], [b"a", b"a", b"a"])
    [Hunk(lowest=0, start=2, end=2, new_start=2, new_end=3)]
    """
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old_end, new_end = len(old) - tail, len(new) - tail
    # A line that the other text lacks is in no common sequence: without it the search is short, and finds the same.
    shared = set(old[head:old_end]) & set(new[head:new_end])
    old_at = [at for at in range(head, old_end) if old[at] in shared]
    new_at = [at for at in range(head, new_end) if new[at] in shared]
    common = _common([old[at] for at in old_at], [new[at] for at in new_at])
    if common is None:
        return None
    edits: list[_Edit] = []
    start, new_start = head, head
    for at, there in [*((old_at[i], new_at[j]) for i, j in common), (old_end, new_end)]:
        if (start, new_start) != (at, there):
            edits.append(_Edit(start, at, new_start, there))
        start, new_start = at + 1, there + 1
    return _settled(edits, old, new)


def _common(old: Lines, new: Lines) -> list[tuple[int, int]] | None:
    """A longest common subsequence as pairs of places (Myers: "An O(ND) Difference Algorithm", 1986)."""
    furthest = [0] * (2 * (len(old) + len(new)) + 3)  # by diagonal; Python counts the negative ones from the end
    rounds: list[list[int]] = []
    steps = 0
    for edits in range(len(old) + len(new) + 1):
        for diagonal in range(-edits, edits + 1, 2):
            if diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]):
                begin = furthest[diagonal + 1]
            else:
                begin = furthest[diagonal - 1] + 1
            at, there = begin, begin - diagonal
            while at < len(old) and there < len(new) and old[at] == new[there]:
                at, there = at + 1, there + 1
            furthest[diagonal] = at
            if at >= len(old) and there >= len(new):
                return _path(rounds, at, there)
            steps += 1 + at - begin
            if steps > MAX_STEPS:
                return None
        rounds.append([furthest[diagonal] for diagonal in range(-edits, edits + 1, 2)])
    raise AssertionError("an edit script is never longer than both texts")


def _path(rounds: list[list[int]], at: int, there: int) -> list[tuple[int, int]]:
    """The pairs on the way that was found, from its end back to its beginning."""
    pairs: list[tuple[int, int]] = []
    for edits in range(len(rounds), 0, -1):
        diagonal, before = at - there, rounds[edits - 1]
        index = (diagonal + edits) // 2  # of diagonal + 1 in the round before; diagonal - 1 is left of it
        added = diagonal == -edits or (diagonal != edits and before[index - 1] < before[index])
        previous = before[index] if added else before[index - 1]
        begin = previous if added else previous + 1
        pairs += ((at - back, there - back) for back in range(1, at - begin + 1))
        at, there = previous, previous - (diagonal + 1 if added else diagonal - 1)
    pairs += ((at - back, there - back) for back in range(1, at + 1))
    pairs.reverse()
    return pairs


class _Edit(NamedTuple):
    start: int
    end: int
    new_start: int
    new_end: int

    def moved(self, by: int) -> _Edit:
        return _Edit(*(at + by for at in self))

    def way(self, old: Lines, new: Lines) -> tuple[Lines, int, int] | None:
        """The lines that are only added, or only removed: an edit that does both stands where it stands."""
        if self.start == self.end:
            return new, self.new_start, self.new_end
        if self.new_start == self.new_end:
            return old, self.start, self.end
        return None


def _settled(edits: list[_Edit], old: Lines, new: Lines) -> list[Hunk]:
    """Each edit at the last place where it can stand; two that can stand side by side are one."""
    if edits:  # the search goes as far as it can before each edit; only the common tail was kept from it
        last = edits.pop()
        while last.end < len(old) and (way := last.way(old, new)) and way[0][way[1]] == old[last.end]:
            last = last.moved(1)
        edits.append(last)
    hunks: list[Hunk] = []
    for edit in edits:
        floor = hunks[-1].end if hunks else 0
        lowest = edit.start
        way = edit.way(old, new)
        if way is not None:
            lines, first, after = way
            back = 1
            while lowest > floor and lines[first - back] == lines[after - back]:
                lowest, back = lowest - 1, back + 1
        hunk = Hunk(lowest, *edit)
        if hunks and lowest == floor:  # it could stand right after the edit before: then both are one
            before = hunks.pop()
            hunk = Hunk(before.lowest, before.start, edit.end, before.new_start, edit.new_end)
        hunks.append(hunk)
    return hunks
