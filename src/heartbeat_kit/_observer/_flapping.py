"""Flapping: a machine that keeps changing, by the score that Nagios computes.

Owns the score and its two thresholds. Nagios Core documentation, "Detection and Handling of State Flapping": of the
last 21 states the 20 changes between them count, weighted from 0.75 (oldest) to 1.25 (newest); flapping starts at 30 %
and stops at 20 %. Two defects of the original are designed out: what a machine settles on is announced when flapping
ends, whether it recovered or failed meanwhile (nagioscore issues 91 and 847), and the end comes with time, not only
with another change of state. Pure.

A state is what a machine is at the end of a slot of one check interval, so looking more often changes no score.
"""

from __future__ import annotations

from typing import Final

__all__ = ["changed", "flaps", "inherited", "score", "still_counted"]

_SLOTS: Final = 20
# In units of 1/76 the weights are whole numbers: 95 for the newest change, 57 for the oldest, 2 less a slot.
_UNITS: Final = 76
_START: Final = 30 * _SLOTS * _UNITS // 100
_STOP: Final = 20 * _SLOTS * _UNITS // 100


def score(changes: tuple[int, ...], slot: int) -> float:
    """The weighted share of the last 20 slots in which the state changed, in percent.

    Args:
        changes: The slots with a change, rising.
        slot: The slot of the look.

    >>> score((), 100), score(tuple(range(81, 101)), 100), score((100,), 100), score((81,), 100)
    (0.0, 100.0, 6.25, 3.75)
    """
    return _weight(changes, slot) * 100 / (_SLOTS * _UNITS)


def flaps(flapping: bool, changes: tuple[int, ...], slot: int) -> bool:
    """Whether a machine flaps: from 30 % on, until the score has sunk to 20 %."""
    weight = _weight(changes, slot)
    return weight > _STOP if flapping else weight >= _START


def still_counted(changes: tuple[int, ...], slot: int) -> tuple[int, ...]:
    """The changes within the window."""
    return tuple(change for change in changes if slot - change < _SLOTS)


def changed(changes: tuple[int, ...], slot: int) -> tuple[int, ...]:
    """The changes with one more in this slot; several in one slot are one."""
    kept = still_counted(changes, slot)
    return kept if kept and kept[-1] == slot else (*kept, slot)


def inherited(slot: int) -> tuple[int, ...]:
    """What a new process assumes of a machine that flapped when it was announced last, in `slot`: it never rested.

    So the mark stays for as long as it would have at worst, and goes with time.
    """
    return tuple(range(slot - _SLOTS + 1, slot + 1))


def _weight(changes: tuple[int, ...], slot: int) -> int:
    return sum(95 - 2 * (slot - change) for change in still_counted(changes, slot))
