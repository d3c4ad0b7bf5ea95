"""Heartbeats and moves that the tests of the file-backed ledgers share."""

from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry, Move

START = 1_768_519_800_000  # 2026-01-15T23:30:00Z


def beat(machine_id="web-1", seq=1, *, at=START, **fields):
    fields.setdefault("interval", 30_000)
    return Heartbeat(machine_id=machine_id, last_heartbeat=at, incarnation=1, seq=seq, **fields)


def window(machine_id="web-1", start=START, end=START + 3_600_000, reason=""):
    return MaintenanceWindow(machine_id=machine_id, start=start, end=end, reason=reason)


def move(event, machine_id="web-1", *, expected=None, status=MachineStatus.OFFLINE, seq=1, owner="me"):
    return Move(
        expected=expected,
        owner=owner,
        entry=LedgerEntry(
            machine_id=machine_id,
            status=status,
            event_id=event,
            reason=Reason.SILENT,
            since_ms=START + 240_000,
            incarnation=1,
            seq=seq,
        ),
        transition=Transition(
            id=event,
            machine_id=machine_id,
            before=MachineStatus.ONLINE,
            after=status,
            reason=Reason.SILENT,
            observer="obs",
            occurred_at=START + 240_000,
            detected_at=START + 250_000,
        ),
    )
