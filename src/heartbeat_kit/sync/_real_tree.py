"""The file-system port on a real disk.

Owns every call of this package that changes a file, and announces each one: `RealTree` raises an audit event before
each system call that changes something, so that a test can stop a process at every step. Must not know what the files
are for. How names are opened and read is `_open_directory`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import sys
from collections.abc import Iterator
from typing import Final

from heartbeat_kit.sync._exchange import exchange, is_supported, move_noreplace
from heartbeat_kit.sync._open_directory import NO_FOLLOW, OpenDirectory, must_be_file, name_error, stat_of
from heartbeat_kit.sync._tree import OUR_PREFIX, TRASH, Content, Stat

__all__ = ["AUDIT_PREFIX", "RealTree"]

AUDIT_PREFIX: Final = "heartbeat_kit.sync."
"""Before ``create``, ``write``, ``fsync``, ``chmod``, ``chown``, ``mkdir``, ``exchange``, ``move``, ``link``,
``replace``, ``remove``, ``rmdir`` and ``sync``; the arguments of the events are the root and the one or two paths in
it."""
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW
_HELD: Final = (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_MODES: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_EMPTY: Final = hashlib.sha256().hexdigest()
_counter = itertools.count()


class RealTree:
    """A folder of this machine; see `Tree` for what its methods do.

    It keeps nothing open between calls: a share that went away and came back is found again.

    Args:
        root: The folder. Links in this path are followed, beneath it none is.

    Raises:
        OSError: By every method; with the whole path of the file, ``EINVAL`` for a path that is not relative, POSIX
            and free of ``.`` and ``..``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tree = RealTree(folder)
    ...     tree.create("app.conf", b"port = 1", mode=0o600)
    ...     tree.read("app.conf").data
    b'port = 1'
    """

    __slots__ = ("_exchanges", "_root")

    def __init__(self, root: str | os.PathLike[str]) -> None:
        given = os.fspath(root)
        self._root = given if os.path.isabs(given) else os.path.join(os.getcwd(), given)
        self._exchanges: bool | None = None

    def __repr__(self) -> str:
        return f"<RealTree {self._root}>"

    @property
    def root(self) -> str:
        """The folder, absolute."""
        return self._root

    @property
    def can_exchange(self) -> bool:
        """Whether `exchange` works here.

        No call tells without trying, so the first time this is asked two temporary files are made in the trash of
        the root, swapped and removed. Ask it only where writing is allowed.
        """
        if self._exchanges is None:
            self._exchanges = is_supported() and self._try_exchange()
        return self._exchanges

    def reading(self, directory: str) -> OpenDirectory:
        """A directory to list and read many files from; beyond `Tree`, for speed."""
        return OpenDirectory(self._root, self._parts(directory))

    def stat(self, path: str) -> Stat | None:
        """What stands at `path` (``""`` is the root), or ``None``; a missing root is an error for all beneath it."""
        if not path:
            with contextlib.suppress(FileNotFoundError):
                return stat_of(os.stat(self._root))
            return None
        try:
            with self._parent(path) as (directory, name):
                return directory.stat(name)
        except FileNotFoundError as error:
            if error.filename == self._root:
                raise
            return None

    def list(self, directory: str) -> list[tuple[str, Stat]]:
        """The names in a directory with their stats, sorted."""
        with self.reading(directory) as found:
            return found.list()

    def read(self, path: str, *, limit: int | None = None, keep: bool = True) -> Content:
        """Read a regular file that stands still; ``ENODATA`` for a cloud client's placeholder."""
        with self._parent(path) as (directory, name):
            return directory.read(name, limit=limit, keep=keep)

    def create(self, path: str, data: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Make a new file with this content and mode; on any failure what was made of it is removed.

        On a file system that keeps no modes it gets the mode the mount gives to all.
        """
        _refuse_special(mode)
        with self._parent(path) as (directory, name):
            place = directory.prefix + name
            self._tell("create", path)
            handle = os.open(place, _NEW, 0o600, dir_fd=directory.fd)
            try:
                try:
                    self._fill(handle, path, data, mode, owner)
                finally:
                    os.close(handle)
            except BaseException:
                with contextlib.suppress(OSError):
                    self._tell("remove", path)
                    os.unlink(place, dir_fd=directory.fd)
                raise

    def mkdir(self, path: str, *, mode: int = 0o777) -> None:
        """Make a directory beneath the root; never the root, which may be a share that is not mounted."""
        _refuse_special(mode)
        with self._parent(path) as (directory, name):
            self._tell("mkdir", path)
            os.mkdir(directory.prefix + name, mode, dir_fd=directory.fd)

    def exchange(self, first: str, second: str) -> None:
        """Swap two names in one step; ``ENOTSUP`` where `can_exchange` says no."""
        with self._parents(first, second) as (one, one_name, other, other_name):
            if one.fd is None or other.fd is None:
                raise OSError(errno.ENOTSUP, "this system cannot exchange two names")
            self._tell("exchange", first, second)
            try:
                exchange(one.fd, one_name, other.fd, other_name)
            except OSError as error:
                if error.errno == errno.ENOTSUP:
                    self._exchanges = False
                raise

    def move(self, source: str, target: str) -> None:
        """Give a file another name; `FileExistsError` if that is taken.

        One step where the file system can. Elsewhere two, which a kill may part, so that both names remain: the file
        is linked to its new name and then loses the old one. A move to a name of ours, which nobody else makes, looks
        first and renames then: a person who saves the source meanwhile loses nothing.
        """
        with self._parents(source, target) as (one, one_name, other, other_name):
            self._tell("move", source, target)
            if one.fd is None or other.fd is None:
                os.rename(one.prefix + one_name, other.prefix + other_name)  # Windows' own never replaces
                return
            try:
                move_noreplace(one.fd, one_name, other.fd, other_name)
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
            else:
                return
            if any(part.startswith(OUR_PREFIX) for part in self._parts(target)):
                try:
                    other.stat(other_name)
                except FileNotFoundError:
                    os.rename(one_name, other_name, src_dir_fd=one.fd, dst_dir_fd=other.fd)
                    return
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            _link(one, one_name, other, other_name)
            self._tell("remove", source)
            os.unlink(one_name, dir_fd=one.fd)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name; `FileExistsError` if that is taken."""
        with self._parents(source, target) as (one, one_name, other, other_name):
            self._tell("link", source, target)
            _link(one, one_name, other, other_name)

    def replace(self, source: str, target: str) -> None:
        """Give a file another name in one step, whatever file had it."""
        with self._parents(source, target) as (one, one_name, other, other_name):
            self._tell("replace", source, target)
            os.replace(one.prefix + one_name, other.prefix + other_name, src_dir_fd=one.fd, dst_dir_fd=other.fd)

    def remove(self, path: str) -> None:
        """Remove a file's name."""
        with self._parent(path) as (directory, name):
            self._tell("remove", path)
            os.unlink(directory.prefix + name, dir_fd=directory.fd)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        with self._parent(path) as (directory, name):
            self._tell("rmdir", path)
            os.rmdir(directory.prefix + name, dir_fd=directory.fd)

    def sync(self, directory: str) -> None:
        """Make the names in a directory durable; nothing to do on Windows, which journals them."""
        with self.reading(directory) as found:
            if found.fd is None:
                return
            self._tell("sync", directory)
            try:
                os.fsync(found.fd)
            except OSError as error:
                if error.errno not in _CANNOT_SYNC:
                    name_error(error, found.path)
                    raise

    def sync_file(self, path: str) -> None:
        """Make a file's content durable; a failure is final, as the next attempt may falsely succeed."""
        with self._parent(path) as (directory, name):
            must_be_file(directory.stat(name))
            handle = os.open(directory.prefix + name, _HELD, dir_fd=directory.fd)
            try:
                must_be_file(stat_of(os.fstat(handle)))
                self._tell("fsync", path)
                os.fsync(handle)
            finally:
                os.close(handle)

    def _fill(self, handle: int, path: str, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
        left = memoryview(data)
        while left:
            self._tell("write", path)
            written = os.write(handle, left)
            if written <= 0:
                raise OSError(errno.EIO, "nothing of the content was written, and no reason given")
            left = left[written:]
        if hasattr(os, "fchmod"):
            made = os.fstat(handle)
            if owner is not None and os.geteuid() == 0 and owner != (made.st_uid, made.st_gid):
                self._tell("chown", path)
                with contextlib.suppress(OSError):
                    os.fchown(handle, *owner)
            self._tell("chmod", path)
            try:
                os.fchmod(handle, mode)
            except OSError as error:
                if error.errno not in _NO_MODES:  # the file is ours: a refusal can only be the file system's
                    raise
        self._tell("fsync", path)
        os.fsync(handle)

    def _try_exchange(self) -> bool:
        # In the trash, where whatever a kill leaves of them is swept: their names begin with the hash of nothing.
        names = [f"{_EMPTY}-probe-{os.getpid()}-{next(_counter)}" for _ in "ab"]
        made = []
        try:
            with contextlib.suppress(FileExistsError):
                self.mkdir(TRASH)
            with OpenDirectory(self._root, (TRASH,)) as trash:
                if trash.fd is None:
                    return False
                try:
                    for name in names:
                        self._tell("create", f"{TRASH}/{name}")
                        os.close(os.open(name, _NEW, 0o600, dir_fd=trash.fd))
                        made.append(name)
                    self._tell("exchange", *(f"{TRASH}/{name}" for name in names))
                    exchange(trash.fd, names[0], trash.fd, names[1])
                finally:
                    for name in made:
                        self._tell("remove", f"{TRASH}/{name}")
                        os.unlink(name, dir_fd=trash.fd)
        except OSError:
            return False
        return True

    def _tell(self, operation: str, *paths: str) -> None:
        sys.audit(AUDIT_PREFIX + operation, self._root, *paths)

    def _parts(self, path: str) -> tuple[str, ...]:
        if not path:
            return ()
        parts = tuple(path.split("/"))
        foreign = "\\" in path or ":" in path if os.name == "nt" else False
        if foreign or "\0" in path or not all(parts) or "." in parts or ".." in parts:
            raise OSError(errno.EINVAL, f"not a path beneath the root {self._root}", path)
        return parts

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[OpenDirectory, str]]:
        """The open directory of `path` and its last name; errors get the whole path."""
        *parents, name = self._parts(path) or ("",)
        if not name:
            raise OSError(errno.EINVAL, "the root itself is no file of the tree", self._root)
        with OpenDirectory(self._root, parents) as directory:
            try:
                yield directory, name
            except OSError as error:
                name_error(error, os.path.join(directory.path, name))
                raise

    @contextlib.contextmanager
    def _parents(self, first: str, second: str) -> Iterator[tuple[OpenDirectory, str, OpenDirectory, str]]:
        with self._parent(first) as (one, one_name), self._parent(second) as (other, other_name):
            try:
                yield one, one_name, other, other_name
            except OSError as error:
                name_error(error, os.path.join(one.path, one_name), os.path.join(other.path, other_name))
                raise


def _link(one: OpenDirectory, source: str, other: OpenDirectory, target: str) -> None:
    if one.fd is None or other.fd is None:
        os.link(one.prefix + source, other.prefix + target)  # Windows cannot link to a link's target by this call
    else:
        os.link(source, target, src_dir_fd=one.fd, dst_dir_fd=other.fd, follow_symlinks=False)


def _refuse_special(mode: int) -> None:
    if mode & ~0o777:
        raise ValueError(f"mode is {mode:#o}: give permission bits alone, without setuid, setgid and sticky")
