"""How a trace is written: JSON lines, a header and then one a look, so that it can be written by appending.

Owns the format and its schema version. A look's line says only what changed; a quiet one is ``{"t":30000}``::

    t   monotonic ms since the look before began (of the first look: the clock itself)
    w   how far the wall clock moved more than that (left out when 0; of the first look: wall minus monotonic)
    d   monotonic ms the look took                      l   late_ms
    e   how far the wall clock moved more than that     b   ms from it to the first look that was blind
    s   the storage's own clock minus the wall clock    q   1: a question, no check
    g   [machine, …] whose record is gone
    u   {machine: reason, or null when it can be read again}
    r   {machine: [age, seq]} or {machine: [age, seq, incarnation, interval, first seen, left at or null]}

``age`` is the wall clock at the start of the look minus the sender's stamp. A ``1`` at the end of the long form says
that the record was written on the observer's own host. The short form says that all the rest is as it was in the
record of that machine before.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from heartbeat_kit._clock import Instant
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.errors import StorageUnavailableError
from heartbeat_kit.lab._trace import OWN_HOST, ObserverFacts, Trace, TraceLook
from heartbeat_kit.storage._files import replace_file

__all__ = [
    "FORMAT",
    "HEADER",
    "ORIGIN",
    "SCHEMA_VERSION",
    "LookEncoder",
    "Rest",
    "encode_header",
    "save_trace",
]

Rest = tuple[int | None, ...]
"""What a short record leaves out when it is as in the record before: all from the incarnation on."""
SCHEMA_VERSION: Final = 1
FORMAT: Final = "heartbeat-kit trace"
ORIGIN: Final = Instant(0, 0)
HEADER: Final = (
    "format",
    "schemaVersion",
    "observer",
    "sharedClock",
    "coherent",
    "propagationDelay",
    "heartbeatInterval",
    "offlineTimeout",
    "checkInterval",
    "silenceHold",
    "confirmOffline",
    "confirmOnline",
    "cascadeThreshold",
    "cascadeWindow",
    "expected",
)


def encode_header(facts: ObserverFacts) -> bytes:
    """The first line."""
    values = (
        FORMAT,
        SCHEMA_VERSION,
        facts.observer,
        facts.shared_clock,
        facts.coherent,
        facts.propagation_delay_ms,
        facts.heartbeat_interval_ms,
        facts.offline_timeout_ms,
        facts.check_interval_ms,
        facts.silence_hold_ms,
        facts.confirm_offline,
        facts.confirm_online,
        facts.cascade_threshold,
        facts.cascade_window_ms,
        facts.expected,
    )
    return _line(dict(zip(HEADER, values, strict=True)))


class LookEncoder:
    """Writes looks as lines, each in terms of the ones before.

    Args:
        host: What the records of the observer's own host are signed with.
    """

    def __init__(self, host: str = OWN_HOST) -> None:
        self._host = host
        self._last = ORIGIN
        self._rests: dict[str, Rest] = {}

    def encode(self, look: TraceLook) -> bytes:
        """The line of the next look."""
        started, finished = look.started, look.finished
        passed, took = started.mono_ms - self._last.mono_ms, finished.mono_ms - started.mono_ms
        said: dict[str, Any] = {"t": passed}
        numbers = {
            "w": started.wall_ms - self._last.wall_ms - passed,
            "d": took,
            "e": finished.wall_ms - started.wall_ms - took,
            "l": look.late_ms,
            "q": int(look.query),
        }
        said |= {key: number for key, number in numbers.items() if number}
        if look.blind is not None:
            said["b"] = look.blind
        if look.server_ms is not None:
            said["s"] = look.server_ms - started.wall_ms
        if look.records:
            said["r"] = {beat.machine_id: self._record(beat, started.wall_ms) for beat in look.records}
        if look.gone:
            said["g"] = look.gone
        if look.unreadable:
            said["u"] = dict(look.unreadable)
        self._last = started
        return _line(said)

    def _record(self, beat: Heartbeat, wall_ms: int) -> list[int | None]:
        rest: Rest = (beat.incarnation, beat.interval_ms, beat.first_seen_ms, beat.left_at_ms)
        if self._host and beat.host == self._host:
            rest = (*rest, 1)
        short = [wall_ms - beat.last_heartbeat_ms, beat.seq]
        if self._rests.get(beat.machine_id) == rest:
            return [*short]
        self._rests[beat.machine_id] = rest
        return [*short, *rest]


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def save_trace(trace: Trace, path: str | os.PathLike[str]) -> None:
    """See `Trace.save`."""
    encoder = LookEncoder()
    data = b"".join([encode_header(trace.facts), *map(encoder.encode, trace.looks)])
    try:
        replace_file(os.path.abspath(path), data, durable=False)
    except OSError as error:
        raise StorageUnavailableError(f"the trace cannot be written to {os.fspath(path)}: {error}") from error
