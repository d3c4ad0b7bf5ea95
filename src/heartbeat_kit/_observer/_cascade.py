"""A cascade: more machines than a threshold went offline within a short window.

Owns the rule. It is read off the ledger, so it holds across restarts and processes: what is announced offline now, with
what was within the window, and with what is a warning now and would follow within it; machines in maintenance and
goodbyes aside. One event a window, however many machines follow. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heartbeat_kit._events import Reason, event_id
from heartbeat_kit._fleet_events import CascadeDetected
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry, Move

__all__ = ["CASCADE_KEY", "cascade", "fell_in"]

CASCADE_KEY = "*cascade"
"""The ledger's key for the cascade announced last."""


def cascade(
    ledger: Mapping[str, LedgerEntry],
    moves: Sequence[Move],
    timing: Timing,
    now_ms: int,
    *,
    observer: str,
    owner: str,
) -> Move | None:
    """The move that announces a cascade, if the `moves` of this look complete one.

    Args:
        ledger: What was announced before.
        moves: What this look announces.
        timing: The threshold and the window.
        now_ms: Wall clock of the look.
        observer: Who signs.
        owner: Who delivers.
    """
    if not any(_counts(move.entry) for move in moves):
        return None
    before = ledger.get(CASCADE_KEY)
    if before is not None and abs(now_ms - before.since_ms) < timing.cascade_ms:
        return None
    moved = {move.entry.machine_id: move.entry for move in moves}
    entries = {**ledger, **moved}
    falls = {
        name: at
        for name, entry in entries.items()
        if (at := _falls_at(entry, name in moved, timing, now_ms)) is not None
    }
    fallen = [entries[name] for name in _together(falls, timing, now_ms)]
    if not fallen:
        return None
    name = event_id("cascade", *sorted(entry.event_id for entry in fallen))
    return Move(
        expected=None if before is None else before.event_id,
        entry=LedgerEntry(
            machine_id=CASCADE_KEY,
            status=MachineStatus.OFFLINE,
            event_id=name,
            reason=Reason.SILENT,
            since_ms=now_ms,
        ),
        transition=CascadeDetected(
            id=name,
            observer=observer,
            machine_ids=tuple(sorted(entry.machine_id for entry in fallen)),
            began_at=min(entry.since_ms for entry in fallen),
            detected_at=now_ms,
            threshold=timing.cascade_threshold,
            window=timing.cascade_ms,
        ),
        owner=owner,
    )


def fell_in(ledger: Mapping[str, LedgerEntry], entry: LedgerEntry, timing: Timing) -> int | None:
    """When the last cascade was announced (wall clock), if a machine with this `entry` fell in it or right after."""
    last = ledger.get(CASCADE_KEY)
    if last is None or not _counts(entry) or abs(_announced(entry) - last.since_ms) >= timing.cascade_ms:
        return None
    return last.since_ms


def _announced(entry: LedgerEntry) -> int:
    return entry.since_ms if entry.announced_ms is None else entry.announced_ms


def _counts(entry: LedgerEntry, status: MachineStatus = MachineStatus.OFFLINE) -> bool:
    silent = entry.status is status and entry.reason is Reason.SILENT
    return silent and not entry.suppressed and not entry.machine_id.startswith("*")


def _falls_at(entry: LedgerEntry, moves_now: bool, timing: Timing, now_ms: int) -> int | None:
    """When a machine went offline, or will if it stays silent; ``None`` if neither, or too long ago."""
    if _counts(entry, MachineStatus.WARNING):
        return max(_announced(entry) + timing.timeout_ms, now_ms)
    if not _counts(entry):
        return None
    at_ms = now_ms if moves_now else _announced(entry)
    return at_ms if abs(now_ms - at_ms) < timing.cascade_ms else None


def _together(falls: Mapping[str, int], timing: Timing, now_ms: int) -> list[str]:
    """The machines that fall within the first window that holds enough of them, and now."""
    for start_ms in sorted({at for at in falls.values() if at <= now_ms}):
        group = [name for name, at in falls.items() if start_ms <= at < start_ms + timing.cascade_ms]
        if len(group) > timing.cascade_threshold:
            return group
    return []
