"""One writer at a time: among threads by a mutex, among processes by an operating system file lock.

Owns taking a lock in bounded time and saying why it could not be had. Must not know what it guards.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager

from filelock import FileLock, Timeout

from heartbeat_kit.errors import StorageError, StorageUnavailableError

__all__ = ["ProcessLock", "os_lock", "unavailable"]

_POLL_SECONDS = 0.004
"""The file lock is polled; a guarded write takes well under a millisecond for a small fleet."""


def os_lock(path: str) -> FileLock:
    """A file lock the kernel enforces and frees with its holder; never an existence file, which outlives a kill."""
    return FileLock(
        path,
        thread_local=False,
        poll_interval=_POLL_SECONDS,
        fallback_to_soft=False,
        preserve_lock_file=True,
    )


@contextlib.contextmanager
def unavailable(doing: str) -> Iterator[None]:
    """Turn an `OSError` of the block into `StorageUnavailableError`, naming what was being done."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageUnavailableError(f"{doing} failed: {error.strerror or error}") from error


class ProcessLock:
    """Mutual exclusion of all threads of all processes that name the same lock file.

    Args:
        path: The lock file; it stays on disk, empty. Its directory is never created here.
        timeout_s: How long to wait for other holders, in seconds.
    """

    def __init__(self, path: str, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._renew()

    def held_if_there(self) -> AbstractContextManager[None]:
        """Hold the lock for the block, unless nobody ever took it.

        Taking it makes its file; one made by somebody who only asks, root perhaps, could shut out those who write.
        """
        return self.held() if os.path.lexists(self._path) else contextlib.nullcontext()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the block.

        Raises:
            StorageUnavailableError: It was not free in time, or the lock file cannot be used.
        """
        if self._pid != os.getpid():
            self._renew()  # a forked child inherits neither the lock nor the thread that would free the mutex
        if not self._threads.acquire(timeout=self._timeout_s):
            raise self._busy()
        try:
            self._acquire()
            try:
                yield
            finally:
                self._file.release()
        finally:
            self._threads.release()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._threads = threading.Lock()
        self._file = os_lock(self._path)

    def _acquire(self) -> None:
        directory = os.path.dirname(self._path)
        if not os.path.isdir(directory):  # filelock would make it, on the wrong side of a missing mount
            raise StorageUnavailableError(f"{directory} is not there: mount it or make it; nothing was stored")
        try:
            self._file.acquire(timeout=self._timeout_s)
        except Timeout as error:
            raise self._busy() from error
        except OSError as error:
            raise StorageUnavailableError(
                f"{self._path} cannot be locked: {error.strerror or error}; nothing was stored"
            ) from error

    def _busy(self) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"{self._path} was not free within {self._timeout_s:g} s: another process holds it; nothing was stored, "
            "try again"
        )
