"""Whose clock measures a silence: what a record tells at first sight, and what its rise tells.

Owns the four rules of `docs/concepts/whose-clock`. A sender's clock is believed only where it is our own. Pure.
"""

from __future__ import annotations

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._observer._known import Known
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry, Observation

__all__ = ["as_announced", "first_sight", "noted_only", "risen"]


def first_sight(
    heartbeat: Heartbeat,
    timing: Timing,
    finished: Instant,
    observation: Observation | None,
    server_ms: int | None,
    *,
    trust_stamp: bool = True,
) -> Known:
    """A record this process sees for the first time.

    Writers that share our clock are judged by their stamp. Other hosts' records are judged by what an earlier
    process of this observer noted, if it noted this very record; otherwise the silence begins now and the stamp is
    only shown. A stamp from the future proves nothing in either case.

    Everything is dated from the instant *after* the load, as a rise is: what was read may be as young as that. Without
    `trust_stamp`, in a look that met a clock that was set, no stamp is believed.
    """
    timeout = timing.timeout_for(heartbeat.interval_ms)
    wall = finished.wall_ms if server_ms is None else server_ms
    if timing.shared_clock and trust_stamp:
        age = wall - heartbeat.last_heartbeat_ms
        if age > -timeout:
            silence = finished.mono_ms - max(age, 0)
            return Known(heartbeat, Basis.STAMP, silence, finished.wall_ms - max(age, 0))
    elif observation is not None and observation.order == heartbeat.order:
        silence_ms, rose_wall_ms = _noted(observation, timeout, finished)
        # What was only met stays unconfirmed until it rises, or was watched for a whole deadline in all.
        watched = finished.mono_ms - silence_ms >= 2 * timeout + timing.delay_ms
        basis = Basis.LEDGER if observation.rose or watched else Basis.SENDER
        known = Known(heartbeat, basis, silence_ms, rose_wall_ms, met=True, skew_ms=observation.skew_ms)
        return _as_counted(known, observation)
    elif observation is not None and observation.order < heartbeat.order:
        # It rose, only nobody was there. Within a timeout of the note that is proof of life, unless its stamp shows
        # that our clock lost more time than that; later the stamp must agree, because it may have died meanwhile.
        patience_ms = timeout + timing.delay_ms
        lately = abs(finished.wall_ms - observation.seen_ms) < patience_ms
        age_ms = finished.wall_ms - (heartbeat.last_heartbeat_ms + observation.skew_ms)
        alive = -patience_ms < age_ms and (lately or age_ms < patience_ms)
        skew_ms = _skew(observation.skew_ms, heartbeat, timing, finished.wall_ms - observation.seen_ms, finished)
        if alive:
            known = Known(heartbeat, Basis.LEDGER, finished.mono_ms, finished.wall_ms, skew_ms=skew_ms)
            return _as_counted(known, observation)
        return Known(heartbeat, Basis.SENDER, finished.mono_ms, finished.wall_ms, skew_ms=skew_ms)
    return Known(heartbeat, Basis.SENDER, finished.mono_ms, finished.wall_ms)


def noted_only(observation: Observation, verdict: MachineStatus, timing: Timing, started: Instant) -> Known:
    """A machine whose record this process has not seen, by what an earlier process noted of it."""
    timeout = timing.timeout_for(observation.interval_ms)
    silence_ms, rose_wall_ms = _noted(observation, timeout, started)
    promised_ms, skew_ms = observation.interval_ms, observation.skew_ms
    known = Known(
        None, Basis.LEDGER, silence_ms, rose_wall_ms, verdict=verdict, promised_ms=promised_ms, skew_ms=skew_ms
    )
    return _as_counted(known, observation)


def _as_counted(known: Known, observation: Observation) -> Known:
    """With the looks that agreed before: for `confirm_offline` it makes no difference who looked."""
    return attrs.evolve(known, candidate=observation.candidate, agreed=observation.agreed)


def _noted(observation: Observation, timeout_ms: int, now: Instant) -> tuple[int, int]:
    """Where a noted silence began: on the monotonic axis, and by the wall clock.

    At most one timeout is believed of the time nobody of us was running: what the clock says about it may be wrong,
    and on a medium that delays the newer record may not have arrived yet. What was counted before stays.
    """
    age = observation.silent_ms + min(max(now.wall_ms - observation.seen_ms, 0), timeout_ms)
    return now.mono_ms - age, observation.seen_ms - observation.silent_ms


def as_announced(known: Known, entry: LedgerEntry, timing: Timing, started: Instant) -> Known:
    """First sight of a record whose silence was announced before: the silence is at least as long as it was then.

    The clock may have been set back since, and of the time between two processes at most one timeout is counted;
    but only a newer record ends a silence. One that was announced as offline has lasted ever since.
    """
    heartbeat = known.heartbeat
    if heartbeat is None or heartbeat.order > (entry.incarnation, entry.seq):
        return known
    timeouts = {MachineStatus.WARNING: 1, MachineStatus.OFFLINE: 2}.get(entry.status)
    if timeouts is None:
        return known
    least = timeouts * timing.timeout_for(heartbeat.interval_ms) + timing.delay_ms
    if entry.status is MachineStatus.OFFLINE:
        least += max(started.wall_ms - entry.since_ms, 0)
    basis = Basis.LEDGER if known.basis is Basis.SENDER else known.basis
    return attrs.evolve(known, basis=basis, silence_ms=min(known.silence_ms, started.mono_ms - least))


def risen(
    heartbeat: Heartbeat,
    timing: Timing,
    last: Instant,
    finished: Instant,
    *,
    trust_stamp: bool,
    server_ms: int | None,
    skew_ms: int = 0,
) -> Known:
    """A record that rose since the last look: proof of life, dated on the observer's own axis.

    The instant *after* the load is taken, so a load that hung makes nobody look older. Where stamps are our own
    clock's, the stamp narrows it down to the beat itself, between the last look and now. `skew_ms` is what was known of
    the sender's clock before.
    """
    at = finished.mono_ms
    if timing.shared_clock and trust_stamp:
        wall = finished.wall_ms if server_ms is None else server_ms
        at = max(min(finished.mono_ms - (wall - heartbeat.last_heartbeat_ms), finished.mono_ms), last.mono_ms)
        return Known(heartbeat, Basis.STAMP, at, finished.wall_ms - (finished.mono_ms - at))
    skew_ms = _skew(skew_ms, heartbeat, timing, finished.mono_ms - last.mono_ms, finished)
    return Known(heartbeat, Basis.OBSERVER, at, finished.wall_ms, skew_ms=skew_ms)


def _skew(before_ms: int, heartbeat: Heartbeat, timing: Timing, gap_ms: int, finished: Instant) -> int:
    """How far our clock is ahead of the sender's: as it was known, moved into the bounds that a rise sets.

    The record was sent before we read it, and after the look `gap_ms` earlier that had not found it yet, but for the
    delay of the medium. A clock that may be right is taken to be right. Looks far apart tell nothing: the record may
    be as old as the gap.
    """
    if not 0 <= gap_ms < timing.timeout_for(heartbeat.interval_ms) + timing.delay_ms:
        return before_ms
    most = finished.wall_ms - heartbeat.last_heartbeat_ms
    return min(max(before_ms, most - gap_ms - timing.delay_ms), most)
