"""`StopSignals`: a wait that a signal ends at once.

Owns the signals that ask a command to stop, for as long as it runs. A Python handler may run while its own thread
holds any lock, so none is taken in it: the kernel's wake-up byte in a socket ends the wait.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final, Self

__all__ = ["StopSignals", "answer_stops", "restore"]

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


def answer_stops(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Let a handler answer every request to stop that is not ignored; returns what answered before, for `restore`."""
    numbers = (getattr(signal, name, None) for name in _NAMES)
    heeded = [number for number in numbers if number is not None and signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heeded}


def restore(before: Mapping[int, Any]) -> None:
    """Give the signals back to what answered before."""
    for number, handler in before.items():
        signal.signal(number, handler)


class StopSignals:
    """While entered, a request to stop is noted instead of ending the process. For the main thread.

    What is ignored stays ignored: `nohup` means it, and so does a shell that starts a job in the background.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """The first signal, or None."""
        self._asked = False

    def __enter__(self) -> Self:
        self._here, self._there = socket.socketpair()
        self._there.setblocking(False)
        self._woke_before = signal.set_wakeup_fd(self._there.fileno(), warn_on_full_buffer=False)
        self._before = answer_stops(self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        restore(self._before)
        signal.set_wakeup_fd(self._woke_before)
        self._here.close()
        self._there.close()

    @property
    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked

    def stop(self) -> None:
        """Ask to stop, from any thread."""
        self._asked = True
        with contextlib.suppress(OSError):  # already full of requests
            self._there.send(b"\0")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for so long (None: without limit) or until somebody asks to stop; true if somebody did."""
        self._here.settimeout(None if seconds is None else max(seconds, 0.001))
        with contextlib.suppress(TimeoutError):
            while not self._asked and self._here.recv(64):
                continue  # the byte comes first, the handler that notes the signal runs right after
        return self._asked

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or number
        self._asked = True
