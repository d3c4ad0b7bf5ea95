"""One running service per machine and storage on a host.

Owns the local state directory of a service and the lock that makes it single. The lock is on local disk, never in the
shared folder, and the kernel frees it when its holder dies.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs
from filelock import FileLock, Timeout

from heartbeat_kit.errors import HeartbeatStartError, InvalidConfigurationError, ServiceAlreadyRunningError
from heartbeat_kit.storage import Storage

if TYPE_CHECKING:
    from heartbeat_kit.storage import LocalLedger

__all__ = ["InstanceLock", "local_ledger", "state_directory"]

_running: dict[tuple[int, int, str], Storage] = {}
"""Services of this process on storages no other process can see: (pid, id of the storage object, machine).

The storage is kept, because the id of one that is gone may become another's.
"""
_running_lock = threading.Lock()
_PATIENCE_S: Final = 0.2
"""Somebody who only asks whether a service runs holds its lock for an instant; a start must not fail of that."""


def state_directory(state_dir: str | os.PathLike[str] | None, storage: Storage, machine_id: str) -> Path:
    """Where a service keeps its lock and its ledger: one folder for each machine and storage, on local disk.

    Args:
        state_dir: The root, by default the user's state directory as the platform has it.
        storage: Its `location` tells storages apart.
        machine_id: Its observer.

    Raises:
        InvalidConfigurationError: `state_dir` is no path.
    """
    given = platformdirs.user_state_path("heartbeat_kit") if state_dir is None else state_dir
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InvalidConfigurationError(f"state_dir is {state_dir!r:.80}: give the path of a directory on a local disk")
    root = Path(text)
    place = storage.traits.location or f"{type(storage).__module__}.{type(storage).__qualname__}"
    return root / hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:16] / machine_id


def local_ledger(directory: Path) -> LocalLedger:
    """The ledger of an observer whose storage cannot compare and set; loaded only for one."""
    from heartbeat_kit.storage.local_ledger import LocalLedger  # noqa: PLC0415 - see above

    return LocalLedger(directory)


class InstanceLock:
    """Held while a service runs.

    Args:
        directory: The service's state directory.
        storage: What it beats into.
        machine_id: As whom.
    """

    def __init__(self, directory: Path, storage: Storage, machine_id: str) -> None:
        self._machine_id = machine_id
        self._path = directory / "service.lock" if storage.traits.cross_process else None
        self._storage = storage
        self._held: FileLock | tuple[int, int, str] | None = None
        self._pid = os.getpid()

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            ServiceAlreadyRunningError: Another service of this machine and storage holds it.
            HeartbeatStartError: The lock file cannot be made.
        """
        if self._path is None:
            key = (os.getpid(), id(self._storage), self._machine_id)
            with _running_lock:
                if key in _running:
                    raise self._already_running("in this process")
                _running[key] = self._storage
            self._held, self._pid = key, os.getpid()
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._lock_file(self._path)
            lock.acquire(timeout=_PATIENCE_S, poll_interval=0.01)
        except Timeout as error:
            raise self._already_running(f"on this host (lock {self._path})") from error
        except OSError as error:
            raise HeartbeatStartError(
                f"the lock file {self._path} cannot be made ({error.strerror or error}): pass a state_dir "
                "on a local disk that can be written",
                machine_id=self._machine_id,
            ) from error
        self._held, self._pid = lock, os.getpid()

    @property
    def is_taken(self) -> bool:
        """Whether a service of this machine and storage runs on this host, be it in another process.

        Raises:
            OSError: The lock cannot be looked at.
        """
        if self._path is None:
            with _running_lock:
                return (os.getpid(), id(self._storage), self._machine_id) in _running
        if self._held is not None or not self._path.exists():
            return self._held is not None
        try:
            with self._lock_file(self._path).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held, or was inherited by a fork."""
        held, self._held = self._held, None
        if self._pid != os.getpid():
            return  # the parent still runs
        if isinstance(held, tuple):
            with _running_lock:
                _running.pop(held, None)
        elif held is not None:
            held.release()

    @staticmethod
    def _lock_file(path: Path) -> FileLock:
        return FileLock(path, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)

    def _already_running(self, where: str) -> ServiceAlreadyRunningError:
        return ServiceAlreadyRunningError(
            f"a service for {self._machine_id!r} and this storage already runs {where}: stop it first, or use another "
            "machine_id",
            machine_id=self._machine_id,
        )
