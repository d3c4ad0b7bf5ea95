"""What the service asks of a storage: one narrow protocol, declared traits, optional abilities.

Owns `Storage`, `StorageTraits`, `Snapshot`, the ledger's values and the ability protocols. Holds no implementation.
A class of yours needs no base class: the right methods are enough. Prove it with
`heartbeat_kit.testing.StorageContract`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._events import Reason
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import span_ms, to_duration
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = [
    "BulkWriter",
    "EventLog",
    "HealthProbe",
    "LedgerEntry",
    "MaintenanceCalendar",
    "Move",
    "Observation",
    "ObservationLog",
    "Probe",
    "RecordLookup",
    "ServiceConfigStore",
    "SharedLedger",
    "Snapshot",
    "Storage",
    "StorageTraits",
]


def _delay(value: Any) -> Duration | None:
    if value is None:
        return None
    if not isinstance(value, timedelta) or span_ms(value) < 0:
        raise InvalidConfigurationError(
            f"propagation_delay is {value!r}: expected a timedelta of zero or more, or None if it is not known"
        )
    return to_duration(span_ms(value))


@attrs.frozen(kw_only=True)
class StorageTraits:
    """What a storage can and cannot promise.

    Attributes:
        durable: A stored heartbeat survives a restart of every process.
        cross_process: Processes of one host share it.
        cross_host: Hosts share it, so stamps come from clocks that are not ours.
        coherent: A write is visible to every reader at once.
        propagation_delay: How late a reader may see a write; zero when coherent, ``None`` when not known beforehand.
        server_clock: Stamps are made by the storage's own clock, reported in `Snapshot.server_time_ms`.
        location: A stable name of the place: two storages with one location hold the same records. It keys the
            local state (lock, ledger) of a service; without one, the class name stands in.
    """

    durable: bool
    cross_process: bool
    cross_host: bool
    coherent: bool
    propagation_delay: Duration | None = field(default=to_duration(0), converter=_delay)
    server_clock: bool = False
    location: str = ""

    def __attrs_post_init__(self) -> None:
        if self.coherent and (self.propagation_delay is None or span_ms(self.propagation_delay) > 0):
            raise InvalidConfigurationError(
                "a coherent storage shows a write to every reader at once: declare propagation_delay=timedelta(0), "
                "or coherent=False"
            )


_WHOLE: Any = attrs.validators.optional(attrs.validators.instance_of(int))
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Snapshot:
    """Everything a storage holds at one look.

    Attributes:
        heartbeats: The newest readable record of each machine. An unchanged record should be the same object as in
            the snapshot before: it makes a check of a quiet fleet nearly free.
        unreadable: Machines whose record is there but cannot be understood, with the reason.
        conflicts: Machines of which several copies were found, with a sentence naming them.
        server_time_ms: The storage's own clock, for a storage with the trait `server_clock`.
    """

    heartbeats: Mapping[str, Heartbeat]
    unreadable: Mapping[str, str] = _NOTHING
    conflicts: Mapping[str, str] = _NOTHING
    server_time_ms: int | None = None


@runtime_checkable
class Storage(Protocol):
    """Where heartbeats live. Every method may be called from any thread."""

    @property
    def traits(self) -> StorageTraits:
        """What this storage can and cannot promise."""
        ...

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Store a heartbeat unless one as new or newer, by `Heartbeat.order`, is stored already.

        Returns:
            What is stored now, `heartbeat` itself or the record it met.

        Raises:
            StorageUnavailableError: It is not stored.
        """
        ...

    def load(self) -> Snapshot:
        """Read everything. Never writes, never deletes, never fails because of one bad record.

        Raises:
            StorageUnavailableError: The storage as a whole cannot be read.
        """
        ...

    def remove(self, machine_id: str) -> bool:
        """Forget a machine; true if it was there. Final until it beats again."""
        ...

    def close(self) -> None:
        """Release what is held. Safe to call twice; every other method raises `StorageClosedError` afterwards."""
        ...


@runtime_checkable
class RecordLookup(Protocol):
    """Ability: read one machine's record without reading the fleet."""

    def get(self, machine_id: str) -> Heartbeat | None:
        """The stored record, or ``None`` if there is none that can be read."""
        ...


@runtime_checkable
class BulkWriter(Protocol):
    """Ability: store the heartbeats of many machines in one write."""

    def put_many(self, heartbeats: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """As `Storage.put` of each, in their order; returns what is stored now of each.

        Raises:
            StorageUnavailableError: None of them is stored.
        """
        ...


@attrs.frozen(kw_only=True)
class Probe:
    """What a storage finds out about itself.

    Attributes:
        stamped_ms: When what was written was written by the clock of the medium (a file server's), epoch
            milliseconds, or ``None`` if it stamps nothing.
        free_bytes: Room that is left for a writer, or ``None`` if that is not known.
        free_files: How many files more may be made, or ``None`` if that is not known or not limited.
        trouble: What is wrong that it works around, such as a damaged file whose last good copy is read instead;
            empty if nothing is.
    """

    stamped_ms: int | None = field(default=None, validator=_WHOLE)
    free_bytes: int | None = field(default=None, validator=_WHOLE)
    free_files: int | None = field(default=None, validator=_WHOLE)
    trouble: str = field(default="", validator=attrs.validators.instance_of(str))


@runtime_checkable
class HealthProbe(Protocol):
    """Ability: prove that a heartbeat could be written, without one that somebody would read."""

    def probe(self, machine_id: str = "") -> Probe:
        """Write something nobody reads, take it away again, and say what was found. What is stored stays as it is.

        Args:
            machine_id: Whose heartbeat is in question, where that makes a difference.

        Raises:
            StorageUnavailableError: A heartbeat could not be written.
        """
        ...


@attrs.frozen(kw_only=True, weakref_slot=False)
class LedgerEntry:
    """What was announced last about a machine, and on what evidence.

    Attributes:
        machine_id: The machine.
        status: The status announced; ``unknown`` once it was removed.
        event_id: Id of the transition that announced it; compare-and-set works on this.
        reason: Reason of that transition.
        since_ms: When the status began (`Transition.occurred_at`).
        episode: The silence it belongs to, while one lasts.
        incarnation: Life number of the record behind it.
        seq: Beat number of the record behind it.
        flapping: It was announced while the machine was flapping, so what it settles on is still owed.
        suppressed: It was announced in a maintenance window.
        steady: The status announced last outside both, or ``None`` if that is `status`.
        announced_ms: When it was announced (`Transition.detected_at`), or ``None`` in entries that do not say.

    An entry whose `machine_id` begins with ``*`` is about the fleet and belongs to no machine.
    """

    machine_id: str
    status: MachineStatus
    event_id: str
    reason: Reason
    since_ms: int
    episode: str | None = None
    incarnation: int = 0
    seq: int = 0
    flapping: bool = False
    suppressed: bool = False
    steady: MachineStatus | None = None
    announced_ms: int | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class Move:
    """A proposed change of one ledger entry.

    Attributes:
        expected: `LedgerEntry.event_id` of the entry to replace, or ``None`` if there must be none.
        entry: The new entry.
        transition: The event that announces it: a `Transition`, or an event about the fleet.
        owner: Who delivers the event; see `SharedLedger.undelivered`.
    """

    expected: str | None
    entry: LedgerEntry
    transition: Event
    owner: str


@attrs.frozen(kw_only=True, weakref_slot=False)
class Observation:
    """How long an observer had watched a record stand still, and when.

    Attributes:
        incarnation: Life number of the record.
        seq: Beat number of the record.
        seen_ms: The observer's own wall clock at that moment, epoch milliseconds.
        silent_ms: The silence counted until then; zero when the record has just risen.
        interval_ms: The beat it promised; zero if that is not known.
        skew_ms: How far the observer's clock is ahead of the sender's, by rises between looks close together; zero
            until there was one.
        rose: It was seen to rise. Otherwise it was met as it was, and may have been old then.
        candidate: A status that waited for more looks to agree, or ``None``.
        agreed: How many had.
    """

    incarnation: int
    seq: int
    seen_ms: int
    silent_ms: int = 0
    interval_ms: int = 0
    skew_ms: int = 0
    rose: bool = True
    candidate: MachineStatus | None = None
    agreed: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """``(incarnation, seq)`` of the record, as `Heartbeat.order`."""
        return self.incarnation, self.seq


@runtime_checkable
class SharedLedger(Protocol):
    """Ability: compare-and-set of what was announced, exactly once among all processes that use the storage."""

    def read_ledger(self) -> Mapping[str, LedgerEntry]:
        """Every entry, by machine id; keys with a ``*`` are about the fleet. The mapping never changes afterwards."""
        ...

    def commit(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        """Make each move whose `expected` still holds, keep its event for delivery, return the moves made.

        Raises:
            StorageUnavailableError: No move was made.
        """
        ...

    def undelivered(self, owner: str) -> tuple[Event, ...]:
        """Committed events not yet marked delivered whose owner is `owner` or does not live any more.

        Those of a dead owner belong to `owner` from now on. In the order of their commit.
        """
        ...

    def delivered(self, ids: Sequence[str]) -> None:
        """Mark events as delivered; unknown ids are ignored."""
        ...


@runtime_checkable
class ObservationLog(Protocol):
    """Ability of an observer's own ledger: remember across restarts when it saw which record rise."""

    def observations(self) -> Mapping[str, Observation]:
        """The newest observation of each machine. The mapping never changes after it was returned."""
        ...

    def note(self, observations: Mapping[str, Observation]) -> None:
        """Add observations; an older one than is stored is passed over.

        Raises:
            StorageUnavailableError: Nothing was noted.
        """
        ...


@runtime_checkable
class EventLog(Protocol):
    """Ability: a durable, bounded history of events. An event that was committed is in the history."""

    def history(self, machine_id: str | None = None, since_ms: int | None = None) -> tuple[Event, ...]:
        """Events in the order of their commit, of one machine or all, detected at or after `since_ms`.

        Events about the fleet belong to no machine.
        """
        ...


@runtime_checkable
class MaintenanceCalendar(Protocol):
    """Ability of a ledger: keep the maintenance windows, for every process that announces from it."""

    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """Every window kept, by start. The same object until something changes."""
        ...

    def schedule(self, window: MaintenanceWindow, *, forget_before_ms: int) -> None:
        """Keep a window, however long ago it ended; one of the same machine with the same start is replaced.

        Args:
            window: The new one.
            forget_before_ms: Others that ended before this moment are dropped.

        Raises:
            StorageUnavailableError: It is not kept.
        """
        ...


@runtime_checkable
class ServiceConfigStore(Protocol):
    """Ability: keep the configuration a service runs with where people and tools can read it."""

    def save_service(self, record: Mapping[str, Any]) -> None:
        """Replace the stored record (a JSON object)."""
        ...

    def load_service(self) -> dict[str, Any] | None:
        """The stored record, or ``None``."""
        ...
