"""Who still lives to deliver what it committed.

Owns one lock file per owner, held by the committing process from its first commit until it closes or dies; the kernel
frees the lock of a killed process at once. Must not know what is delivered. Every method is called under the ledger's
lock, so two processes never probe the same owner at one time, and nobody probes an owner that is just coming up.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable
from typing import Final

from filelock import FileLock, Timeout

from heartbeat_kit.storage._files import TEMP_PREFIX
from heartbeat_kit.storage._locks import os_lock

__all__ = ["OwnerLocks"]

_PREFIX: Final = f"{TEMP_PREFIX}owner-"
_SUFFIX: Final = ".lock"
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)


class OwnerLocks:
    """The owner locks of one directory, as one storage object of one process sees them.

    Args:
        directory: Where the lock files are: the directory of the ledger.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._pid = os.getpid()
        self._held: dict[str, FileLock] = {}
        self._inherited: frozenset[str] = frozenset()
        self._swept = False

    def hold(self, owners: Iterable[str]) -> None:
        """Show that these owners live, until `close` or the end of this process.

        An owner whose lock somebody else holds is alive already; it is not taken from them.

        Raises:
            OSError: A lock file cannot be made.
        """
        self._notice_fork()
        if not self._swept:
            self._sweep()
            self._swept = True
        for owner in owners:
            if owner not in self._held and (lock := self._try(owner)) is not None:
                self._held[owner] = lock

    def holds(self, owner: str) -> bool:
        """Whether this process shows that `owner` lives."""
        self._notice_fork()
        return owner in self._held

    def speaks_for(self, owner: str) -> bool:
        """False in a forked child for the owners of its parent: their events are the parent's to deliver."""
        self._notice_fork()
        return owner in self._held or owner not in self._inherited

    def dead(self, owners: Iterable[str]) -> frozenset[str]:
        """Those of `owners` that no living process holds.

        Raises:
            OSError: A lock file cannot be probed.
        """
        self._notice_fork()
        gone = set()
        for owner in owners:
            if owner not in self._held and (lock := self._try(owner)) is not None:
                lock.release()
                gone.add(owner)
        return frozenset(gone)

    def bury(self, owners: Iterable[str]) -> None:
        """Remove the lock files of dead owners. Without its file an owner counts as dead, so the order is free."""
        for owner in owners:
            with contextlib.suppress(OSError):
                os.unlink(self._path(owner))

    def close(self) -> None:
        """Let go of every owner held here; what they left undelivered may be taken over."""
        self._notice_fork()
        for owner in tuple(self._held):
            with contextlib.suppress(OSError):
                self._held.pop(owner).release()
                os.unlink(self._path(owner))

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():
            # filelock has closed the child's copies of the descriptors; the locks themselves are the parent's.
            self._inherited = frozenset(self._held)
            self._held = {}
            self._pid = os.getpid()

    def _try(self, owner: str) -> FileLock | None:
        lock = os_lock(self._path(owner))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return lock

    def _sweep(self) -> None:
        """Remove what killed processes left behind: a lock file that nobody holds says nothing."""
        mine = {os.path.basename(self._path(owner)) for owner in self._held}
        with contextlib.suppress(OSError), os.scandir(self._directory) as found:
            for item in found:
                if item.name.startswith(_PREFIX) and item.name.endswith(_SUFFIX) and item.name not in mine:
                    with contextlib.suppress(OSError):
                        with os_lock(item.path).acquire(blocking=False):
                            pass
                        os.unlink(item.path)

    def _path(self, owner: str) -> str:
        """One file per owner; a name that is no plain file name everywhere goes by its hash."""
        plain = owner if _PLAIN.fullmatch(owner) else hashlib.sha256(owner.encode(errors="replace")).hexdigest()[:40]
        return os.path.join(self._directory, f"{_PREFIX}{plain}{_SUFFIX}")
