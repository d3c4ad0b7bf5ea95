"""When an observer must not judge: it stalled, it slept, its clock was set, or it could not see.

Owns the detection of a disruption and what it costs: the time lost moves every deadline out, and a settle period
keeps the verdict on what had not changed. After Lifeguard (Dadgar, Phillips, Currey 2018), whose point is that a
slow observer is the commonest source of false positives. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._observer._known import Known, Memory
from heartbeat_kit._observer._timing import CLOCK_STEP_MS, Timing

__all__ = ["QUIET", "Disruption", "detect", "latest_ms", "postpone", "settled"]


class Disruption(NamedTuple):
    """What happened to the observer between two looks.

    Attributes:
        lost_ms: Monotonic time in which it should have looked and did not.
        settle: Whether what has not changed gets a settle period.
        clock_step: The two clocks disagree: stamps and wall-clock differences cannot be trusted in this look.
        stalled: It judges nothing worse in this look and says so.
        resumed: A silence of the medium has just ended: what did not rise with it may still be on its way.
        reason: A phrase for people, or empty.
    """

    lost_ms: int = 0
    settle: bool = False
    clock_step: bool = False
    stalled: bool = False
    resumed: bool = False
    reason: str = ""


QUIET = Disruption()


def detect(memory: Memory, now: Instant, late_ms: int, watched_ms: int) -> Disruption:
    """Compare this look with the last one.

    Args:
        memory: With the instants of the last look.
        now: This look.
        late_ms: How far a background loop is beyond its plan where that counts as a stall, else 0. Looks on demand
            may be far apart by design.
        watched_ms: How much of the time before a look that failed counts as watched at most.
    """
    if memory.last is None:
        return QUIET
    passed = now.mono_ms - memory.last.mono_ms
    step = now.wall_ms - memory.last.wall_ms - passed
    # A look on demand may have come in between: nothing was lost before it.
    late_ms = min(late_ms, passed)
    # Up to that before the first that failed the storage may still have been there; not counting that would let
    # a storage that fails in every other look hide a death for ever.
    unseen_ms = 0 if memory.blind_ms is None else passed - min(memory.blind_ms - memory.last.mono_ms, watched_ms)
    if abs(step) > CLOCK_STEP_MS:
        return Disruption(
            lost_ms=max(late_ms, unseen_ms),
            settle=True,
            clock_step=True,
            stalled=True,
            reason=f"the wall clock moved {step / 1000:+.1f} s against the monotonic one (a suspend, or a clock set)",
        )
    if late_ms > 0:
        return Disruption(
            lost_ms=max(late_ms, unseen_ms),
            settle=True,
            stalled=True,
            reason=f"this look came {late_ms / 1000:.1f} s later than planned",
        )
    if memory.blind_ms is not None:
        return Disruption(
            lost_ms=unseen_ms, settle=True, reason=f"the storage was out of sight for {passed / 1000:.1f} s"
        )
    return QUIET


def postpone(known: Known, disruption: Disruption, timing: Timing, now: Instant, gap_ms: int) -> Known:
    """Move the deadlines of a machine whose record did not change out by the time nobody was looking.

    On a medium that delays, at most one timeout of silence counts between two looks (`gap_ms` apart): records may
    have been on their way all the time.
    """
    uncounted = max(gap_ms - timing.timeout_for(known.interval_ms), 0) if timing.delay_ms else 0
    lost = max(disruption.lost_ms, uncounted)
    moved = attrs.evolve(known, silence_ms=min(known.silence_ms + lost, now.mono_ms))
    return settled(moved, timing, now) if disruption.settle or disruption.resumed else moved


def settled(known: Known, timing: Timing, now: Instant) -> Known:
    """Give a machine one more timeout to be heard: again and again if need be, but not beyond `latest_ms`."""
    until = min(now.mono_ms + timing.timeout_for(known.interval_ms), latest_ms(known, timing))
    return attrs.evolve(known, settle_ms=max(known.settle_ms, until))


def latest_ms(known: Known, timing: Timing) -> int:
    """Until when disturbances of the observer may put the verdict on a machine off, on the monotonic axis.

    One hold, or one timeout if that is longer, after its offline deadline. Time that was lost is no part of a silence,
    so this is reached by watching only.
    """
    timeout = timing.timeout_for(known.interval_ms)
    return known.silence_ms + 2 * timeout + timing.delay_ms + max(timing.hold_ms, timeout)
