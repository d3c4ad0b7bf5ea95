"""`MemoryStorage`: the reference semantics of a storage, in one process.

Owns a dict and a lock. What the contract says in words, this says in code; other backends are compared with it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from heartbeat_kit._fleet_events import Event
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.errors import StorageClosedError
from heartbeat_kit.storage._history import chosen
from heartbeat_kit.storage._ledger_state import EMPTY_LEDGER
from heartbeat_kit.storage._protocol import LedgerEntry, Move, Probe, Snapshot, StorageTraits

__all__ = ["MemoryStorage"]

_HISTORY = 10_000


class MemoryStorage:
    """Heartbeats in a dict: for tests and for one process. Offers every ability a storage can.

    Args:
        traits: Other traits to declare, for simulating another medium; by default what memory really is.

    >>> storage = MemoryStorage()
    >>> beat = Heartbeat(machine_id="web-1", last_heartbeat=0, incarnation=1, seq=1, interval=30_000)
    >>> storage.put(beat) is beat
    True
    >>> list(storage.load().heartbeats)
    ['web-1']
    """

    def __init__(self, *, traits: StorageTraits | None = None) -> None:
        self.traits = traits or StorageTraits(
            durable=False,
            cross_process=False,
            cross_host=False,
            coherent=True,
            location=f"memory:{uuid4().hex}",
        )
        self._lock = threading.RLock()
        self._heartbeats: dict[str, Heartbeat] = {}
        self._ledger = EMPTY_LEDGER
        self._history: deque[Event] = deque(maxlen=_HISTORY)
        self._service: dict[str, Any] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemoryStorage {len(self._heartbeats)} machines>"

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Store a heartbeat unless a newer one is stored; return what is stored now."""
        with self._open():
            stored = self._heartbeats.get(heartbeat.machine_id)
            if stored is not None and stored.order >= heartbeat.order:
                return stored
            self._heartbeats[heartbeat.machine_id] = heartbeat
            return heartbeat

    def put_many(self, heartbeats: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """`put` each; nobody sees a part of them."""
        with self._open():
            return tuple(self.put(heartbeat) for heartbeat in heartbeats)

    def get(self, machine_id: str) -> Heartbeat | None:
        """The stored record of one machine."""
        with self._open():
            return self._heartbeats.get(normalize_machine_id(machine_id))

    def load(self) -> Snapshot:
        """Everything stored now."""
        with self._open():
            return Snapshot(heartbeats=self._heartbeats.copy())

    def remove(self, machine_id: str) -> bool:
        """Forget a machine; true if it was there."""
        with self._open():
            return self._heartbeats.pop(normalize_machine_id(machine_id), None) is not None

    def probe(self, machine_id: str = "") -> Probe:  # noqa: ARG002 - every machine is alike here
        """There is nothing that could be found out about memory; see `HealthProbe`."""
        with self._open():
            return Probe()

    def close(self) -> None:
        """Refuse every later call. What was stored is gone with the object."""
        self._closed = True

    def read_ledger(self) -> Mapping[str, LedgerEntry]:
        """What was announced last about each machine."""
        with self._open():
            return self._ledger.entries

    def commit(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        """Make the moves whose expectation holds; return them."""
        with self._open():
            self._ledger, won = self._ledger.apply(moves)
            self._history.extend(move.transition for move in won)
            return won

    def undelivered(self, owner: str) -> tuple[Event, ...]:
        """Events that `owner` committed and has not marked delivered; in one process no other owner is dead."""
        with self._open():
            return self._ledger.undelivered(owner)

    def delivered(self, ids: Sequence[str]) -> None:
        """Mark events as delivered."""
        with self._open():
            self._ledger = self._ledger.delivered(ids)

    def history(self, machine_id: str | None = None, since_ms: int | None = None) -> tuple[Event, ...]:
        """The last 10,000 events, oldest first, of one machine or all, detected at or after `since_ms`."""
        wanted = chosen(machine_id, since_ms)
        with self._open():
            return tuple(filter(wanted, self._history))

    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """Every maintenance window kept, by start. The same object until something changes."""
        with self._open():
            return self._ledger.windows

    def schedule(self, window: MaintenanceWindow, *, forget_before_ms: int) -> None:
        """Keep a maintenance window in place of the one of the same machine with the same start."""
        with self._open():
            self._ledger = self._ledger.scheduled(window, forget_before_ms)

    def save_service(self, record: Mapping[str, Any]) -> None:
        """Keep the configuration a service runs with."""
        with self._open():
            self._service = dict(record)

    def load_service(self) -> dict[str, Any] | None:
        """The configuration kept last, or ``None``."""
        with self._open():
            return None if self._service is None else dict(self._service)

    def _open(self) -> threading.RLock:
        if self._closed:
            raise StorageClosedError("this storage was closed: open a new one")
        return self._lock
