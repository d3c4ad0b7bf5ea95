"""What a check answers: `CheckReport` from the memory after a look and from what it announced.

Owns the counting. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._models import ObserverState, Statistics
from heartbeat_kit._observer._known import Memory
from heartbeat_kit._results import CheckReport
from heartbeat_kit._status import MachineStatus

__all__ = ["check_report"]


def check_report(
    memory: Memory,
    events: Sequence[Event],
    *,
    unreadable: Mapping[str, str],
    observer: ObserverState,
    checked_ms: int,
    last_check_ms: int | None,
) -> CheckReport:
    """The report of a look.

    Args:
        memory: What is known after it.
        events: What it committed.
        unreadable: Records that cannot be read, with the reason.
        observer: Who looked, and how well.
        checked_ms: When it looked.
        last_check_ms: When a check last saw the storage.
    """
    won = tuple(event for event in events if isinstance(event, Transition))

    def machines(*reasons: Reason, after: MachineStatus | None = None) -> tuple[str, ...]:
        chosen = (e for e in won if e.reason in reasons and after in (None, e.after))
        return tuple(dict.fromkeys(event.machine_id for event in chosen))

    troubled = memory.troubled
    by_status = {
        status: tuple(sorted(name for name, found in troubled.items() if found is status)) for status in MachineStatus
    }
    total = len(memory.known) - len(memory.removed)
    return CheckReport(
        newly_offline=machines(Reason.SILENT, Reason.LEFT, after=MachineStatus.OFFLINE),
        newly_online=machines(Reason.RETURNED),
        newly_warning=machines(Reason.SILENT, after=MachineStatus.WARNING),
        newly_registered=machines(Reason.FIRST_SEEN),
        warning=by_status[MachineStatus.WARNING],
        unknown=by_status[MachineStatus.UNKNOWN],
        unreadable=unreadable,
        identity_conflicts=memory.contested,
        transitions=won,
        events=tuple(events),
        checked_at=checked_ms,
        observer=observer,
        statistics=Statistics(
            total_machines=total,
            online_count=total - len(troubled),
            warning_count=len(by_status[MachineStatus.WARNING]),
            offline_count=len(by_status[MachineStatus.OFFLINE]),
            unknown_count=len(by_status[MachineStatus.UNKNOWN]),
            last_heartbeat_check=last_check_ms,
        ),
    )
