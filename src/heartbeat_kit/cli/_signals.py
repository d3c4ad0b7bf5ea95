"""`StopSignals`: a wait that a signal ends at once.

Owns the signals that ask a command to stop, for as long as it runs. A Python handler runs in the main thread only, and
only once that runs Python again: not while it waits and another thread took the signal, nor where the signal came just
before it began to wait. So the byte that the C handler writes, in whatever thread, tells of the signal and ends the
wait. A Python handler may also run while its own thread holds any lock, so none is taken in it.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final, Self

__all__ = ["StopSignals"]

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_LONGEST_S: Final = 1e9
"""A socket takes no longer timeout everywhere."""


class StopSignals:
    """While entered, a request to stop is noted instead of ending the process. Entered and left by the main thread.

    What is ignored stays ignored: `nohup` means it, and so does a shell that starts a job in the background.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """The first signal, or None."""
        self._asked = False
        self._breaks_off = False

    def __enter__(self) -> Self:
        self._here, self._there = socket.socketpair()
        self._there.setblocking(False)
        self._woke_before = signal.set_wakeup_fd(self._there.fileno(), warn_on_full_buffer=False)
        numbers = (getattr(signal, name, None) for name in _NAMES)
        heeded = [each for each in numbers if each is not None and signal.getsignal(each) is not signal.SIG_IGN]
        self._before: dict[int, Any] = {number: signal.signal(number, self._handle) for number in heeded}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._woke_before)
        self._here.close()
        self._there.close()

    @property
    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked

    @property
    def exit_code(self) -> int:
        """That of a process which a signal ended, as a shell gives it."""
        return 128 + (self.received or signal.SIGINT)

    def stop(self) -> None:
        """Ask to stop, from any thread."""
        self._asked = True
        with contextlib.suppress(OSError):  # already full of requests
            self._there.send(b"\0")

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """In here a request to stop raises `KeyboardInterrupt`: for what may hang, and may be left at any point."""
        self._breaks_off = True
        try:
            if self._asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._breaks_off = False

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for so long (None: without limit) or until somebody asks to stop; true if somebody did.

        One thread waits at a time, whichever it is.
        """
        self._here.settimeout(None if seconds is None else min(max(seconds, 0.001), _LONGEST_S))
        with contextlib.suppress(TimeoutError):
            while not self._asked:
                for number in self._here.recv(64):
                    if number in self._before:
                        self._note(number)
        return self._asked

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._note(number)
        if self._breaks_off:
            raise KeyboardInterrupt

    def _note(self, number: int) -> None:
        self.received = self.received or number
        self.stop()  # an event loop of Windows takes the wake-up byte for itself: whoever waits gets another
