"""What a silence means now: deadlines, holds, settling and confirmation for one machine.

Owns the step from `Known` to a status. The bands are those of `heartbeat_kit.classify`, shifted once by the medium's
allowance. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis
from heartbeat_kit._observer._flapping import changed, flaps, still_counted
from heartbeat_kit._observer._known import NEVER, Known
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._status import MachineStatus, status_of_age

__all__ = ["Judged", "believed_ms", "deadlines", "evidence_of", "judge", "never_seen", "watched_ms"]

_SEVERITY: Final = {MachineStatus.ONLINE: 0, MachineStatus.WARNING: 1, MachineStatus.OFFLINE: 2}


class Judged(NamedTuple):
    """A judgement: the updated memory, and whether its verdict may be announced."""

    known: Known
    announce: bool


def deadlines(known: Known, timing: Timing) -> tuple[int, int]:
    """When the silence becomes a warning and when it becomes offline, on the monotonic axis."""
    timeout = timing.timeout_for(known.interval_ms)
    warning = known.silence_ms + timeout + timing.delay_ms
    return warning, warning + timeout


def believed_ms(known: Known, timing: Timing) -> int:
    """When a silence that may be the medium's fault is believed, on the monotonic axis."""
    warning, offline = deadlines(known, timing)
    return max(offline, warning + timing.hold_ms)


def never_seen(known: Known) -> bool:
    """Nothing was ever known of it, not even an announcement: its silence cannot be told from our blindness."""
    unheld = known.verdict in (None, MachineStatus.UNKNOWN)
    return known.heartbeat is None and known.basis is Basis.SENDER and unheld


def judge(known: Known, timing: Timing, now: Instant, *, stalled: bool, count: bool, silent: bool = False) -> Judged:
    """Judge one machine.

    Args:
        known: What is remembered of it, this look's record included.
        timing: The numbers in force.
        now: The instant to judge at.
        stalled: The observer may not make anything worse in this look.
        count: This look counts towards `confirm_offline` and `confirm_online`; a query does not.
        silent: Nobody else is heard, on a medium that delays.
    """
    known = _grown(known, timing, now)
    evidence, held = evidence_of(known, timing, now, silent=silent)
    previous = known.verdict
    if previous is None and stalled and _worse(evidence, MachineStatus.ONLINE):
        # Met first in a look that proves nothing: it gets the settle period that everybody else gets.
        settle = now.mono_ms + timing.timeout_for(known.interval_ms)
        known = attrs.evolve(known, verdict=MachineStatus.UNKNOWN, settle_ms=settle)
        previous = known.verdict
    left = known.heartbeat is not None and known.heartbeat.left_at_ms is not None
    if previous is not None and evidence is not previous and not left:
        if (stalled or now.mono_ms < known.settle_ms) and (held or _worse(evidence, previous)):
            return Judged(attrs.evolve(known, candidate=None, agreed=0, held=False, wake_ms=-NEVER), announce=False)
        needed = timing.confirm_offline if _worse(evidence, previous) else timing.confirm_online
        agreed = (known.agreed if known.candidate is evidence else 0) + (1 if count else 0)
        if agreed < needed and (count or needed > 1):
            return Judged(
                attrs.evolve(known, candidate=evidence, agreed=agreed, held=False, wake_ms=-NEVER), announce=False
            )
    changes, flapping = _unrest(known, evidence, now.mono_ms // timing.slot_ms)
    wake = -NEVER if held or changes else _wake(known, timing, now)
    judged = known.judged(evidence, wake_ms=wake, held=held, changes=changes, flapping=flapping)
    return Judged(judged, announce=evidence is not MachineStatus.UNKNOWN and known.basis is not Basis.SENDER)


def evidence_of(known: Known, timing: Timing, now: Instant, *, silent: bool = False) -> tuple[MachineStatus, bool]:
    """The status by evidence alone, before confirmation and settling; and whether only the silence of all holds it."""
    if known.heartbeat is not None and known.heartbeat.left_at_ms is not None:
        return MachineStatus.OFFLINE, False
    if known.basis is Basis.SENDER:
        return _by_stamp(known, timing, now), False
    warning, offline = deadlines(known, timing)
    if now.mono_ms < warning:
        return MachineStatus.ONLINE, False
    if known.verdict is not MachineStatus.OFFLINE:
        if known.unreadable is not None and now.mono_ms < offline + timing.hold_ms:
            return MachineStatus.UNKNOWN, False
        if silent and now.mono_ms < believed_ms(known, timing):
            return MachineStatus.UNKNOWN, True
    return MachineStatus.WARNING if now.mono_ms < offline else MachineStatus.OFFLINE, False


def _unrest(known: Known, verdict: MachineStatus, slot: int) -> tuple[tuple[int, ...], bool]:
    """The changes that count towards flapping after this verdict, and whether the machine flaps."""
    moved = known.verdict is not None and known.verdict is not verdict and known.basis is not Basis.SENDER
    if moved and MachineStatus.UNKNOWN not in (known.verdict, verdict):
        changes = changed(known.changes, slot)
    elif known.changes:
        changes = still_counted(known.changes, slot)
    else:
        return (), False
    return changes, flaps(known.flapping, changes, slot)


def _grown(known: Known, timing: Timing, now: Instant) -> Known:
    """After a whole deadline of its own undisturbed watching the observer no longer needs the sender's stamp."""
    if known.basis is not Basis.SENDER or never_seen(known):
        return known
    if known.heartbeat is not None and known.heartbeat.left_at_ms is not None:
        return attrs.evolve(known, basis=Basis.OBSERVER)
    if now.mono_ms < watched_ms(known, timing):
        return known
    # What the stamp suggested counts for nothing from now on; what the ledger told is kept.
    verdict = known.verdict if known.heartbeat is None else MachineStatus.UNKNOWN
    return attrs.evolve(known, basis=Basis.OBSERVER, verdict=verdict)


def watched_ms(known: Known, timing: Timing) -> int:
    """When the observer has watched for a whole deadline, and the sender's stamp no longer counts, monotonic."""
    return max(deadlines(known, timing)[1], known.settle_ms)


def _by_stamp(known: Known, timing: Timing, now: Instant) -> MachineStatus:
    if known.heartbeat is None or known.absent:
        return known.verdict or MachineStatus.UNKNOWN
    age = now.wall_ms - known.heartbeat.last_heartbeat_ms
    timeout = timing.timeout_for(known.heartbeat.interval_ms)
    return status_of_age(age - timing.delay_ms if age > timing.delay_ms else min(age, 0), timeout)


def _worse(status: MachineStatus, than: MachineStatus) -> bool:
    return _SEVERITY.get(status, 0) > _SEVERITY.get(than, 0)


def _wake(known: Known, timing: Timing, now: Instant) -> int:
    """When the verdict on an unchanged record may change next."""
    if known.unreadable is not None or known.absent:
        return -NEVER
    warning, offline = deadlines(known, timing)
    if known.basis is not Basis.SENDER or known.heartbeat is None:
        return warning if now.mono_ms < warning else offline if now.mono_ms < offline else NEVER
    timeout = timing.timeout_for(known.heartbeat.interval_ms)
    age = now.wall_ms - known.heartbeat.last_heartbeat_ms
    bands = (1 - timeout, timeout + timing.delay_ms, 2 * timeout + timing.delay_ms)
    edges = (watched_ms(known, timing), *(now.mono_ms + edge - age for edge in bands))
    return min((edge for edge in edges if edge > now.mono_ms), default=NEVER)
