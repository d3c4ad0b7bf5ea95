"""Waiting for something that only looking can tell.

Owns the pace of the looks. Must not know what is waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from heartbeat_kit._clock import Clock

__all__ = ["wait_until"]


def wait_until(reached: Callable[[], bool], clock: Clock, *, limit_ms: int, period_ms: int) -> bool:
    """Look until it is so; false if it was not in time. Under a `FakeClock` virtual time passes.

    Args:
        reached: One look.
        clock: Its monotonic time counts.
        limit_ms: How long at most; with zero or less there is one look.
        period_ms: How often what is looked at changes by itself; it is looked at twenty times as often, within reason.
    """
    deadline, never = clock.now().mono_ms + limit_ms, threading.Event()
    pace_ms = min(max(period_ms // 20, 10), 250)
    while not reached():
        left_ms = deadline - clock.now().mono_ms
        if left_ms <= 0:
            return False
        clock.wait(never, min(pace_ms, left_ms))
    return True
