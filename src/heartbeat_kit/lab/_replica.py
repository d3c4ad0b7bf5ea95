"""Replicas: what one machine has of the shared folder, in memory or in a real folder.

Owns how a delivery changes a replica. Both kinds offer the same operations and end in the same content, so a run on
real folders checks that the fast one is true. Must not know when anything is due.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage import SharedFolderStorage, Snapshot
from heartbeat_kit.storage._codec import heartbeat_from_bytes
from heartbeat_kit.storage._conflicts import RecordFile, judge

__all__ = ["FolderReplica", "MemoryReplica", "Replica", "Version"]

_T = TypeVar("_T")


class Version:
    """One write of one machine's file, on its way to the others.

    Attributes:
        number: Rises with every write on the medium.
        machine_id: Whose file.
        heartbeat: What was written; ``None`` if the file was removed.
        data: Its bytes, where files are real.
        sent_ms: When it left the sender.
        superseded: A newer one took its place before it left.
    """

    __slots__ = ("data", "heartbeat", "machine_id", "number", "sent_ms", "superseded")

    def __init__(self, number: int, machine_id: str, heartbeat: Heartbeat | None, data: bytes, sent_ms: int) -> None:
        self.number = number
        self.machine_id = machine_id
        self.heartbeat = heartbeat
        self.data = data
        self.sent_ms = sent_ms
        self.superseded = False


class Replica(Protocol):
    """One machine's copy of everything."""

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """The machine's own write; as `Storage.put`."""
        ...

    def load(self) -> Snapshot:
        """As `Storage.load`."""
        ...

    def get(self, machine_id: str) -> Heartbeat | None:
        """As `RecordLookup.get`."""
        ...

    def remove(self, machine_id: str) -> bool:
        """As `Storage.remove`."""
        ...

    def data_of(self, machine_id: str) -> bytes:
        """The bytes of a file just written; nothing where files are not real."""
        ...

    def show(self, version: Version) -> None:
        """The file has this content now."""
        ...

    def empty(self, machine_id: str) -> None:
        """The file has 0 bytes now."""
        ...

    def add_copy(self, version: Version) -> None:
        """A conflict copy of this content stands beside the file."""
        ...

    def drop_copy(self, version: Version) -> None:
        """It is gone again."""
        ...


def _copy_name(version: Version) -> str:
    return f"{version.machine_id} (conflicted copy {version.number}).json"


def _sorted(items: Mapping[str, _T]) -> dict[str, _T]:
    return {name: items[name] for name in sorted(items)}


def _why_empty() -> str:
    try:
        heartbeat_from_bytes(b"")
    except InvalidHeartbeatError as error:
        return error.message
    raise AssertionError("an empty record is never sound")


class MemoryReplica:
    """Files that are values in dicts, judged by the rules of a shared folder."""

    def __init__(self) -> None:
        self._records: dict[str, Heartbeat] = {}
        self._empty: set[str] = set()
        self._copies: dict[str, Heartbeat] = {}
        self._snapshot: Snapshot | None = None
        self._why_empty = _why_empty()

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Store unless a newer one is stored."""
        machine_id = heartbeat.machine_id
        stored = self._records.get(machine_id)
        if stored is not None and stored.order >= heartbeat.order:
            return stored
        self._records[machine_id] = heartbeat
        self._empty.discard(machine_id)
        self._snapshot = None
        return heartbeat

    def load(self) -> Snapshot:
        """Everything; the object of before if nothing changed."""
        if self._snapshot is None:
            if self._empty or self._copies:
                verdict = judge(self._files())
                self._snapshot = Snapshot(
                    heartbeats=_sorted(verdict.heartbeats),
                    unreadable=_sorted(verdict.unreadable),
                    conflicts=_sorted(verdict.conflicts),
                )
            else:
                self._snapshot = Snapshot(heartbeats=_sorted(self._records))
        return self._snapshot

    def get(self, machine_id: str) -> Heartbeat | None:
        """One record."""
        return self.load().heartbeats.get(machine_id)

    def remove(self, machine_id: str) -> bool:
        """Delete the file and its copies."""
        self._snapshot = None
        copies = [name for name, copied in self._copies.items() if copied.machine_id == machine_id]
        for name in copies:
            del self._copies[name]
        self._empty.discard(machine_id)
        return self._records.pop(machine_id, None) is not None or bool(copies)

    def data_of(self, machine_id: str) -> bytes:  # noqa: ARG002 - there are none
        """No bytes."""
        return b""

    def show(self, version: Version) -> None:
        """See `Replica`."""
        self._empty.discard(version.machine_id)
        if version.heartbeat is None:
            self._records.pop(version.machine_id, None)
        else:
            self._records[version.machine_id] = version.heartbeat
        self._snapshot = None

    def empty(self, machine_id: str) -> None:
        """See `Replica`."""
        self._records.pop(machine_id, None)
        self._empty.add(machine_id)
        self._snapshot = None

    def add_copy(self, version: Version) -> None:
        """See `Replica`."""
        if version.heartbeat is not None:
            # An object of its own, as a file of its own would be read into.
            self._copies[_copy_name(version)] = copy.copy(version.heartbeat)
            self._snapshot = None

    def drop_copy(self, version: Version) -> None:
        """See `Replica`."""
        if self._copies.pop(_copy_name(version), None) is not None:
            self._snapshot = None

    def _files(self) -> Iterator[RecordFile]:
        for machine_id, heartbeat in self._records.items():
            yield RecordFile(f"{machine_id}.json", heartbeat)
        for machine_id in sorted(self._empty):
            yield RecordFile(f"{machine_id}.json", None, self._why_empty)
        for name, heartbeat in self._copies.items():
            yield RecordFile(name, heartbeat)


class FolderReplica:
    """A real folder under a real `SharedFolderStorage`; deliveries are files that are replaced, as a client does.

    Args:
        directory: Made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._storage = SharedFolderStorage(directory, create=True, time_budget=None)
        self._records = directory / "heartbeats"
        self._records.mkdir(exist_ok=True)
        self._touched = 0
        self._listed: Snapshot | None = None
        self._ordered: Snapshot | None = None
        self.put = self._storage.put
        self.get = self._storage.get
        self.remove = self._storage.remove

    def load(self) -> Snapshot:
        """Everything, in the order of ids: a file system lists as it likes, and a run must not depend on it."""
        listed = self._storage.load()
        if self._ordered is None or listed is not self._listed:
            self._listed = listed
            self._ordered = Snapshot(
                heartbeats=_sorted(listed.heartbeats),
                unreadable=_sorted(listed.unreadable),
                conflicts=_sorted(listed.conflicts),
            )
        return self._ordered

    def data_of(self, machine_id: str) -> bytes:
        """The bytes of the file."""
        return self._path(machine_id).read_bytes()

    def show(self, version: Version) -> None:
        """See `Replica`."""
        path = self._path(version.machine_id)
        if version.heartbeat is None:
            path.unlink(missing_ok=True)
        else:
            self._write(path, version.data)

    def empty(self, machine_id: str) -> None:
        """See `Replica`."""
        self._write(self._path(machine_id), b"")

    def add_copy(self, version: Version) -> None:
        """See `Replica`."""
        if version.heartbeat is not None:
            self._write(self._records / _copy_name(version), version.data)

    def drop_copy(self, version: Version) -> None:
        """See `Replica`."""
        with contextlib.suppress(FileNotFoundError):
            (self._records / _copy_name(version)).unlink()

    def close(self) -> None:
        """Close the storage."""
        self._storage.close()

    def _path(self, machine_id: str) -> Path:
        return self._records / f"{machine_id}.json"

    def _write(self, path: Path, data: bytes) -> None:
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data)
        # Virtual hours pass in real milliseconds, too few for a file system to date two writes apart.
        self._touched += 1_000_000
        os.utime(part, ns=(self._touched, self._touched))
        part.replace(path)
