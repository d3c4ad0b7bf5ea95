"""`Beater`: writes one machine's heartbeats, and only that machine's.

Owns the life of a sender (incarnation, sequence) and what to do when a newer record is met. Must not know status,
threads or schedules; the instant is an argument.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Final, NamedTuple

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._metadata import EMPTY, MetadataText
from heartbeat_kit.errors import StorageUnavailableError
from heartbeat_kit.storage import BulkWriter, RecordLookup, Storage

__all__ = ["Beat", "Beater", "Due", "Together", "beat_together"]

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
    known: Heartbeat | None = None
    """What is stored, as far as is known."""


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
        self.met: Heartbeat | None = None
        """The newest record of another host that stood in the way of a beat of ours: it has our id."""

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
        with self.guarded():
            if self._life is not None:  # should the record be gone, the next life is still above this one
                self._floor = max(self._floor, self._life.incarnation + 1)
            self._life, self.stored, self._new_life = None, None, False

    def beat(
        self,
        now: Instant,
        interval_ms: int,
        *,
        metadata: MetadataText | None = None,
        leaving: bool = False,
        clock_now: Callable[[], Instant] | None = None,
    ) -> Beat:
        """Store one heartbeat stamped `now`.

        Args:
            now: When.
            interval_ms: The beat to promise.
            metadata: What to send from now on; None keeps what is stored, across restarts too.
            leaving: Say goodbye.
            clock_now: Tells the time at which it is written, if that is later; see `gives_way`.

        Raises:
            StorageError: It is not stored; `pending` says why, and the next beat carries everything this one did.
        """
        with self.guarded():
            try:
                return self._store(now, interval_ms, metadata, leaving=leaving, clock_now=clock_now)
            except Exception as error:
                self.failed(error)
                raise

    def failed(self, error: Exception) -> None:
        """A beat is not stored, for this reason."""
        self.pending = str(error) or type(error).__name__

    def keep(self, metadata: MetadataText | None) -> None:
        """Send this with the next beat; None changes nothing."""
        with self.guarded():
            self._unsent = self._unsent if metadata is None else metadata

    def _store(
        self,
        now: Instant,
        interval_ms: int,
        metadata: MetadataText | None,
        *,
        leaving: bool,
        clock_now: Callable[[], Instant] | None,
    ) -> Beat:
        life = self.living(now, metadata)
        for _ in range(_ATTEMPTS):
            newer = None if clock_now is None else self.gives_way(life, now, clock_now())
            if newer is not None:
                return Beat(newer, is_new=False)
            candidate = self.candidate(life, now, interval_ms, leaving=leaving)
            stored = self._storage.put(candidate)
            beat = self.accepted(life, candidate, stored)
            if beat is not None:
                return beat
            self._rebase(life, stored)
        raise StorageUnavailableError(
            f"{_ATTEMPTS} attempts each met a newer record of {self._machine_id!r}: too many senders share this id",
            machine_id=self._machine_id,
        )

    def living(self, now: Instant, metadata: MetadataText | None) -> _Life:
        """The life to go on with.

        The record is read before the first write, whenever that succeeds: neither a clock set back nor a share that was
        away at the start can make our beats look old.
        """
        self._unsent = self._unsent if metadata is None else metadata
        life = self._life if self._life is not None else self._first_life(now)
        if self._unsent is not None:
            life.metadata = self._unsent
        return life

    def gives_way(self, life: _Life, now: Instant, written: Instant) -> Heartbeat | None:
        """The stored heartbeat, if it is of a time between that of ours and the writing: it stays, and ours is done.

        A stamp later than the writing is that of a clock that was set back, or of another, and mutes nobody.
        """
        known = life.known
        if known is None or not now.wall_ms < known.last_heartbeat_ms <= written.wall_ms:
            return None
        self.forget()
        self._unsent, self.pending = None, None
        return known

    def candidate(self, life: _Life, now: Instant, interval_ms: int, *, leaving: bool = False) -> Heartbeat:
        """The next beat of a life."""
        return Heartbeat(
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

    def accepted(self, life: _Life, candidate: Heartbeat, stored: Heartbeat) -> Beat | None:
        """The beat, if it is the candidate that is stored now."""
        if stored is not candidate and stored != candidate:
            return None
        life.seq += 1
        is_new, life.is_new, life.known = life.is_new, False, stored
        self._life, self._unsent = life, None
        self.stored, self.pending = stored, None
        return Beat(stored, is_new)

    def _first_life(self, now: Instant) -> _Life:
        if isinstance(self._storage, RecordLookup):
            stored = self._storage.get(self._machine_id)
        else:
            stored = self._storage.load().heartbeats.get(self._machine_id)
        if stored is None:
            return _Life(max(now.wall_ms, self._floor), 0, now.wall_ms, EMPTY, is_new=True)
        if self._new_life or not stored.incarnation:  # 0 is nobody's life: what was imported of one that beat elsewhere
            incarnation = max(stored.incarnation + 1, now.wall_ms, self._floor)
            return _Life(incarnation, 0, stored.first_seen_ms, stored.metadata_json, is_new=False, known=stored)
        return _Life(*stored.order, stored.first_seen_ms, stored.metadata_json, is_new=False, known=stored)

    def _rebase(self, life: _Life, stored: Heartbeat) -> None:
        """Somebody else wrote a newer record under our id: another process of ours, or another host."""
        life.is_new, life.known = False, stored
        if stored.host and stored.host != self._host:
            self.met = stored
        elif self._unsent is None:  # another process of ours said something since; what another host says is not ours
            life.metadata = stored.metadata_json
        life.first_seen_ms = min(life.first_seen_ms, stored.first_seen_ms)
        if stored.incarnation == life.incarnation or not self._new_life:
            life.incarnation, life.seq = stored.order
        else:
            life.incarnation, life.seq = stored.incarnation + 1, 0

    def guarded(self) -> threading.RLock:
        """The lock to hold over `living`, `candidate` and `accepted`, which are one beat in parts."""
        if self._pid != os.getpid():
            self._pid, self._lock, self._life = os.getpid(), threading.RLock(), None
            self._new_life, self._unsent, self.stored, self.pending = False, None, None, None
        return self._lock


class Due(NamedTuple):
    """A heartbeat that is to be stored.

    Attributes:
        machine_id: Of which machine.
        beater: Its beater.
        now: When the machine was alive.
        metadata: What it sent, or ``None`` for what it sent before.
    """

    machine_id: str
    beater: Beater
    now: Instant
    metadata: MetadataText | None


class Together(NamedTuple):
    """What became of heartbeats that were stored together.

    Attributes:
        failed: What was not stored and why, by machine id.
        expired: What had waited for too long when its turn came.
    """

    failed: dict[str, Exception]
    expired: set[str]


def beat_together(
    storage: Storage, due: Iterable[Due], interval_ms: int, clock_now: Callable[[], Instant], patience_ms: int
) -> Together:
    """Store one heartbeat of each machine, in one write where the storage can.

    Args:
        storage: Of all the beaters.
        due: The heartbeats, one a machine.
        interval_ms: The beat to promise.
        clock_now: Tells when each is written, because every write may take its time. Heartbeats between a machine's
            and that, of whoever else, stay as they are.
        patience_ms: What has waited as long is not written any more; its metadata are kept for the next.
    """
    done = Together({}, set())
    # In one order, so that two who hold several locks never wait for each other.
    alone = sorted(due, key=lambda each: each.machine_id)
    if isinstance(storage, BulkWriter):
        now = clock_now()
        fresh = [each for each in alone if not _expired(each, now, patience_ms, done)]
        alone = _beat_at_once(storage, fresh, interval_ms, now, done.failed)
    for each in alone:
        if _expired(each, clock_now(), patience_ms, done):
            continue
        try:
            each.beater.beat(each.now, interval_ms, metadata=each.metadata, clock_now=clock_now)
        except Exception as error:  # noqa: BLE001 - one machine's trouble is not another's
            done.failed[each.machine_id] = error
    return done


def _expired(due: Due, now: Instant, patience_ms: int, done: Together) -> bool:
    # By the clock that says more: the one stands still while a computer sleeps, the other may be set.
    waited_ms = max(now.mono_ms - due.now.mono_ms, now.wall_ms - due.now.wall_ms)
    if waited_ms >= patience_ms:
        due.beater.keep(due.metadata)
        done.expired.add(due.machine_id)
    return waited_ms >= patience_ms


def _beat_at_once(
    storage: BulkWriter, due: Iterable[Due], interval_ms: int, written: Instant, failed: dict[str, Exception]
) -> list[Due]:
    """One write for all; returns those that met a newer record, each of which is a matter of its own."""
    made: list[tuple[Due, _Life, Heartbeat]] = []
    with ExitStack() as locks:
        for each in due:
            locks.enter_context(each.beater.guarded())
            try:
                life = each.beater.living(each.now, each.metadata)
                if each.beater.gives_way(life, each.now, written) is None:
                    made.append((each, life, each.beater.candidate(life, each.now, interval_ms)))
            except Exception as error:  # noqa: BLE001 - one machine's trouble is not another's
                each.beater.failed(error)
                failed[each.machine_id] = error
        try:
            stored = storage.put_many([candidate for *_, candidate in made])
            pairs = list(zip(made, stored, strict=True))
        except Exception as error:  # noqa: BLE001 - reported for each
            for each, *_ in made:
                each.beater.failed(error)
                failed[each.machine_id] = error
            return []
        return [
            each for (each, life, candidate), found in pairs if each.beater.accepted(life, candidate, found) is None
        ]
