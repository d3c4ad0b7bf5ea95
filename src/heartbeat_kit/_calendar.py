"""Planning a maintenance window in the calendar of a ledger.

Owns the checks and the forgetting of old windows. Must not know what a window does.
"""

from __future__ import annotations

from typing import Final

from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.storage import MaintenanceCalendar, SharedLedger

__all__ = ["plan"]

_FORGET_AFTER_MS: Final = 7 * 86_400_000


def plan(
    ledger: SharedLedger, machine_id: str, times: tuple[int | None, int | None], reason: str, *, now_ms: int
) -> MaintenanceWindow:
    """Keep a window; those that ended a week ago are forgotten.

    Raises:
        InvalidConfigurationError: No start, no end, a reason that is no text, or a ledger without a calendar.
        StorageUnavailableError: It is not kept.
    """
    start_ms, end_ms = times
    if start_ms is None or end_ms is None:
        raise InvalidConfigurationError("a maintenance window needs a start and an end: expected two aware datetimes")
    if not isinstance(reason, str):
        raise InvalidConfigurationError(f"reason is {reason!r}: expected a text")
    if not isinstance(ledger, MaintenanceCalendar):
        raise InvalidConfigurationError(
            f"{type(ledger).__name__} keeps no calendar: give it the methods of MaintenanceCalendar "
            "(windows and schedule), or use a storage that has them"
        )
    window = MaintenanceWindow(machine_id=machine_id, start=start_ms, end=end_ms, reason=reason)
    ledger.schedule(window, forget_before_ms=now_ms - _FORGET_AFTER_MS)
    return window
