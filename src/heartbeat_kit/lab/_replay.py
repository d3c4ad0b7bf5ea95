"""`replay`: what another configuration would have done on a recorded trace.

The real observer does it: `Watcher`, on a storage that serves the recorded snapshots, under a clock that shows the
recorded instants, with an empty ledger in memory. Nothing is modelled. Owns that stage and the reading of the result.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._clock import Instant, SystemClock
from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._fleet_events import CascadeDetected, FleetSilent
from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._observer import Timing
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._tables import html_table
from heartbeat_kit._times import to_duration
from heartbeat_kit._watcher import Watcher
from heartbeat_kit._words import counted, said
from heartbeat_kit.errors import InvalidConfigurationError, StorageUnavailableError
from heartbeat_kit.lab._quality import Quality, Span, assess, quality_columns
from heartbeat_kit.lab._trace import OWN_HOST, Trace, TraceLook
from heartbeat_kit.storage import MemoryStorage, Snapshot, StorageTraits

__all__ = ["Outcome", "Replay", "Suspicion", "others", "replay"]


class Outcome(StrEnum):
    """What became of a suspicion, as far as the trace itself tells."""

    MISTAKE = "mistake"
    """The same life went on, so the machine had been alive all along."""
    DEATH = "death"
    """It came back in a new life, so it had really stopped."""
    LEFT = "left"
    """It had said goodbye."""
    UNDECIDED = "undecided"
    """It was not heard again before the trace ended, or its record was removed."""


class Suspicion(NamedTuple):
    """A stretch in which a machine was called offline.

    Attributes:
        span: When, in milliseconds since the first look.
        outcome: What it turned out to be.
        heard_ms: When its record had last been seen to rise before, on the same axis.
    """

    span: Span
    outcome: Outcome
    heard_ms: int


@attrs.frozen(kw_only=True)
class Replay:
    """What a configuration would have done on a trace.

    Attributes:
        config: The configuration.
        transitions: What would have been announced of machines, in order.
        fleet_events: What would have been announced of the fleet as a whole, in order.
        suspicions: The stretches in which each machine would have been called offline.
        quality: The figures, by the truth that was given or else by the trace itself, see `replay`.
        deadline: How long a machine that falls silent would have stayed undetected, counted from its last beat: twice
            the timeout of the slowest machine, the medium's allowance at the end, half the time between two looks,
            and a look for each that must agree. An observer that is disturbed meanwhile takes up to one timeout or
            one hold longer.
    """

    config: HeartbeatConfig
    transitions: tuple[Transition, ...]
    fleet_events: tuple[CascadeDetected | FleetSilent, ...]
    suspicions: Mapping[str, tuple[Suspicion, ...]] = field(converter=frozen_mapping)
    quality: Quality
    deadline_ms: int = field(alias="deadline")

    @property
    def deadline(self) -> Duration:
        """How long a machine that falls silent would have stayed undetected, counted from its last beat."""
        return to_duration(self.deadline_ms)

    @property
    def warnings(self) -> int:
        """Warnings that would have been announced."""
        return sum(event.after is MachineStatus.WARNING for event in self.transitions)

    def count(self, outcome: Outcome) -> int:
        """Suspicions of one outcome, over all machines."""
        return sum(each.outcome is outcome for found in self.suspicions.values() for each in found)

    def __repr__(self) -> str:
        return (
            f"<Replay {counted(len(self.transitions), 'transition')}, {counted(self.quality.mistakes, 'mistake')}, "
            f"{self.quality.detections} of {self.quality.deaths} deaths detected, "
            f"{self.count(Outcome.UNDECIDED)} undecided>"
        )

    def _repr_html_(self) -> str:
        columns, row = quality_columns(self.quality)
        figures = html_table(columns, [row], caption=repr(self)[1:-1])
        found = sorted((each.span, name, each.outcome) for name, all_ in self.suspicions.items() for each in all_)
        if not found:
            return figures
        rows: list[tuple[str, ...]] = [
            (said(span.start_ms), name, said(span.end_ms - span.start_ms), str(how)) for span, name, how in found
        ]
        return figures + html_table(("offline after", "machine", "for", "it was"), rows, caption="Called offline")


def replay(
    trace: Trace, config: HeartbeatConfig | None = None, *, truth: Mapping[str, Sequence[Span]] | None = None
) -> Replay:
    """Run the real observer with `config` over a recorded trace.

    The looks come when they were recorded, so `HeartbeatConfig.check_interval` moves none of them, and so do the beats:
    `HeartbeatConfig.heartbeat_interval` says what the observer expects. For machines that beat less often, replay
    `Trace.thinned`. The observer begins
    knowing nothing, with an empty ledger and no maintenance windows. With the recorded configuration it announces what
    the live one did, down to the ids, but for what is not in a trace: what was known before it began, and, on a medium
    that delays, a machine that the observer itself removed, and announcements that could not be stored at once. What
    one look says of several machines has no order.

    Without `truth` the trace itself tells it: a machine that is heard again with the same incarnation was alive all
    along, so having called it offline was a *mistake*; with a new incarnation it had really stopped, a *death*, dated
    by its last beat seen. A silence that lasts to the end of the trace, and a goodbye, count as neither, and a death
    that `config` did not notice is not known: nothing is ever missed. (A machine registered from outside, by one-shot
    `register` calls, keeps its incarnation through a real death too: give the `truth` for such. A process that was
    stopped and goes on, `lab.Pause`, is a mistake here and a death in `Run.alive`.)

    Args:
        trace: What was seen.
        config: What to try; the configuration of the recording by default.
        truth: When each machine was alive, in milliseconds since the first look on the observer's monotonic clock
            (`Trace.since_start_ms`). A machine without an entry is left out of the figures, and so is the observer.

    Raises:
        InvalidConfigurationError: `config` is no configuration.

    >>> from datetime import timedelta
    >>> from heartbeat_kit.lab import Trace, replay
    >>> beats = [*range(0, 600, 30), *range(900, 1500, 30)]  # five minutes without a beat
    >>> trace = Trace.of_timestamps({"web-1": beats, "web-2": range(0, 1500, 30)}, interval=timedelta(seconds=30))
    >>> replay(trace), replay(trace, HeartbeatConfig(offline_timeout=timedelta(minutes=3))).quality.mistakes
    (<Replay 5 transitions, 1 mistake, 0 of 0 deaths detected, 0 undecided>, 0)
    """
    if config is None:
        config = trace.config
    if not isinstance(config, HeartbeatConfig):
        raise InvalidConfigurationError(f"config is a {type(config).__name__}: expected a HeartbeatConfig")
    seen = _play(trace, config)
    if truth is None:
        alive, suspected = _told(trace, seen.suspicions)
    else:
        alive = others(truth, trace)
        suspected = {name: [each.span for each in found] for name, found in seen.suspicions.items() if name in alive}
    identities = [event.id for event in seen.transitions]
    return Replay(
        config=config,
        transitions=tuple(seen.transitions),
        fleet_events=tuple(seen.fleet_events),
        suspicions={name: tuple(found) for name, found in sorted(seen.suspicions.items())},
        quality=assess(
            alive=alive,
            suspected=suspected,
            duration_ms=max(trace.duration_ms, 1),
            duplicates=len(identities) - len(set(identities)),
        ),
        deadline=_deadline_ms(trace, config, seen.allowance_ms),
    )


class _Clock(SystemClock):
    """Shows the instants of one look after the other."""

    def __init__(self) -> None:
        self.instant = Instant(0, 0)

    def now(self) -> Instant:
        return self.instant


class _Recorded(MemoryStorage):
    """Serves what was recorded; announcements are kept in memory."""

    def __init__(self, traits: StorageTraits, clock: _Clock) -> None:
        super().__init__(traits=traits)
        self._clock = clock
        self._served: tuple[Snapshot, Instant] | None = None

    def show(self, look: TraceLook, snapshot: Snapshot | None) -> None:
        """The next load is this look's, or fails without a snapshot."""
        self._clock.instant = look.started
        self._served = None if snapshot is None else (snapshot, look.finished)

    def load(self) -> Snapshot:
        if self._served is None:
            raise StorageUnavailableError("the observer was blind when this was recorded")
        snapshot, self._clock.instant = self._served
        return snapshot


@attrs.define
class _Seen:
    transitions: list[Transition] = field(factory=list)
    fleet_events: list[CascadeDetected | FleetSilent] = field(factory=list)
    suspicions: dict[str, list[Suspicion]] = field(factory=dict)
    allowance_ms: int = 0


def _play(trace: Trace, config: HeartbeatConfig) -> _Seen:
    clock = _Clock()
    recorded = _Recorded(trace.facts.traits, clock)
    timing = Timing.of(config, recorded.traits)
    watcher = Watcher(
        recorded, recorded, clock, timing=timing, machine_id=trace.facts.observer, host=OWN_HOST, owner="replay"
    )
    seen, open_ = _Seen(), dict[str, tuple[int, Transition, int]]()
    heard, last_ms = dict[str, int](), 0
    with _silent_log():
        for (look, snapshot), (_, risen) in zip(trace.snapshots(), trace.rises(), strict=True):
            at_ms = trace.since_start_ms(look.finished.mono_ms)
            if look.blind is not None:
                recorded.show(look._replace(started=Instant(look.started.wall_ms, last_ms + look.blind)), None)
                watcher.check(None, 0)
            last_ms = look.started.mono_ms
            recorded.show(look, snapshot)
            if look.query:
                watcher.state(None, look.late_ms)
                continue
            report = watcher.check(None, look.late_ms)
            medium = report.observer.medium
            seen.allowance_ms = medium.allowance_ms if medium is not None else 0
            for event in report.events:
                if isinstance(event, Transition):
                    seen.transitions.append(event)
                    _follow(event, at_ms, open_, seen.suspicions, heard)
                else:
                    seen.fleet_events.append(event)
            # After the events: what a return ends was heard last before this look.
            heard.update((beat.machine_id, at_ms) for beat in risen)
    for name, (since_ms, event, heard_ms) in open_.items():
        outcome = Outcome.LEFT if event.reason is Reason.LEFT else Outcome.UNDECIDED
        found = Suspicion(Span(since_ms, max(trace.duration_ms, since_ms)), outcome, heard_ms)
        seen.suspicions.setdefault(name, []).append(found)
    return seen


def _follow(
    event: Transition,
    at_ms: int,
    open_: dict[str, tuple[int, Transition, int]],
    suspicions: dict[str, list[Suspicion]],
    heard: Mapping[str, int],
) -> None:
    """Open a suspicion at an offline event, close it at the one that ends it."""
    name = event.machine_id
    if event.after is MachineStatus.OFFLINE:
        open_.setdefault(name, (at_ms, event, heard.get(name, at_ms)))
    elif name in open_:
        since_ms, begun, heard_ms = open_.pop(name)
        if begun.reason is Reason.LEFT:
            outcome = Outcome.LEFT
        elif event.reason is Reason.REMOVED:
            outcome = Outcome.UNDECIDED
        else:
            outcome = Outcome.MISTAKE if event.incarnation == begun.incarnation else Outcome.DEATH
        suspicions.setdefault(name, []).append(Suspicion(Span(since_ms, at_ms), outcome, heard_ms))


def others(truth: Mapping[str, Sequence[Span]], trace: Trace) -> Mapping[str, Sequence[Span]]:
    """The truth without the observer, whom nobody watched."""
    return {name: spans for name, spans in truth.items() if name != trace.facts.observer}


def _told(
    trace: Trace, suspicions: Mapping[str, Sequence[Suspicion]]
) -> tuple[Mapping[str, Sequence[Span]], Mapping[str, Sequence[Span]]]:
    """Who was alive when, by what became of the suspicions; only those that say something are kept."""
    alive: dict[str, list[Span]] = {}
    for look, risen in trace.rises():
        for beat in risen:
            if beat.machine_id != trace.facts.observer:
                first = Span(trace.since_start_ms(look.finished.mono_ms), trace.duration_ms)
                alive.setdefault(beat.machine_id, [first])
    suspected: dict[str, list[Span]] = {name: [] for name in alive}
    for name in alive.keys() & suspicions.keys():
        for each in suspicions[name]:
            if each.outcome in {Outcome.MISTAKE, Outcome.DEATH}:
                suspected[name].append(each.span)
            if each.outcome is Outcome.DEATH:
                begun = alive[name].pop()
                alive[name] += [Span(begun.start_ms, each.heard_ms), Span(each.span.end_ms, begun.end_ms)]
    return alive, suspected


def _deadline_ms(trace: Trace, config: HeartbeatConfig, allowance_ms: int) -> int:
    timing = Timing.of(config, trace.facts.traits)
    slowest = max((beat.interval_ms for look in trace.looks for beat in look.records), default=timing.heartbeat_ms)
    starts = [look.started.mono_ms for look in trace.looks]
    gaps = sorted(later - earlier for earlier, later in pairwise(starts))
    gap = gaps[len(gaps) // 2] if gaps else timing.slot_ms
    return 2 * timing.timeout_for(slowest) + allowance_ms + gap // 2 + (config.confirm_offline - 1) * gap


@contextmanager
def _silent_log() -> Iterator[None]:
    """What a replayed observer logs happened long ago: this thread's lines are dropped, everybody else's are not."""
    thread = threading.get_ident()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = logging.getLogger("heartbeat_kit")
    logger.addFilter(elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)
