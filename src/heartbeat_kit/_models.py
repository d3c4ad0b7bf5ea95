"""What people and programs read: the state of a machine, of the fleet, of the observer.

Owns frozen values only. Times are kept as integers and shown as pendulum types; everything derived is a property.
Must not know how any of it was found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field
from pendulum import DateTime, Duration

from heartbeat_kit._events import Basis
from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._medium_state import MediumState
from heartbeat_kit._status import MachineStatus, named_status
from heartbeat_kit._times import optional_datetime, to_datetime, to_duration
from heartbeat_kit.errors import InvalidMachineIdError, UnknownMachineError

if TYPE_CHECKING:
    import pandas

__all__ = [
    "FleetState",
    "MachineState",
    "ObserverHealth",
    "ObserverState",
    "Statistics",
]


class ObserverHealth(StrEnum):
    """How far the observer itself can be believed."""

    OK = "ok"
    STALLED = "stalled"
    """It looked late or its clocks disagree, so nothing worse is said in this look."""
    BLIND = "blind"
    """It could not see the storage; every status is as it was, and marked stale."""
    FLEET_SILENT = "fleet_silent"
    """Nobody else is heard on a medium that delays, so what is silent is called unknown for a while."""


@attrs.frozen(kw_only=True)
class ObserverState:
    """Who looked, and how well.

    Attributes:
        health: Whether it could judge.
        since: Since when it is so (UTC).
        reason: Why, for people; empty when all is well.
        machine_id: The observer.
        medium: How late the medium is; ``None`` on a storage that delays nothing.
    """

    health: ObserverHealth
    since_ms: int = field(alias="since")
    reason: str = ""
    machine_id: str = ""
    medium: MediumState | None = None

    @property
    def since(self) -> DateTime:
        """Since when the observer is in this health, UTC."""
        return to_datetime(self.since_ms)

    def __repr__(self) -> str:
        return f"<ObserverState {self.health}{': ' + self.reason if self.reason else ''}>"


@attrs.frozen(kw_only=True, weakref_slot=False)
class MachineState:
    """Everything known of one machine at one instant. `explain()` says it in words.

    Attributes:
        machine_id: Its id.
        status: What it is believed to be.
        heartbeat: The newest readable record, or ``None`` if there never was one.
        basis: Whose clock the verdict rests on.
        reason: A short code: ``beating``, ``silent``, ``left``, ``unreadable``, ``future_stamp``, ``unconfirmed``,
            ``pending``, ``settling``, ``absent``, ``never_seen``, ``expected``, ``fleet_silent``.
        episode: Id of the silence it is in, or ``None``.
        stale: The observer is blind: this is what was known before.
        identity_conflict: A sentence if two hosts, or several copies of its record, claim to be this machine.
        unreadable: Why its record cannot be read now, or ``None``.
        flapping: It keeps changing, so its events are marked.
        maintenance: The window it is in, or ``None``.
    """

    machine_id: str
    status: MachineStatus
    heartbeat: Heartbeat | None
    basis: Basis
    reason: str
    observer: str
    retrieved_at_ms: int = field(alias="retrieved_at")
    age_ms: int = field(alias="age")
    since_ms: int | None = field(alias="since", default=None)
    warning_since_ms: int | None = field(alias="warning_since", default=None)
    offline_since_ms: int | None = field(alias="offline_since", default=None)
    timeout_ms: int = field(alias="timeout")
    next_deadline_ms: int | None = field(alias="next_deadline", default=None)
    clock_skew_ms: int | None = field(alias="clock_skew", default=None)
    episode: str | None = None
    stale: bool = False
    identity_conflict: str | None = None
    unreadable: str | None = None
    allowance_ms: int = field(alias="allowance", default=0)
    cascade_ms: int | None = field(alias="cascade", default=None)
    flapping: bool = False
    maintenance: MaintenanceWindow | None = None

    @property
    def cascade(self) -> DateTime | None:
        """When the cascade it went offline in was announced, UTC; ``None`` if it went alone or is not offline."""
        return optional_datetime(self.cascade_ms)

    @property
    def unconfirmed(self) -> bool:
        """Whether nothing but the sender's own stamp suggests its status, which is shown then and never announced."""
        stamped = self.heartbeat is not None and self.heartbeat.left_at_ms is None
        return self.basis is Basis.SENDER and stamped and self.status is not MachineStatus.UNKNOWN

    @property
    def in_maintenance(self) -> bool:
        """Whether a maintenance window holds now, in which its events are suppressed."""
        return self.maintenance is not None

    @property
    def allowance(self) -> Duration:
        """What both its deadlines are shifted by, because the medium delays."""
        return to_duration(self.allowance_ms)

    @property
    def age(self) -> Duration:
        """How long it has been silent."""
        return to_duration(self.age_ms)

    @property
    def last_heartbeat(self) -> DateTime | None:
        """The sender's last stamp, UTC; ``None`` if it never beat."""
        return self.heartbeat.last_heartbeat if self.heartbeat else None

    @property
    def first_seen(self) -> DateTime | None:
        """When it first registered, UTC."""
        return self.heartbeat.first_seen if self.heartbeat else None

    @property
    def since(self) -> DateTime | None:
        """When it took this status, UTC."""
        return optional_datetime(self.since_ms)

    @property
    def warning_since(self) -> DateTime | None:
        """The deadline after which its silence was a warning; ``None`` while it is not silent."""
        return optional_datetime(self.warning_since_ms)

    @property
    def offline_since(self) -> DateTime | None:
        """The deadline after which it was offline; ``None`` while it is not."""
        return optional_datetime(self.offline_since_ms)

    @property
    def next_deadline(self) -> DateTime | None:
        """When its status worsens if it stays silent, UTC."""
        return optional_datetime(self.next_deadline_ms)

    @property
    def timeout(self) -> Duration:
        """The timeout in force for it, never shorter than the beat it promises allows."""
        return to_duration(self.timeout_ms)

    @property
    def interval(self) -> Duration | None:
        """The beat it promises."""
        return self.heartbeat.interval if self.heartbeat else None

    @property
    def clock_skew(self) -> Duration | None:
        """How far its clock is ahead of ours, propagation included; ``None`` until its record rose here."""
        return None if self.clock_skew_ms is None else to_duration(self.clock_skew_ms)

    @property
    def missed_heartbeats(self) -> int:
        """Whole promised intervals without a beat."""
        return max(self.age_ms, 0) // self.heartbeat.interval_ms if self.heartbeat else 0

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of its metadata."""
        return self.heartbeat.metadata if self.heartbeat else {}

    def explain(self) -> str:
        """One paragraph a person can act on: what is believed, who saw what, when, and on whose clock."""
        from heartbeat_kit._explain import explain  # noqa: PLC0415 - words are loaded when somebody reads

        return explain(self)

    def __repr__(self) -> str:
        conflict = " identity conflict" if self.identity_conflict else ""
        stale = " stale" if self.stale else ""
        return (
            f"<MachineState {self.machine_id} {self.status} age={self.age_ms / 1000:g}s {self.reason}{stale}{conflict}>"
        )

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table, machine_rows  # noqa: PLC0415 - for notebooks only

        return html_table(*machine_rows([self]))

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import machine_rows, rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*machine_rows([self]))


@attrs.frozen(kw_only=True)
class Statistics:
    """Counts of a fleet.

    Attributes:
        total_machines: Everybody known, unreadable records included.
        online_count: Machines online.
        warning_count: Machines silent for T.
        offline_count: Machines silent for 2 T, or gone.
        unknown_count: Machines nobody can tell about.
        last_heartbeat_check: When this service last checked (UTC), or ``None``.
    """

    total_machines: int
    online_count: int
    warning_count: int
    offline_count: int
    unknown_count: int
    last_heartbeat_check_ms: int | None = field(alias="last_heartbeat_check", default=None)

    @property
    def last_heartbeat_check(self) -> DateTime | None:
        """When this service last checked, UTC."""
        return optional_datetime(self.last_heartbeat_check_ms)


@attrs.frozen(kw_only=True, eq=False)
class FleetState:
    """The whole fleet at one instant: a read-only view; asking for it changes nothing.

    Attributes:
        machines: `MachineState` by machine id, sorted by id.
        observer: Who looked, and how well.
        unreadable: Machines whose record is there but cannot be read, with the reason.

    Raises:
        UnknownMachineError: By ``state[machine_id]`` for a machine nobody knows.
    """

    machines: Mapping[str, MachineState] = field(converter=frozen_mapping)
    observer: ObserverState
    retrieved_at_ms: int = field(alias="retrieved_at")
    last_check_ms: int | None = field(alias="last_check", default=None)
    unreadable: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)

    def of(self, status: MachineStatus | str) -> tuple[MachineState, ...]:
        """The machines of one status, sorted by id.

        Raises:
            InvalidConfigurationError: There is no such status.
        """
        wanted = named_status("status", status)
        return tuple(machine for machine in self.machines.values() if machine.status is wanted)

    @property
    def online(self) -> tuple[MachineState, ...]:
        """Machines online."""
        return self.of(MachineStatus.ONLINE)

    @property
    def warning(self) -> tuple[MachineState, ...]:
        """Machines silent for T."""
        return self.of(MachineStatus.WARNING)

    @property
    def offline(self) -> tuple[MachineState, ...]:
        """Machines silent for 2 T, or gone."""
        return self.of(MachineStatus.OFFLINE)

    @property
    def unknown(self) -> tuple[MachineState, ...]:
        """Machines nobody can tell about."""
        return self.of(MachineStatus.UNKNOWN)

    @property
    def retrieved_at(self) -> DateTime:
        """When the state was read, UTC."""
        return to_datetime(self.retrieved_at_ms)

    @property
    def statistics(self) -> Statistics:
        """The counts."""
        return Statistics(
            total_machines=len(self.machines),
            online_count=len(self.online),
            warning_count=len(self.warning),
            offline_count=len(self.offline),
            unknown_count=len(self.unknown),
            last_heartbeat_check=self.last_check_ms,
        )

    def __getitem__(self, machine_id: str) -> MachineState:
        try:
            wanted = normalize_machine_id(machine_id)
            return self.machines[wanted]
        except (KeyError, InvalidMachineIdError) as error:
            raise UnknownMachineError(
                f"no machine {machine_id!r} here; known are: {', '.join(self.machines) or 'none'}",
                machine_id=str(machine_id),
            ) from error

    def __contains__(self, machine_id: object) -> bool:
        try:
            return isinstance(machine_id, str) and normalize_machine_id(machine_id) in self.machines
        except InvalidMachineIdError:
            return False

    def __iter__(self) -> Iterator[MachineState]:
        return iter(self.machines.values())

    def __len__(self) -> int:
        return len(self.machines)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a machine, indexed by machine id.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        from heartbeat_kit._tables import to_pandas  # noqa: PLC0415 - pandas is optional

        return to_pandas(self)

    def __repr__(self) -> str:
        return f"<FleetState {_counts(self.statistics)}, observer {self.observer.health}>"

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table, machine_rows  # noqa: PLC0415 - for notebooks only

        return html_table(*machine_rows(list(self)), caption=repr(self)[1:-1])

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import machine_rows, rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*machine_rows(list(self)), caption=repr(self)[1:-1])


def _counts(numbers: Statistics) -> str:
    return (
        f"{numbers.total_machines} machines: {numbers.online_count} online, {numbers.warning_count} warning, "
        f"{numbers.offline_count} offline, {numbers.unknown_count} unknown"
    )
