"""`Beater`: writes one machine's heartbeats, and only that machine's.

Owns the life of a sender (incarnation, sequence) and what to do when a newer record is met. Must not know status,
threads or schedules; the instant is an argument.
"""

from __future__ import annotations

import os
import threading
from typing import Final

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._metadata import EMPTY, MetadataText
from heartbeat_kit.errors import StorageUnavailableError
from heartbeat_kit.storage import RecordLookup, Storage

__all__ = ["Beat", "Beater"]

_ATTEMPTS: Final = 100


@attrs.frozen
class Beat:
    """A stored heartbeat, and whether it is the machine's first."""

    heartbeat: Heartbeat
    is_new: bool


@attrs.define
class _Life:
    incarnation: int
    seq: int
    first_seen_ms: int
    metadata: str
    is_new: bool


class Beater:
    """Beats as one machine into one storage. Safe to call from several threads; a forked child starts afresh.

    Args:
        storage: Where to.
        machine_id: As whom, normalised.
        host: The host name to sign with.
    """

    def __init__(self, storage: Storage, machine_id: str, host: str) -> None:
        self._storage = storage
        self._machine_id = machine_id
        self._host = host
        self._lock = threading.RLock()  # a signal handler may beat while the thread it interrupted does
        self._pid = os.getpid()
        self._life: _Life | None = None
        self._new_life = False
        self._floor = 0
        self._unsent: MetadataText | None = None
        self.stored: Heartbeat | None = None
        """What the storage last confirmed to hold of ours."""
        self.pending: str | None = None
        """Why the last beat is not stored, or None."""

    @property
    def has_beaten(self) -> bool:
        """Whether this process stored a heartbeat; a forked child has not."""
        return self.stored is not None and self._pid == os.getpid()

    def begin(self) -> None:
        """Begin a new life with the next beat: its incarnation will be above any that is stored."""
        self.forget()
        self._new_life = True

    def forget(self) -> None:
        """Forget what is known of the stored record; the next beat reads it."""
        with self._guarded():
            if self._life is not None:  # should the record be gone, the next life is still above this one
                self._floor = max(self._floor, self._life.incarnation + 1)
            self._life, self.stored, self._new_life = None, None, False

    def beat(
        self, now: Instant, interval_ms: int, *, metadata: MetadataText | None = None, leaving: bool = False
    ) -> Beat:
        """Store one heartbeat stamped `now`.

        Args:
            now: When.
            interval_ms: The beat to promise.
            metadata: What to send from now on; None keeps what was sent before, across restarts too.
            leaving: Say goodbye.

        Raises:
            StorageError: It is not stored; `pending` says why, and the next beat carries everything this one did.
        """
        with self._guarded():
            try:
                beat = self._store(now, interval_ms, metadata, leaving=leaving)
            except Exception as error:
                self.pending = str(error) or type(error).__name__
                raise
            self.stored, self.pending = beat.heartbeat, None
            return beat

    def _store(self, now: Instant, interval_ms: int, metadata: MetadataText | None, *, leaving: bool) -> Beat:
        # The record is read before the first write, whenever that succeeds: neither a clock set back nor a share that
        # was away at the start can make our beats look old.
        self._unsent = self._unsent if metadata is None else metadata
        life = self._life if self._life is not None else self._first_life(now)
        if self._unsent is not None:
            life.metadata = self._unsent
        for _ in range(_ATTEMPTS):
            candidate = Heartbeat(
                machine_id=self._machine_id,
                last_heartbeat=now.wall_ms,
                incarnation=life.incarnation,
                seq=life.seq + 1,
                interval=interval_ms,
                metadata=life.metadata,
                first_seen=life.first_seen_ms,
                host=self._host,
                left_at=now.wall_ms if leaving else None,
            )
            stored = self._storage.put(candidate)
            if stored is candidate or stored == candidate:
                life.seq += 1
                is_new, life.is_new = life.is_new, False
                self._life, self._unsent = life, None
                return Beat(stored, is_new)
            self._rebase(life, stored)
        raise StorageUnavailableError(
            f"{_ATTEMPTS} attempts each met a newer record of {self._machine_id!r}: too many senders share this id",
            machine_id=self._machine_id,
        )

    def _first_life(self, now: Instant) -> _Life:
        if isinstance(self._storage, RecordLookup):
            stored = self._storage.get(self._machine_id)
        else:
            stored = self._storage.load().heartbeats.get(self._machine_id)
        if stored is None:
            return _Life(max(now.wall_ms, self._floor), 0, now.wall_ms, EMPTY, is_new=True)
        if self._new_life or not stored.incarnation:  # 0 is nobody's life: what was imported of one that beat elsewhere
            incarnation = max(stored.incarnation + 1, now.wall_ms, self._floor)
            return _Life(incarnation, 0, stored.first_seen_ms, stored.metadata_json, is_new=False)
        return _Life(stored.incarnation, stored.seq, stored.first_seen_ms, stored.metadata_json, is_new=False)

    def _rebase(self, life: _Life, stored: Heartbeat) -> None:
        """Somebody else wrote a newer record under our id: another process of ours, or another host."""
        life.is_new = False
        life.first_seen_ms = min(life.first_seen_ms, stored.first_seen_ms)
        if stored.incarnation == life.incarnation or not self._new_life:
            life.incarnation, life.seq = stored.order
        else:
            life.incarnation, life.seq = stored.incarnation + 1, 0

    def _guarded(self) -> threading.RLock:
        if self._pid != os.getpid():
            self._pid, self._lock, self._life = os.getpid(), threading.RLock(), None
            self._new_life, self._unsent, self.stored, self.pending = False, None, None, None
        return self._lock
