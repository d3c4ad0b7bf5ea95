"""`FileLedger`: the ledger, its history and its calendar over any place that keeps a `LedgerState` under a lock.

Owns the order of the steps: owner lock, ledger, history. Must not know the file the state is in; the two that have
one, `JsonFileStorage` and `LocalLedger`, implement `LedgerPlace`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import attrs

from heartbeat_kit._fleet_events import Event
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.storage._history import EventHistory
from heartbeat_kit.storage._ledger_state import LedgerState
from heartbeat_kit.storage._locks import unavailable
from heartbeat_kit.storage._owners import OwnerLocks
from heartbeat_kit.storage._protocol import LedgerEntry, Move

__all__ = ["FileLedger", "LedgerPlace", "LedgerTransaction"]

_log = logging.getLogger("heartbeat_kit")


@attrs.frozen
class LedgerTransaction:
    """The stored state under the writer's lock, and how to replace it.

    Attributes:
        state: What is stored.
        write: Stores another state, durably: it raises `OSError` and stored nothing, or it returns.
    """

    state: LedgerState
    write: Callable[[LedgerState], object]


class LedgerPlace(Protocol):
    """Where a ledger is kept."""

    def state(self) -> LedgerState:
        """What is stored, without a lock."""
        ...

    def transaction(self) -> AbstractContextManager[LedgerTransaction]:
        """Hold the writer's lock of all processes for the block; raises `StorageUnavailableError`."""
        ...


class FileLedger:
    """The ledger abilities of one directory.

    Args:
        place: Keeps the state.
        directory: Where the history and the owner locks are.
        mode: Permission bits of the history file.
    """

    def __init__(self, place: LedgerPlace, directory: str, *, mode: int = 0o666) -> None:
        self._place = place
        self._directory = directory
        self._history = EventHistory(directory, mode=mode)
        self._owners = OwnerLocks(directory)
        self._windows: tuple[MaintenanceWindow, ...] = ()

    def read_ledger(self) -> Mapping[str, LedgerEntry]:
        """Every entry, by machine id."""
        return self._place.state().entries

    def commit(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        """Make the moves whose expectation holds; see `SharedLedger.commit`."""
        with self._place.transaction() as ledger, unavailable(f"committing to the ledger in {self._directory}"):
            state, won = ledger.state.apply(moves)
            if won:
                self._owners.hold({move.owner for move in won})
                ledger.write(state)
                try:
                    self._ensure_history(state, {move.transition.id for move in won})
                except OSError as error:  # committed all the same: the outbox keeps the event until it has its line
                    _log.warning("the event history in %s lags behind the ledger: %s", self._directory, error)
            return won

    def undelivered(self, owner: str) -> tuple[Event, ...]:
        """What `owner` has to deliver, the dead owners' events taken over; see `SharedLedger.undelivered`."""
        state = self._place.state()
        if not state.outbox or not self._owners.speaks_for(owner):
            return ()
        if state.owners == {owner} and self._owners.holds(owner):
            return state.undelivered(owner)
        with self._place.transaction() as ledger, unavailable(f"taking over events in {self._directory}"):
            state = ledger.state
            dead = self._owners.dead(state.owners - {owner})
            if dead or owner in state.owners:
                self._owners.hold([owner])
            if dead:
                state = state.adopted(owner, dead)
                ledger.write(state)
                self._owners.bury(dead)
            return state.undelivered(owner)

    def delivered(self, ids: Sequence[str]) -> None:
        """Take events out of the outbox, after their line is in the history."""
        if not set(ids) & self._place.state().outbox.keys():
            return
        with self._place.transaction() as ledger, unavailable(f"marking events delivered in {self._directory}"):
            after = ledger.state.delivered(ids)
            if after is not ledger.state:
                self._ensure_history(ledger.state, ())
                ledger.write(after)

    def history(self, machine_id: str | None = None, since_ms: int | None = None) -> tuple[Event, ...]:
        """Every committed event that is still kept, in the order of commit; see `EventLog.history`."""
        outbox = [item.transition for item in self._place.state().outbox.values()]
        with unavailable(f"reading the event history in {self._directory}"):
            return self._history.read(outbox, machine_id, since_ms)

    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """Every maintenance window kept, by start; see `MaintenanceCalendar.windows`."""
        found = self._place.state().windows
        if found != self._windows:
            self._windows = found
        return self._windows  # the file was read again for another's beat: that is no change of the calendar

    def schedule(self, window: MaintenanceWindow, *, forget_before_ms: int) -> None:
        """Keep a maintenance window; see `MaintenanceCalendar.schedule`."""
        with self._place.transaction() as ledger, unavailable(f"keeping a maintenance window in {self._directory}"):
            after = ledger.state.scheduled(window, forget_before_ms)
            if after is not ledger.state:
                ledger.write(after)

    def close(self) -> None:
        """Let go of the owners held here."""
        self._owners.close()

    def _ensure_history(self, state: LedgerState, fresh: set[str] | tuple[()]) -> None:
        self._history.ensure([item.transition for item in state.outbox.values()], fresh)
