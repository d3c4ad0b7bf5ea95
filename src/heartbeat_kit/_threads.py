"""`DaemonThreads`: calls on threads that hold up neither an event loop nor the end of the process.

Owns how many there are and when they end. Must not know what is called. The executor of the standard library is joined
when the interpreter ends, so one call that hangs in a dead mount would keep the whole process.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

__all__ = ["DaemonThreads"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_IDLE_S: Final = 5.0
"""A thread with nothing to do ends after so long."""


class _Call(NamedTuple):
    future: Future[Any]
    run: Callable[[], Any]


class DaemonThreads(Executor):
    """An executor of daemon threads, which are made when they are needed and end when they are not.

    Args:
        limit: How many there are at most; more calls than that wait for one of them.
        name: For the names of the threads.

    >>> DaemonThreads(2, "sum").submit(sum, [1, 2]).result()
    3
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._renew()

    def _renew(self) -> None:
        """Begin with no thread; a forked child has none, and what the parent's wait for is not its own."""
        self._pid = os.getpid()
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._threads = self._idle = self._rests = 0

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Call `fn` on a thread."""
        if self._pid != os.getpid():
            self._renew()
        future: Future[_T] = Future()
        with self._changed:
            if len(self._calls) >= self._idle and self._threads < self._limit:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._threads += 1
            self._calls.append(_Call(future, lambda: fn(*args, **kwargs)))
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - as Executor has it
        """End the threads that have nothing to do; nobody waits for the others. It can be used again."""
        with self._changed:
            self._rests += 1
            self._changed.notify_all()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            if call.future.set_running_or_notify_cancel():
                try:
                    call.future.set_result(call.run())
                except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
                    call.future.set_exception(error)
            del call  # what it holds is not to outlive it while this thread waits

    def _next(self) -> _Call | None:
        """What to do now; ``None`` to end."""
        with self._changed:
            rests = self._rests
            while not self._calls:
                self._idle += 1
                told = self._changed.wait(_IDLE_S)
                self._idle -= 1
                if not self._calls and (not told or rests != self._rests):
                    self._threads -= 1
                    return None
            return self._calls.popleft()
