"""Announcements with a mark (flapping, suppressed), and what is owed when the mark falls.

Owns one rule for both: the ledger keeps the status announced last without a mark, and when nothing marks a machine any
longer, what it is left with is announced once more, plainly: after flapping always, after maintenance if it differs
from what was known before. So no listener that passes over marked events is left with a wrong belief. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from heartbeat_kit._events import Reason
from heartbeat_kit._observer._known import Known
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry

__all__ = ["Marks", "marked", "marks_of", "owes", "plainly_before"]


class Marks(NamedTuple):
    """What marks a machine's announcements now.

    Attributes:
        flapping: It keeps changing.
        suppressed: It is in a maintenance window.
    """

    flapping: bool
    suppressed: bool


def marks_of(known: Known, before: LedgerEntry | None, after: LedgerEntry, *, in_maintenance: bool) -> Marks:
    """The marks of a move from `before` to `after`.

    The return that ends a silence of which only a marked word was said is said with the mark too.
    """
    hushed = before is not None and before.suppressed and not before.flapping
    undone = hushed and after.reason is Reason.RETURNED and before is not None and before.steady is after.status
    return Marks(known.flapping, in_maintenance or undone)


def plainly_before(entry: LedgerEntry) -> MachineStatus:
    """The status that was announced last without a mark."""
    return entry.steady or entry.status


def marked(entry: LedgerEntry, before: LedgerEntry | None, marks: Marks) -> LedgerEntry:
    """The new entry with its marks, and with the status that was announced last without one."""
    steady = None
    if any(marks) and entry.reason not in (Reason.FIRST_SEEN, Reason.REMOVED):
        steady = MachineStatus.UNKNOWN if before is None else plainly_before(before)
    return attrs.evolve(entry, flapping=marks.flapping, suppressed=marks.suppressed, steady=steady)


def owes(entry: LedgerEntry) -> bool:
    """Whether a plain announcement will be due once no mark holds any longer."""
    return entry.flapping or entry.steady not in (None, entry.status)
