"""The event history: one event per line, appended, bounded.

Owns `heartbeat-events.jsonl` and the older `heartbeat-events.1.jsonl`. Must not know the ledger's file.

The order of the writes: the ledger first, the line here second. The ledger's outbox is the write-ahead log of this
file: an event stays in it until its line is known to be here (`ensure` runs after each commit and before each removal
from the outbox), and a reader shows the outbox behind the lines (`read`). So a process killed between the two writes
loses nothing, and a line never stands here for an event that was not committed, as it could the other way round.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage._event_codec import event_from_record, event_to_record
from heartbeat_kit.storage._files import Signature, signature

__all__ = ["EventHistory", "chosen"]

_NAME: Final = "heartbeat-events.jsonl"
_OLDER: Final = "heartbeat-events.1.jsonl"
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def chosen(machine_id: str | None, since_ms: int | None) -> Callable[[Event], bool]:
    """Which events `EventLog.history` gives for these arguments.

    Raises:
        InvalidMachineIdError: The machine id cannot be one.
    """
    wanted = None if machine_id is None else normalize_machine_id(machine_id)

    def is_chosen(event: Event) -> bool:
        if wanted is not None and not (isinstance(event, Transition) and event.machine_id == wanted):
            return False
        return since_ms is None or event.detected_at_ms >= since_ms

    return is_chosen


class _Parsed(NamedTuple):
    signature: Signature
    events: tuple[Event, ...]


class EventHistory:
    """The history files of one directory.

    Args:
        directory: Where they are.
        mode: Permission bits of a new file, before the umask.
        limit: Size in bytes beyond which the file becomes the older one, replacing the one before.
    """

    def __init__(self, directory: str, *, mode: int = 0o666, limit: int = 2**20) -> None:
        self._path = os.path.join(directory, _NAME)
        self._older = os.path.join(directory, _OLDER)
        self._mode = mode
        self._limit = limit
        self._written: frozenset[str] = frozenset()
        self._parsed: dict[str, _Parsed] = {}

    def ensure(self, outbox: Sequence[Event], fresh: Iterable[str] = ()) -> None:
        """Append those of `outbox` that are not in the file yet. Called under the ledger's lock.

        Args:
            outbox: Everything committed and not delivered, in the order of commit.
            fresh: Ids committed just now under the same lock, which nobody else can have written.

        Raises:
            OSError: A part may be missing; the next call completes it.
        """
        missing = [event for event in outbox if event.id not in self._written]
        if any(event.id not in fresh for event in missing):
            known = self._known()
            missing = [event for event in missing if _mark(event.id) not in known]
        if missing:
            self._append(missing)
        self._written = frozenset(event.id for event in outbox)

    def read(self, outbox: Sequence[Event], machine_id: str | None, since_ms: int | None) -> tuple[Event, ...]:
        """Every event once, in the order of commit.

        Args:
            outbox: What the ledger held undelivered *before* this call: an event that leaves it later has its line.
            machine_id: Only of this machine; events about the fleet belong to none.
            since_ms: Only detected at or after this.

        Raises:
            OSError: The files cannot be read.
        """
        wanted = chosen(machine_id, since_ms)
        newer = self._events(self._path)  # before the older one: a rotation in between shows its lines twice, not never
        events: dict[str, Event] = {}
        for event in (*self._events(self._older), *newer, *outbox):
            events.setdefault(event.id, event)
        return tuple(filter(wanted, events.values()))

    def _append(self, events: Iterable[Event]) -> None:
        data = b"".join(json.dumps(event_to_record(event), separators=(",", ":")).encode() + b"\n" for event in events)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self._path).st_size > self._limit:
                os.replace(self._path, self._older)
        handle = os.open(self._path, _FLAGS, self._mode)
        try:
            if size := os.fstat(handle).st_size:
                os.lseek(handle, size - 1, os.SEEK_SET)
                if os.read(handle, 1) != b"\n":
                    data = b"\n" + data  # a writer died within its line: the damage stays in that line
            if os.write(handle, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
            os.fsync(handle)
        finally:
            os.close(handle)

    def _known(self) -> bytes:
        """All whole lines of both files; a cut last line holds no event."""
        whole = (data[: data.rfind(b"\n") + 1] for data in map(_read, (self._path, self._older)))
        return b"".join(whole)

    def _events(self, path: str) -> tuple[Event, ...]:
        try:
            stamp = signature(os.stat(path))
        except FileNotFoundError:
            return ()
        parsed = self._parsed.get(path)
        if parsed is None or parsed.signature != stamp:
            parsed = _Parsed(stamp, tuple(_stored(_read(path))))
            self._parsed[path] = parsed
        return parsed.events


def _mark(event: str) -> bytes:
    return b'{"id":' + json.dumps(event).encode() + b","


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _stored(data: bytes) -> Iterable[Event]:
    for line in data.split(b"\n"):
        if line:
            try:
                yield event_from_record(json.loads(line))
            except (ValueError, RecursionError, InvalidHeartbeatError):
                continue  # a torn or damaged line costs its own event only
