"""What a diagnosis rests on, and how it is gathered: the only part of the doctor that touches anything.

Owns `Evidence` and `gather`. Decides nothing: what cannot be had is kept as the reason why. Nothing is announced,
registered or deleted; what is written is a temporary that is removed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import attrs

from heartbeat_kit._clock import Clock, Instant
from heartbeat_kit._instance import InstanceLock, local_ledger
from heartbeat_kit._models import FleetState, MachineState, ObserverHealth
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._times import span_ms
from heartbeat_kit._waiting import wait_until
from heartbeat_kit.errors import HeartbeatKitError
from heartbeat_kit.storage import (
    HealthProbe,
    Probe,
    ServiceConfigStore,
    SharedLedger,
    Snapshot,
    Storage,
    StorageTraits,
)

__all__ = ["Evidence", "Got", "gather"]

T = TypeVar("T")


class Got(NamedTuple):
    """An attempt: what it gave, or why it gave nothing, and when it was made.

    Attributes:
        value: What it gave.
        trouble: Why it gave nothing; empty if it did.
        started: Both clocks before.
        finished: Both clocks after.
    """

    value: Any
    trouble: str
    started: Instant
    finished: Instant

    @property
    def took_ms(self) -> int:
        """How long it took."""
        return self.finished.mono_ms - self.started.mono_ms


@attrs.frozen(kw_only=True)
class Evidence:
    """Everything the checks judge.

    Attributes:
        now: When it was gathered.
        machine_id: Who looked.
        host: The host it signs with.
        interval_ms: The beat configured here.
        timeout_ms: T as configured here.
        look_ms: The time between two looks.
        traits: Of the storage.
        read: The `Snapshot` of the storage.
        write: Its `Probe`, or ``None`` if it offers none.
        state: The `FleetState`.
        ledger: The `Probe` of a ledger of its own, ``None`` where the storage keeps the ledger.
        noted: The newest time the ledger holds, epoch milliseconds, or ``None``.
        lock: Whether a service of this machine runs somewhere on this host.
        is_running: The service that was asked runs itself.
        pending: Why its last beat is not stored yet.
        saved: What a service stored of its configuration, or ``None``.
        listened_ms: How long was listened for other machines.
    """

    now: Instant
    machine_id: str
    host: str
    interval_ms: int
    timeout_ms: int
    look_ms: int
    traits: StorageTraits
    read: Got
    write: Got
    state: Got
    ledger: Got
    noted: Got
    lock: Got
    is_running: bool
    pending: str | None
    saved: Got
    listened_ms: int = 0

    @property
    def blind(self) -> str:
        """Why the machines cannot be seen; empty if they can."""
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
            were heard.
    """
    clock, storage, config = service.clock, service.storage, service.config

    def attempt(call: Callable[[], T]) -> Got:
        return _attempt(clock, call)

    write = attempt(lambda: storage.probe() if isinstance(storage, HealthProbe) else None)
    read = attempt(storage.load)
    state = attempt(service.state)
    listened = clock.now().mono_ms
    if listen_ms and not read.trouble and storage.traits.cross_host and not storage.traits.server_clock:
        state = attempt(lambda: _listen(service, clock, listen_ms))
    listened = clock.now().mono_ms - listened
    return Evidence(
        now=clock.now(),
        machine_id=service.machine_id,
        host=service.host,
        interval_ms=span_ms(config.heartbeat_interval),
        timeout_ms=span_ms(config.offline_timeout),
        look_ms=span_ms(config.check_interval or config.heartbeat_interval),
        traits=storage.traits,
        read=read,
        write=write,
        state=state,
        ledger=attempt(lambda: _ledger_probe(service)),
        noted=attempt(lambda: _newest_noted(service)),
        lock=attempt(lambda: InstanceLock(service.state_dir, storage, service.machine_id).is_taken),
        is_running=service.is_running,
        pending=service.status.pending,
        saved=attempt(lambda: _saved(storage)),
        listened_ms=listened,
    )


def _attempt(clock: Clock, call: Callable[[], T]) -> Got:
    started, value, trouble = clock.now(), None, ""
    try:
        value = call()
    except (HeartbeatKitError, OSError) as error:
        trouble = str(error) or type(error).__name__
    return Got(value, trouble, started, clock.now())


def _listen(service: HeartbeatService, clock: Clock, limit_ms: int) -> FleetState:
    """Look until every other machine was seen to beat; the last state."""
    states = [service.state()]
    period_ms = span_ms(service.config.check_interval or service.config.heartbeat_interval)

    def all_heard() -> bool:
        states[:] = [service.state()]
        return all(
            machine.clock_skew_ms is not None
            for machine in states[0]
            if machine.machine_id != service.machine_id and machine.reason != "left"
        )

    wait_until(all_heard, clock, limit_ms=limit_ms, period_ms=period_ms)
    return states[0]


def _ledger_probe(service: HeartbeatService) -> Probe | None:
    """Of the ledger on local disk; one that the storage keeps was probed with it."""
    if isinstance(service.storage, SharedLedger):
        return None
    with closing(local_ledger(service.state_dir)) as ledger:
        return ledger.probe()


def _newest_noted(service: HeartbeatService) -> int | None:
    storage = service.storage
    if isinstance(storage, SharedLedger):
        return _newest(storage, {})
    with closing(local_ledger(service.state_dir)) as ledger:
        return _newest(ledger, ledger.observations())


def _newest(ledger: SharedLedger, observations: Mapping[str, Any]) -> int | None:
    announced = [entry.announced_ms for entry in ledger.read_ledger().values() if entry.announced_ms is not None]
    return max([*announced, *(seen.seen_ms for seen in observations.values())], default=None)


def _saved(storage: Storage) -> dict[str, Any] | None:
    return storage.load_service() if isinstance(storage, ServiceConfigStore) else None
