"""What an observer notes for its next run: the newest record of each machine and how long it has stood still.

Owns when there is something new to note. Without the silence counted so far, an observer that runs once every few
minutes (a scheduled job) would begin to count anew each time and never find a death. Pure.
"""

from __future__ import annotations

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis
from heartbeat_kit._observer._known import Known
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import Observation

__all__ = ["news_of"]


def news_of(known: Known, noted: Observation | None, timing: Timing, now: Instant) -> Observation | None:
    """What to note of a machine now, or ``None`` if the ledger knows it.

    A rise is news. A silence is news for every half timeout it grew, until it is announced.
    """
    if known.heartbeat is None:
        return None
    incarnation, seq = known.heartbeat.order
    if noted is None or (noted.incarnation, noted.seq) < known.heartbeat.order:
        return Observation(incarnation=incarnation, seq=seq, seen_ms=known.rose_wall_ms)
    silent = now.mono_ms - known.silence_ms
    if (
        (noted.incarnation, noted.seq) != known.heartbeat.order
        or known.verdict is MachineStatus.OFFLINE
        or known.basis is Basis.SENDER
        or silent - noted.silent_ms < timing.timeout_ms // 2
    ):
        return None
    return Observation(incarnation=incarnation, seq=seq, seen_ms=now.wall_ms, silent_ms=silent)
