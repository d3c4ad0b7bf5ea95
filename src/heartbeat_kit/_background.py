"""`Background`: the two loops of a running service, one that beats and one that looks.

Owns the schedule: jitter, lateness, the progress deadline. Two loops, because a listener runs on the looking one, and
a listener that takes minutes must not make our own machine look dead. Must not know what a beat or a look does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from heartbeat_kit._clock import Clock, Loop

__all__ = ["Background"]

_JITTER: Final = 0.1
"""A beat comes up to this share of the interval early, so a fleet does not write in step; never late."""
_STOP_MS: Final = 30_000


class Background:
    """The loops. `beat` and `look` must not raise.

    Args:
        clock: Drives the loops.
        beat: Sends one heartbeat.
        look: Looks once; its argument is how late it is in milliseconds where that counts as a stall, else 0.
        name: For thread names, and the seed of the jitter.
    """

    def __init__(self, clock: Clock, beat: Callable[[], None], look: Callable[[int], None], *, name: str) -> None:
        self._clock = clock
        self._beat = beat
        self._look = look
        self._name = name
        self._random = random.Random(name)  # noqa: S311 - spreads load, guards nothing
        self._loops: tuple[Loop, ...] = ()
        self._beat_ms = self._look_ms = 1
        self._beat_due = self._look_due = 0
        self._progress_ms: int | None = None
        self._started = self._progressed = 0

    @property
    def is_alive(self) -> bool:
        """Whether beats will go on: both loops live."""
        return bool(self._loops) and all(loop.is_alive for loop in self._loops)

    @property
    def is_stopped(self) -> bool:
        """Whether there is nothing to stop; a loop that a listener ended leaves the other one to stop."""
        return not self._loops

    @property
    def makes_progress(self) -> bool:
        """False once `progress()` has not been called for the progress timeout."""
        return self._progress_ms is None or self._clock.now().mono_ms - self._progressed < self._progress_ms

    def overdue_ms(self, last_look_ms: int | None) -> int:
        """How much later than promised a look now would be, where that counts as a stall; else 0.

        For looks on demand: while the loops run somebody looks every interval, and if nobody did the process stood
        still, whoever asks first.

        Args:
            last_look_ms: Monotonic time of the last look by anybody, or None.
        """
        if not self.is_alive:
            return 0
        since = self._started if last_look_ms is None else max(last_look_ms, self._started)
        late = self._clock.now().mono_ms - since - self._look_ms
        return late if late > self._look_ms else 0

    def start(self, beat_ms: int, look_ms: int, progress_ms: int | None) -> None:
        """Start both loops: the first look is due now, the next beat one interval after the caller's own first."""
        now = self._clock.now().mono_ms
        self._beat_ms, self._look_ms, self._progress_ms = beat_ms, look_ms, progress_ms
        self._started = self._progressed = self._look_due = now
        self._beat_due = now + self._pause()
        self._loops = (
            self._clock.loop(self._beat_step, name=f"heartbeat-{self._name}"),
            self._clock.loop(self._look_step, name=f"heartbeat-check-{self._name}"),
        )

    def replan(self, beat_ms: int, look_ms: int) -> None:
        """Use other intervals from now on."""
        now = self._clock.now().mono_ms
        self._beat_ms, self._look_ms = beat_ms, look_ms
        self._beat_due = min(self._beat_due, now + self._pause())
        self._look_due = min(self._look_due, now + look_ms)
        for loop in self._loops:
            loop.wake()

    def progress(self) -> None:
        """The work advances: beats go on."""
        self._progressed = self._clock.now().mono_ms

    def stop(self) -> bool:
        """End both loops; false if a beat or look under way did not end in 30 s."""
        loops, self._loops = self._loops, ()
        ended = [loop.stop(_STOP_MS) for loop in loops]  # every one, whatever the first says
        return all(ended)

    def _pause(self) -> int:
        return max(int(self._beat_ms * (1 - _JITTER * self._random.random())), 1)

    def _beat_step(self) -> int:
        now = self._clock.now().mono_ms
        if now >= self._beat_due:
            if self.makes_progress:
                self._beat()
            # Counted from when it began: after a stall one beat makes up for all, after a slow one the next is due.
            self._beat_due = max(now + self._pause(), self._clock.now().mono_ms)
        return self._beat_due

    def _look_step(self) -> int:
        now = self._clock.now().mono_ms
        if now >= self._look_due:
            late = now - self._look_due
            self._look(late if late > self._look_ms else 0)
            # A look that took long, listeners included, puts the next one off; that is no stall of the observer.
            self._look_due = max(now - late % self._look_ms + self._look_ms, self._clock.now().mono_ms)
        return self._look_due
