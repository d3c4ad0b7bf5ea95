"""A trace from plain lists of timestamps: for histories that other tools kept.

Owns the reading of a list and the pretended looks at it. Reads no clock and no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from numbers import Real
from typing import Any, Final

from heartbeat_kit._clock import Instant
from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._times import MAX_MS, MIN_MS, epoch_ms, span_ms
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab._lengths import positive_ms
from heartbeat_kit.lab._trace import ObserverFacts, Trace, TraceLook
from heartbeat_kit.storage import StorageTraits

__all__ = ["trace_of_timestamps"]

_MOST_LOOKS: Final = 2_000_000
_TRAITS: Final = StorageTraits(durable=False, cross_process=True, cross_host=False, coherent=True)


def trace_of_timestamps(
    timestamps: Mapping[str, Iterable[datetime | float]],
    *,
    interval: timedelta,
    check_interval: timedelta | None,
    offline_timeout: timedelta | None,
) -> Trace:
    """See `Trace.of_timestamps`."""
    if not isinstance(timestamps, Mapping):
        raise InvalidConfigurationError(
            f"timestamps is a {type(timestamps).__name__}: expected lists of times by machine id, "
            "such as {'web-1': [0, 30, 60]}"
        )
    positive_ms("interval", interval)
    config = HeartbeatConfig(
        heartbeat_interval=interval,
        offline_timeout=4 * interval if offline_timeout is None else offline_timeout,
        check_interval=check_interval,
    )
    facts = ObserverFacts.of("observer", config, _TRAITS)
    beats: list[Heartbeat] = []
    named: set[str] = set()
    for name, stamps in timestamps.items():
        machine_id = normalize_machine_id(name)
        if machine_id in named:
            raise InvalidConfigurationError(f"{name!r} and another name both mean the machine {machine_id!r}")
        named.add(machine_id)
        if isinstance(stamps, str | bytes) or not isinstance(stamps, Iterable):
            raise InvalidConfigurationError(f"the times of {name} are {stamps!r:.80}: expected a list of times")
        told = sorted({_stamp_ms(name, stamp) for stamp in stamps})
        beats += [
            Heartbeat(
                machine_id=machine_id,
                last_heartbeat=stamp,
                first_seen=told[0],
                incarnation=1,
                seq=seq,
                interval=interval,
            )
            for seq, stamp in enumerate(told, start=1)
        ]
    beats.sort(key=lambda beat: beat.last_heartbeat_ms)
    return Trace(facts=facts, looks=tuple(_looks(beats, facts.check_interval_ms)))


def _looks(beats: list[Heartbeat], every_ms: int) -> Iterable[TraceLook]:
    if not beats:
        return
    first, last = beats[0].last_heartbeat_ms, beats[-1].last_heartbeat_ms
    count = -(-(last - first) // every_ms) + 1
    if count > _MOST_LOOKS:
        raise InvalidConfigurationError(
            f"a look every {every_ms / 1000:g} s over {span_ms(timedelta(milliseconds=last - first)) / 86_400_000:g} "
            f"days is {count} looks: look less often (check_interval), or import a shorter stretch"
        )
    place = 0
    for number in range(count):
        now = Instant(first + number * every_ms, number * every_ms)
        newest: dict[str, Heartbeat] = {}
        while place < len(beats) and beats[place].last_heartbeat_ms <= now.wall_ms:
            newest[beats[place].machine_id] = beats[place]
            place += 1
        yield TraceLook(now, now, records=tuple(newest.values()))


def _stamp_ms(name: str, stamp: Any) -> int:
    if isinstance(stamp, datetime) and stamp.utcoffset() is not None:
        return epoch_ms(stamp)
    numeric = isinstance(stamp, Real) and not isinstance(stamp, bool)
    if numeric and abs(stamp) < MAX_MS and math.isfinite(stamp):
        ms = math.floor(stamp * 1000)
        if MIN_MS <= ms <= MAX_MS:
            return int(ms)
    hint = ""
    if isinstance(stamp, str):
        hint = "; datetime.fromisoformat() makes one of a text"
    elif isinstance(stamp, datetime):
        hint = "; this one has no time zone"
    elif numeric and MAX_MS / 1000 < abs(stamp) <= MAX_MS:
        hint = "; this looks like milliseconds"
    raise InvalidConfigurationError(
        f"a time of {name} is {stamp!r:.80}: expected a datetime with a time zone, or epoch seconds{hint}"
    )
