"""`Checker`: lets one look at a time happen, answers from a fresh one, and delivers what it announced.

Owns the lock of looking, the last report and its freshness, and the translation of a storage's bugs into typed errors.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

import attrs

from heartbeat_kit._beater import Beater
from heartbeat_kit._clock import Clock
from heartbeat_kit._dispatcher import Dispatcher
from heartbeat_kit._models import FleetState, ObserverHealth
from heartbeat_kit._observer import Timing
from heartbeat_kit._results import CheckReport
from heartbeat_kit._watcher import Tap, Watcher
from heartbeat_kit.errors import HeartbeatCheckError, HeartbeatKitError, HeartbeatStateError

__all__ = ["Checker"]

Overdue = Callable[[int | None], int]
_log = logging.getLogger("heartbeat_kit")
_PATIENCE_S = 5.0
"""The end of a service waits so long for a look of another thread."""


class Checker:
    """The looks of one service.

    Args:
        watcher: Looks.
        dispatcher: Delivers.
        clock: For the age of the last report.
    """

    def __init__(self, watcher: Watcher, dispatcher: Dispatcher, clock: Clock) -> None:
        self._watcher = watcher
        self._dispatcher = dispatcher
        self._clock = clock
        self._last: tuple[int, CheckReport] | None = None
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a signal handler may look while the thread it interrupted does

    def check(
        self, own: Beater | None, overdue: Overdue = lambda _: 0, *, fresh_ms: int = 0, patient: bool = False
    ) -> CheckReport:
        """Look, or answer with the last look if it is younger than `fresh_ms`; deliver outside the lock.

        Args:
            own: The running beater of this process, if one runs.
            overdue: From the time of the last look, how late this one is; asked under the lock, because the look
                that another thread is just taking ends the lateness.
            fresh_ms: How old the last look may be.
            patient: Let other processes announce first; see `Watcher.check`.

        Raises:
            HeartbeatCheckError: The storage broke its contract.
        """
        with self._guarded():
            report = self._fresh(fresh_ms)
            if report is None:
                try:
                    report = self._watcher.check(own, overdue(self._watcher.last_look_ms), patient=patient)
                except HeartbeatKitError:
                    raise
                except Exception as error:
                    raise HeartbeatCheckError(f"the check failed: {type(error).__name__}: {error}") from error
                self._last = (self._clock.now().mono_ms, report)
        self._dispatcher.deliver(report.events)
        return report

    def look(self, own: Beater | None, late_ms: int) -> None:
        """A background look: nothing is raised, the next one tries again.

        A service without listeners has nobody to tell, so it lets others announce first.
        """
        try:
            self.check(own, lambda _: late_ms, patient=not self._dispatcher.has_listeners)
        except Exception:  # noqa: BLE001 - the loop goes on
            _log.exception("a background look failed; the next one tries again")

    def state(self, own: Beater | None, overdue: Overdue = lambda _: 0) -> FleetState:
        """Look without announcing.

        Raises:
            HeartbeatStateError: The storage broke its contract.
        """
        with self._guarded():
            try:
                return self._watcher.state(own, overdue(self._watcher.last_look_ms))
            except HeartbeatKitError:
                raise
            except Exception as error:
                raise HeartbeatStateError(f"the state cannot be read: {type(error).__name__}: {error}") from error

    def retime(self, timing: Timing) -> None:
        """Use other numbers from the next look on."""
        with self._guarded():
            self._watcher.retime(timing)
            self._last = None

    def tap(self, callback: Tap, *, on: bool) -> None:
        """Let somebody listen in on the looks, or not any more."""
        with self._guarded():
            self._watcher.tap(callback, on=on)

    def forget(self, machine_id: str) -> None:
        """A machine was removed by this service."""
        with self._guarded():
            self._watcher.forget(machine_id)
            self._last = None

    def remember(self) -> bool:
        """Store what was observed for the next run; true if it is there. A look that hangs is not waited for."""
        lock = self._guarded()
        if not lock.acquire(timeout=_PATIENCE_S):
            return False
        try:
            return self._watcher.remember()
        finally:
            lock.release()

    def expire(self) -> None:
        """The next check looks, however fresh the last one is."""
        self._last = None

    def _fresh(self, fresh_ms: int) -> CheckReport | None:
        last = self._last
        if last is None or self._clock.now().mono_ms - last[0] >= fresh_ms:
            return None
        report = last[1]
        if report.observer.health is not ObserverHealth.OK:
            return None
        quiet = attrs.evolve(report, newly_offline=(), newly_online=(), newly_warning=(), newly_registered=())
        return attrs.evolve(quiet, transitions=(), events=())

    def _guarded(self) -> threading.RLock:
        if self._pid != os.getpid():  # a fork: another thread of the parent may have held the lock
            self._pid, self._lock = os.getpid(), threading.RLock()
        return self._lock
