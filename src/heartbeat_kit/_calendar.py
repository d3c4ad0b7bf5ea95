"""`Planning`: what a service offers about maintenance: to plan a window, to see those there are, to end one early.

Owns the checks and the forgetting of old windows. Must not know what a window does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs

from heartbeat_kit._clock import Clock
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._requirements import require_moment
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.storage import MaintenanceCalendar, SharedLedger

__all__ = ["Planning"]

_FORGET_AFTER_MS: Final = 7 * 86_400_000


class Planning:
    """Plans in `_ledger`, by `_clock`."""

    _ledger: SharedLedger
    _clock: Clock

    def maintenance(self, machine_id: str, start: datetime, end: datetime, reason: str = "") -> MaintenanceWindow:
        """Plan a time in which a machine may be away: its events are marked as suppressed until the window ends.

        Its status stays true. What differs at the end from what was announced before is announced once, plainly. Every
        process that announces from the same ledger keeps to it. A window with the same start is replaced, so it can be
        made shorter or longer. Windows that ended a week ago are forgotten.

        Args:
            machine_id: Which machine.
            start: Its beginning, an aware datetime.
            end: Its end.
            reason: Why, for people.

        Raises:
            InvalidConfigurationError: A time that is no aware datetime, an end before the start, or a storage of
                your own whose ledger keeps no calendar (`MaintenanceCalendar`).
            StorageUnavailableError: The window is not kept.
        """
        start_ms, end_ms = require_moment("start", start), require_moment("end", end)
        if start_ms is None or end_ms is None:
            raise InvalidConfigurationError(
                "a maintenance window needs a start and an end: expected two aware datetimes"
            )
        if not isinstance(reason, str):
            raise InvalidConfigurationError(f"reason is {reason!r}: expected a text")
        return self._schedule(MaintenanceWindow(machine_id=machine_id, start=start_ms, end=end_ms, reason=reason))

    def maintenance_windows(self, machine_id: str | None = None) -> tuple[MaintenanceWindow, ...]:
        """The windows there are, of one machine or all, by start; those that ended lately too.

        Raises:
            StorageUnavailableError: They cannot be read.
        """
        name = None if machine_id is None else normalize_machine_id(machine_id)
        found = self._ledger.windows() if isinstance(self._ledger, MaintenanceCalendar) else ()
        return tuple(window for window in found if name in (None, window.machine_id))

    def end_maintenance(self, machine_id: str) -> tuple[MaintenanceWindow, ...]:
        """End the windows of a machine that hold now; returns them as they are then.

        Raises:
            StorageUnavailableError: One still holds.
        """
        now_ms = self._clock.now().wall_ms
        held = [window for window in self.maintenance_windows(machine_id) if window.holds_at(now_ms)]
        # One that began in this very millisecond has lasted that long.
        ended = (attrs.evolve(window, end=max(now_ms, window.start_ms + 1)) for window in held)
        return tuple(self._schedule(window) for window in ended)

    def _schedule(self, window: MaintenanceWindow) -> MaintenanceWindow:
        if not isinstance(self._ledger, MaintenanceCalendar):
            raise InvalidConfigurationError(
                f"{type(self._ledger).__name__} keeps no calendar: give it the methods of MaintenanceCalendar "
                "(windows and schedule), or use a storage that has them"
            )
        self._ledger.schedule(window, forget_before_ms=self._clock.now().wall_ms - _FORGET_AFTER_MS)
        return window
