"""Traces for the tests of the laboratory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from heartbeat_kit import Heartbeat
from heartbeat_kit._clock import Instant
from heartbeat_kit.lab import ObserverFacts, Trace, TraceLook

WALL = 1_767_225_600_000
SECOND = timedelta(seconds=1)


def facts(**changes: Any) -> ObserverFacts:
    values = {
        "observer": "watcher",
        "shared_clock": False,
        "coherent": True,
        "propagation_delay": 0,
        "heartbeat_interval": 30_000,
        "offline_timeout": 120_000,
        "check_interval": 30_000,
        "silence_hold": 900_000,
        "confirm_offline": 1,
        "confirm_online": 1,
        "cascade_threshold": 3,
        "cascade_window": 300_000,
        "expected": (),
    }
    return ObserverFacts(**{**values, **changes})


def beat(machine_id: str, at_ms: int, seq: int, *, incarnation: int = 1, **fields: Any) -> Heartbeat:
    """A beat stamped `at_ms` after the start of the wall clock of these tests."""
    values = {"interval": 30_000, "first_seen": WALL, **fields}
    return Heartbeat(machine_id=machine_id, last_heartbeat=WALL + at_ms, seq=seq, incarnation=incarnation, **values)


def look(at_ms: int, *records: Heartbeat, took_ms: int = 0, **fields: Any) -> TraceLook:
    """A look `at_ms` after the start, on both clocks."""
    started, finished = Instant(WALL + at_ms, 7_000 + at_ms), Instant(WALL + at_ms + took_ms, 7_000 + at_ms + took_ms)
    return TraceLook(started, finished, records=records, **fields)


def trace_of(*looks: TraceLook, **changes: Any) -> Trace:
    return Trace(facts=facts(**changes), looks=looks)


def beating(lives: Mapping[str, Sequence[tuple[int, int]]], until_s: int, **changes: Any) -> Trace:
    """Machines that beat every 30 s in each of their lives ``(from, to)`` in seconds, seen at once, every 30 s."""
    looks = []
    for now in range(0, until_s + 1, 30):
        records = []
        for name, spans in lives.items():
            for number, (begin, end) in enumerate(spans, start=1):
                if begin <= now < end:
                    seq = (now - begin) // 30 + 1
                    records.append(beat(name, now * 1000, seq, incarnation=number))
        looks.append(look(now * 1000, *records))
    return trace_of(*looks, **changes)
