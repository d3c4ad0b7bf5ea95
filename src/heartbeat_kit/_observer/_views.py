"""What people see: `MachineState` and `FleetState` from what is known.

Owns the derivation of shown times and of the reason code. Pure.
"""

from __future__ import annotations

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis, Reason
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._models import FleetState, MachineState, ObserverHealth, ObserverState
from heartbeat_kit._observer._cascade import fell_in
from heartbeat_kit._observer._known import Known, Memory
from heartbeat_kit._observer._rivals import conflict_sentence
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._observer._verdict import deadlines, never_seen, watched_ms
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry

__all__ = ["fleet_state", "machine_state"]

_SILENT = (MachineStatus.WARNING, MachineStatus.OFFLINE)


def fleet_state(
    memory: Memory, timing: Timing, now: Instant, observer: ObserverState, last_check_ms: int | None
) -> FleetState:
    """Everybody, sorted by id; machines this service removed are left out. What a blind observer knows is stale."""
    stale = observer.health is ObserverHealth.BLIND
    windows = {each.machine_id: each for each in reversed(memory.windows) if each.holds_at(now.wall_ms)}
    return FleetState(
        machines={
            machine_id: machine_state(
                machine_id,
                known,
                memory=memory,
                timing=timing,
                now=now,
                observer=observer.machine_id,
                stale=stale,
                window=windows.get(machine_id),
            )
            for machine_id, known in sorted(memory.known.items())
            if machine_id not in memory.removed
        },
        observer=observer,
        retrieved_at=now.wall_ms,
        last_check=last_check_ms,
        unreadable={
            name: known.unreadable
            for name, known in memory.known.items()
            if known.unreadable is not None and name not in memory.removed
        },
    )


def machine_state(
    machine_id: str,
    known: Known,
    *,
    memory: Memory,
    timing: Timing,
    now: Instant,
    observer: str,
    stale: bool,
    window: MaintenanceWindow | None = None,
) -> MachineState:
    """One machine, in the maintenance window that holds now, if one does."""
    heartbeat, status = known.heartbeat, known.verdict or MachineStatus.UNKNOWN
    entry = memory.ledger.get(machine_id)
    if entry is not None and not _same_evidence(entry, known, status):
        entry = None
    warning_ms, offline_ms = deadlines(known, timing)
    left = heartbeat is not None and heartbeat.left_at_ms is not None
    since = {
        MachineStatus.ONLINE: known.silence_ms,
        MachineStatus.WARNING: warning_ms,
        MachineStatus.OFFLINE: offline_ms,
        MachineStatus.UNKNOWN: warning_ms if now.mono_ms >= warning_ms else known.silence_ms,
    }
    began = memory.wall(since[status]) if entry is None else entry.since_ms
    if entry is None and known.basis is Basis.SENDER and heartbeat is not None:
        began = heartbeat.last_heartbeat_ms + since[status] - known.silence_ms  # by its own stamp, as all of this is
    warning_since = None
    if status in _SILENT and not left:
        warning_since = began if status is MachineStatus.WARNING else began - (offline_ms - warning_ms)
    age = now.mono_ms - known.silence_ms
    if heartbeat is not None and heartbeat.left_at_ms is not None:  # dated by its own word: nobody else was there
        began = min(heartbeat.left_at_ms, now.wall_ms) if entry is None else entry.since_ms
        age = now.wall_ms - began
    if known.basis is Basis.SENDER and heartbeat is not None:
        age = now.wall_ms - heartbeat.last_heartbeat_ms
    return MachineState(
        machine_id=machine_id,
        status=status,
        heartbeat=heartbeat,
        basis=known.basis,
        reason=_reason(machine_id, known, status, now, timing),
        observer=observer,
        retrieved_at=now.wall_ms,
        age=age,
        since=began if known.basis is not Basis.SENDER else None,
        warning_since=warning_since,
        offline_since=began if status is MachineStatus.OFFLINE else None,
        timeout=timing.timeout_for(known.interval_ms),
        next_deadline=_next_deadline(known, status, memory, timing),
        clock_skew=None
        if heartbeat is None or known.basis is not Basis.OBSERVER
        else heartbeat.last_heartbeat_ms - known.rose_wall_ms,
        episode=entry.episode if entry is not None and status in _SILENT else None,
        stale=stale,
        identity_conflict=conflict_sentence(heartbeat, known.rival, known.copies),
        unreadable=known.unreadable,
        allowance=timing.delay_ms,
        cascade=None if entry is None else fell_in(memory.ledger, entry, timing),
        flapping=known.flapping or (entry is not None and entry.flapping),
        maintenance=window,
    )


def _next_deadline(known: Known, status: MachineStatus, memory: Memory, timing: Timing) -> int | None:
    """When a machine that stays silent gets worse, epoch milliseconds."""
    warning_ms, offline_ms = deadlines(known, timing)
    deadline = {MachineStatus.ONLINE: warning_ms, MachineStatus.WARNING: offline_ms}.get(status)
    if known.held:
        deadline = max(offline_ms, warning_ms + timing.hold_ms)
    if deadline is None:
        return None
    settled = memory.wall(known.settle_ms)
    if known.basis is not Basis.SENDER or known.heartbeat is None or known.absent:
        return max(memory.wall(deadline), settled)
    by_stamp = known.heartbeat.last_heartbeat_ms + deadline - known.silence_ms
    return min(max(by_stamp, settled), memory.wall(watched_ms(known, timing)))


def _same_evidence(entry: LedgerEntry, known: Known, status: MachineStatus) -> bool:
    if entry.status is not status or entry.reason is Reason.REMOVED:
        return False
    return (
        status is MachineStatus.ONLINE
        or known.heartbeat is None
        or known.heartbeat.order == (entry.incarnation, entry.seq)
    )


def _reason(machine_id: str, known: Known, status: MachineStatus, now: Instant, timing: Timing) -> str:
    """The first of these that holds says most."""
    heartbeat = known.heartbeat
    future = heartbeat is not None and heartbeat.last_heartbeat_ms - now.wall_ms >= timing.timeout_for(
        heartbeat.interval_ms
    )
    cases = (
        ("left", heartbeat is not None and heartbeat.left_at_ms is not None),
        ("expected", never_seen(known) and machine_id in timing.expected and known.unreadable is None),
        ("fleet_silent", known.held),
        ("unreadable", known.unreadable is not None),
        ("absent", known.absent),
        ("never_seen", heartbeat is None),
        ("future_stamp", known.basis is Basis.SENDER and future),
        ("unconfirmed", known.basis is Basis.SENDER),
        ("pending", known.candidate is not None),
        ("silent", status in _SILENT),
        ("settling", now.mono_ms < known.settle_ms and now.mono_ms >= deadlines(known, timing)[0]),
    )
    return next((code for code, holds in cases if holds), "beating")
