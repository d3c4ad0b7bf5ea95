"""`AutoSync`: syncs by itself when a machine goes or returns.

Owns what is due when: which events count, who acts first, the wait of the others, retries, the brake after a cascade.
Must not know files. It listens to the service; the service never calls it by name. Where a storage keeps one ledger
for all, an event is delivered to one observer only, so being told is only a nudge: what happened is read from the
history, which all can read. A loop of the service's own clock does the work, so a fake clock drives it as well.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Self

from heartbeat_kit._brake import CascadeBrake
from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import span_ms, to_datetime
from heartbeat_kit.errors import (
    BaselineUnavailableError,
    HeartbeatKitError,
    MachineNotOfflineError,
    MachineNotOnlineError,
    OfflineSyncError,
    OnlineSyncError,
    StalePlanError,
    SyncBusyError,
    SyncFencedError,
    SyncFileError,
)
from heartbeat_kit.sync._evidence import rank
from heartbeat_kit.sync._report import SyncOutcome, SyncReport

__all__ = ["Acts", "AutoSync"]

Told = Callable[[SyncReport | HeartbeatKitError], Any]
_log = logging.getLogger("heartbeat_kit")
_UNKNOWN_DELAY_MS: Final = 60_000
"""For a medium that does not say how late it is."""
_LONGEST_MS: Final = 600_000
_AGAIN: Final = (
    BaselineUnavailableError,
    OfflineSyncError,
    OnlineSyncError,
    StalePlanError,
    SyncBusyError,
    SyncFencedError,
    SyncFileError,
)
"""What passes by itself: tried again, later each time."""
_KEPT: Final = 32
_LATER: Final = 10
"""How often what could not be seen is looked for again; then the next transition finds it."""
_REMEMBERED: Final = 4_096
_OVERLAP_MS: Final = 300_000


class Away(NamedTuple):
    """A time this machine was away.

    Attributes:
        since_ms: When it went offline: 2 T after its last heartbeat (epoch milliseconds).
        duration_ms: Until its next heartbeat.
    """

    since_ms: int
    duration_ms: int


class Acts(NamedTuple):
    """What an `AutoSync` can do; the coordinator gives it.

    Attributes:
        offline: Preserve what a machine published.
        online: Bring this machine up to date, after a time away if there was one.
        publish: Publish this machine's files.
        approved: The ids of what a person approved for this machine and what waits to be carried out.
        transition: The id of the silence a machine is in.
        online_machines: Who else could act.
        read_note: What was noted before, or ``b""``.
        write_note: Note it.
    """

    offline: Callable[[str], SyncReport]
    online: Callable[[Away | None], SyncReport]
    publish: Callable[[], Any]
    approved: Callable[[], frozenset[str]]
    transition: Callable[[str], str]
    online_machines: Callable[[], tuple[str, ...]]
    read_note: Callable[[], bytes]
    write_note: Callable[[bytes], None]


class _Due(NamedTuple):
    at_ms: int
    machine_id: str
    away: Away | None
    tries: int = 0


class _Noted(NamedTuple):
    """What is kept over a restart: our last heartbeat, the last `resume`, and until when events were taken."""

    last_beat_ms: int | None
    resumed_ms: int
    until_ms: int


class AutoSync:
    """Syncs by itself until it is closed; made by `SyncCoordinator.attach`.

    It acts on silences and their returns alone. Events with a mark (a flapping machine, a maintenance window) are let
    pass: where things stand is announced without one. After a cascade it waits until the fleet recovers, or until
    somebody says `resume`.

    Attributes:
        reports: What it did last, oldest first.
        last_error: What went wrong last, or ``None``.
    """

    def __init__(self, service: HeartbeatService, acts: Acts, told: Told | None = None) -> None:
        self._service = service
        self._acts = acts
        self._told = told
        self._lock = threading.Lock()
        self._due: dict[str, _Due] = {}
        self.reports: deque[SyncReport] = deque(maxlen=_KEPT)
        self.last_error: HeartbeatKitError | None = None
        self._noted = _noted(acts.read_note(), service.clock.now().wall_ms)
        self._seen: dict[str, None] = {}
        self._brake = CascadeBrake()
        self._take_back()
        self._look_at_ms = self._back_ms = 0
        self._closed = False
        self._asked: frozenset[str] = frozenset()
        self._subscription = service.subscribe(self._nudge)
        self._loop = service.clock.loop(self._turn, name=f"sync-{service.machine_id}")

    @property
    def paused(self) -> bool:
        """Whether a cascade holds it back."""
        return self._brake.engaged

    def resume(self) -> None:
        """Go on in spite of a cascade; remembered over a restart."""
        with self._lock:
            self._brake = self._brake.resume()
            self._noted = self._noted._replace(resumed_ms=self._service.clock.now().wall_ms)
        self._note()
        self._loop.wake()

    def close(self) -> None:
        """Stop; a sync under way is finished. Safe to call twice."""
        self._closed = True
        self._subscription.close()
        self._loop.stop(30_000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "paused by a cascade" if self.paused else f"{len(self._due)} due"
        return f"<AutoSync of {self._service.machine_id}: {state}, {len(self.reports)} done>"

    def _nudge(self, _: Event) -> None:
        self._look_at_ms = 0
        self._wake()

    def _catch_up(self) -> None:
        """Take what was announced since the last time, by whomever; a little overlap, for clocks differ."""
        now_ms = self._service.clock.now().wall_ms
        # An observer whose clock was ahead must not make us deaf to what happens until then.
        until_ms = min(self._noted.until_ms, now_ms)
        since = to_datetime(max(until_ms - _OVERLAP_MS, 0))
        told: list[Event] = [*self._service.history(since=since), *self._service.fleet_history(since)]
        for event in sorted(told, key=lambda each: each.detected_at_ms):
            if event.id not in self._seen:
                self._seen[event.id] = None
                self._take(event)
                until_ms = max(until_ms, min(event.detected_at_ms, now_ms))
        self._noted = self._noted._replace(until_ms=until_ms)
        if len(self._seen) > _REMEMBERED:
            current = {event.id for event in told}
            self._seen = {key: None for key in self._seen if key in current}

    def _take(self, event: Event) -> None:
        with self._lock:
            if event.detected_at_ms > self._noted.resumed_ms:
                self._brake = self._brake.after(event)
            if not isinstance(event, Transition) or event.flapping or event.suppressed:
                return
            if event.machine_id == self._service.machine_id:
                if event.reason is Reason.RETURNED and event.offline_duration_ms is not None:
                    since_ms = event.occurred_at_ms - event.offline_duration_ms
                    self._returned(Away(since_ms, event.offline_duration_ms))
            elif event.after is MachineStatus.OFFLINE:
                self._plan(event.machine_id, self._place(event.machine_id) * self._settle_ms, None)
            else:
                self._due.pop(event.machine_id, None)

    def _take_back(self) -> None:
        """What an earlier process of ours was waiting for after a cascade."""
        with contextlib.suppress(HeartbeatKitError):
            past: list[Event] = [*self._service.history(), *self._service.fleet_history()]
            for event in sorted(past, key=lambda each: each.detected_at_ms):
                if self._noted.resumed_ms < event.detected_at_ms <= self._noted.until_ms:
                    self._brake = self._brake.after(event)
                    self._seen[event.id] = None

    def _place(self, machine_id: str) -> int:
        """How many act before this machine; each waits for those before it, and then finds their receipt."""
        try:
            others = self._acts.online_machines()
            return rank(self._acts.transition(machine_id), self._service.machine_id, others)
        except HeartbeatKitError:
            return 0

    @property
    def _settle_ms(self) -> int:
        """Long enough for one to act and for its receipt to arrive, on its way twice over."""
        delay = self._service.storage.traits.propagation_delay
        medium_ms = _UNKNOWN_DELAY_MS if delay is None else span_ms(delay)
        return 2 * medium_ms + span_ms(self._service.config.heartbeat_interval)

    def _returned(self, away: Away) -> None:
        """One time away is told of in more ways than one: by an event, and by our own heartbeats."""
        until_ms = away.since_ms + away.duration_ms
        if away.since_ms >= self._back_ms:
            self._back_ms = until_ms
            self._plan(self._service.machine_id, 0, away)

    def _plan(self, machine_id: str, wait_ms: int, away: Away | None) -> None:
        if self._service.config.auto_sync_enabled:
            self._due[machine_id] = _Due(self._service.clock.now().mono_ms + wait_ms, machine_id, away)
            self._wake()

    def _wake(self) -> None:
        loop = getattr(self, "_loop", None)  # an event may come before the loop is there
        if loop is not None:
            loop.wake()

    def _turn(self) -> int:
        now = self._service.clock.now().mono_ms
        try:
            if now >= self._look_at_ms:
                self._look_at_ms = now + self._pace_ms
                self._look_at_ourselves()
            while (due := self._next(now)) is not None:
                self._do(due)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end what runs unattended
            self.last_error = HeartbeatKitError(f"auto-sync: {type(error).__name__}: {error}")
            _log.exception("auto-sync of %s goes on after", self._service.machine_id)
        with self._lock:
            waiting = [] if self._brake.engaged else [due.at_ms for due in self._due.values()]
        return min([self._look_at_ms, *waiting])

    @property
    def _pace_ms(self) -> int:
        return max(span_ms(self._service.config.heartbeat_interval), 1_000)

    def _next(self, now_ms: int) -> _Due | None:
        with self._lock:
            if self._brake.engaged or self._closed:
                return None
            ready = sorted(due for due in self._due.values() if due.at_ms <= now_ms)
            return self._due.pop(ready[0].machine_id) if ready else None

    def _do(self, due: _Due) -> None:
        try:
            own = due.machine_id == self._service.machine_id
            report = self._acts.online(due.away) if own else self._acts.offline(due.machine_id)
        except (MachineNotOfflineError, MachineNotOnlineError):
            return  # it came back, or went, before its turn
        except HeartbeatKitError as error:
            self._failed(due, error)
            return
        partial = report.deferred or report.outcome is SyncOutcome.NOTHING_PUBLISHED
        if partial and due.tries < _LATER:
            self._again(due)  # what is on its way now may be here later
        if due.tries == 0 or report.outcome is SyncOutcome.APPLIED:
            self.reports.append(report)
            self._tell(report)

    def _failed(self, due: _Due, error: HeartbeatKitError) -> None:
        self.last_error = error
        _log.warning("auto-sync of %s: %s: %s", due.machine_id, error.code, error)
        if isinstance(error, _AGAIN):
            self._again(due)
        if due.tries == 0:
            self._tell(error)

    def _again(self, due: _Due) -> None:
        """Later, and later each time."""
        wait_ms = min(self._settle_ms * 2 ** min(due.tries, 16), _LONGEST_MS)
        with self._lock:
            at_ms = self._service.clock.now().mono_ms + wait_ms
            self._due.setdefault(due.machine_id, due._replace(at_ms=at_ms, tries=due.tries + 1))

    def _tell(self, what: SyncReport | HeartbeatKitError) -> None:
        if self._told is None:
            return
        try:
            self._told(what)
        except Exception:  # noqa: BLE001 - it must not end the loop
            _log.exception("the listener of an auto-sync raised")

    def _look_at_ourselves(self) -> None:
        """What happened? Were we away? And is what we published still what we have?"""
        try:
            noted = self._noted
            self._catch_up()
            own = self._service.state().machines.get(self._service.machine_id)
            if own is not None and own.heartbeat is not None:
                beat_ms, before_ms = own.heartbeat.last_heartbeat_ms, self._noted.last_beat_ms
                offline_ms = None if before_ms is None else before_ms + 2 * own.timeout_ms
                if offline_ms is not None and beat_ms >= offline_ms:
                    with self._lock:
                        self._returned(Away(offline_ms, beat_ms - offline_ms))
                self._noted = self._noted._replace(last_beat_ms=beat_ms)
            if self._noted != noted:
                self._note()
            due = self._due.get(self._service.machine_id)
            free = due is None or due.tries > 0  # what is tried again may take long
            if self._service.config.auto_sync_enabled and free:
                self._acts.publish()
                approved = self._acts.approved()
                if approved - self._asked:  # once for each: what cannot be carried out yet is not tried at every look
                    with self._lock:
                        self._plan(self._service.machine_id, 0, None)
                self._asked = approved
        except HeartbeatKitError as error:
            self.last_error = error
            _log.info("auto-sync could not look or publish: %s: %s", error.code, error)

    def _note(self) -> None:
        try:
            self._acts.write_note(json.dumps(self._noted._asdict()).encode())
        except HeartbeatKitError as error:
            _log.info("auto-sync could not note its time: %s", error)


def _noted(data: bytes, now_ms: int) -> _Noted:
    """What was noted; without a note everything that happened before now is past."""
    try:
        noted = _Noted(**json.loads(data))
    except (ValueError, TypeError):
        return _Noted(None, 0, now_ms)
    times = [noted.resumed_ms, noted.until_ms, *([] if noted.last_beat_ms is None else [noted.last_beat_ms])]
    return noted if all(type(each) is int for each in times) else _Noted(None, 0, now_ms)
