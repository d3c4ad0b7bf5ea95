"""The medium of a simulated fleet, as one of its machines sees it.

Owns what differs from one machine to the next: how late the others' records arrive, and whose ledger is used. Must
not know services or faults.
"""

from __future__ import annotations

from collections import deque

import attrs

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.storage import MemoryStorage, SharedLedger, Snapshot, Storage, StorageTraits
from heartbeat_kit.storage._keeps_ledger import KeepsLedger
from heartbeat_kit.testing._clock import FakeClock

__all__ = ["Medium"]


class Medium:
    """What the machines of a fleet share: one storage, and how long its records travel.

    Args:
        storage: Where the records are.
        clock: True time; never suspended.
        delay_ms: How long a record takes from one machine to any other.
    """

    def __init__(self, storage: Storage, clock: FakeClock, delay_ms: int) -> None:
        self.storage = storage
        self._clock = clock
        self._delay_ms = delay_ms
        self._sent: dict[str, deque[tuple[int, Heartbeat]]] = {}

    def seen_by(self, machine_id: str, *, announces: bool) -> Storage:
        """The storage as one machine sees it.

        Args:
            machine_id: Whose own record it sees at once.
            announces: It takes part in the shared ledger. All others get a ledger of their own, or none where there
                is none to share: a machine that looks about must not win an event from the observer of the test.
        """
        shared = isinstance(self.storage, SharedLedger)
        if not self._delay_ms and (announces or not shared):
            return self.storage
        ledger = self.storage if announces and isinstance(self.storage, MemoryStorage) else MemoryStorage()
        return _View(self, machine_id, ledger)

    def send(self, heartbeat: Heartbeat) -> Heartbeat:
        """Store a record; it is on its way from now on."""
        stored = self.storage.put(heartbeat)
        if self._delay_ms and stored is heartbeat:
            due_ms = self._clock.now().mono_ms + self._delay_ms
            self._sent.setdefault(heartbeat.machine_id, deque()).append((due_ms, heartbeat))
        return stored

    def arrived(self, machine_id: str) -> Snapshot:
        """What one machine finds: its own record as it is, the others' as they were one delay ago."""
        snapshot = self.storage.load()
        if not self._delay_ms:
            return snapshot
        found = {
            name: heartbeat if name == machine_id or name not in self._sent else self._arrived(name)
            for name, heartbeat in snapshot.heartbeats.items()
        }
        return attrs.evolve(snapshot, heartbeats={name: beat for name, beat in found.items() if beat is not None})

    def remove(self, machine_id: str) -> bool:
        """Remove a record everywhere, at once; what was on its way is lost."""
        self._sent.pop(normalize_machine_id(machine_id), None)
        return self.storage.remove(machine_id)

    def _arrived(self, machine_id: str) -> Heartbeat | None:
        way, now_ms = self._sent[machine_id], self._clock.now().mono_ms
        while len(way) > 1 and way[1][0] <= now_ms:
            way.popleft()
        due_ms, heartbeat = way[0]
        return heartbeat if due_ms <= now_ms else None


class _View(KeepsLedger):
    """One machine's handle of the medium. Offers the abilities of `KeepsLedger`, on the ledger it was given."""

    def __init__(self, medium: Medium, machine_id: str, ledger: MemoryStorage) -> None:
        self._medium = medium
        self._machine_id = machine_id
        self._ledger = ledger

    @property
    def traits(self) -> StorageTraits:
        return self._medium.storage.traits

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        return self._medium.send(heartbeat)

    def load(self) -> Snapshot:
        return self._medium.arrived(self._machine_id)

    def remove(self, machine_id: str) -> bool:
        return self._medium.remove(machine_id)

    def close(self) -> None:
        self._medium.storage.close()

    def __repr__(self) -> str:
        return repr(self._medium.storage)
