"""`FaultyStorage`: any storage, with faults on demand.

Owns what can go wrong and when. Must not know how the storage inside works, and reads no clock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, cast

import attrs

from heartbeat_kit._fleet_events import Event
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.errors import InvalidConfigurationError, StorageUnavailableError
from heartbeat_kit.storage._protocol import (
    BulkWriter,
    EventLog,
    HealthProbe,
    LedgerEntry,
    MaintenanceCalendar,
    Move,
    Probe,
    RecordLookup,
    ServiceConfigStore,
    SharedLedger,
    Snapshot,
    Storage,
    StorageTraits,
)

__all__ = ["FaultyStorage"]

Hook = Callable[[], object]
_CORE = ("put", "load", "remove")


class FaultyStorage:
    """Forwards everything to another storage until it is told to fail; offers exactly the abilities that one offers.

    An operation is first counted in `calls`, then its `before` hook runs, then `go_down` and `fail` strike.

    Args:
        inner: The storage that does the work.
        traits: Other traits to declare; those of `inner` by default.

    Attributes:
        calls: How often each operation was called, the failed calls included.
        inner: The storage that does the work.

    >>> from heartbeat_kit.storage import MemoryStorage
    >>> storage = FaultyStorage(MemoryStorage())
    >>> storage.go_down(reason="the share is not mounted")
    >>> storage.load()
    Traceback (most recent call last):
        ...
    heartbeat_kit.errors.StorageUnavailableError: the share is not mounted
    >>> storage.come_back()
    >>> len(storage.load().heartbeats), storage.calls["load"]
    (0, 2)
    """

    def __new__(cls, inner: Storage, *, traits: StorageTraits | None = None) -> FaultyStorage:  # noqa: ARG004, PYI034
        # `isinstance` with a protocol looks at classes, not at __getattr__, so each set of abilities has its class.
        key: list[Any] = [cls, *(mixin for ability, mixin, _ in _ABILITIES if isinstance(inner, ability))]
        return object.__new__(_class_for(*key))

    def __init__(self, inner: Storage, *, traits: StorageTraits | None = None) -> None:
        self.calls: Counter[str] = Counter()
        self.inner: Any = inner
        self._traits = traits
        self._lock = threading.Lock()
        self._hooks: dict[str, Hook] = {}
        self._failing: dict[str, tuple[int, BaseException | type[BaseException]]] = {}
        self._down: str | None = None
        self._frozen: Snapshot | None = None
        self._losing = False
        self._corrupt: dict[str, str] = {}
        self._hidden: set[str] = set()

    @property
    def traits(self) -> StorageTraits:
        """The traits given, or those of the storage inside."""
        return self._traits or cast("StorageTraits", self.inner.traits)

    def go_down(self, reason: str = "the storage is down (FaultyStorage.go_down)") -> None:
        """From now on every operation raises `StorageUnavailableError` with this reason; `close` still works."""
        self._down = reason

    def come_back(self) -> None:
        """End `go_down`; what was stored before is still there."""
        self._down = None

    def fail(self, operation: str, times: int = 1, error: BaseException | type[BaseException] | None = None) -> None:
        """Let the next `times` calls of one operation raise instead of doing anything.

        Args:
            operation: ``put``, ``load``, ``commit``…: a method of the storage inside.
            times: How many calls; 0 takes an earlier `fail` back.
            error: What they raise; a `StorageUnavailableError` by default.

        Raises:
            InvalidConfigurationError: The storage inside has no such operation.
        """
        self._must_offer(operation)
        with self._lock:
            self._failing[operation] = (
                times,
                error or StorageUnavailableError(f"{operation} failed (FaultyStorage.fail)"),
            )

    def before(self, operation: str, hook: Hook | None) -> None:
        """Call `hook` before each call of one operation: advance a `FakeClock` for a slow storage, raise, look on.

        Args:
            operation: As for `fail`.
            hook: Called without arguments; ``None`` takes the hook away.

        Raises:
            InvalidConfigurationError: The storage inside has no such operation.
        """
        self._must_offer(operation)
        if hook is None:
            self._hooks.pop(operation, None)
        else:
            self._hooks[operation] = hook

    def corrupt(self, machine_id: str, reason: str = "not JSON (FaultyStorage.corrupt)") -> None:
        """Make the record of one machine unreadable until `heal`, whatever is put."""
        self._corrupt[normalize_machine_id(machine_id)] = reason

    def heal(self, machine_id: str) -> None:
        """End `corrupt` for this machine."""
        self._corrupt.pop(normalize_machine_id(machine_id), None)

    def hide(self, machine_id: str) -> None:
        """Leave one machine out of every answer until `show`, as if its file had not arrived."""
        self._hidden.add(normalize_machine_id(machine_id))

    def show(self, machine_id: str) -> None:
        """End `hide` for this machine."""
        self._hidden.discard(normalize_machine_id(machine_id))

    def freeze(self) -> None:
        """Answer reads with the heartbeats of now until `thaw`, as behind a paused sync client; writes go on."""
        self._frozen = self.inner.load()

    def thaw(self) -> None:
        """End `freeze`: reads answer with the present again."""
        self._frozen = None

    def lose_writes(self, on: bool = True) -> None:
        """Let `put` report success and store nothing; ``lose_writes(False)`` ends it."""
        self._losing = on

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Forward, or pretend to."""
        self._begin("put")
        return heartbeat if self._losing else cast("Heartbeat", self.inner.put(heartbeat))

    def load(self) -> Snapshot:
        """Forward, with what is hidden, corrupt or frozen seen so."""
        self._begin("load")
        snapshot: Snapshot = self._frozen or self.inner.load()
        if not self._hidden and not self._corrupt:
            return snapshot
        gone = self._hidden
        bad = {**snapshot.unreadable, **self._corrupt}
        return attrs.evolve(
            snapshot,
            heartbeats={key: beat for key, beat in snapshot.heartbeats.items() if key not in gone and key not in bad},
            unreadable={key: reason for key, reason in bad.items() if key not in gone},
            conflicts={key: text for key, text in snapshot.conflicts.items() if key not in gone},
        )

    def remove(self, machine_id: str) -> bool:
        """Forward."""
        self._begin("remove")
        return cast("bool", self.inner.remove(machine_id))

    def close(self) -> None:
        """Forward, and end every pretence: a closed storage answers nothing."""
        self.calls["close"] += 1
        self._frozen = None
        self._losing = False
        self.inner.close()

    def _begin(self, operation: str) -> None:
        with self._lock:
            self.calls[operation] += 1
        if (hook := self._hooks.get(operation)) is not None:
            hook()
        if self._down is not None:
            raise StorageUnavailableError(self._down)
        with self._lock:
            times, error = self._failing.get(operation, (0, None))
            if error is None or times < 1:
                return
            self._failing[operation] = times - 1, error
        raise error

    def _must_offer(self, operation: str) -> None:
        offered = [*_CORE, *(name for _, mixin, names in _ABILITIES if isinstance(self, mixin) for name in names)]
        if operation not in offered:
            raise InvalidConfigurationError(
                f"{operation!r} is no operation of {self.inner!r} that can fail: expected one of {', '.join(offered)}"
            )

    def __repr__(self) -> str:
        faults = [
            *(["down"] if self._down is not None else []),
            *(["frozen"] if self._frozen is not None else []),
            *(["losing writes"] if self._losing else []),
            *(f"{name} fails {times}x" for name, (times, _) in self._failing.items() if times > 0),
            *([f"{len(self._corrupt)} corrupt"] if self._corrupt else []),
            *([f"{len(self._hidden)} hidden"] if self._hidden else []),
        ]
        return f"<FaultyStorage {', '.join(faults) or 'healthy'} over {self.inner!r}>"


class _Lookup(FaultyStorage):
    def get(self, machine_id: str) -> Heartbeat | None:
        """Forward, with what is hidden, corrupt or frozen seen so."""
        self._begin("get")
        wanted = normalize_machine_id(machine_id)
        if wanted in self._hidden or wanted in self._corrupt:
            return None
        if self._frozen is not None:
            return self._frozen.heartbeats.get(wanted)
        return cast("Heartbeat | None", self.inner.get(wanted))


class _Bulk(FaultyStorage):
    def put_many(self, heartbeats: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """Forward, unless writes are being lost."""
        self._begin("put_many")
        if self._losing:
            return tuple(heartbeats)
        return cast("tuple[Heartbeat, ...]", self.inner.put_many(heartbeats))


class _Probing(FaultyStorage):
    def probe(self, machine_id: str = "") -> Probe:
        """Forward."""
        self._begin("probe")
        return cast("Probe", self.inner.probe(machine_id))


class _Ledger(FaultyStorage):
    def read_ledger(self) -> Mapping[str, LedgerEntry]:
        """Forward."""
        self._begin("read_ledger")
        return cast("Mapping[str, LedgerEntry]", self.inner.read_ledger())

    def commit(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        """Forward."""
        self._begin("commit")
        return cast("tuple[Move, ...]", self.inner.commit(moves))

    def undelivered(self, owner: str) -> tuple[Event, ...]:
        """Forward."""
        self._begin("undelivered")
        return cast("tuple[Event, ...]", self.inner.undelivered(owner))

    def delivered(self, ids: Sequence[str]) -> None:
        """Forward."""
        self._begin("delivered")
        self.inner.delivered(ids)


class _History(FaultyStorage):
    def history(self, machine_id: str | None = None, since_ms: int | None = None) -> tuple[Event, ...]:
        """Forward."""
        self._begin("history")
        return cast("tuple[Event, ...]", self.inner.history(machine_id, since_ms))


class _Calendar(FaultyStorage):
    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """Forward."""
        self._begin("windows")
        return cast("tuple[MaintenanceWindow, ...]", self.inner.windows())

    def schedule(self, window: MaintenanceWindow, *, forget_before_ms: int) -> None:
        """Forward."""
        self._begin("schedule")
        self.inner.schedule(window, forget_before_ms=forget_before_ms)


class _Service(FaultyStorage):
    def save_service(self, record: Mapping[str, Any]) -> None:
        """Forward."""
        self._begin("save_service")
        self.inner.save_service(record)

    def load_service(self) -> dict[str, Any] | None:
        """Forward."""
        self._begin("load_service")
        return cast("dict[str, Any] | None", self.inner.load_service())


_ABILITIES: tuple[tuple[type, type[FaultyStorage], tuple[str, ...]], ...] = (
    (RecordLookup, _Lookup, ("get",)),
    (BulkWriter, _Bulk, ("put_many",)),
    (HealthProbe, _Probing, ("probe",)),
    (SharedLedger, _Ledger, ("read_ledger", "commit", "undelivered", "delivered")),
    (EventLog, _History, ("history",)),
    (MaintenanceCalendar, _Calendar, ("windows", "schedule")),
    (ServiceConfigStore, _Service, ("save_service", "load_service")),
)


@cache
def _class_for(cls: type[FaultyStorage], *mixins: type[FaultyStorage]) -> type[FaultyStorage]:
    if not mixins:
        return cls
    bases = mixins if cls is FaultyStorage else (cls, *mixins)  # what a subclass overrides comes first
    return type(cls.__name__, bases, {"__doc__": cls.__doc__, "__module__": cls.__module__})
