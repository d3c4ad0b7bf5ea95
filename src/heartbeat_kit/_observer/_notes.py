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

    A rise is news, and so is what waits for more looks to agree. A silence is news for every half timeout it grew,
    until it is announced; and at once if it was noted by a clock that has been set back since, because no time passes
    for the next run until that clock has caught up.
    """
    order = noted.order if known.heartbeat is None and noted is not None else None
    if known.heartbeat is not None:
        order = known.heartbeat.order
    if order is None or (noted is not None and noted.order > order):
        return None
    unconfirmed = known.basis is Basis.SENDER
    # Looks that agreed on what a stamp suggests count for nothing.
    candidate, agreed = (None, 0) if unconfirmed else (known.candidate, known.agreed)
    seen_ms, silent_ms, rose = known.rose_wall_ms, 0, not unconfirmed
    if noted is not None and noted.order == order:
        silent = now.mono_ms - known.silence_ms
        grown = silent - noted.silent_ms >= timing.timeout_ms // 2 or noted.seen_ms > now.wall_ms
        announced = known.verdict is MachineStatus.OFFLINE and not unconfirmed
        counted = (candidate, agreed) != (noted.candidate, noted.agreed)
        if not (counted or (grown and not announced)):
            return None
        seen_ms, silent_ms, rose = now.wall_ms, silent, noted.rose  # as it was known when it rose
    return Observation(
        incarnation=order[0],
        seq=order[1],
        seen_ms=seen_ms,
        silent_ms=silent_ms,
        interval_ms=known.interval_ms,
        skew_ms=known.skew_ms,
        rose=rose,
        candidate=candidate,
        agreed=agreed,
    )
