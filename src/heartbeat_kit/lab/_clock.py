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
        """Stop the monotonic clock and the loops of this host; its wall clock and all other hosts go on."""
        self._timeline.fall_asleep(self._host)

    def wake_up(self) -> None:
        """Let them go on; what was due in 10 s is due in 10 s."""
        self._timeline.wake_up(self._host)
