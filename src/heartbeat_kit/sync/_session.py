"""One run at a time on this machine, and whatever was interrupted is finished before anything new begins.

Owns the lock, the fence, and the turning of errors of the operating system into ours. Must not know what a run does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from heartbeat_kit.errors import (
    BaselineUnavailableError,
    DamagedSyncStateError,
    RecoveryPendingError,
    StorageUnavailableError,
    SyncBusyError,
    SyncFileError,
)
from heartbeat_kit.sync._archive import read_archive
from heartbeat_kit.sync._baseline import read_sentinel
from heartbeat_kit.sync._complete import Completion, Done
from heartbeat_kit.sync._fence import Fence
from heartbeat_kit.sync._journal import read_journal
from heartbeat_kit.sync._places import JOURNAL, MANIFEST, Places

__all__ = ["Lock", "Session", "Sessions", "file_errors"]


class Lock(Protocol):
    """Mutual exclusion of the processes of this machine."""

    def held(self) -> AbstractContextManager[None]:
        """Hold it for a block; `StorageUnavailableError` if it cannot be had in time."""
        ...


class Session(NamedTuple):
    """What a run has while it lasts.

    Attributes:
        completion: What finishes runs.
        fence: What keeps others out.
        recovered: The interrupted run that was finished first, if there was one.
        swept: What was found in the trash that a person should know of, in words.
    """

    completion: Completion
    fence: Fence
    recovered: Done | None
    swept: str = ""


class Sessions:
    """Opens sessions.

    Args:
        places: The trees.
        lock: Among the processes of this machine.
        make_fence: Among the machines.
        make_completion: What finishes runs.
        prepare: Makes the local folders, before the lock is taken in one.
        sweep: Lets go of displaced files, before anything else: on a full disk only that makes room.
    """

    def __init__(
        self,
        places: Places,
        lock: Lock,
        make_fence: Callable[[], Fence],
        make_completion: Callable[[], Completion],
        prepare: Callable[[], None],
        *,
        sweep: Callable[[], str],
    ) -> None:
        self._places = places
        self._lock = lock
        self._make_fence = make_fence
        self._make_completion = make_completion
        self._prepare = prepare
        self._sweep = sweep

    @contextlib.contextmanager
    def open(self, *, founding: bool = False) -> Iterator[Session]:
        """Hold the lock and the fence for the block; an interrupted run is finished before it.

        Args:
            founding: There need be no baseline yet. Without one not even a fence is put into the shared folder: it may
                be the empty place where a share is to be mounted.

        Raises:
            BaselineUnavailableError: There is no baseline.
            SyncBusyError: Somebody else runs.
            SyncFileError: A file could not be read or written.
            SyncFencedError: Another run took over.
            DamagedSyncStateError: The journal cannot be understood.
        """
        with self.local(), file_errors():
            self._require_baseline(founding=founding)
            swept = self._sweep()
            fence = self._make_fence()
            fence.enter()
            try:
                completion = self._make_completion()
                yield Session(completion, fence, completion.recover(fence), swept)
            except OSError:
                fence.check()  # what is missing to a run that was overtaken, the other has used up
                raise
            finally:
                fence.leave()

    def _require_baseline(self, *, founding: bool) -> None:
        """Nothing is put into a folder that may be the empty place of a share that is not mounted."""
        shared = self._places.shared
        if shared.stat("") is None:
            raise BaselineUnavailableError(f"the shared folder {shared.root} is not there: mount it, or make it")
        try:
            archive = read_archive(self._places.state)
        except DamagedSyncStateError:
            archive = None  # whoever needs it says so
        known = archive.baseline_id if archive else None
        if not founding or (known is not None and shared.stat(MANIFEST) is None):
            read_sentinel(shared, known)

    @contextlib.contextmanager
    def local(self) -> Iterator[None]:
        """Hold only the lock among the processes of this machine."""
        self._prepare()
        with self._locked():
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._lock.held())
            except StorageUnavailableError as error:
                if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, TimeoutError):
                    raise SyncFileError(f"the local state cannot be used: {error}") from error
                raise SyncBusyError(f"another sync of this machine is under way: {error}") from error
            yield

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Look, and write nothing, while nothing waits to be finished.

        Raises:
            RecoveryPendingError: Something was interrupted; if its journal cannot be understood, that is the cause.
            SyncBusyError: Another run goes on for too long.
            SyncFileError: A file could not be read.
        """
        if self.is_interrupted and self._is_left():
            pending = f"an interrupted run is to be finished first ({JOURNAL} in {self._places.state.root}): "
            try:
                read_journal(self._places.state)
            except DamagedSyncStateError as error:
                raise RecoveryPendingError(f"{pending}{error}") from error
            raise RecoveryPendingError(f"{pending}call recover(), or any sync that is no dry run")
        with file_errors():
            yield

    def _is_left(self) -> bool:
        """Whether what looks interrupted is no run that is just under way; its lock is there already."""
        with self._locked():
            return self.is_interrupted

    @property
    def is_interrupted(self) -> bool:
        """Whether a run was cut off after its commit point."""
        state = self._places.state  # made by the first run; to look makes nothing
        with file_errors():
            return state.stat("") is not None and state.stat(JOURNAL) is not None


@contextlib.contextmanager
def file_errors() -> Iterator[None]:
    """Turn an `OSError` of the block into `SyncFileError`."""
    try:
        yield
    except SyncFileError:
        raise
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise SyncFileError(
            f"{error.strerror or error}{where}: nothing is lost; what was begun is finished by the next run",
            paths=[str(error.filename)] if error.filename else [],
        ) from error
