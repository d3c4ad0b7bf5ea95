"""A directory of a real tree, held open: how names on the way to a file are never followed out of the tree.

Owns the walk down to a directory, its listing, and the reading of a file that stands still. Must not change anything.

With directory descriptors (Linux, macOS, the BSDs) each name is opened from its parent's descriptor with
``O_NOFOLLOW``: what is renamed or replaced by a link meanwhile leads nowhere. Windows has none: there each name is
looked at and then used by its path, so whoever can write into the tree can win the moment between the two.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from heartbeat_kit.sync._tree import Content, Kind, Stat, UnstableFileError

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["NO_FOLLOW", "OpenDirectory", "must_be_file", "name_error", "stat_of"]

NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_ROOT: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_READ: Final = os.O_RDONLY | NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_HAS_DESCRIPTORS = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_TELLS_PLACEHOLDERS = hasattr(os.stat_result, "st_file_attributes") or hasattr(os.stat_result, "st_flags")
_CHUNK: Final = 1 << 20
_ATTEMPTS: Final = 4
"""The first and three more."""
_KINDS: Final = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.LINK}
_NAME_SURROGATE: Final = 0x2000_0000
"""The bit of a Windows reparse tag that says that the name stands for another: links and junctions."""
_RECALLED: Final = 0x1000 | 0x4_0000 | 0x40_0000
"""Windows: FILE_ATTRIBUTE_OFFLINE, _RECALL_ON_OPEN, _RECALL_ON_DATA_ACCESS."""
_DATALESS: Final = 0x4000_0000
"""macOS: SF_DATALESS."""


def stat_of(found: os.stat_result) -> Stat:
    """What the port says of a stat."""
    mode, inode, device, _, uid, gid, size = found[:7]
    kind = _KINDS.get(mode & 0o170000, Kind.OTHER)
    if kind is Kind.DIRECTORY and getattr(found, "st_reparse_tag", 0) & _NAME_SURROGATE:
        kind = Kind.LINK
    return Stat(kind, size, mode & 0o7777, found.st_mtime_ns, found.st_ctime_ns, inode, device, uid, gid)


def name_error(error: OSError, path: str, other: str | None = None) -> None:
    """Give an error the whole path in place of the single name or the descriptor the call was given."""
    if not (isinstance(error.filename, str) and os.path.isabs(error.filename)):
        error.filename = path
        if other is not None:
            error.filename2 = other


class OpenDirectory:
    """A directory to read from, as long as the ``with`` block is open.

    What is listed and read is in the directory that was found at the beginning, wherever its name leads by then.

    Args:
        root: The root of the tree; links in this path are followed, the user gave it.
        parts: The names down to the directory; none of them may be a link.

    Raises:
        OSError: ``ENOTDIR`` or ``ELOOP`` where a name on the way is a link.
    """

    __slots__ = ("fd", "path", "prefix")

    fd: int | None
    """Its descriptor, for ``dir_fd=``; ``None`` where there are none."""
    path: str
    """Where it is, for messages."""
    prefix: str
    """What stands before a name in it; empty where there is a descriptor."""

    def __init__(self, root: str, parts: Sequence[str]) -> None:
        self.path = os.path.join(root, *parts)
        self.prefix = ""
        self.fd = None
        if not _HAS_DESCRIPTORS:
            self._look(root, parts)
            return
        at = root
        handle = os.open(root, _ROOT)
        for name in parts:
            at = os.path.join(at, name)
            try:
                inner = os.open(name, _ROOT | NO_FOLLOW, dir_fd=handle)
            except OSError as error:
                name_error(error, at)
                raise
            finally:
                os.close(handle)
            handle = inner
        self.fd = handle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fd is not None:
            os.close(self.fd)

    def list(self) -> list[tuple[str, Stat]]:
        """The names in it with their stats, sorted; what vanishes meanwhile is left out."""
        found = []
        try:
            with os.scandir(self.path if self.fd is None else self.fd) as items:
                for item in items:
                    try:
                        # Windows keeps no inode in its listings.
                        looked = item.stat(follow_symlinks=False) if self.fd is not None else os.lstat(item.path)
                    except FileNotFoundError:
                        continue
                    found.append((item.name, stat_of(looked)))
        except OSError as error:
            name_error(error, self.path)
            raise
        found.sort()
        return found

    def stat(self, name: str) -> Stat:
        """What stands at `name`; `FileNotFoundError` if nothing does."""
        try:
            return stat_of(os.stat(self.prefix + name, dir_fd=self.fd, follow_symlinks=False))
        except OSError as error:
            name_error(error, os.path.join(self.path, name))
            raise

    def read(self, name: str, known: Stat | None = None, *, limit: int | None = None, keep: bool = True) -> Content:
        """Read a file as `Tree.read` does.

        Args:
            name: A single name in this directory.
            known: Its stat, if it was just listed.
            limit: More bytes than this are an ``EFBIG``.
            keep: Return the data too.

        Raises:
            OSError: Further to those of `Tree.read`, ``ENODATA`` for the placeholder of a cloud client: its content
                is not on this machine, and reading it would wait for the network.
        """
        try:
            for _ in range(_ATTEMPTS):
                content = self._read_once(name, known or self.stat(name), limit, keep)
                if content is not None:
                    return content
                known = None
        except OSError as error:
            name_error(error, os.path.join(self.path, name))
            raise
        raise UnstableFileError(
            errno.EAGAIN, f"the file changed while it was read, {_ATTEMPTS} times", os.path.join(self.path, name)
        )

    def _read_once(self, name: str, known: Stat, limit: int | None, keep: bool) -> Content | None:
        """The content, or ``None`` if the file did not stand still."""
        if known.kind is not Kind.FILE:
            must_be_file(known)
        place = self.prefix + name
        if self.fd is None:
            _refuse_placeholder(os.lstat(place))  # opening may be what recalls it
        handle = os.open(place, _READ, dir_fd=self.fd)
        try:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                must_be_file(stat_of(before))
            if before.st_ino != known.inode or before.st_dev != known.device:
                return None
            if _TELLS_PLACEHOLDERS:
                _refuse_placeholder(before)
            size = before.st_size
            # One byte more is asked for than there should be: less tells the end, all of it that the file grew.
            if limit is not None and size > limit:
                raise OSError(errno.EFBIG, f"the file has {size} bytes, of which at most {limit} are read")
            data = os.read(handle, size + 1 if size < _CHUNK else _CHUNK)
            digest, total = sha256(data), len(data)
            if total != size or size >= _CHUNK:
                data, total = _read_on(handle, size, data, digest, keep)
            after = os.fstat(handle)
        finally:
            os.close(handle)
        # The inode is one and the same; nothing about it changes but its ctime does.
        if total != after.st_size:
            return None
        if after.st_ctime_ns != known.ctime_ns or after.st_mtime_ns != known.mtime_ns or total != known.size:
            if after.st_ctime_ns != before.st_ctime_ns or after.st_mtime_ns != before.st_mtime_ns or total != size:
                return None
            known = stat_of(after)
        return Content(digest.hexdigest(), known, data if keep else b"")

    def _look(self, root: str, parts: Sequence[str]) -> None:
        at = root
        for name in ("", *parts):
            at = os.path.join(at, name) if name else at
            found = stat_of(os.lstat(at) if name else os.stat(at))
            if found.kind is not Kind.DIRECTORY:
                raise OSError(errno.ENOTDIR, "not a directory, or a link to one", at)
        self.prefix = at + os.sep


def _read_on(handle: int, size: int, data: bytes, digest: _Hash, keep: bool) -> tuple[bytes, int]:
    """The rest of a file that is long, or whose system gives less than is asked for: (all of it, its length)."""
    chunks, total = [data], len(data)
    while data and total <= size:
        data = os.read(handle, min(_CHUNK, size + 1 - total))
        digest.update(data)
        total += len(data)
        if keep:
            chunks.append(data)
    return b"".join(chunks) if keep else b"", total


def must_be_file(found: Stat) -> None:
    """Refuse what is no regular file.

    Raises:
        OSError: ``ELOOP`` for a link, ``EINVAL`` for everything else.
    """
    if found.kind is Kind.LINK:
        raise OSError(errno.ELOOP, "a symbolic link, which is never followed")
    if found.kind is not Kind.FILE:
        what = "a directory" if found.kind is Kind.DIRECTORY else "a FIFO, a socket or a device"
        raise OSError(errno.EINVAL, f"{what}, not a file")


def _refuse_placeholder(found: os.stat_result) -> None:
    if getattr(found, "st_file_attributes", 0) & _RECALLED or getattr(found, "st_flags", 0) & _DATALESS:
        raise OSError(errno.ENODATA, "a cloud client's placeholder: its content is not on this machine")
