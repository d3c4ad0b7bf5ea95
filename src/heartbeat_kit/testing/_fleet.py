"""`Fleet`: machines that beat into one storage and an observer of them, in one process and without real time.

Owns who is in the fleet and the words in which a test lets things happen to them. Must not know how a service works.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Self

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import span_ms
from heartbeat_kit.errors import InvalidConfigurationError, UnknownMachineError
from heartbeat_kit.storage import MemoryStorage, Storage, StorageTraits
from heartbeat_kit.testing._clock import FakeClock
from heartbeat_kit.testing._listener import RecordingListener
from heartbeat_kit.testing._medium import Medium
from heartbeat_kit.testing._member import Member

__all__ = ["Fleet"]


class Fleet:
    """Several machines, each a real `HeartbeatService` under its own `FakeClock`, and one or more observers of them.

    Everybody runs from the beginning. Nothing happens by itself: time passes in `advance`, and every run of a test is
    the same. Machines and observers are called by their ids; an observer can crash like any machine. Every one has its
    own link to the medium: ``fleet.observer.storage`` is a `FaultyStorage`, for finer faults than `partition`.

    Only observers announce to `events` and `timeline`. A machine is a whole service too and may be given listeners of
    its own, but it never takes an event from the observers. Several observers share the ledger of a storage that has
    one: each event is announced by one of them.

    Args:
        machines: How many (``m1``, ``m2``…), or their ids.
        config: The timings of everybody; `HeartbeatConfig()` by default.
        storage: The medium; by default memory with the traits that the next two arguments say.
        observer: The id of the observer, or of several.
        cross_host: Each machine is a host with its own wall clock, so no stamp can be trusted. False: all are
            processes of one host and share its clock.
        propagation_delay: How long a record takes from one machine to any other, and what the medium declares.
        state_dir: The local disk of the machines, for locks and ledgers; needed for a storage on disk.
        clock: A clock for the fleet to keep time with; a new one by default.

    Raises:
        InvalidMachineIdError: An id that cannot name a machine.
        InvalidConfigurationError: No machine, no observer, an id given twice, or a storage that needs a `state_dir`.

    >>> with Fleet(3) as fleet:
    ...     fleet.advance(60)
    ...     fleet.crash("m2")
    ...     fleet.advance(300)
    ...     str(fleet.statuses()["m2"]), [f"{event.after} ({event.reason})" for event in fleet.events.of("m2")]
    ('offline', ['online (first_seen)', 'warning (silent)', 'offline (silent)'])
    """

    def __init__(
        self,
        machines: int | Iterable[str] = 3,
        *,
        config: HeartbeatConfig | None = None,
        storage: Storage | None = None,
        observer: str | Iterable[str] = "observer",
        cross_host: bool = True,
        propagation_delay: timedelta = timedelta(0),
        state_dir: str | os.PathLike[str] | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        names, observers = _ids(machines, observer)
        if not isinstance(propagation_delay, timedelta):
            raise InvalidConfigurationError(f"propagation_delay is {propagation_delay!r}: expected a timedelta")
        if storage is None:
            storage = MemoryStorage(traits=_traits(propagation_delay, cross_host=cross_host))
        elif propagation_delay or not cross_host:
            raise InvalidConfigurationError(
                "cross_host and propagation_delay describe the fleet's own medium: the traits of the storage you pass "
                "say how it is"
            )
        if storage.traits.cross_process and state_dir is None:
            raise InvalidConfigurationError(
                f"{storage!r} is shared by processes, so each machine needs a local disk for its lock: pass "
                "state_dir=tmp_path or another folder that is not the shared one"
            )
        self._clock = FakeClock() if clock is None else clock
        self._true = self._clock.sibling()  # nobody suspends this one, so its monotonic clock is true time
        self._began_ms = self._true.now().mono_ms
        self._events = RecordingListener()
        self._timelines: dict[str, list[tuple[float, MachineStatus]]] = {}
        medium = Medium(storage, self._true, span_ms(propagation_delay))
        self._storage = storage
        self._members = {
            name: Member(
                name,
                medium.seen_by(name, announces=name in observers),
                clock=self._clock.sibling(),
                host=name if storage.traits.cross_host else "fleet",
                config=config,
                state_dir=state_dir,
                listeners=(self._events, self._note) if name in observers else (),
            )
            for name in (*names, *observers)
        }
        self._names, self._observers = names, observers
        try:
            for member in self._members.values():
                member.start()
            self.advance(0)
        except BaseException:
            self.stop()
            raise

    @property
    def clock(self) -> FakeClock:
        """The clock the fleet keeps time with; moving it moves everybody's."""
        return self._clock

    @property
    def elapsed(self) -> float:
        """Seconds since the fleet started."""
        return (self._true.now().mono_ms - self._began_ms) / 1000

    @property
    def storage(self) -> Storage:
        """The medium itself, without the machines' links to it."""
        return self._storage

    @property
    def machines(self) -> Mapping[str, HeartbeatService]:
        """The service of each machine in its present or last life, by id."""
        return MappingProxyType({name: self._members[name].service for name in self._names})

    @property
    def observers(self) -> Mapping[str, HeartbeatService]:
        """The service of each observer in its present or last life, by id."""
        return MappingProxyType({name: self._members[name].service for name in self._observers})

    @property
    def observer(self) -> HeartbeatService:
        """The first observer's service."""
        return self._members[self._observers[0]].service

    @property
    def events(self) -> RecordingListener:
        """What the observers announced, in order."""
        return self._events

    def advance(self, seconds: float | timedelta) -> None:
        """Let time pass for everybody, in the order of what is due."""
        self._clock.advance(seconds)

    def crash(self, machine_id: str) -> None:
        """Kill a machine's process, as SIGKILL: no goodbye, nothing more is written. Nothing happens if none runs."""
        self._member(machine_id).crash()

    def revive(self, machine_id: str) -> None:
        """Start a new process of a machine: a new service, a new life. Nothing happens while one runs."""
        self._member(machine_id).start()

    def leave(self, machine_id: str) -> None:
        """Stop a machine cleanly, with a goodbye. Nothing happens if it does not run."""
        self._member(machine_id).service.stop(leave=True)

    def skew(self, machine_id: str, seconds: float | timedelta) -> None:
        """Set a machine's wall clock forward, or back with a negative number.

        Raises:
            InvalidConfigurationError: The machines are processes of one host, so none has a clock of its own.
        """
        member = self._member(machine_id)
        if not self._storage.traits.cross_host:
            raise InvalidConfigurationError(
                f"{self._storage!r} is for processes of one host, which share its clock: use a cross-host storage to "
                "give machines clocks of their own"
            )
        member.clock.jump_wall(seconds)

    def partition(self, machine_id: str) -> None:
        """Cut a machine off from the medium: all it writes and reads fails until `heal`. Its process goes on."""
        member = self._member(machine_id)
        member.storage.go_down(f"{member.machine_id} is cut off from the medium (Fleet.partition)")

    def heal(self, machine_id: str) -> None:
        """End `partition`."""
        self._member(machine_id).storage.come_back()

    def stall(self, machine_id: str, seconds: float | timedelta) -> None:
        """Freeze a machine's process for the next `seconds`, as SIGSTOP; they pass in later calls of `advance`."""
        self._member(machine_id).clock.stall(seconds)

    def suspend(self, machine_id: str, seconds: float | timedelta) -> None:
        """Let a machine sleep for `seconds`, which pass now for everybody; its monotonic clock stands still."""
        self._member(machine_id).clock.suspend(seconds)

    def stall_observer(self, seconds: float | timedelta) -> None:
        """`stall` of the first observer."""
        self.stall(self._observers[0], seconds)

    def suspend_observer(self, seconds: float | timedelta) -> None:
        """`suspend` of the first observer."""
        self.suspend(self._observers[0], seconds)

    def statuses(self) -> dict[str, MachineStatus]:
        """The status of each machine in the first observer's eyes; a machine it never saw is unknown.

        This looks now, even through the eyes of an observer that is frozen or dead; what it said is in `timeline`.
        """
        seen = self.observer.state().machines
        return {name: seen[name].status if name in seen else MachineStatus.UNKNOWN for name in self._names}

    def timeline(self, machine_id: str) -> list[tuple[float, MachineStatus]]:
        """What was announced of one machine: (seconds since the fleet started, status from then on), oldest first.

        Begins as unknown at 0. The seconds are true time, whatever the wall clocks said.
        """
        name = self._member(machine_id).machine_id
        return [(0.0, MachineStatus.UNKNOWN), *self._timelines.get(name, ())]

    def stop(self) -> None:
        """Stop everybody, without goodbyes; safe to call twice. The storage stays open."""
        for member in reversed(self._members.values()):
            member.service.stop(save_state=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        running = sum(self._members[name].service.is_running for name in self._names)
        return (
            f"<Fleet of {len(self._names)} machines ({running} running) watched by {', '.join(self._observers)}, "
            f"{self.elapsed:g} s>"
        )

    def _note(self, event: Event) -> None:
        if isinstance(event, Transition):
            self._timelines.setdefault(event.machine_id, []).append((self.elapsed, event.after))

    def _member(self, machine_id: str) -> Member:
        name = normalize_machine_id(machine_id)
        if name not in self._members:
            raise UnknownMachineError(
                f"no machine {name!r} is in this fleet: expected one of {', '.join(self._members)}", machine_id=name
            )
        return self._members[name]


def _ids(machines: int | Iterable[str], observer: str | Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(machines, str):
        raise InvalidConfigurationError(f"machines is {machines!r}: expected a number, or a list of ids")
    given = [f"m{number}" for number in range(1, machines + 1)] if isinstance(machines, int) else machines
    names = tuple(normalize_machine_id(name) for name in given)
    watching = (observer,) if isinstance(observer, str) else observer
    observers = tuple(normalize_machine_id(name) for name in watching)
    if not names or not observers:
        raise InvalidConfigurationError(
            f"{len(names)} machines and {len(observers)} observers: a fleet needs at least one of each"
        )
    everybody = (*names, *observers)
    if twice := sorted({name for name in everybody if everybody.count(name) > 1}):
        raise InvalidConfigurationError(f"{', '.join(twice)} given twice: every machine needs its own id")
    return names, observers


def _traits(propagation_delay: timedelta, *, cross_host: bool) -> StorageTraits:
    return StorageTraits(
        durable=False,
        cross_process=False,
        cross_host=cross_host,
        coherent=span_ms(propagation_delay) == 0,
        propagation_delay=propagation_delay,
    )
