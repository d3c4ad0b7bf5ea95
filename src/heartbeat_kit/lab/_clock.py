"""`LabClock`: a fake clock that falls asleep now and wakes up later, while everybody else goes on.

Owns these two moments. `FakeClock.suspend` lets the time of the sleep pass inside the call, so two machines could not
sleep at once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from heartbeat_kit.testing import FakeClock

__all__ = ["LabClock"]


class LabClock(FakeClock):
    """The clock of one simulated host."""

    def sibling(self, *, skew: float | timedelta = 0) -> LabClock:
        """See `FakeClock.sibling`."""
        return cast("LabClock", super().sibling(skew=skew))

    @property
    def true_ms(self) -> int:
        """True time since the start of the family, whatever this host's clocks say."""
        return self._timeline.now_ms

    def fall_asleep(self) -> None:
        """Stop the monotonic clock and the loops of this host; the wall clock goes on."""
        host = self._host
        if host.asleep_since is None:
            host.asleep_since = self._timeline.now_ms
            for loop in tuple(host.loops):
                loop.version += 1  # no plan on the heap counts while it sleeps

    def wake_up(self) -> None:
        """Let them go on; what was due in 10 s is due in 10 s."""
        host = self._host
        if host.asleep_since is None:
            return
        slept_ms = self._timeline.now_ms - host.asleep_since
        host.slept_ms += slept_ms
        host.asleep_since = None
        for loop in tuple(host.loops):
            if loop.due_ms is not None:
                self._timeline.plan(loop, loop.due_ms + slept_ms)
