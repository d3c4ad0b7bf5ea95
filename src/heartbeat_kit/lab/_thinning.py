"""A trace with fewer beats: how slower senders would have looked on the same medium.

Owns which beats stay. Pure.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._times import span_ms
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab._trace import Trace

__all__ = ["thinned"]

_EARLY: Final = 10
"""A beat comes up to a tenth of its interval early (the jitter of the service), so thinning allows for that much."""


def thinned(trace: Trace, interval: timedelta) -> Trace:
    """See `Trace.thinned`."""
    if not isinstance(interval, timedelta) or span_ms(interval) < trace.facts.heartbeat_interval_ms:
        raise InvalidConfigurationError(
            f"interval is {interval!r}: expected a timedelta of at least the recorded beat, "
            f"{trace.facts.heartbeat_interval_ms / 1000:g} s; beats that were not sent cannot be replayed"
        )
    interval_ms = span_ms(interval)
    least_ms = interval_ms - interval_ms // _EARLY
    kept: dict[str, Heartbeat] = {}
    held: set[str] = set()
    looks = []
    for look in trace.looks:
        held.difference_update(look.gone)
        chosen = []
        for beat in look.records:
            before = kept.get(beat.machine_id)
            if before is None or _stays(beat, before, least_ms):
                chosen.append(attrs.evolve(beat, interval=max(interval_ms, beat.interval_ms)))
            elif beat.machine_id not in held:
                chosen.append(before)  # it could not be read for a while and is back
        kept |= {beat.machine_id: beat for beat in chosen}
        held |= {beat.machine_id for beat in chosen}
        looks.append(look._replace(records=tuple(chosen)))
    facts = attrs.evolve(
        trace.facts,
        heartbeat_interval=interval_ms,
        offline_timeout=max(trace.facts.offline_timeout_ms, 2 * interval_ms),
    )
    return Trace(facts=facts, looks=tuple(looks), cut=trace.cut)


def _stays(beat: Heartbeat, before: Heartbeat, least_ms: int) -> bool:
    return beat.order > before.order and (
        beat.incarnation != before.incarnation
        or beat.left_at_ms is not None
        or before.left_at_ms is not None
        or beat.last_heartbeat_ms - before.last_heartbeat_ms >= least_ms
    )
