"""`Allowance`: what the deadlines are shifted by for a medium that delays.

Owns the choice between what a storage declares and what is measured. A declared delay is kept and compared with the
measure; without one the measure is the allowance, 60 s until enough beats are known. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from heartbeat_kit._medium_state import MediumState
from heartbeat_kit._observer._jitter import JitterMeter
from heartbeat_kit._observer._pass import Rise
from heartbeat_kit._observer._timing import UNMEASURED_DELAY_MS
from heartbeat_kit._times import span_ms

__all__ = ["Allowance"]

_STEP_MS: Final = 1_000
"""A measured allowance comes in whole seconds, at least one, so that it does not move with every beat."""
_HYSTERESIS: Final = 20
"""And it is left alone for changes below a twentieth."""


class Allowance:
    """The allowance of one observer.

    Args:
        declared: The storage's `propagation_delay`.
    """

    def __init__(self, declared: timedelta | None) -> None:
        self._declared_ms = None if declared is None else span_ms(declared)
        self._meter = JitterMeter()
        self.in_force_ms = UNMEASURED_DELAY_MS if self._declared_ms is None else self._declared_ms

    def learn(self, rises: Iterable[Rise]) -> bool:
        """Measure some rises; true if the allowance in force is another one now."""
        for rise in rises:
            beat = rise.heartbeat
            self._meter.rose(
                beat.machine_id,
                incarnation=beat.incarnation,
                seq=beat.seq,
                stamp_ms=beat.last_heartbeat_ms,
                interval_ms=beat.interval_ms,
                unseen_ms=rise.unseen_ms,
                seen_ms=rise.seen_ms,
            )
        measured = self._meter.p99_ms
        if self._declared_ms is not None or measured is None:
            return False
        wanted = max(-(-measured // _STEP_MS) * _STEP_MS, _STEP_MS)
        if abs(wanted - self.in_force_ms) * _HYSTERESIS <= self.in_force_ms:
            return False
        self.in_force_ms = wanted
        return True

    def forget(self, machine_id: str) -> None:
        """Drop what was measured of a machine."""
        self._meter.forget(machine_id)

    @property
    def state(self) -> MediumState | None:
        """For people; ``None`` where the medium delays nothing."""
        if self._declared_ms == 0:
            return None
        return MediumState(
            allowance=self.in_force_ms,
            declared=self._declared_ms,
            measured=self._meter.p99_ms,
            samples=self._meter.samples,
        )
