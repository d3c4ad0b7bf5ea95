"""A time budget for calls that may never return, as on a dead mount.

Owns `Lane`: one worker thread that takes calls one at a time while each caller waits for its own at most as long as
it wants. Must not know files or heartbeats. It waits with a timeout; it reads no clock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from heartbeat_kit._times import span_us
from heartbeat_kit.errors import InvalidConfigurationError, StorageClosedError, StorageUnavailableError

__all__ = ["Lane"]

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """Runs calls one at a time; a caller never waits longer than the budget.

    The calls run on a daemon thread of the lane. When one does not return within the budget, its caller gets an
    error, and until it returns every further call fails at once: however long a mount is dead, one thread hangs.
    A call that is given up is not undone; it may still succeed later. A call whose turn never came is not made.

    Args:
        place: What the calls work on, for messages.
        budget: How long a caller waits; ``None`` makes the calls in the caller's own thread, without a limit.

    Raises:
        InvalidConfigurationError: The budget is no positive timedelta.
    """

    def __init__(self, place: str, budget: timedelta | None) -> None:
        if budget is not None and (not isinstance(budget, timedelta) or span_us(budget) <= 0):
            raise InvalidConfigurationError(
                f"time_budget is {budget!r}: expected a positive timedelta, or None to wait without a limit"
            )
        self._place = place
        self._seconds = None if budget is None else min(span_us(budget) / 1_000_000, threading.TIMEOUT_MAX)
        self._closed = False
        self._worker = _Worker(place)

    def run(self, operation: str, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return `call(*args, **kwargs)`, or raise what it raises.

        Args:
            operation: What the call is, for messages.
            call: What to call.
            *args: Passed to it.
            **kwargs: Passed to it.

        Raises:
            StorageUnavailableError: It did not return within the budget, or an earlier call still has not.
            StorageClosedError: The lane is closed.
        """
        if self._closed:
            raise StorageClosedError("this storage was closed: open a new one")
        worker = self._worker
        if worker.pid != os.getpid():
            # A fork copies neither threads nor the will of whoever held the lock: the child starts afresh.
            worker = self._worker = _Worker(self._place)
        if self._seconds is None:
            with worker.turn:
                return call(*args, **kwargs)
        hung = worker.hung
        if hung is not None and not hung.finished:
            raise StorageUnavailableError(
                f"{operation} in {self._place} was not tried: an earlier {hung.operation} has not returned, it was "
                f"given up after {self._seconds:g} s. The place hangs, as a dead mount does; calls work again by "
                "themselves as soon as it answers"
            )
        job = _Job(operation, lambda: call(*args, **kwargs))
        worker.submit(job)
        try:
            in_time = job.done.acquire(timeout=self._seconds)
        except BaseException:  # Ctrl-C in the caller's thread
            _leave(worker, job)
            raise
        if not in_time:
            self._give_up(worker, job)
        if job.error is None:
            return job.result  # type: ignore[no-any-return]  # it is what `call` returned
        try:
            raise job.error
        finally:
            del job  # its error holds this frame: without this the two would keep each other alive

    def close(self) -> None:
        """Refuse further calls and end the thread, at once if it is idle, else when its call returns."""
        self._closed = True
        worker = self._worker
        worker.dismiss()
        hangs = worker.hung is not None and not worker.hung.finished
        if worker.thread is not None and worker.pid == os.getpid() and not hangs:
            worker.thread.join(self._seconds)

    def __del__(self) -> None:
        # A storage that nobody closed must not leave its thread behind. The attribute is missing if __init__ raised.
        worker: _Worker | None = getattr(self, "_worker", None)
        if worker is not None:
            worker.dismiss()

    def _give_up(self, worker: _Worker, job: _Job) -> None:
        if _leave(worker, job):
            raise StorageUnavailableError(
                f"{job.operation} in {self._place} waited {self._seconds:g} s for its turn behind other calls and was "
                "not tried: the place is slow, raise time_budget if that is normal there"
            )
        if not job.finished:
            raise StorageUnavailableError(
                f"{job.operation} in {self._place} has not returned after {self._seconds:g} s and was given up: the "
                "place hangs, as a dead mount does. Until it answers every call fails at once; raise time_budget if "
                "it is only slow"
            )


def _leave(worker: _Worker, job: _Job) -> bool:
    """Take back a job that has not begun (true), or note that the worker is stuck in it."""
    try:
        job.work.pop()
    except IndexError:
        if not job.finished:
            worker.hung = job
        return False
    return True


class _Job:
    __slots__ = ("done", "error", "finished", "operation", "result", "work")

    def __init__(self, operation: str, call: Callable[[], Any]) -> None:
        self.operation = operation
        self.work = [call]  # popped by whoever comes first: the worker that begins it, or the caller that leaves
        self.done = threading.Lock()
        self.done.acquire()
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None


class _Worker:
    """One thread, its queue, and the process they belong to."""

    def __init__(self, place: str) -> None:
        self.pid = os.getpid()
        self.turn = threading.RLock()  # a signal handler may call while the thread it interrupted does
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.hung: _Job | None = None
        self.thread: threading.Thread | None = None
        self._place = place

    def submit(self, job: _Job) -> None:
        if self.thread is None:
            with self.turn:
                if self.thread is None:
                    # The thread knows the queue alone, so that an unused lane can be collected and dismiss it.
                    thread = threading.Thread(
                        target=_work, args=(self.jobs,), name=f"heartbeat_kit {self._place}", daemon=True
                    )
                    try:
                        thread.start()
                    except RuntimeError as error:
                        raise StorageUnavailableError(
                            f"{job.operation} in {self._place} was not tried: no thread could be started ({error})"
                        ) from error
                    self.thread = thread
        self.jobs.put(job)

    def dismiss(self) -> None:
        self.jobs.put(None)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        try:
            call = job.work.pop()
        except IndexError:
            continue
        try:
            job.result = call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            job.error = error
        job.finished = True
        job.done.release()
        del job, call  # they hold the caller's objects, and the next job may come in a year
