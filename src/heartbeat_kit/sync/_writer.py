"""Durable writing over the port: directories, documents, contents by their hash.

Owns the order of writing: content before name, name before anybody relies on it, a directory before what is in it.
Must not know what is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Iterable

from heartbeat_kit.sync._tree import OUR_PREFIX, Content, Tree

__all__ = ["Objects", "Writer", "parent_of"]


def parent_of(path: str) -> str:
    """The directory of a path; ``""`` is the root."""
    return path.rpartition("/")[0]


class Writer:
    """Writes into one tree for the length of one run.

    A directory found there may have been made by a run that was cut off before it was durable, so each is anchored
    once a run: its own name is made durable before anything in it is.

    Args:
        tree: Where.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._anchored = {""}

    def ensure(self, directory: str) -> None:
        """Make a directory, and make sure that it outlives a power cut."""
        if directory in self._anchored:
            return
        parent = parent_of(directory)
        self.ensure(parent)
        with contextlib.suppress(FileExistsError):
            self.tree.mkdir(directory)
        self.tree.sync(parent)
        self._anchored.add(directory)

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Give `path` this content in one durable step, whatever was there."""
        self.place(path, data, mode=mode)
        self.tree.sync(parent_of(path))

    def place(self, path: str, data: bytes, *, mode: int) -> None:
        """The same, but for the name, which is not durable before its directory is synced."""
        self.tree.replace(self._temp(path, data, mode), path)

    def put_new(self, path: str, data: bytes, *, mode: int = 0o644) -> bool:
        """The same if nothing is there; false if something is, which then stays."""
        temp = self._temp(path, data, mode)
        try:
            self.tree.move(temp, path)
            made = True
        except FileExistsError:
            self.tree.remove(temp)
            made = False
        self.tree.sync(parent_of(path))
        return made

    def put_over(self, expected: str, path: str, data: bytes, *, mode: int = 0o644) -> bool:
        """The same in place of one content and no other; false if another is there, which then stays.

        Compare and swap where the medium can exchange; elsewhere a write of somebody else's that falls between the
        look and the replacement is overwritten.
        """
        tree = self.tree
        temp = self._temp(path, data, mode)
        if tree.can_exchange:
            tree.exchange(temp, path)
            done = tree.read(temp, keep=False).sha256 == expected
            if not done:
                tree.exchange(temp, path)
            tree.remove(temp)
        elif done := tree.read(path, keep=False).sha256 == expected:
            tree.replace(temp, path)
        else:
            tree.remove(temp)
        tree.sync(parent_of(path))
        return done

    def settle(self, path: str, data: bytes) -> None:
        """Make durable what `put_over` put there before it was cut off, and remove what it left."""
        with contextlib.suppress(FileNotFoundError):
            self.tree.remove(_temporary(path, data))
        self.tree.sync_file(path)
        self.tree.sync(parent_of(path))

    def _temp(self, path: str, data: bytes, mode: int) -> str:
        self.ensure(parent_of(path))
        temp = _temporary(path, data)
        with contextlib.suppress(FileNotFoundError):
            self.tree.remove(temp)
        self.tree.create(temp, data, mode=mode)
        return temp


def _temporary(path: str, data: bytes) -> str:
    """One name for one content in one place: what a cut-off run left behind is found and written anew."""
    token = f"{hashlib.sha256(path.encode()).hexdigest()[:12]}-{zlib.crc32(data):08x}-{len(data):x}"
    return f"{parent_of(path)}/{OUR_PREFIX}{token}.tmp".removeprefix("/")


class Objects:
    """Contents kept under the names of their hashes.

    A content gets its name only when it is durable. One found there needs no more than its directory to be synced, and
    that also holds after a sync that failed and a kill: the kernel would report the next sync of such a file as done.

    Args:
        writer: The tree.
        directory: Where in it.
        mode: Of the files; private by default, configuration may hold secrets.
        stale_ns: One that was written before this is written anew when it is put again (epoch nanoseconds).
    """

    def __init__(self, writer: Writer, directory: str, *, mode: int = 0o600, stale_ns: int = 0) -> None:
        self._writer = writer
        self._tree = writer.tree
        self._directory = directory
        self._mode = mode
        self._stale_ns = stale_ns

    def get(self, sha256: str) -> bytes | None:
        """The content, or ``None`` if it is not here or is damaged."""
        found = self._read(sha256)
        return None if found is None else found.data

    def put_all(self, contents: Iterable[tuple[str, bytes]]) -> None:
        """Keep contents by their hashes; all are durable when this returns."""
        for sha256, data in contents:
            found = self._read(sha256)
            if found is None or found.stat.mtime_ns < self._stale_ns:
                self._writer.place(self._path(sha256), data, mode=self._mode)
        # Also where nothing was missing: what a run that was cut off put there is seen, but may not be durable yet.
        if self._tree.stat(self._directory) is not None:
            self._writer.ensure(self._directory)
            self._tree.sync(self._directory)

    def _read(self, sha256: str) -> Content | None:
        try:
            found = self._tree.read(self._path(sha256))
        except OSError:
            return None
        return found if found.sha256 == sha256 else None

    def names(self) -> list[str]:
        """The hashes of what is kept."""
        return list(self.sizes())

    def sizes(self) -> dict[str, int]:
        """The same, with the size of each; one that is not as large as it should be was cut off."""
        try:
            return {name: stat.size for name, stat in self._tree.list(self._directory) if len(name) == 64}
        except FileNotFoundError:
            return {}

    def remove(self, sha256: str) -> None:
        """Forget a content."""
        with contextlib.suppress(FileNotFoundError):
            self._tree.remove(self._path(sha256))

    def _path(self, sha256: str) -> str:
        return f"{self._directory}/{sha256}"
