"""`PhiAccrual`: suspicion as a scale. Pure.

N. Hayashibara, X. Défago, R. Yared, T. Katayama, "The φ Accrual Failure Detector", SRDS 2004: with mean
m and deviation s of the last n inter-arrival times, φ(t) = -log10 P(an interval is longer than t), by a normal
distribution. φ of 8 means that a suspicion now would be wrong about once in 10^8 times, if arrivals were like that.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import timedelta
from typing import Final

import attrs

from heartbeat_kit.lab._detectors._protocol import count_of, positive
from heartbeat_kit.lab._lengths import positive_ms

__all__ = ["PhiAccrual"]

_QUARTER: Final = 4
"""Before there are two arrivals the interval stands for m and a quarter of it for s, as Akka does."""


class PhiAccrual:
    """The φ accrual detector; suspects from `threshold` on.

    Args:
        threshold: φ from which on a machine is suspected.
        window: n, how many inter-arrival times count.
        min_std: The least s, so that regular beats do not make a hair trigger.
        interval: Expected beat, until there are two arrivals.

    >>> detector = PhiAccrual(min_std=timedelta(seconds=5))
    >>> for second in range(0, 300, 30):
    ...     detector.heard("web-1", 0, second * 1000)
    >>> round(detector.phi("web-1", 300_000), 2), detector.suspects("web-1", 330_000)
    (0.3, True)
    >>> detector.phi("web-1", 10**15)
    inf
    """

    wall_clock = False

    def __init__(
        self,
        threshold: float = 8.0,
        window: int = 1000,
        min_std: timedelta = timedelta(milliseconds=500),
        *,
        interval: timedelta = timedelta(seconds=30),
    ) -> None:
        self._threshold = positive("threshold", threshold)
        self._window = count_of("window", window)
        self._min_std_ms = positive_ms("min_std", min_std)
        self._interval_ms = positive_ms("interval", interval)
        self._senders: dict[str, _Sender] = {}

    def heard(self, machine_id: str, stamp_ms: int, seen_ms: int) -> None:  # noqa: ARG002 - the protocol's
        """A newer beat was seen."""
        sender = self._senders.get(machine_id)
        if sender is None:
            self._senders[machine_id] = _Sender(seen_ms=seen_ms, gaps=deque(maxlen=self._window))
            return
        if len(sender.gaps) == self._window:
            oldest = sender.gaps[0]
            sender.total -= oldest
            sender.squares -= oldest * oldest
        gap = seen_ms - sender.seen_ms
        sender.gaps.append(gap)
        sender.total += gap
        sender.squares += gap * gap
        sender.seen_ms = seen_ms

    def phi(self, machine_id: str, now_ms: int) -> float:
        """The suspicion: 0 for a machine never heard, infinite where no float can say how unlikely it is."""
        sender = self._senders.get(machine_id)
        if sender is None:
            return 0.0
        count = len(sender.gaps)
        try:
            if count:
                mean = sender.total / count
                # From whole numbers, so that no rounding makes a variance negative.
                variance = (count * sender.squares - sender.total * sender.total) / (count * count)
            else:
                mean, variance = float(self._interval_ms), (self._interval_ms / _QUARTER) ** 2
            deviation = max(math.sqrt(variance), self._min_std_ms)
            later = math.erfc((now_ms - sender.seen_ms - mean) / (deviation * math.sqrt(2))) / 2
        except OverflowError:  # beyond what a float holds
            return math.inf if now_ms > sender.seen_ms else 0.0
        return -math.log10(later) if later > 0 else math.inf

    def suspects(self, machine_id: str, now_ms: int) -> bool:
        """Whether φ has reached the threshold."""
        return self.phi(machine_id, now_ms) >= self._threshold

    def __repr__(self) -> str:
        return f"phi accrual {self._threshold:g}, {self._window} beats"


@attrs.define
class _Sender:
    seen_ms: int
    gaps: deque[int]
    total: int = 0
    squares: int = 0
