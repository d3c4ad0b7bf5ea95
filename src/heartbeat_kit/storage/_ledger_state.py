"""What was announced, what is still to be delivered and what maintenance is planned, as one frozen value.

Owns the rules of compare-and-set, delivery, adoption and scheduling, and the record a ledger is stored as. Pure: every
change returns the next state, so a write that fails leaves the state before it in force. Must not know files or locks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from heartbeat_kit._events import Reason
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._times import from_iso
from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage._event_codec import event_from_record
from heartbeat_kit.storage._ledger_codec import entry_from_record, window_from_record
from heartbeat_kit.storage._protocol import LedgerEntry, Move
from heartbeat_kit.storage._reuse import Reuse

__all__ = ["EMPTY_LEDGER", "FORGET_MS", "LedgerReader", "LedgerState", "Pending"]

FORGET_MS: Final = 30 * 86_400_000
"""After so long what concerns no machine of the fleet any more is dropped, so that no ledger grows for ever."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Pending:
    """A committed event that nobody has marked delivered.

    Attributes:
        transition: The event.
        owner: Who delivers it.
    """

    transition: Event
    owner: str


@attrs.frozen(kw_only=True)
class LedgerState:
    """The ledger at one moment.

    Attributes:
        entries: What was announced last, by machine id, or by a key that begins with ``*``. Read-only.
        outbox: Committed and not delivered, by event id, in the order of their commit. Read-only.
        last_commit_ms: `detected_at` of the newest event committed, or ``None`` before the first.
        windows: The maintenance planned, by start, then machine id.
    """

    entries: Mapping[str, LedgerEntry] = MappingProxyType({})
    outbox: Mapping[str, Pending] = MappingProxyType({})
    last_commit_ms: int | None = None
    windows: tuple[MaintenanceWindow, ...] = ()

    def apply(self, moves: Sequence[Move]) -> tuple[LedgerState, tuple[Move, ...]]:
        """Make each move whose `expected` is the event id of the entry in force (``None``: no entry).

        Machines that were removed more than `FORGET_MS` ago are dropped on the way.

        Returns:
            The next state (this one if no move was made) and the moves made.
        """
        entries, outbox, last = dict(self.entries), dict(self.outbox), self.last_commit_ms
        won = []
        for move in moves:
            current = entries.get(move.entry.machine_id)
            if (current.event_id if current else None) == move.expected:
                entries[move.entry.machine_id] = move.entry
                outbox[move.transition.id] = Pending(transition=move.transition, owner=move.owner)
                last = max(move.transition.detected_at_ms, move.transition.detected_at_ms if last is None else last)
                won.append(move)
        if not won:
            return self, ()
        now = max(move.transition.detected_at_ms for move in won)  # `last` may come from a clock that was ahead
        entries = {name: entry for name, entry in entries.items() if not _is_forgotten(entry, now)}
        return (
            attrs.evolve(self, entries=MappingProxyType(entries), outbox=MappingProxyType(outbox), last_commit_ms=last),
            tuple(won),
        )

    def delivered(self, ids: Iterable[str]) -> LedgerState:
        """The state without these events in the outbox; unknown ids are passed over."""
        done = self.outbox.keys() & set(ids)
        return self._with_outbox({key: item for key, item in self.outbox.items() if key not in done}) if done else self

    def adopted(self, owner: str, dead: Collection[str]) -> LedgerState:
        """The state in which what the `dead` owners left undelivered belongs to `owner`."""
        if not any(item.owner in dead for item in self.outbox.values()):
            return self
        return self._with_outbox(
            {key: attrs.evolve(item, owner=owner) if item.owner in dead else item for key, item in self.outbox.items()}
        )

    def scheduled(self, window: MaintenanceWindow, forget_before_ms: int) -> LedgerState:
        """The state with this window in place of the one of the same machine with the same start.

        Others that ended before `forget_before_ms` are dropped; what is scheduled is kept, however long ago it ended.
        """
        others = (
            known for known in self.windows if known.end_ms >= forget_before_ms and _place(known) != _place(window)
        )
        windows = _in_order([*others, window])
        return self if windows == self.windows else attrs.evolve(self, windows=windows)

    def undelivered(self, owner: str) -> tuple[Event, ...]:
        """The events in the outbox that belong to `owner`."""
        return tuple(item.transition for item in self.outbox.values() if item.owner == owner)

    @property
    def owners(self) -> frozenset[str]:
        """Everybody who has something to deliver."""
        return frozenset(item.owner for item in self.outbox.values())

    def _with_outbox(self, outbox: dict[str, Pending]) -> LedgerState:
        return attrs.evolve(self, outbox=MappingProxyType(outbox))


EMPTY_LEDGER: Final = LedgerState()


class LedgerReader:
    """Reads stored ledgers one after another; what did not change stays the same object."""

    def __init__(self) -> None:
        self._entries: Reuse[LedgerEntry] = Reuse(_entry)
        self._events: Reuse[Event] = Reuse(_event)
        self._windows: Reuse[MaintenanceWindow] = Reuse(_window)

    def read(self, record: Any, complain: Callable[[str], object]) -> LedgerState:
        """Build the state from parsed JSON, believing nothing.

        A part that cannot be understood is left out and `complain` is told: of that machine nothing was announced,
        that event or window there is not.
        """
        if record is None:
            return EMPTY_LEDGER
        if not isinstance(record, dict):
            complain(f"the ledger is a {type(record).__name__}, expected a JSON object")
            return EMPTY_LEDGER
        entries: dict[str, LedgerEntry] = {}
        outbox: dict[str, Pending] = {}
        for key, raw in _items(record, "entries", dict, complain):
            try:
                entries[key] = self._entries(key, raw)
            except InvalidHeartbeatError as error:
                complain(f"ledger entry {key!r}: {error}")
        for place, raw in _items(record, "outbox", list, complain):
            try:
                item = self._pending(raw)
                outbox[item.transition.id] = item
            except InvalidHeartbeatError as error:
                complain(f"undelivered event {place}: {error}")
        self._entries.keep(entries)
        self._events.keep(outbox)
        return LedgerState(
            entries=MappingProxyType(entries),
            outbox=MappingProxyType(outbox),
            last_commit_ms=_stamp(record.get("lastCommit"), complain),
            windows=self._calendar(record, complain),
        )

    def _calendar(self, record: dict[str, Any], complain: Callable[[str], object]) -> tuple[MaintenanceWindow, ...]:
        windows: dict[tuple[int, str], MaintenanceWindow] = {}
        keys: set[str] = set()
        for place, raw in _items(record, "windows", list, complain):
            key = f"{raw.get('start')} {raw.get('machineId')}" if isinstance(raw, dict) else ""
            try:
                window = self._windows(key, raw)
            except InvalidHeartbeatError as error:
                complain(f"maintenance window {place}: {error}")
                continue
            windows[_place(window)] = window
            keys.add(key)
        self._windows.keep(keys)
        return _in_order(windows.values())

    def _pending(self, raw: Any) -> Pending:
        if not isinstance(raw, dict) or not isinstance(raw.get("owner"), str):
            raise InvalidHeartbeatError("expected an object with an owner and an event")
        event = raw.get("transition")
        key = event.get("id") if isinstance(event, dict) else None
        return Pending(transition=self._events(str(key), event), owner=raw["owner"])


def _is_forgotten(entry: LedgerEntry, now_ms: int) -> bool:
    """Whether a machine was removed so long ago that no old copy of its record is feared any more."""
    announced_ms = entry.since_ms if entry.announced_ms is None else entry.announced_ms
    return entry.reason is Reason.REMOVED and announced_ms < now_ms - FORGET_MS


def _entry(machine_id: str, raw: Any) -> LedgerEntry:
    entry = entry_from_record(raw)
    if entry.machine_id != machine_id:
        raise InvalidHeartbeatError(f"it is about {entry.machine_id!r}")
    return entry


def _event(_: str, raw: Any) -> Event:
    return event_from_record(raw)


def _window(_: str, raw: Any) -> MaintenanceWindow:
    return window_from_record(raw)


def _place(window: MaintenanceWindow) -> tuple[int, str]:
    """Its place in the calendar; there is one window in each."""
    return window.start_ms, window.machine_id


def _in_order(windows: Iterable[MaintenanceWindow]) -> tuple[MaintenanceWindow, ...]:
    return tuple(sorted(windows, key=_place))


def _items(
    record: dict[str, Any], name: str, kind: type[Any], complain: Callable[[str], object]
) -> Iterable[tuple[Any, Any]]:
    found: Any = record.get(name, kind())
    if not isinstance(found, kind):
        complain(f"{name} of the ledger is a {type(found).__name__}, expected a JSON {kind.__name__}")
        return ()
    items: Iterable[tuple[Any, Any]] = found.items() if kind is dict else enumerate(found)
    return items


def _stamp(text: Any, complain: Callable[[str], object]) -> int | None:
    if text is None:
        return None
    try:
        return from_iso(text)
    except (ValueError, OverflowError) as error:
        complain(f"lastCommit of the ledger: {error}")
        return None
