"""`ChenFreshness`: freshness points with an estimated next arrival. Pure.

W. Chen, S. Toueg, M. K. Aguilera, "On the Quality of Service of Failure Detectors", IEEE Transactions on Computers
51(5), 2002, algorithm NFD-E: the sender beats every η; the arrival of beat l + 1 is estimated from the last n as

    EA(l+1) = (1/n) Σ (A_i - η s_i) + (l + 1) η

and from the freshness point EA(l+1) + alpha on the sender is suspected, until a newer beat arrives.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta

import attrs

from heartbeat_kit.lab._detectors._protocol import count_of, shown
from heartbeat_kit.lab._lengths import positive_ms

__all__ = ["ChenFreshness"]


class ChenFreshness:
    """Chen's NFD-E.

    The paper's beats are numbered. Here the number is the sender's stamp counted in intervals since the stamp before
    (at least one), so beats that no look saw are counted too.

    Args:
        alpha: The safety margin after the estimated arrival.
        window: n, how many arrivals the estimate rests on.
        interval: η, the beat the sender keeps.

    >>> detector = ChenFreshness(timedelta(seconds=60), interval=timedelta(seconds=30))
    >>> for second in (0, 30, 60):
    ...     detector.heard("web-1", second * 1000, second * 1000 + 500)
    >>> detector.suspects("web-1", 150_499), detector.suspects("web-1", 150_500)
    (False, True)
    """

    wall_clock = False

    def __init__(
        self,
        alpha: timedelta = timedelta(seconds=60),
        window: int = 100,
        *,
        interval: timedelta = timedelta(seconds=30),
    ) -> None:
        self._alpha_ms = positive_ms("alpha", alpha)
        self._window = count_of("window", window)
        self._interval_ms = positive_ms("interval", interval)
        self._senders: dict[str, _Sender] = {}

    def heard(self, machine_id: str, stamp_ms: int, seen_ms: int) -> None:
        """A newer beat was seen."""
        sender = self._senders.get(machine_id)
        if sender is None:
            sender = self._senders[machine_id] = _Sender(stamp_ms=stamp_ms, offsets=deque(maxlen=self._window))
        else:
            passed = stamp_ms - sender.stamp_ms
            sender.number += max((2 * passed + self._interval_ms) // (2 * self._interval_ms), 1)
            sender.stamp_ms = stamp_ms
        offset = seen_ms - self._interval_ms * sender.number
        if len(sender.offsets) == self._window:
            sender.total -= sender.offsets[0]
        sender.offsets.append(offset)
        sender.total += offset

    def suspects(self, machine_id: str, now_ms: int) -> bool:
        """Whether the freshness point has passed."""
        sender = self._senders.get(machine_id)
        if sender is None:
            return False
        # Whole numbers throughout, n times the times of the formula: exact, and nothing can overflow.
        count = len(sender.offsets)
        expected = sender.total + count * (sender.number + 1) * self._interval_ms
        return count * now_ms >= expected + count * self._alpha_ms

    def __repr__(self) -> str:
        return f"Chen NFD-E alpha {shown(self._alpha_ms)}, {self._window} beats"


@attrs.define
class _Sender:
    stamp_ms: int
    offsets: deque[int]
    number: int = 0
    total: int = 0
