"""Reading a whole tree into a snapshot: what is there, what is not, and what nobody can say.

Owns the walk, what becomes of everything that is no ordinary file, the validators, and the memory that spares reading
unchanged files again. Must not know a disk (it reads through the port), a clock, the base or a plan.

Whatever cannot be read is `Unknown` or closed, never absent: a share that is not mounted is not an empty folder.
"""

from __future__ import annotations

import errno
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Protocol

import attrs

from heartbeat_kit.sync._model import Entry, File, Snapshot, Unknown, Unsupported
from heartbeat_kit.sync._paths import is_passed_over, path_problem
from heartbeat_kit.sync._selection import Selection, compile_glob
from heartbeat_kit.sync._tree import Content, Kind, Stat, Tree, UnstableFileError

__all__ = ["DEFAULT_VALIDATORS", "Reading", "Remembered", "Validator", "read_snapshot", "takes_part"]

Validator = tuple[str, Callable[[bytes], str | None]]
"""A pattern of the language of `Selection`, and what is wrong with a content of such a file, or ``None``."""

_LIMIT: Final = 64 << 20
_SETTLED_NS: Final = 2_000_000_000
"""FAT tells the time of a change to 2 s; every other file system is finer."""
_NOTHING: Final[Mapping[str, Remembered]] = MappingProxyType({})
# The machine's tree, the published one and the baseline hold the same names, and hold them again the next time.
_is_passed_over = lru_cache(maxsize=1 << 14)(is_passed_over)
_path_problem = lru_cache(maxsize=1 << 14)(path_problem)
_LINK: Final = Unsupported("a symbolic link")
_OTHER: Final = Unsupported("a FIFO, a socket or a device")


def _json_problem(data: bytes) -> str | None:
    try:
        json.loads(data, parse_int=str)  # as text: Python refuses numbers of many digits, JSON does not
    except (ValueError, RecursionError) as error:
        return f"not valid JSON: {error}"
    return None


DEFAULT_VALIDATORS: Final[tuple[Validator, ...]] = (("*.json", _json_problem),)
"""A ``*.json`` must parse: what does not is half written, or was cut off on its way."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Remembered:
    """A file as it was when it was read: while its stat stays the same, it is not read again.

    It is made only if the last change lay at least 2 s before the reading. A file that changed within the same tick of
    the file system's clock as it was read may change once more without its stat telling; git calls such an entry
    "racily clean" (Documentation/technical/racy-git). A file server whose clock is more than 2 s behind, or a system
    that can set back the time of a change (Windows), still deceives; forget what is remembered to read all anew.

    Attributes:
        mtime_ns: Of its content.
        ctime_ns: Of its inode.
        size: In bytes.
        inode: Its number.
        device: Of the file system.
        file: What was read, with the doubt of the validators of that time.
        read_at_ns: Wall clock of the reader, nanoseconds since 1970.
    """

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int
    device: int
    file: File
    read_at_ns: int


@attrs.frozen(kw_only=True, eq=False)
class Reading:
    """What `read_snapshot` found.

    Attributes:
        snapshot: The tree.
        remembered: To be given to the next reading of the same folder, by path.
    """

    snapshot: Snapshot
    remembered: dict[str, Remembered]


def doubt_of(check: Callable[[bytes], str | None], data: bytes) -> str | None:
    """What a validator says; one that raises does not believe the content either."""
    try:
        return check(data)
    except Exception as error:  # noqa: BLE001 - it is not ours
        return f"its validator raised {type(error).__name__}: {error}"


class _Directory(Protocol):
    def list(self) -> list[tuple[str, Stat]]: ...

    def read(self, name: str, known: Stat | None = None, *, limit: int | None = None, keep: bool = True) -> Content: ...


def read_snapshot(
    tree: Tree,
    selection: Selection,
    *,
    under: str = "",
    limit: int = _LIMIT,
    validators: Sequence[Validator] = DEFAULT_VALIDATORS,
    remembered: Mapping[str, Remembered] = _NOTHING,
    now_ns: int = 0,
) -> Reading:
    """Read what a folder holds.

    Args:
        tree: Where. If it has a method ``reading(directory)``, as `RealTree` has, a directory is opened once for all
            its files.
        selection: Which paths; they are relative to `under`.
        under: The folder in the tree, ``""`` for its root.
        limit: Bytes; a larger file is unsupported.
        validators: What a changed file must satisfy to be believed; all whose pattern matches are asked.
        remembered: Of the last reading; with the same validators.
        now_ns: Wall clock before the reading, nanoseconds since 1970; 0 to remember nothing new.

    Returns:
        A reading, always: what keeps a file or a directory from being read is in the snapshot, at its path.

    >>> import tempfile
    >>> from heartbeat_kit.sync._real_tree import RealTree
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tree = RealTree(folder)
    ...     tree.create("app.json", b"{}", mode=0o600)
    ...     found = read_snapshot(tree, Selection()).snapshot
    ...     missing = read_snapshot(tree, Selection(), under="etc").snapshot
    >>> found.entry("app.json"), found.entry("other.json")
    (<File 44136fa3 2 B>, <Absent>)
    >>> type(missing.entry("app.json")).__name__
    'Unknown'
    """
    walk = _Walk(tree, selection, under, limit=limit, validators=validators, before=remembered, now_ns=now_ns)
    walk.run()
    return Reading(
        snapshot=Snapshot(entries=walk.entries, closed=walk.closed, rejected=walk.rejected), remembered=walk.now
    )


def takes_part(path: str, selection: Selection) -> bool:
    """Whether `read_snapshot` would take in a file at this path.

    >>> [takes_part(path, Selection(exclude="*.log")) for path in ("etc/app.conf", "etc/app.log", "etc/app.conf~")]
    [True, False, False]
    """
    return selection.covers(path) and _path_problem(path) is None and not any(map(_is_passed_over, path.split("/")))


class _Walk:
    def __init__(
        self,
        tree: Tree,
        selection: Selection,
        under: str,
        *,
        limit: int,
        validators: Iterable[Validator],
        before: Mapping[str, Remembered],
        now_ns: int,
    ) -> None:
        self._tree = tree
        self._selection = selection
        self._under = under
        self._limit = limit
        self._validators = [(compile_glob(pattern), check) for pattern, check in validators]
        self._before = dict(before)
        self._now_ns = now_ns
        self.entries: dict[str, Entry] = {}
        self.closed: dict[str, str] = {}
        self.rejected: dict[str, str] = {}
        self.now: dict[str, Remembered] = {}

    def run(self) -> None:
        waiting = [""]
        while waiting:
            directory = waiting.pop()
            try:
                with self._open(directory) as found:
                    listed = found.list()
                    waiting.extend(self._enter(directory, found, listed))
            except OSError as error:
                why = _why(error)
                self.closed[directory] = why if directory else f"{why}: {error.filename or self._tree.root}"

    def _open(self, directory: str) -> AbstractContextManager[_Directory]:
        path = "/".join(part for part in (self._under, directory) if part)
        reading: Callable[[str], AbstractContextManager[_Directory]] | None = getattr(self._tree, "reading", None)
        return reading(path) if reading is not None else nullcontext(_ByPath(self._tree, path))

    def _enter(self, directory: str, found: _Directory, listed: Iterable[tuple[str, Stat]]) -> list[str]:
        """Take in what one directory holds, and return the directories in it."""
        inner = []
        prefix = f"{directory}/" if directory else ""
        covers, entries, before = self._selection.covers, self.entries, self._before
        for name, stat in listed:
            path = prefix + name
            known = before.get(path)
            if known is not None and stat.size <= self._limit and _is_unchanged(known, stat):
                if covers(path):  # that its name is a good one was found when it was read
                    entries[path] = known.file
                    self.now[path] = known
                continue
            if _is_passed_over(name):
                continue
            problem = _path_problem(path)
            if problem is not None:
                self._reject(path, stat.kind, problem)
            elif stat.kind is Kind.FILE:
                if covers(path):
                    entries[path] = self._read(path, name, stat, found)
            elif self._selects(path, stat.kind):
                if stat.kind is Kind.DIRECTORY:
                    inner.append(path)
                    continue
                entries[path] = _LINK if stat.kind is Kind.LINK else _OTHER
                if stat.kind is Kind.LINK:
                    self.closed[path] = _LINK.why
        return inner

    def _selects(self, path: str, kind: Kind) -> bool:
        may_hold = kind in (Kind.DIRECTORY, Kind.LINK) and self._selection.may_hold(path)
        return may_hold or (kind is not Kind.DIRECTORY and self._selection.covers(path))

    def _reject(self, path: str, kind: Kind, problem: str) -> None:
        normal = unicodedata.normalize("NFC", path)
        if not self._selects(normal, kind):
            return
        self.rejected[path] = problem
        if normal != path:
            # HFS+ spells every name so, whatever it was given: what the others call by the normal name may be this.
            why = f"it is here by another spelling: {problem}"
            if kind is not Kind.DIRECTORY:
                self.entries.setdefault(normal, Unknown(why))
            self.closed[normal] = why

    def _read(self, path: str, name: str, stat: Stat, found: _Directory) -> Entry:
        if stat.size > self._limit:
            return self._too_large(stat.size)
        checks = [check for matches, check in self._validators if matches(path)]
        try:
            content = found.read(name, stat, limit=self._limit, keep=bool(checks))
        except FileNotFoundError:
            return Unknown("it vanished while it was read")
        except UnstableFileError:
            return Unknown("it kept changing while it was read")
        except OSError as error:
            return self._too_large(None) if error.errno == errno.EFBIG else Unknown(_why(error))
        stat = content.stat
        doubt = next((doubt for check in checks if (doubt := doubt_of(check, content.data))), "") if checks else ""
        file = File(sha256=content.sha256, size=stat.size, mode=stat.mode & 0o777, doubt=doubt)
        settled_ns = self._now_ns - _SETTLED_NS
        if stat.ctime_ns <= settled_ns and stat.mtime_ns <= settled_ns:
            self.now[path] = Remembered(
                mtime_ns=stat.mtime_ns,
                ctime_ns=stat.ctime_ns,
                size=stat.size,
                inode=stat.inode,
                device=stat.device,
                file=file,
                read_at_ns=self._now_ns,
            )
        return file

    def _too_large(self, size: int | None) -> Unsupported:
        found = "too large" if size is None else f"too large: {size} bytes"
        return Unsupported(f"{found}, at most {self._limit} are synced")


def _is_unchanged(known: Remembered, stat: Stat) -> bool:
    return (
        known.ctime_ns == stat.ctime_ns
        and known.mtime_ns == stat.mtime_ns
        and known.size == stat.size
        and known.inode == stat.inode
        and known.device == stat.device
        and stat.kind is Kind.FILE
    )


class _ByPath:
    """A directory of a tree that has only what the port asks for."""

    def __init__(self, tree: Tree, path: str) -> None:
        self._tree = tree
        self._path = path

    def list(self) -> list[tuple[str, Stat]]:
        return self._tree.list(self._path)

    def read(self, name: str, known: Stat | None = None, *, limit: int | None = None, keep: bool = True) -> Content:  # noqa: ARG002 - the tree looks itself
        return self._tree.read(f"{self._path}/{name}".removeprefix("/"), limit=limit, keep=keep)


def _why(error: OSError) -> str:
    return error.strerror or str(error)
