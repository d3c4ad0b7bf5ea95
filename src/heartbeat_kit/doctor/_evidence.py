"""What a diagnosis rests on, and how it is gathered: the only part of the doctor that touches anything.

Owns `Evidence` and `gather`. Decides nothing: what cannot be had is kept as the reason why. Nothing is announced,
registered or deleted; what is written is a temporary that is removed again.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import Any, NamedTuple, TypeVar

import attrs

from heartbeat_kit._clock import Clock, Instant
from heartbeat_kit._events import Reason
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._instance import InstanceLock, local_ledger
from heartbeat_kit._models import FleetState, MachineState, ObserverHealth
from heartbeat_kit._observer._known import Rival
from heartbeat_kit._observer._rivals import conflict_sentence, seen_host
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import span_ms
from heartbeat_kit._waiting import wait_until
from heartbeat_kit.errors import HeartbeatKitError
from heartbeat_kit.storage import (
    EventLog,
    HealthProbe,
    ObservationLog,
    Probe,
    ServiceConfigStore,
    SharedLedger,
    Snapshot,
    Storage,
    StorageTraits,
)
from heartbeat_kit.storage._probing import nearest_directory, probe_directory

__all__ = ["Evidence", "Got", "gather"]

T = TypeVar("T")
_AGAIN_MS = 300


class Got(NamedTuple):
    """An attempt: what it gave, or why it gave nothing, and when it was made.

    Attributes:
        value: What it gave.
        trouble: Why it gave nothing; empty if it did.
        started: Both clocks before.
        finished: Both clocks after.
        is_full: It failed for want of room.
    """

    value: Any
    trouble: str
    started: Instant
    finished: Instant
    is_full: bool = False

    @property
    def took_ms(self) -> int:
        """How long it took."""
        return self.finished.mono_ms - self.started.mono_ms


class Noted(NamedTuple):
    """What a ledger holds.

    Attributes:
        newest_ms: The newest time in it, epoch milliseconds.
        machines: Those announced, and not removed since.
    """

    newest_ms: int | None
    machines: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Evidence:
    """Everything the checks judge.

    Attributes:
        now: When it was gathered.
        machine_id: Who looked.
        host: The host it signs with.
        interval_ms: The beat configured here.
        timeout_ms: T as configured here.
        traits: Of the storage.
        read: The `Snapshot` of the storage.
        write: Its `Probe`, or ``None`` if it offers none.
        state: The `FleetState`.
        ledger: The `Probe` of a ledger of its own, ``None`` where the storage keeps the ledger.
        state_dir: The `Probe` of the state directory, ``None`` where none is needed.
        noted: What the ledger holds, a `Noted`.
        lock: Whether a service of this machine runs somewhere on this host.
        is_running: The service that was asked runs itself.
        pending: Why its last beat is not stored yet.
        saved: What a service stored of its configuration, or ``None``.
        heard: The machines that were seen to beat while it listened.
        rivals: Hosts that were seen to take turns under one id then, in a sentence each.
        gap_ms: The longest time between two looks then.
    """

    now: Instant
    machine_id: str
    host: str
    interval_ms: int
    timeout_ms: int
    traits: StorageTraits
    read: Got
    write: Got
    state: Got
    ledger: Got
    state_dir: Got
    noted: Got
    lock: Got
    is_running: bool
    pending: str | None
    saved: Got
    heard: frozenset[str] = frozenset()
    rivals: tuple[str, ...] = ()
    gap_ms: int = 0

    @property
    def blind(self) -> str:
        """Why nobody is judged; empty if they are."""
        if self.read.trouble or self.state.trouble:
            return self.read.trouble or self.state.trouble
        fleet = self.fleet
        return fleet.observer.reason if fleet.observer.health is ObserverHealth.BLIND else ""

    @property
    def snapshot(self) -> Snapshot:
        """What the storage holds; only if it could be read."""
        found: Snapshot = self.read.value
        return found

    @property
    def fleet(self) -> FleetState:
        """Everybody's state; only if there is one."""
        found: FleetState = self.state.value
        return found

    @property
    def own(self) -> MachineState | None:
        """This machine's state, if anything of it is stored."""
        return self.fleet.machines.get(self.machine_id)

    @property
    def others(self) -> tuple[MachineState, ...]:
        """The other machines that are meant to beat now."""
        return tuple(
            machine
            for machine in self.fleet
            if machine.machine_id != self.machine_id
            and machine.heartbeat is not None
            and machine.heartbeat.left_at_ms is None
            and not machine.in_maintenance
        )

    @property
    def shares_clock(self) -> bool:
        """Whoever writes there has the clock of this host, or the storage's."""
        return self.traits.server_clock or not self.traits.cross_host


def gather(service: HeartbeatService, *, listen_ms: int) -> Evidence:
    """Look at everything.

    Args:
        service: Whose storage, clock and state directory.
        listen_ms: How long to wait for the beats of the others, whose clocks are known then; it ends as soon as all
            were heard, unless a record was seen to change its host.
    """
    clock, storage, config = service.clock, service.storage, service.config

    def attempt(call: Callable[[], T]) -> Got:
        return _attempt(clock, call)

    name, traits = service.machine_id, storage.traits
    write = attempt(lambda: _probe_of(storage, name))
    read = attempt(storage.load)
    saved = attempt(lambda: _saved(storage))  # before the lock: a service that starts meanwhile was not killed
    listening = _Listening(service)
    if listen_ms and not read.trouble and traits.cross_host and not traits.server_clock:
        state = attempt(lambda: listening.until_all_beat(listen_ms))
    else:
        state = attempt(service.state)
    instance = InstanceLock(service.state_dir, storage, name)
    lock = attempt(lambda: instance.is_taken)
    if lock.value and not service.is_running and not state.trouble and not _beats(state.value, name, clock):
        # Somebody may just be starting or stopping it, or looking at the lock as we do.
        clock.wait(threading.Event(), _AGAIN_MS)
        lock = attempt(lambda: instance.is_taken)
        state = attempt(service.state)
    own_ledger = None if isinstance(storage, SharedLedger) else local_ledger(service.state_dir)
    with closing(own_ledger) if own_ledger is not None else nullcontext():
        ledger = attempt(lambda: None if own_ledger is None else own_ledger.probe())
        noted = attempt(lambda: _noted(storage if own_ledger is None else own_ledger))
    return Evidence(
        now=clock.now(),
        machine_id=name,
        host=service.host,
        interval_ms=span_ms(config.heartbeat_interval),
        timeout_ms=span_ms(config.offline_timeout),
        traits=traits,
        read=read,
        write=write,
        state=state,
        ledger=ledger,
        state_dir=attempt(lambda: _state_dir_probe(service)),
        noted=noted,
        lock=lock,
        is_running=service.is_running,
        pending=service.status.pending,
        saved=saved,
        heard=listening.heard,
        rivals=listening.rivals,
        gap_ms=listening.gap_ms,
    )


def _attempt(clock: Clock, call: Callable[[], T]) -> Got:
    started, value, trouble, is_full = clock.now(), None, "", False
    try:
        value = call()
    except Exception as error:  # noqa: BLE001 - a storage is anybody's code, and its trouble is what is looked for
        known = isinstance(error, HeartbeatKitError | OSError) and str(error)
        trouble = str(error) if known else f"{type(error).__name__}: {error}"
        is_full = _is_full(error)
    return Got(value, trouble, started, clock.now(), is_full)


def _is_full(error: BaseException | None) -> bool:
    """Whether it comes from a disk, or a quota, that is used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _probe_of(storage: Storage, machine_id: str) -> Probe | None:
    if not isinstance(storage, HealthProbe):
        return None
    found: object = storage.probe(machine_id)
    if not isinstance(found, Probe):
        raise TypeError(f"its probe() gives a {type(found).__name__}, not a Probe")
    return found


def _beats(state: FleetState, machine_id: str, clock: Clock) -> bool:
    own = state.machines.get(machine_id)
    if own is None or own.heartbeat is None or own.status is not MachineStatus.ONLINE:
        return False
    return clock.now().wall_ms - own.heartbeat.last_heartbeat_ms < own.timeout_ms


class _Listening:
    """Looks again and again, and notes who beats meanwhile."""

    def __init__(self, service: HeartbeatService) -> None:
        self._service = service
        self._seen: dict[str, Heartbeat] = {}
        self._rivals: dict[str, Rival] = {}
        self._last_ms: int | None = None
        self.heard: frozenset[str] = frozenset()
        self.gap_ms = 0

    def until_all_beat(self, limit_ms: int) -> FleetState:
        """Look until every other machine was seen to beat, or the time is over; the last state."""
        states = [self._look(limit_ms)]
        config = self._service.config
        # Often enough to see hosts that take turns within one beat.
        period_ms = min(span_ms(config.check_interval or config.heartbeat_interval), max(limit_ms // 20, 1))

        def all_heard() -> bool:
            states[:] = [self._look(limit_ms)]
            others = (machine for machine in states[0] if machine.machine_id != self._service.machine_id)
            heard = all(machine.machine_id in self.heard or machine.reason == "left" for machine in others)
            return heard and len(self._rivals) == len(self.rivals)  # one that changed its host once may have moved

        wait_until(all_heard, self._service.clock, limit_ms=limit_ms, period_ms=period_ms)
        return states[0]

    def _look(self, limit_ms: int) -> FleetState:
        state, now_ms = self._service.state(), self._service.clock.now().mono_ms
        self.gap_ms = max(self.gap_ms, 0 if self._last_ms is None else now_ms - self._last_ms)
        self._last_ms = now_ms
        seen = {machine.machine_id: machine.heartbeat for machine in state if machine.heartbeat is not None}
        rose = {name for name, beat in seen.items() if name in self._seen and self._seen[name].order < beat.order}
        for name in rose - {self._service.machine_id}:  # of whom the host of this service tells
            rival = seen_host(self._seen[name], seen[name], self._rivals.get(name), now_ms, limit_ms)
            if rival is not None:
                self._rivals[name] = rival
        self.heard |= rose
        self._seen = seen
        return state

    @property
    def rivals(self) -> tuple[str, ...]:
        """Hosts that take turns under one id, in a sentence each."""
        said = (conflict_sentence(self._seen.get(name), rival, None) for name, rival in self._rivals.items())
        return tuple(each for each in said if each is not None)


def _noted(ledger: object) -> Noted:
    """What a ledger holds; that its history can be read is seen on the way."""
    if isinstance(ledger, EventLog):
        ledger.history("nobody")
    entries = ledger.read_ledger() if isinstance(ledger, SharedLedger) else {}
    known = (name for name, entry in entries.items() if name[0] != "*" and entry.reason is not Reason.REMOVED)
    seen = ledger.observations().values() if isinstance(ledger, ObservationLog) else ()
    announced = (entry.announced_ms for entry in entries.values() if entry.announced_ms is not None)
    return Noted(max([*announced, *(each.seen_ms for each in seen)], default=None), tuple(sorted(known)))


def _state_dir_probe(service: HeartbeatService) -> Probe | None:
    """Where the lock and the ledger are, or will be."""
    traits = service.storage.traits
    if not traits.cross_process and isinstance(service.storage, SharedLedger):
        return None
    return probe_directory(nearest_directory(str(service.state_dir)))


def _saved(storage: Storage) -> dict[str, Any] | None:
    found: object = storage.load_service() if isinstance(storage, ServiceConfigStore) else None
    if found is not None and not isinstance(found, dict):
        raise TypeError(f"its load_service() gives a {type(found).__name__}, not a dict")
    return found
