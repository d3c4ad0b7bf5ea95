"""`MaintenanceWindow`: a time in which a machine may be away without anybody being told to act.

Owns the value and the question whether a moment lies in it. Must not know where windows are kept.
"""

from __future__ import annotations

from typing import Any

import attrs
from attrs import field
from pendulum import DateTime

from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._times import MAX_MS, MIN_MS, to_datetime, to_iso
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["MaintenanceWindow"]


def _moment(window: MaintenanceWindow, attribute: attrs.Attribute[int], value: int) -> None:
    if type(value) is not int or not MIN_MS <= value <= MAX_MS:
        raise InvalidConfigurationError(
            f"the {attribute.alias} of the maintenance of {window.machine_id!r} is {value!r}: expected epoch "
            "milliseconds between the years 1 and 9999"
        )


@attrs.frozen(kw_only=True)
class MaintenanceWindow:
    """Half-open, on the observer's wall clock: it holds from `start` until just before `end`.

    Attributes:
        machine_id: Which machine.
        start: Its beginning, given in epoch milliseconds and read as UTC.
        end: Its end.
        reason: Why, for people.

    Raises:
        InvalidMachineIdError: No usable machine id.
        InvalidConfigurationError: No whole milliseconds, or it ends before it begins.
    """

    machine_id: str = field(converter=normalize_machine_id)
    start_ms: int = field(alias="start", validator=_moment)
    end_ms: int = field(alias="end", validator=_moment)
    reason: str = ""

    def __attrs_post_init__(self) -> None:
        if self.end_ms <= self.start_ms:
            raise InvalidConfigurationError(
                f"the maintenance of {self.machine_id!r} ends at {self.end.isoformat()}, not after it starts at "
                f"{self.start.isoformat()}: give a start and a later end"
            )

    @property
    def start(self) -> DateTime:
        """Its beginning, UTC."""
        return to_datetime(self.start_ms)

    @property
    def end(self) -> DateTime:
        """Its end, UTC."""
        return to_datetime(self.end_ms)

    def holds_at(self, wall_ms: int) -> bool:
        """Whether the moment lies in it."""
        return self.start_ms <= wall_ms < self.end_ms

    def __wire__(self, _locale: str) -> dict[str, Any]:
        """The shape of `to_wire`."""
        return {
            "machineId": self.machine_id,
            "start": to_iso(self.start_ms),
            "end": to_iso(self.end_ms),
            "reason": self.reason or None,
        }

    def __repr__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"<MaintenanceWindow {self.machine_id} {self.start.isoformat()} to {self.end.isoformat()}{why}>"
