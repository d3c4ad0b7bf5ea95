"""`KeepsLedger`: the ledger abilities of a storage that keeps a ledger inside.

Owns the forwarding, written once. Must not know what kind of ledger it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from heartbeat_kit._fleet_events import Event
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.storage._protocol import EventLog, LedgerEntry, MaintenanceCalendar, Move, SharedLedger

__all__ = ["KeepsLedger", "WholeLedger"]


class WholeLedger(SharedLedger, EventLog, MaintenanceCalendar, Protocol):
    """A ledger with its history and its calendar."""


class KeepsLedger:
    """Offers `SharedLedger`, `EventLog` and `MaintenanceCalendar` by the ledger in `_ledger`."""

    _ledger: WholeLedger

    def read_ledger(self) -> Mapping[str, LedgerEntry]:
        """What was announced last about each machine."""
        return self._ledger.read_ledger()

    def commit(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        """Make the moves whose expectation holds; return them."""
        return self._ledger.commit(moves)

    def undelivered(self, owner: str) -> tuple[Event, ...]:
        """What `owner` has to deliver, with what dead owners left."""
        return self._ledger.undelivered(owner)

    def delivered(self, ids: Sequence[str]) -> None:
        """Mark events as delivered."""
        self._ledger.delivered(ids)

    def history(self, machine_id: str | None = None, since_ms: int | None = None) -> tuple[Event, ...]:
        """Committed events, oldest first, of one machine or all, detected at or after `since_ms`."""
        return self._ledger.history(machine_id, since_ms)

    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """Every maintenance window kept, by start. The same object until something changes."""
        return self._ledger.windows()

    def schedule(self, window: MaintenanceWindow, *, forget_before_ms: int) -> None:
        """Keep a maintenance window in place of the one of the same machine with the same start.

        Raises:
            StorageUnavailableError: It is not kept.
        """
        self._ledger.schedule(window, forget_before_ms=forget_before_ms)
