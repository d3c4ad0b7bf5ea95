"""What the service answers: the results of `register`, `check`, `start` and `stop`.

Owns frozen values only. Must not know how any of it was found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field
from pendulum import DateTime

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._models import ObserverHealth, ObserverState, Statistics
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import optional_datetime, to_datetime
from heartbeat_kit._words import counted

__all__ = ["CheckReport", "Registration", "ServiceStatus"]


@attrs.frozen(kw_only=True)
class Registration:
    """The outcome of `register()`.

    Attributes:
        machine_id: Whose heartbeat was stored.
        timestamp: Its stamp (UTC).
        status: ``online``: it has just beaten.
        is_new_machine: Nothing was stored of it before.
    """

    machine_id: str
    timestamp_ms: int = field(alias="timestamp")
    status: MachineStatus = MachineStatus.ONLINE
    is_new_machine: bool = False

    @property
    def timestamp(self) -> DateTime:
        """The stamp of the stored heartbeat, UTC."""
        return to_datetime(self.timestamp_ms)

    def __repr__(self) -> str:
        new = ", new" if self.is_new_machine else ""
        return f"<Registration {self.machine_id} {self.status} at {self.timestamp.isoformat()}{new}>"


@attrs.frozen(kw_only=True, eq=False)
class CheckReport:
    """The outcome of one `check()`. The ``newly_…`` fields name what this very look announced.

    Attributes:
        newly_offline: Machines that went offline or left.
        newly_online: Machines that came back from warning or offline.
        newly_warning: Machines that fell silent for T.
        newly_registered: Machines seen for the first time.
        warning: Machines now in warning.
        unknown: Machines nobody can tell about.
        unreadable: Machines whose record cannot be read, with the reason.
        identity_conflicts: Machines that several hosts or copies claim to be, with a sentence.
        transitions: The changes of status this look committed.
        events: The same with what it committed about the fleet as a whole.
        observer: Who looked, and how well.
        statistics: The counts after the look.
    """

    newly_offline: tuple[str, ...] = ()
    newly_online: tuple[str, ...] = ()
    newly_warning: tuple[str, ...] = ()
    newly_registered: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    identity_conflicts: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    transitions: tuple[Transition, ...] = ()
    events: tuple[Event, ...] = ()
    checked_at_ms: int = field(alias="checked_at")
    observer: ObserverState
    statistics: Statistics

    @property
    def checked_at(self) -> DateTime:
        """When the look took place, UTC."""
        return to_datetime(self.checked_at_ms)

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.observer.health is ObserverHealth.BLIND:
            return f"blind: {self.observer.reason}"
        return (
            f"{counted(len(self.newly_offline), 'machine')} newly offline, "
            f"{counted(len(self.newly_online), 'machine')} back online, "
            f"{len(self.warning)} in warning, of {self.statistics.total_machines}"
        )

    def __repr__(self) -> str:
        unknown = f", {len(self.unknown)} unknown" if self.unknown else ""
        return f"<CheckReport {self.summary}{unknown}, observer {self.observer.health}>"

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table, report_rows  # noqa: PLC0415 - for notebooks only

        return html_table(*report_rows(self), caption=self.summary)

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import report_rows, rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*report_rows(self), caption=self.summary)


@attrs.frozen(kw_only=True)
class ServiceStatus:
    """What a service is doing.

    Attributes:
        is_running: It really beats now.
        machine_id: As whom.
        config: The configuration in force.
        started_at: When it was started (UTC), or ``None``.
        stopped_at: When it was stopped (UTC), or ``None``.
        state_saved: `stop()` stored what it was asked to store.
        pending: Why the last beat is not stored yet, or ``None``; it is tried again at the next interval.
    """

    is_running: bool
    machine_id: str
    config: HeartbeatConfig
    started_at_ms: int | None = field(alias="started_at", default=None)
    stopped_at_ms: int | None = field(alias="stopped_at", default=None)
    state_saved: bool = False
    pending: str | None = None

    @property
    def started_at(self) -> DateTime | None:
        """When the service was started, UTC."""
        return optional_datetime(self.started_at_ms)

    @property
    def stopped_at(self) -> DateTime | None:
        """When the service was stopped, UTC."""
        return optional_datetime(self.stopped_at_ms)

    def __repr__(self) -> str:
        pending = f", pending: {self.pending}" if self.pending else ""
        return f"<ServiceStatus {self.machine_id} {'running' if self.is_running else 'not running'}{pending}>"
