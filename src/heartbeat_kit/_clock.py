"""The one place that reads a clock or waits.

Owns: `Instant`, the `Clock` protocol, the background `Loop` it drives, and `SystemClock`.
Must not know: heartbeats. Everything else receives an `Instant` as an argument, so a test can be any time it likes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Clock", "Instant", "Loop", "SystemClock"]


class Instant(NamedTuple):
    """One reading of a host's two clocks, in integer milliseconds.

    Attributes:
        wall_ms: UTC wall clock since the epoch; can be set, can jump, can be wrong.
        mono_ms: Monotonic clock of this host; only differences mean anything.
    """

    wall_ms: int
    mono_ms: int


Step = Callable[[], int]
"""One turn of a background loop: does what is due and returns the monotonic millisecond of its next turn."""


class Loop(Protocol):
    """A background loop that a `Clock` drives."""

    @property
    def is_alive(self) -> bool:
        """Whether the loop will take another turn."""
        ...

    def wake(self) -> None:
        """Take a turn now, to notice changed plans."""
        ...

    def stop(self, timeout_ms: int) -> bool:
        """End the loop and wait for the turn under way; false if it did not end in time."""
        ...


@runtime_checkable
class Clock(Protocol):
    """Where time comes from: inject `heartbeat_kit.testing.FakeClock` in tests, `SystemClock` is the default."""

    def now(self) -> Instant:
        """Read both clocks once."""
        ...

    def loop(self, step: Step, *, name: str) -> Loop:
        """Call `step` now and then again whenever it asks to be, until the loop is stopped."""
        ...

    def wait(self, event: threading.Event, timeout_ms: int) -> bool:
        """Wait until `event` is set or `timeout_ms` have passed; true if it is set."""
        ...


class SystemClock:
    """The host's clocks; background loops are daemon threads.

    >>> first, second = SystemClock().now(), SystemClock().now()
    >>> first.mono_ms <= second.mono_ms
    True
    """

    def now(self) -> Instant:
        """Read both clocks once."""
        return Instant(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)

    def loop(self, step: Step, *, name: str) -> Loop:
        """Drive `step` from a new daemon thread."""
        return _ThreadLoop(step, name)

    def wait(self, event: threading.Event, timeout_ms: int) -> bool:
        """Block this thread on `event`."""
        return event.wait(max(timeout_ms, 0) / 1000)


class _ThreadLoop:
    def __init__(self, step: Step, name: str) -> None:
        self._step = step
        self._stopped = False
        self._nudge = threading.Event()
        self._pid = os.getpid()  # threads do not survive a fork, flags do
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped:
            self._nudge.clear()
            due_ms = self._step()
            if not self._stopped:
                self._nudge.wait(min(max(due_ms / 1000 - time.monotonic(), 0), threading.TIMEOUT_MAX))

    @property
    def is_alive(self) -> bool:
        return not self._stopped and self._pid == os.getpid() and self._thread.is_alive()

    def wake(self) -> None:
        self._nudge.set()

    def stop(self, timeout_ms: int) -> bool:
        self._stopped = True
        self._nudge.set()
        if self._pid != os.getpid() or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_ms / 1000)
        return not self._thread.is_alive()
