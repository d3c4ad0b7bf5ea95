"""The port `Tree` onto a directory of a simulated disk.

Owns what the methods of the port are made of, one operation of the disk after the other, and their errors, which are
those of `RealTree` on a file system that can exchange names. Must not know what is durable.
"""

from __future__ import annotations

import contextlib
import errno
from functools import partial
from typing import TYPE_CHECKING, Final

from heartbeat_kit.sync._tree import Content, Kind, Stat

from .nodes import Node, os_error, put_data, put_mode, put_name, sha256_of, split

if TYPE_CHECKING:
    from .sim_disk import SimDisk

__all__ = ["SimTree"]

UMASK: Final = 0o022


class SimTree:
    """A directory of a `SimDisk` and all beneath it. It owns everything, so an `owner` is passed over."""

    def __init__(self, disk: SimDisk, at: str) -> None:
        self.disk, self.root, self._at = disk, f"/{at}", split(at)

    @property
    def can_exchange(self) -> bool:
        return self.disk.can_exchange

    def stat(self, path: str) -> Stat | None:
        inode = self.disk.inode(self._beneath(path))
        return None if inode is None else self._stat(inode)

    def list(self, directory: str) -> list[tuple[str, Stat]]:
        names = self.disk.node(self.disk.need_directory(self._beneath(directory))).names or {}
        return [(name, self._stat(inode)) for name, inode in sorted(names.items())]

    def read(self, path: str, *, limit: int | None = None, keep: bool = True) -> Content:
        inode = self.disk.need_file(self._file(path), errno.EINVAL)
        data = self.disk.node(inode).data
        if limit is not None and len(data) > limit:
            raise os_error(errno.EFBIG, path)
        return Content(sha256_of(data), self._stat(inode), data if keep else b"")

    def create(self, path: str, data: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
        _refuse_special(mode)
        disk, paths = self.disk, (self._file(path),)
        inode = disk.step("create", paths, lambda label: disk.make(label, paths[0], Node(0o600)))
        half = (len(data) + 1) // 2
        try:
            for start, part in ((0, data[:half]), (half, data[half:])):
                effect = (put_data, inode, start, part)
                disk.step("write", paths, partial(disk.commit, effects=(effect,), waits=(inode,)))
            disk.step("chmod", paths, partial(disk.commit, effects=((put_mode, inode, mode),), waits=(inode,)))
            disk.step("fsync", paths, lambda _: disk.mark(inode, set()), failed=inode)
        except OSError:
            with contextlib.suppress(OSError):
                self.remove(path)
            raise

    def mkdir(self, path: str, *, mode: int = 0o777) -> None:
        _refuse_special(mode)
        path = self._file(path)
        self.disk.step("mkdir", (path,), lambda label: self.disk.make(label, path, Node(mode & ~UMASK, {})))

    def exchange(self, first: str, second: str) -> None:
        self._rename("exchange", first, second)

    def move(self, source: str, target: str) -> None:
        self._rename("move", source, target)

    def link(self, source: str, target: str) -> None:
        self._rename("link", source, target)

    def replace(self, source: str, target: str) -> None:
        self._rename("replace", source, target)

    def remove(self, path: str) -> None:
        disk, path = self.disk, self._file(path)

        def act(label: str) -> None:
            disk.need_file(path)
            directory, name = disk.place(path)
            disk.commit(label, ((put_name, directory, name, None),), (directory,))

        disk.step("remove", (path,), act)

    def rmdir(self, path: str) -> None:
        disk, path = self.disk, self._file(path)

        def act(label: str) -> None:
            if disk.node(disk.need_directory(path)).names:
                raise os_error(errno.ENOTEMPTY, path)
            directory, name = disk.place(path)
            disk.commit(label, ((put_name, directory, name, None),), (directory,))

        disk.step("rmdir", (path,), act)

    def sync(self, directory: str) -> None:
        disk, path = self.disk, self._beneath(directory)
        try:
            disk.step("sync", (path,), lambda _: disk.mark(disk.need_directory(path), set()))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise

    def sync_file(self, path: str) -> None:
        disk, path = self.disk, self._file(path)
        inode = disk.need_file(path, errno.EINVAL)
        disk.step("fsync", (path,), lambda _: disk.mark(inode, set()), failed=inode)

    def _rename(self, how: str, source: str, target: str) -> None:
        disk, source, target = self.disk, self._file(source), self._file(target)

        def act(label: str) -> None:
            if how == "exchange" and not disk.can_exchange:
                raise os_error(errno.ENOTSUP, target)
            one, two = disk.place(source), disk.place(target)
            inode, other = disk.need(source), disk.need(target) if how == "exchange" else disk.inode(target)
            if how in ("move", "link") and other is not None:
                raise os_error(errno.EEXIST, target)
            if how == "link":
                if disk.node(inode).names is not None:
                    raise os_error(errno.EPERM, source)
                disk.commit(label, ((put_name, *two, inode),), (two[0],))
                return
            if how == "replace" and other is not None:
                disk.need_file(target)
                disk.need_file(source, errno.ENOTDIR)
            if inode != other:  # two names of one file: POSIX does nothing, and both stay
                left = other if how == "exchange" else None
                disk.commit(label, ((put_name, *one, left), (put_name, *two, inode)), (one[0], two[0]))

        disk.step(how, (source, target), act)

    def _beneath(self, path: str) -> str:
        try:
            return "/".join((*self._at, *split(path)))
        except ValueError as error:
            raise os_error(errno.EINVAL, path) from error

    def _file(self, path: str) -> str:
        if not path:
            raise os_error(errno.EINVAL, self.root)
        return self._beneath(path)

    def _stat(self, inode: int) -> Stat:
        node = self.disk.node(inode)
        kind = Kind.FILE if node.names is None else Kind.DIRECTORY
        return Stat(kind, len(node.data), node.mode, node.mtime, node.ctime, inode, device=1)


def _refuse_special(mode: int) -> None:
    if mode & ~0o777:
        raise ValueError(f"mode {mode:#o} is more than permission bits")
