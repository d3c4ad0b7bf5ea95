"""`Watcher`: looks at the storage and keeps the observer's memory; the shell around the pure `_observer`.

Owns the order read the clock → load → look → commit, the observer's health, and what its ledger is told. Must not
know threads or listeners; its caller lets one look at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

import attrs

from heartbeat_kit._beater import Beater
from heartbeat_kit._clock import Clock, Instant
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._models import FleetState, ObserverHealth, ObserverState
from heartbeat_kit._observer import Allowance, Look, Memory, Timing, check_report, fleet_state, look, news_of
from heartbeat_kit._results import CheckReport
from heartbeat_kit.errors import StorageError
from heartbeat_kit.storage import (
    LedgerEntry,
    MaintenanceCalendar,
    Move,
    Observation,
    ObservationLog,
    SharedLedger,
    Snapshot,
    Storage,
)

__all__ = ["Sighting", "Tap", "Watcher"]

_log = logging.getLogger("heartbeat_kit")


class _BlindError(Exception):
    """The observer cannot see; the text says why."""


class Sighting(NamedTuple):
    """What one look saw, for somebody who listens in.

    Attributes:
        snapshot: What the storage held.
        started: Both clocks before it was read.
        finished: Both clocks after.
        late_ms: How late the look was where that counts as a stall, else 0.
        blind: If the looks before this one saw nothing: milliseconds from the last that saw to the first of them.
        query: It was a question (`state`, `wait_for`), which announces nothing.
    """

    snapshot: Snapshot
    started: Instant
    finished: Instant
    late_ms: int
    blind: int | None = None
    query: bool = False


Tap = Callable[[Sighting], object]


class _Sight(NamedTuple):
    snapshot: Snapshot
    ledger: Mapping[str, LedgerEntry]
    observations: Mapping[str, Observation]
    windows: tuple[MaintenanceWindow, ...]
    started: Instant
    finished: Instant
    between: tuple[Heartbeat, ...]


class Watcher:
    """One observer of one storage.

    Args:
        storage: What to look at.
        ledger: Where announcements are kept: the storage itself, or a `LocalLedger`.
        clock: Read twice a look, before and after the load.
        timing: The numbers in force.
        machine_id: The observer's name.
        host: The host name it signs with.
        owner: The name under which events are committed.
    """

    def __init__(
        self,
        storage: Storage,
        ledger: SharedLedger,
        clock: Clock,
        *,
        timing: Timing,
        machine_id: str,
        host: str,
        owner: str,
    ) -> None:
        self._allowance = Allowance(storage.traits.propagation_delay)
        self._timing = self._allowed(timing)
        self._storage = storage
        self._ledger = ledger
        self._notes = ledger if isinstance(ledger, ObservationLog) else None
        self._calendar = ledger if isinstance(ledger, MaintenanceCalendar) else None
        self._taps: tuple[Tap, ...] = ()
        self._clock = clock
        self._machine_id = machine_id
        self._host = host
        self._owner = owner
        self._memory = Memory()
        self._observer: ObserverState | None = None
        self._unreadable: Mapping[str, str] = {}
        self._contested: frozenset[str] = frozenset()
        self._last_check_ms: int | None = None
        self._noted_ms: int | None = None
        self._proposed: dict[str, Move] = {}

    def check(self, own: Beater | None, late_ms: int, *, patient: bool = False) -> CheckReport:
        """Look, judge, commit what changed.

        Args:
            own: The running beater of this process: if its beat cannot be written and read back, we are blind.
            late_ms: How late this look is where that counts as a stall, else 0.
            patient: Commit only what the look before would have committed too: of several processes that share a
                ledger, one that has listeners then comes first.
        """
        now = self._clock.now()
        won: tuple[Event, ...] = ()
        try:
            seen = self._see(own)
            now = seen.started
            outcome = self._look(seen, late_ms=late_ms, count=True)
            won = self._commit(outcome, patient=patient)
            self._notice(seen, outcome)
            self._last_check_ms = now.wall_ms
            self._note(now)
        except _BlindError as blind:
            self._go_blind(now, str(blind))
        return self._report(now, won)

    @property
    def last_look_ms(self) -> int | None:
        """Monotonic time of the last look that saw the storage."""
        return None if self._memory.last is None else self._memory.last.mono_ms

    def state(self, own: Beater | None, late_ms: int = 0) -> FleetState:
        """Look without announcing anything; nothing outside this object changes."""
        now = self._clock.now()
        try:
            seen = self._see(own)
            now = seen.started
            self._notice(seen, self._look(seen, late_ms=late_ms, count=False))
        except _BlindError as blind:
            self._go_blind(now, str(blind))
        return fleet_state(self._memory, self._timing, now, self._health(), self._last_check_ms)

    def retime(self, timing: Timing) -> None:
        """Use other numbers from the next look on."""
        self._timing = self._allowed(timing)
        self._memory = self._memory.restless()

    def forget(self, machine_id: str) -> None:
        """A machine was removed by this service: out of sight at once, announced by the next check."""
        self._memory = self._memory.without(machine_id)
        self._allowance.forget(machine_id)

    def tap(self, callback: Tap, *, on: bool) -> None:
        """Let somebody listen in on every look that sees the storage, or not any more."""
        others = tuple(tap for tap in self._taps if tap is not callback)
        self._taps = (*others, callback) if on else others

    def remember(self) -> bool:
        """Store what was observed for the next run of this observer; true if it is stored."""
        if self._notes is None:
            return False
        try:
            return self._note(self._clock.now(), due=True)
        except _BlindError:
            return False

    def _see(self, own: Beater | None) -> _Sight:
        expected = own.stored if own is not None else None
        if own is not None and own.pending is not None:
            raise _BlindError(f"the observer's own heartbeat cannot be written: {own.pending}")
        started = self._clock.now()
        try:
            snapshot = self._storage.load()
            ledger = self._ledger.read_ledger()
            observations = {} if self._notes is None else self._notes.observations()
            windows = () if self._calendar is None else self._calendar.windows()
        except (StorageError, OSError) as error:
            raise _BlindError(str(error) or type(error).__name__) from error
        finished = self._clock.now()
        if expected is not None:
            found = snapshot.heartbeats.get(self._machine_id)
            if found is None or found.order < expected.order:
                raise _BlindError("the observer's own heartbeat was written and cannot be read back")
        between = (own.met, expected) if own is not None and own.met is not None and expected is not None else ()
        return _Sight(snapshot, ledger, observations, windows, started, finished, between)

    def _look(self, seen: _Sight, *, late_ms: int, count: bool) -> Look:
        last, blind_ms = self._memory.last, self._memory.blind_ms
        blind = None if blind_ms is None else 0 if last is None else blind_ms - last.mono_ms
        outcome = look(
            self._memory,
            seen.snapshot,
            seen.ledger,
            timing=self._timing,
            started=seen.started,
            finished=seen.finished,
            observer=self._machine_id,
            host=self._host,
            owner=self._owner,
            late_ms=late_ms,
            count=count,
            observations=seen.observations,
            windows=seen.windows,
            between=seen.between,
        )
        self._memory = outcome.memory
        if outcome.rises and not outcome.disruption.stalled and self._allowance.learn(outcome.rises):
            self.retime(self._timing)
        for tap in self._taps:
            try:
                tap(Sighting(seen.snapshot, seen.started, seen.finished, late_ms, blind, not count))
            except Exception:  # noqa: BLE001 - whoever listens in must not disturb the look
                _log.exception("somebody who listens in on the looks raised; the look goes on")
        return outcome

    def _allowed(self, timing: Timing) -> Timing:
        return attrs.evolve(timing, delay_ms=self._allowance.in_force_ms)

    def _commit(self, outcome: Look, *, patient: bool) -> tuple[Event, ...]:
        before, moves = self._proposed, outcome.moves
        # The move of the look that found the change is kept: it has the times.
        self._proposed = {move.transition.id: before.get(move.transition.id, move) for move in moves}
        if patient:
            moves = tuple(move for name, move in self._proposed.items() if name in before)
        if not moves:
            return ()
        try:
            return tuple(move.transition for move in self._ledger.commit(moves))
        except (StorageError, OSError) as error:
            raise _BlindError(f"a change of status cannot be recorded, so it is not announced yet: {error}") from error

    def _note(self, now: Instant, *, due: bool = False) -> bool:
        """Tell the local ledger which records rose and which stand still: at most every T/2, and only what is new."""
        if self._notes is None:
            return False
        due = due or self._noted_ms is None or now.mono_ms - self._noted_ms >= self._timing.timeout_ms // 2
        if not due or self._timing.shared_clock:
            return due
        try:
            noted = self._notes.observations()
            found = {
                name: news_of(known, noted.get(name), self._timing, now) for name, known in self._memory.known.items()
            }
            news = {name: observation for name, observation in found.items() if observation is not None}
            if news:
                self._notes.note(news)
        except (StorageError, OSError) as error:
            raise _BlindError(f"observations cannot be recorded: {error}") from error
        self._noted_ms = now.mono_ms
        return True

    def _notice(self, seen: _Sight, outcome: Look) -> None:
        disruption, silence = outcome.disruption, outcome.memory.silence
        health, reason = ObserverHealth.OK, disruption.reason
        if disruption.stalled:
            health = ObserverHealth.STALLED
        elif silence is not None:
            health = ObserverHealth.FLEET_SILENT
            overdue = "1 machine is" if len(silence.held) == 1 else f"{len(silence.held)} machines are"
            reason = f"nobody else is heard, and {overdue} overdue: the medium may stand still"
        self._be(health, seen.started, reason)
        contested = outcome.memory.contested
        for machine_id in sorted(contested.keys() - self._contested):
            _log.warning("identity conflict of %s: %s", machine_id, contested[machine_id])
        self._contested = frozenset(contested)
        if seen.snapshot.unreadable != self._unreadable:
            for machine_id, reason in seen.snapshot.unreadable.items():
                if self._unreadable.get(machine_id) != reason:
                    _log.warning("the record of %s cannot be read: %s", machine_id, reason)
            self._unreadable = dict(seen.snapshot.unreadable)

    def _go_blind(self, now: Instant, reason: str) -> None:
        if self._memory.blind_ms is None:
            self._memory = attrs.evolve(self._memory, blind_ms=now.mono_ms)
        self._be(ObserverHealth.BLIND, now, reason)

    def _be(self, health: ObserverHealth, now: Instant, reason: str) -> None:
        before = self._observer
        changed = before is None or before.health is not health
        since = now.wall_ms if before is None or changed else before.since_ms
        self._observer = ObserverState(
            health=health, since=since, reason=reason, machine_id=self._machine_id, medium=self._allowance.state
        )
        if changed and health is not ObserverHealth.OK:
            _log.warning("observer %s is %s: %s", self._machine_id, health, reason)
        elif changed and before is not None:
            _log.info("observer %s sees again", self._machine_id)

    def _health(self) -> ObserverState:
        if self._observer is None:
            raise AssertionError("a look always leaves a health behind")
        return self._observer

    def _report(self, now: Instant, won: tuple[Event, ...]) -> CheckReport:
        return check_report(
            self._memory,
            won,
            unreadable=self._unreadable,
            observer=self._health(),
            checked_ms=now.wall_ms,
            last_check_ms=self._last_check_ms,
        )
