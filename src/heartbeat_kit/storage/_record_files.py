"""Reading a folder of record files distrustfully, and never twice what has not changed.

Owns how one file is read, and `FolderReader`: one pass over the folder with its memory of the pass before. Writes
and deletes nothing. Must not know which folder it is, budgets, or who writes.
"""

from __future__ import annotations

import os
import stat
from types import MappingProxyType
from typing import Final, NamedTuple

from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage._codec import MAX_RECORD_BYTES, heartbeat_from_bytes
from heartbeat_kit.storage._conflicts import RecordFile, is_foreign, judge
from heartbeat_kit.storage._files import Signature, signature
from heartbeat_kit.storage._protocol import Snapshot

__all__ = ["EMPTY", "FolderReader", "read_record"]

EMPTY: Final = Snapshot(heartbeats=MappingProxyType({}))
_FULL_PASS: Final = 64
"""Every so many passes all files are read again: sync clients restore modification times."""
_NEVER: Final = Signature(-1, -1, -1)
# Links are not followed out of the folder, and a FIFO named like a record must not hold us up.
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


class _Seen(NamedTuple):
    signature: Signature
    file: RecordFile


class _Memory(NamedTuple):
    """The outcome of one pass. It is replaced as a whole, so a pass that fails or is abandoned leaves no trace."""

    files: dict[str, _Seen]
    snapshot: Snapshot
    passes: int


def read_record(path: str, name: str, found: os.stat_result) -> RecordFile:
    """Read one file; whatever is wrong with its content is in the result.

    Args:
        path: Where it is.
        name: Its name, for the result.
        found: Its stat, links not followed; a file that is no regular one or too large is not opened.

    Raises:
        OSError: It cannot be opened or read; a `FileNotFoundError` if it vanished.
    """
    if not stat.S_ISREG(found.st_mode):
        return RecordFile(name, None, f"not a regular file but a {_kind(found.st_mode)}")
    if found.st_size > MAX_RECORD_BYTES:
        return RecordFile(name, None, f"the file has {found.st_size} bytes, at most {MAX_RECORD_BYTES} are read")
    handle = os.open(path, _FLAGS)
    try:
        # One byte more than expected: the usual file is whole after one read, which also shows that it ended.
        data = os.read(handle, found.st_size + 1)
        if len(data) != found.st_size:
            data += _rest(handle)
    finally:
        os.close(handle)
    try:
        return RecordFile(name, heartbeat_from_bytes(data))
    except InvalidHeartbeatError as error:
        return RecordFile(name, None, error.message)


class FolderReader:
    """Reads a folder again and again; what has not changed costs one stat and yields the same objects.

    Not for two threads at once.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._memory = _Memory({}, EMPTY, 0)

    def load(self) -> Snapshot:
        """One pass over the folder.

        Raises:
            OSError: The folder as a whole cannot be listed.
        """
        files, snapshot, passes = self._memory
        remembered = files.get
        full = (passes + 1) % _FULL_PASS == 0
        kept: list[str] = []
        unlisted: list[str] = []
        changed: dict[str, RecordFile] = {}
        signatures: dict[str, Signature] = {}
        with os.scandir(self._directory) as entries:
            for entry in entries:
                name = entry.name
                known = remembered(name)
                if known is None and is_foreign(name):
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    unlisted.append(name)
                    continue
                # This comparison is the cost of a quiet fleet.
                if known is not None and known[0] == (found.st_mtime_ns, found.st_size, found.st_ino) and not full:
                    kept.append(name)
                    continue
                self._read(name, found, changed, signatures)
        # A listing takes time, and a file that is replaced meanwhile may stand in no part of it.
        if len(kept) < len(files):
            unlisted += files.keys() - changed.keys() - set(kept)
        elif not passes:
            unlisted += [name for name in os.listdir(self._directory) if name not in changed and not is_foreign(name)]
        for name in unlisted:
            self._read(name, None, changed, signatures)
        if changed or len(kept) != len(files):
            files, snapshot = _merged(files, kept, changed, signatures, snapshot)
        self._memory = _Memory(files, snapshot, passes + 1)
        return snapshot

    def _read(
        self, name: str, found: os.stat_result | None, changed: dict[str, RecordFile], signatures: dict[str, Signature]
    ) -> None:
        """Read one file into `changed`, unless it is gone."""
        path = os.path.join(self._directory, name)
        try:
            if found is None:
                found = os.lstat(path)
            changed[name] = read_record(path, name, found)
            signatures[name] = signature(found)
        except FileNotFoundError:
            return
        except OSError as error:
            # No signature: whatever prevented it may pass without a change of the file.
            changed[name] = RecordFile(name, None, f"cannot be read: {error.strerror or error}")


def _merged(
    files: dict[str, _Seen],
    kept: list[str],
    changed: dict[str, RecordFile],
    signatures: dict[str, Signature],
    snapshot: Snapshot,
) -> tuple[dict[str, _Seen], Snapshot]:
    """The memory after a pass that found something; where the content is equal the objects of before are kept."""
    merged = {name: files[name] for name in kept}
    same = len(kept) + len(changed) == len(files)
    for name, file in changed.items():
        before = files.get(name)
        if before is not None and before.file == file:
            file = before.file  # noqa: PLW2901 - the same record, the object of before
        else:
            same = False
        merged[name] = _Seen(signatures.get(name, _NEVER), file)
    if not same:
        verdict = judge(seen.file for seen in merged.values())
        snapshot = Snapshot(
            heartbeats=MappingProxyType(verdict.heartbeats),
            unreadable=MappingProxyType(verdict.unreadable),
            conflicts=MappingProxyType(verdict.conflicts),
        )
    return merged, snapshot


def _rest(handle: int) -> bytes:
    """What follows in a file that is not of the length expected, up to more than a record may have."""
    data = b""
    while len(data) <= MAX_RECORD_BYTES and (more := os.read(handle, MAX_RECORD_BYTES)):
        data += more
    return data


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISLNK(mode):
        return "link, and links are not followed"
    return "special file (a pipe, a socket or a device)"
