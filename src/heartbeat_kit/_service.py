"""`HeartbeatService`: the façade people use. Each method is a few lines over one part.

Owns the wiring of beater, watcher, dispatcher and background, and who may run when. Decides nothing about presence.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import attrs

from heartbeat_kit._background import Background
from heartbeat_kit._beater import Beater
from heartbeat_kit._calendar import Planning
from heartbeat_kit._checker import Checker
from heartbeat_kit._clock import Clock, SystemClock
from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._dispatcher import Dispatcher
from heartbeat_kit._events import Basis
from heartbeat_kit._identity import default_host, default_machine_id, normalize_machine_id
from heartbeat_kit._instance import InstanceLock, local_ledger, state_directory
from heartbeat_kit._listening import Listening
from heartbeat_kit._models import FleetState, ObserverHealth
from heartbeat_kit._observer import Timing
from heartbeat_kit._registrar import Registrar
from heartbeat_kit._requirements import (
    require_clock,
    require_config,
    require_host,
    require_length,
    require_patience,
    require_settings,
    require_span,
    require_storage,
    service_record,
)
from heartbeat_kit._results import CheckReport, Registration, ServiceStatus
from heartbeat_kit._status import MachineStatus, named_status
from heartbeat_kit._times import span_ms
from heartbeat_kit._waiting import wait_until
from heartbeat_kit._watcher import Sighting, Watcher
from heartbeat_kit.errors import HeartbeatStopError, StorageError
from heartbeat_kit.storage import ServiceConfigStore, SharedLedger, Storage

__all__ = ["HeartbeatService"]

_log = logging.getLogger("heartbeat_kit")


class HeartbeatService(Listening, Planning):
    """Beats as one machine, watches all of them, and announces every change once.

    Construction does no I/O on the storage. Every method may be called from any thread. Nothing is printed; the
    logger is ``heartbeat_kit``. After a fork the child does not beat.

    Args:
        storage: Where heartbeats live.
        config: The timings; `HeartbeatConfig()` by default.
        clock: Where time comes from; the host's clocks by default, a `FakeClock` in tests.
        machine_id: Who this machine is; `default_machine_id()` by default.
        host: The name of the host it runs on, which tells two hosts under one id apart, and whose records need no
            medium to get here; the host name of the system by default.
        state_dir: A directory on local disk for the service's lock and, on storages without compare-and-set, its
            ledger; the user's state directory by default.

    Raises:
        InvalidMachineIdError: No usable machine id.
        InvalidConfigurationError: The storage lacks what a service needs, or an argument cannot be; the message names
            it.

    >>> from heartbeat_kit import HeartbeatService, MemoryStorage
    >>> from heartbeat_kit.testing import FakeClock
    >>> clock = FakeClock()
    >>> service = HeartbeatService(MemoryStorage(), clock=clock, machine_id="watcher")
    >>> registration = service.register({"role": "web"}, machine_id="web-1")
    >>> service.check().newly_registered
    ('web-1',)
    >>> clock.advance(240)
    >>> service.check().newly_offline
    ('web-1',)
    """

    def __init__(
        self,
        storage: Storage,
        config: HeartbeatConfig | None = None,
        *,
        clock: Clock | None = None,
        machine_id: str | None = None,
        host: str | None = None,
        state_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        require_storage(storage)
        self._config = require_config(config)
        self._storage = storage
        self._clock: Clock = SystemClock() if clock is None else require_clock(clock)
        self._machine_id = default_machine_id() if machine_id is None else normalize_machine_id(machine_id)
        self._host = default_host() if host is None else require_host(host)
        self._state_dir = state_directory(state_dir, storage, self._machine_id)
        self._ledger: SharedLedger = storage if isinstance(storage, SharedLedger) else local_ledger(self._state_dir)
        owner = f"{self._machine_id}-{uuid4().hex[:12]}"
        name, host, timing = self._machine_id, self._host, Timing.of(self._config, storage.traits)
        watcher = Watcher(storage, self._ledger, self._clock, timing=timing, machine_id=name, host=host, owner=owner)
        self._dispatcher = Dispatcher(self._ledger, owner)
        self._checker = Checker(watcher, self._dispatcher, self._clock)
        self._registrar = Registrar(storage, self._clock, self._machine_id, self._host)
        self._instance = InstanceLock(self._state_dir, storage, self._machine_id)
        self._background = Background(self._clock, self._beat, self._look, name=self._machine_id)
        self._started_ms: int | None = None
        self._pid, self._lifecycle = os.getpid(), threading.RLock()

    @property
    def machine_id(self) -> str:
        """Who this machine is."""
        return self._machine_id

    @property
    def host(self) -> str:
        """The host name its records are signed with."""
        return self._host

    @property
    def config(self) -> HeartbeatConfig:
        """The configuration in force."""
        return self._config

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self._clock

    @property
    def storage(self) -> Storage:
        """Where heartbeats live."""
        return self._storage

    @property
    def state_dir(self) -> Path:
        """Its own directory below the `state_dir` given, for its lock and, where the storage keeps none, its ledger."""
        return self._state_dir

    @property
    def is_running(self) -> bool:
        """True only while this process really beats in the background."""
        return self._background.is_alive

    @property
    def status(self) -> ServiceStatus:
        """What the service is doing now."""
        return ServiceStatus(
            is_running=self.is_running,
            machine_id=self._machine_id,
            config=self._config,
            started_at=self._started_ms,
            pending=self._registrar.own.pending,
        )

    def register(self, metadata: Mapping[str, Any] | None = None, *, machine_id: str | None = None) -> Registration:
        """Store one heartbeat now, for this machine or on behalf of another.

        Args:
            metadata: A JSON object to send from now on; None keeps what is stored, ``{}`` clears it.
            machine_id: Another machine that cannot beat by itself, known to be alive now.

        Raises:
            InvalidMachineIdError, InvalidMetadataError, HeartbeatRegistrationError: Nothing was stored.
        """
        name = self._machine_id if machine_id is None else normalize_machine_id(machine_id)
        registration = self._registrar.register(name, metadata, self._periods()[0])
        if name == self._machine_id:
            self._background.progress()
        self._checker.expire()
        return registration

    def check(self, *, force: bool = False) -> CheckReport:
        """Look at everybody, announce what changed, call the listeners.

        Args:
            force: Look even if the last look is younger than `HeartbeatConfig.fresh_for`; without it that look may
                answer, with nothing new in it.

        Raises:
            HeartbeatCheckError: The storage broke its contract. A storage that is away raises nothing: the report's
                `observer` says ``blind``.
        """
        freshness = 0 if force else min(span_ms(self._config.fresh_for), self._periods()[1] // 3)
        return self._checker.check(self._own_running(), self._background.overdue_ms, fresh_ms=freshness)

    def state(self) -> FleetState:
        """Everybody's state now. Fires nothing, writes nothing, deletes nothing.

        Raises:
            HeartbeatStateError: The storage broke its contract.
        """
        return self._checker.state(self._own_running(), self._background.overdue_ms)

    def start(self, *, progress_timeout: timedelta | None = None) -> ServiceStatus:
        """Beat now, then beat and look in the background until `stop()`.

        Args:
            progress_timeout: Stop beating when `progress()` was not called for so long: a thread proves that the
                process is alive, not that its work advances.

        Raises:
            ServiceAlreadyRunningError: A service of this machine and storage runs already on this host.
            HeartbeatStartError: The lock cannot be taken.
            StorageClosedError: The storage was closed. One that is merely away is waited for.
            InvalidConfigurationError: `progress_timeout` is no positive duration.
        """
        progress_ms = require_span("progress_timeout", progress_timeout)
        with self._exclusively():
            self._instance.acquire()
            try:
                self._registrar.own.begin()
                self._registrar.beat(self._periods()[0], first=True)
                self._started_ms = self._clock.now().wall_ms
                self._checker.expire()
                self._background.start(*self._periods(), progress_ms)
            except BaseException:
                self._background.stop()
                self._instance.release()
                raise
            self._save(running=True)
            return self.status

    def stop(self, *, save_state: bool = True, leave: bool = False) -> ServiceStatus:
        """End the background work before returning. Safe to call twice, and from a listener.

        Args:
            save_state: Store what was observed and, where the storage keeps it, the configuration.
            leave: Say goodbye, if this service beat at all: peers announce ``left`` at once instead of waiting for
                the silence.

        Raises:
            HeartbeatStopError: A beat or a look under way did not end in 30 s; the service does not beat any more.
        """
        was_running, ended = False, True
        while True:
            was_running = self.is_running or was_running
            ended = self._background.stop() and ended  # not under the lock: a listener under way may call us
            with self._exclusively():
                if not self._background.is_stopped:
                    continue  # a start() was under way; what it started ends too
                saved = False
                if leave and self._registrar.own.has_beaten:
                    self._registrar.beat(self._periods()[0], leaving=True)
                if was_running:
                    saved = save_state and any([self._checker.remember(), self._save(running=False)])
                    self._checker.expire()
                self._instance.release()
                if not ended:
                    raise HeartbeatStopError("a beat or look under way did not end in 30 s; it will not be repeated")
                return attrs.evolve(self.status, stopped_at=self._clock.now().wall_ms, state_saved=saved)

    def reconfigure(self, **changes: Any) -> HeartbeatConfig:
        """Change what is given, keep the rest, take effect at once; a running service keeps running.

        Raises:
            InvalidConfigurationError: An unknown setting or a value that cannot be; nothing changed.
        """
        require_settings(changes)
        with self._exclusively():
            self._config = attrs.evolve(self._config, **changes)
            self._checker.retime(Timing.of(self._config, self._storage.traits))
            if self.is_running:
                self._background.replan(*self._periods())
                self._save(running=True)
            return self._config

    def progress(self) -> None:
        """The work advances; see `start(progress_timeout=…)`."""
        self._background.progress()

    def wait_for(self, machine_id: str, status: MachineStatus | str, timeout: timedelta | float) -> bool:
        """Wait until a machine has a status; true if it has. Under a `FakeClock` virtual time passes.

        Args:
            machine_id: Which machine; it need not be known yet.
            status: Which status.
            timeout: How long at most, a timedelta or seconds.

        Raises:
            InvalidConfigurationError: There is no such status, or the timeout is no length of time.
        """
        name, wanted = normalize_machine_id(machine_id), named_status("status", status)
        return wait_until(
            lambda: getattr(self.state().machines.get(name), "status", MachineStatus.UNKNOWN) is wanted,
            self._clock,
            limit_ms=require_patience("timeout", timeout),
            period_ms=self._periods()[1],
        )

    def remove(self, machine_id: str) -> bool:
        """Forget a machine until it beats again; true if it was stored. The next check announces ``removed``.

        Raises:
            StorageUnavailableError: It is still stored.
        """
        name = normalize_machine_id(machine_id)
        removed = self._storage.remove(name)
        self._registrar.beater(name).forget()
        self._checker.forget(name)
        return removed

    def prune(self, offline_for: timedelta = timedelta(days=1)) -> tuple[str, ...]:
        """Remove the machines that have been offline for so long; returns their ids. Blind, it removes nobody.

        Raises:
            InvalidConfigurationError, StorageUnavailableError: No timedelta; or one could not be removed.
        """
        limit_ms = require_length("offline_for", offline_for)
        state = self.state()
        if state.observer.health is not ObserverHealth.OK:
            return ()
        old = [
            machine.machine_id
            for machine in state.offline
            if machine.offline_since_ms is not None
            and machine.basis is not Basis.SENDER
            and state.retrieved_at_ms - machine.offline_since_ms >= limit_ms
        ]
        return tuple(name for name in old if self.remove(name))

    def tap(self, callback: Callable[[Sighting], object]) -> ExitStack:
        """Call `callback` with what every look saw, before anything is announced; close the answer to end it.

        For recorders (`heartbeat_kit.lab.Recorder`); it runs on the looking thread and must be quick.
        """
        self._checker.tap(callback, on=True)
        stack = ExitStack()
        stack.callback(self._checker.tap, callback, on=False)
        return stack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<HeartbeatService {self._machine_id} on {self._storage!r}, {'' if self.is_running else 'not '}running>"

    def _own_running(self) -> Beater | None:
        return self._registrar.own if self.is_running else None

    def _beat(self) -> None:
        self._registrar.beat(self._periods()[0])

    def _look(self, late_ms: int) -> None:
        self._checker.look(self._own_running(), late_ms)

    def _exclusively(self) -> threading.RLock:
        if self._pid != os.getpid():  # a fork: another thread of the parent may have held the lock
            self._pid, self._lifecycle = os.getpid(), threading.RLock()
        return self._lifecycle

    def _periods(self) -> tuple[int, int]:
        beat = self._config.heartbeat_interval
        return span_ms(beat), span_ms(self._config.check_interval or beat)

    def _save(self, *, running: bool) -> bool:
        if not isinstance(self._storage, ServiceConfigStore):
            return False
        try:
            self._storage.save_service(service_record(self.status, running=running))
        except (StorageError, OSError) as error:
            _log.warning("the service configuration is not stored: %s", error)
            return False
        return True
