"""`HostLedger`: what `LocalLedger` is on disk, in memory: one host's announcements and observations.

Owns a ledger that survives the death of a simulated process, because it belongs to the host. Must not know records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from heartbeat_kit._fleet_events import Event
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.storage import LedgerEntry, Move, Observation
from heartbeat_kit.storage._ledger_state import EMPTY_LEDGER

__all__ = ["HostLedger"]


class HostLedger:
    """The ledger of one host; one process of it lives at a time, so every other owner is dead."""

    def __init__(self) -> None:
        self._state = EMPTY_LEDGER
        self._history: list[Event] = []
        self._observations: Mapping[str, Observation] = MappingProxyType({})

    def read_ledger(self) -> Mapping[str, LedgerEntry]:
        """What was announced last about each machine."""
        return self._state.entries

    def commit(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        """Make the moves whose expectation holds; return them."""
        self._state, won = self._state.apply(moves)
        self._history += [move.transition for move in won]
        return won

    def undelivered(self, owner: str) -> tuple[Event, ...]:
        """What waits for delivery, whoever committed it."""
        self._state = self._state.adopted(owner, self._state.owners - {owner})
        return self._state.undelivered(owner)

    def delivered(self, ids: Sequence[str]) -> None:
        """Mark events as delivered."""
        self._state = self._state.delivered(ids)

    def history(self, machine_id: str | None = None, since_ms: int | None = None) -> tuple[Event, ...]:
        """Everything committed, oldest first."""
        wanted = None if machine_id is None else normalize_machine_id(machine_id)
        return tuple(
            event
            for event in self._history
            if wanted in (None, getattr(event, "machine_id", None))
            and (since_ms is None or event.detected_at_ms >= since_ms)
        )

    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """The maintenance planned."""
        return self._state.windows

    def schedule(self, window: MaintenanceWindow, *, forget_before_ms: int) -> None:
        """Plan maintenance."""
        self._state = self._state.scheduled(window, forget_before_ms)

    def observations(self) -> Mapping[str, Observation]:
        """When this host saw each machine's newest record rise."""
        return self._observations

    def note(self, observations: Mapping[str, Observation]) -> None:
        """Keep observations; one of an older record than is kept is passed over."""
        known = self._observations
        news = {
            name: seen for name, seen in observations.items() if name not in known or known[name].order <= seen.order
        }
        self._observations = MappingProxyType({**known, **news})
