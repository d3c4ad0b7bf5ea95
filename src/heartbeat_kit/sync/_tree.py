"""The file-system port: the only way this package reads and changes files.

Owns the protocol `Tree`, what a stat says, and the names of our own files. Must not know what the files are for. The
real one is `_real_tree`; the tests put a simulated disk in its place and cut its power at every operation.

A tree is a folder and all beneath it. Paths are relative to it, POSIX, and no link is followed on the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

__all__ = [
    "OUR_PREFIX",
    "TRASH",
    "Content",
    "Kind",
    "Stat",
    "Tree",
    "UnstableFileError",
    "file_above",
    "holds_nothing",
    "stat_at",
]

OUR_PREFIX: Final = ".hbk-"
"""Every temporary name of ours starts so."""
_DEEPEST: Final = 32
TRASH: Final = ".hbk-trash"
"""The folder in the root of a tree where displaced files wait before they are removed."""


class Kind(StrEnum):
    """What a name stands for."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class Stat(NamedTuple):
    """What the file system says of a name, without following a link.

    Attributes:
        kind: What it is.
        size: In bytes.
        mode: Permission bits, with setuid, setgid and sticky.
        mtime_ns: Of its content.
        ctime_ns: Of its inode; nobody can set it.
        inode: Its number.
        device: Of the file system.
        uid: Its owner.
        gid: Its group.
    """

    kind: Kind
    size: int
    mode: int
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0
    device: int = 0
    uid: int = 0
    gid: int = 0


class Content(NamedTuple):
    """A file that was read to its end while it stood still.

    Attributes:
        sha256: Of the content.
        stat: After the read, equal to that before it.
        data: The content itself, or ``b""`` where only the hash was asked for.
    """

    sha256: str
    stat: Stat
    data: bytes


class UnstableFileError(OSError):
    """The file changed while it was read, each time it was tried."""


class Tree(Protocol):
    """A folder and all beneath it. Every method may raise `OSError`; a link on the way is ``ELOOP`` or ``ENOTDIR``."""

    @property
    def root(self) -> str:
        """The folder, for messages."""
        ...

    @property
    def can_exchange(self) -> bool:
        """Whether `exchange` works here."""
        ...

    def stat(self, path: str) -> Stat | None:
        """What stands at `path` (``""`` is the root), or ``None``."""
        ...

    def list(self, directory: str) -> list[tuple[str, Stat]]:
        """The names in a directory with their stats, sorted; undecodable names with surrogate escapes."""
        ...

    def read(self, path: str, *, limit: int | None = None, keep: bool = True) -> Content:
        """Read a regular file; never blocks on a FIFO or a device.

        Args:
            path: Which.
            limit: More bytes than this are an ``EFBIG``.
            keep: Return the data; without it only the hash is made, in constant memory.

        Raises:
            UnstableFileError: It kept changing.
            FileNotFoundError: Nothing is there.
            OSError: ``ELOOP`` for a link, ``EINVAL`` for what is no regular file.
        """
        ...

    def create(self, path: str, data: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Make a new file with this content and exactly this mode; its content is durable, its name is not yet.

        Args:
            path: Which; `FileExistsError` if there is one.
            data: Its content.
            mode: Its permission bits; setuid, setgid and sticky are refused.
            owner: User and group to give it to, where we may.
        """
        ...

    def mkdir(self, path: str, *, mode: int = 0o777) -> None:
        """Make a directory; its name is not durable yet."""
        ...

    def exchange(self, first: str, second: str) -> None:
        """Swap two names in one step."""
        ...

    def move(self, source: str, target: str) -> None:
        """Give a file another name; `FileExistsError` if that is taken."""
        ...

    def link(self, source: str, target: str) -> None:
        """Give a file a second name; `FileExistsError` if that is taken, ``ENOTSUP`` or ``EPERM`` if none can be."""
        ...

    def replace(self, source: str, target: str) -> None:
        """Give a file another name in one step, whatever had it."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file's name."""
        ...

    def rmdir(self, path: str) -> None:
        """Remove an empty directory; ``ENOTEMPTY`` if it is not, ``ENOTDIR`` for what is none."""
        ...

    def sync(self, directory: str) -> None:
        """Make the names in a directory durable; ``EINVAL`` and ``ENOTSUP`` of the medium are passed over."""
        ...

    def sync_file(self, path: str) -> None:
        """Make a file's content durable."""
        ...


def stat_at(tree: Tree, path: str) -> Stat | None:
    """As `Tree.stat`, but beneath a file there is nothing; beneath a link it is not known.

    Raises:
        NotADirectoryError: There is something else on the way that is no directory.
    """
    try:
        return tree.stat(path)
    except NotADirectoryError:
        if file_above(tree, path) is None:
            raise
        return None


def file_above(tree: Tree, path: str) -> str | None:
    """The file that stands where a directory on the way to `path` would have to be, if one does."""
    parent = path.rpartition("/")[0]
    while parent:
        with contextlib.suppress(NotADirectoryError):
            found = tree.stat(parent)
            return parent if found is not None and found.kind is Kind.FILE else None
        parent = parent.rpartition("/")[0]
    return None


def holds_nothing(tree: Tree, directory: str, but: Container[str] = (), *, depth: int = _DEEPEST) -> bool:
    """Whether there is no file in a directory, nor in those in it, but for some.

    Args:
        tree: Where.
        directory: Which.
        but: Paths of files that do not count.
        depth: What is deeper than this counts as a file.

    Raises:
        OSError: It cannot be told.
    """
    inner = [(f"{directory}/{name}", stat) for name, stat in tree.list(directory)]
    return depth > 0 and all(
        holds_nothing(tree, path, but, depth=depth - 1)
        if stat.kind is Kind.DIRECTORY
        else stat.kind is Kind.FILE and path in but
        for path, stat in inner
    )


MakeTree = Callable[[str], Tree]
"""How a tree is made of a folder's path."""
