"""A disk in memory that can be stopped before every operation: the file-system port with its power supply in our hands.

Owns the model of what a crash may leave behind. Must not know any protocol that is tried on it. There are files and
directories, no links and no devices; one log orders the operations of all trees.

What survives:

- A *kill* ends the process; the kernel lives. All is as it was seen, and what was not durable still is not: a power cut
  later on may take it back, until somebody syncs it (`SimDisk.after_kill`).
- A *power cut* leaves what is durable, and of the pending operations any of them, each wholly or not at all, in no
  promised order (`SimDisk.power_cuts`). What is kept is applied to the durable state in the order of the log.
- The data of a new file are two writes and its mode is a third change; they are durable once the file was synced after
  them. The second half without the first reads as zeros and then that half. Without its mode a new file is 0600.
- A change of names (create, mkdir, exchange, move, link, replace, remove) is one operation, durable once *every*
  directory it touches was synced after it. Syncing a file does not make its name durable. Names stand for inodes: a
  rename that is kept without the creation before it shows the file under its new name, and a chain of renames of which
  only the last is kept shows it under the first name and the last. What is in a directory whose creation was lost is
  gone.
- A failed sync of a file poisons what it should have made durable: a later one reports success and changes nothing. A
  failed sync of a directory leaves its names pending; a later one works.
- What somebody else saves (`SimDisk.edit`) is durable, and so is the name it was saved under: the pending changes that
  gave it this name become durable with it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Any, Final, NamedTuple

from .nodes import Change, Node, Nodes, os_error, put_data, put_mode, put_name, sha256_of, split, truncate
from .sim_tree import SimTree

__all__ = ["Crash", "Operation", "SimDisk", "SimTree"]

ROOT: Final = 2
POISON: Final = -1
"""In place of an inode: nobody can sync it."""


class Crash(BaseException):  # as a kill: `except Exception` must not stop it
    """The process ends here; whatever it still tries changes nothing."""


class Operation(NamedTuple):
    """A primitive operation: what a crash can fall before. Paths are from the root of the disk.

    A new file is ``create``, ``write``, ``write``, ``chmod`` and ``fsync``; `SimTree.sync_file` is an ``fsync``; each
    other method is one operation of its own name. `error` is the number of the error it ended in, or 0.
    """

    name: str
    paths: tuple[str, ...]
    error: int = 0


class SimDisk:
    """A disk with a visible and a durable state.

    Attributes:
        crash_at: `Crash` is raised before the primitive operation of this number, counted from 0, and ever after.
        fail_at: The number of a primitive operation and of the error it raises instead of being done.
        hook: Called with the number and the operation before each; the place for a foreign editor.
        skip: Which ``fsync`` and ``sync`` report success and do nothing, to seed a missing one; copies have it too.
        can_exchange: Whether two names can be swapped here; copies have it too.
        operations: What was tried since this disk was made, numbered by its position.
    """

    def __init__(self, *, can_exchange: bool = True) -> None:
        self.crash_at: int | None = None
        self.fail_at: tuple[int, int] | None = None
        self.hook: Callable[[int, Operation], None] | None = None
        self.skip: Callable[[Operation], bool] | None = None
        self.can_exchange = can_exchange
        self.operations: list[Operation] = []
        self._now: Nodes = {ROOT: Node(0o755, {})}
        self._safe: Nodes = dict(self._now)  # without the changes in the log
        self._log: list[Change] = []  # from the oldest change that is not durable
        self._folded = 0  # a bit for the tick of every change that has left the log for `_safe`
        self._tick = 0
        self._last_inode = ROOT
        self._crashed = False
        self._digest: str | None = None

    # For tests: set-up, foreign writers, what is visible

    def tree(self, path: str) -> SimTree:
        """A tree rooted at a directory, which is made durably if it is not there."""
        self._ensure(path.strip("/"))
        return SimTree(self, path.strip("/"))

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a file there, durably, with the directories above it."""
        self._ensure(path.rpartition("/")[0])
        self.edit(path, data)
        self.commit("set-up", ((put_mode, self.need(path), mode),))

    def edit(self, path: str, data: bytes | None, *, in_place: bool = True) -> None:
        """Save a file as somebody else would, durably: into the same inode or a new one, or remove it (``None``)."""
        directory, name = self.place(path)
        inode = self.inode(path)
        self._settle(path)
        if data is None:
            self.commit("edit", ((put_name, directory, name, None),))
        elif in_place and inode is not None:
            self.mark(inode, set())
            self.commit("edit", ((truncate, inode), (put_data, inode, 0, data)))
        else:
            inode = self._new(Node(0o644 if inode is None else self._now[inode].mode))
            self.commit("edit", ((put_data, inode, 0, data), (put_name, directory, name, inode)))

    def files(self, tree: str = "") -> dict[str, bytes]:
        """The content of all files below a directory, by their paths relative to it."""
        return {path: node.data for path, node in self._below(tree) if node.names is None}

    def modes(self, tree: str = "") -> dict[str, int]:
        """The permission bits of all files below a directory, by their paths relative to it."""
        return {path: node.mode for path, node in self._below(tree) if node.names is None}

    def names(self, tree: str = "") -> list[str]:
        """All paths below a directory, those of directories with a slash at the end."""
        return sorted(path if node.names is None else f"{path}/" for path, node in self._below(tree))

    def digest(self) -> str:
        """Of the visible state: paths, contents, modes, and which names are the same file; not of inodes and times."""
        if self._digest is None:
            nodes, lines, stack = self._now, [], [("", ROOT)]
            first: dict[int, str] = {}
            while stack:
                path, inode = stack.pop()
                node = nodes[inode]
                if node.names is None:
                    same = first.setdefault(inode, path)
                    lines.append(f"{path}\0{node.mode}\0{sha256_of(node.data)}\0{'' if same == path else same}")
                else:
                    lines.append(f"{path}\0{node.mode}")
                    stack += [(f"{path}/{name}", child) for name, child in sorted(node.names.items())]
            self._digest = sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
        return self._digest

    # Crashes

    def after_kill(self) -> SimDisk:
        """The process has died: a copy that goes on, with the same visible state and the same changes pending."""
        return self._copy(self._now, self._safe, self._log)

    def power_cuts(self, *, full: bool = True) -> Iterator[tuple[str, SimDisk]]:
        """Every distinct state that a power cut leaves if it keeps all pending changes, none, or another simple subset.

        Args:
            full: Keep each prefix, all but one, and only one. Otherwise no prefixes, and only one just for changes of
                names: a write alone is seen only in a file whose name is durable already.
        """
        seen: set[str] = set()
        for label, kept in self.subsets(full=full):
            disk = self.cut(kept)
            if disk.digest() not in seen:
                seen.add(disk.digest())
                yield label, disk

    def subsets(self, *, full: bool) -> Iterator[tuple[str, int]]:
        """What a power cut may keep: a label, and a bit for the tick of every change that is kept or durable."""
        pending = [change for change in self._log if change.waits]
        durable = self._folded | sum(1 << change.tick for change in self._log if not change.waits)
        everything = durable | sum(1 << change.tick for change in pending)
        yield "all", everything
        yield "none", durable
        prefix = durable
        for change in pending:
            prefix |= (bit := 1 << change.tick)
            yield f"all but {change.label}", everything ^ bit
            if full or change.effects[0][0] is put_name:
                yield f"only {change.label}", durable | bit
            if full:
                yield f"up to {change.label}", prefix

    def cut(self, kept: int) -> SimDisk:
        """The disk after a power cut that keeps this one of the `subsets`."""
        nodes = dict(self._safe)
        for change in self._log:
            if kept >> change.tick & 1:
                change.apply(nodes)
        return self._copy(nodes, nodes, [])

    # For trees

    def step(self, name: str, paths: tuple[str, ...], act: Callable[[str], Any], failed: int | None = None) -> Any:
        """Do one primitive operation; `failed` is the file whose unsynced data are lost for ever if it fails."""
        if self._crashed:
            raise Crash
        number, operation = len(self.operations), Operation(name, paths)
        if self.hook is not None:
            self.hook(number, operation)
        if number == self.crash_at:
            self._crashed = True
            raise Crash(f"before operation {number}: {operation}")
        try:
            if self.fail_at is not None and self.fail_at[0] == number:
                self.mark(failed, {POISON})
                raise os_error(self.fail_at[1], paths[0])
            if self.skip is None or not self.skip(operation):
                return act(f"{number} {name} {' '.join(paths)}")
        except OSError as error:
            operation = operation._replace(error=error.errno or 0)
            raise
        finally:
            self.operations.append(operation)

    def commit(self, label: str, effects: tuple[tuple[Any, ...], ...], waits: Iterable[int] = ()) -> None:
        """Make a change visible, and durable as soon as all that it waits for is synced."""
        self._tick += 1
        self._digest = None
        change = Change(self._tick, label, effects, frozenset(waits))
        change.apply(self._now)
        self._log.append(change)
        self._fold()

    def mark(self, inode: int | None, add: set[int]) -> None:
        """Let the changes that wait for this inode wait for it no more, or for something else as well."""
        self._log = [c._replace(waits=c.waits - {inode} | add) if inode in c.waits else c for c in self._log]
        self._fold()

    def node(self, inode: int) -> Node:
        """An inode as it is seen."""
        return self._now[inode]

    def inode(self, path: str) -> int | None:
        """What a path stands for."""
        at: int | None = ROOT
        for part in split(path):
            names = self._now[at].names if at is not None else {}
            if names is None:
                raise os_error(errno.ENOTDIR, path)
            at = names.get(part)
        return at

    def need(self, path: str) -> int:
        """The inode of a path, which must be there."""
        if (inode := self.inode(path)) is None:
            raise os_error(errno.ENOENT, path)
        return inode

    def need_directory(self, path: str) -> int:
        """The inode of a path, which must be a directory."""
        if self._now[inode := self.need(path)].names is None:
            raise os_error(errno.ENOTDIR, path)
        return inode

    def need_file(self, path: str, otherwise: int = errno.EISDIR) -> int:
        """The inode of a path, which must be a file."""
        if self._now[inode := self.need(path)].names is not None:
            raise os_error(otherwise, path)
        return inode

    def place(self, path: str) -> tuple[int, str]:
        """The directory a path is in, and its name there."""
        above, _, name = path.rpartition("/")
        return self.need_directory(above), name

    def make(self, label: str, path: str, node: Node) -> int:
        """Give a new inode a name."""
        directory, name = self.place(path)
        if self.inode(path) is not None:
            raise os_error(errno.EEXIST, path)
        inode = self._new(node)
        self.commit(label, ((put_name, directory, name, inode),), (directory,))
        return inode

    def _new(self, node: Node) -> int:
        """An inode without a name: it is nowhere to be seen, so that it may be in both states."""
        self._last_inode += 1
        self._now[self._last_inode] = self._safe[self._last_inode] = node._replace(mtime=self._tick + 1)
        return self._last_inode

    def _copy(self, now: Nodes, safe: Nodes, log: list[Change]) -> SimDisk:
        disk = SimDisk(can_exchange=self.can_exchange)
        disk.skip, disk._tick, disk._last_inode, disk._folded = self.skip, self._tick, self._last_inode, self._folded
        disk._now, disk._safe, disk._log = dict(now), dict(safe), list(log)
        return disk

    def _fold(self) -> None:
        """Move the durable changes at the start of the log to the durable state; a later one waits for its turn."""
        while self._log and not self._log[0].waits:
            change = self._log.pop(0)
            change.apply(self._safe)
            self._folded |= 1 << change.tick

    def _settle(self, path: str) -> None:
        """Make durable what gave a path its meaning, but not what else was changed in the directories on the way."""
        places, at = set(), ROOT
        for part in split(path):
            places.add((at, part))
            at = (self._now[at].names or {}).get(part, POISON) if at != POISON else POISON
        for index, change in enumerate(self._log):
            if any(effect[0] is put_name and effect[1:3] in places for effect in change.effects):
                self._log[index] = change._replace(waits=frozenset())
        self._fold()

    def _ensure(self, directory: str) -> None:
        if directory and self.inode(directory) is None:
            self._ensure(directory.rpartition("/")[0])
            self.make("set-up", directory, Node(0o755, {}))
            self._settle(directory)

    def _below(self, tree: str) -> Iterator[tuple[str, Node]]:
        stack = [("", self.need_directory(tree.strip("/")))]
        while stack:
            path, inode = stack.pop()
            for name, child in sorted((self._now[inode].names or {}).items()):
                yield f"{path}{name}", self._now[child]
                if self._now[child].names is not None:
                    stack.append((f"{path}{name}/", child))
