"""`Run`: what happened in a simulation, and what it says about the detector.

Owns the record of a run and everything that is derived from it. Must not know how it was brought about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._models import FleetState
from heartbeat_kit._observer._timing import UNMEASURED_DELAY_MS
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._tables import html_table
from heartbeat_kit._times import span_ms, to_duration
from heartbeat_kit._words import counted, said
from heartbeat_kit.errors import InvalidConfigurationError, UnknownMachineError
from heartbeat_kit.lab._faults import Fault
from heartbeat_kit.lab._lengths import Length, length_ms
from heartbeat_kit.lab._medium import Medium
from heartbeat_kit.lab._network import p99_jitter
from heartbeat_kit.lab._quality import Quality, Span, assess, quality_columns

__all__ = ["Heard", "Mistake", "Run"]


class Heard(NamedTuple):
    """An event as a listener got it.

    Attributes:
        at_ms: True time since the start of the run.
        event: A `Transition`, or an event about the fleet.
    """

    at_ms: int
    event: Event


class Mistake(NamedTuple):
    """A suspicion that began while its machine was alive.

    Attributes:
        observer: Who was wrong.
        machine: About whom.
        span: From the suspicion until it was taken back or the run ended, true time.
        alive_for_ms: How long the machine had been alive. Less than the medium's delay means that a death was noticed
            after it was over, but before the return could be known.
        in_upload_pause: The sender's own sync client stood still then, or just before: no observer can see that.
    """

    observer: str
    machine: str
    span: Span
    alive_for_ms: int
    in_upload_pause: bool


@attrs.frozen(kw_only=True, repr=False)
class Run:
    """The outcome of `simulate`.

    Attributes:
        machines: Everybody who beat.
        observers: Those who looked.
        medium: What the records travelled on.
        faults: What happened.
        duration: How long.
        seed: What decided all that was drawn.
        config: The observers' timings.
        alive: When somebody beat under each machine id, true time. A machine that is cut off is alive.
        heard: What each observer's listener was called with, in order.
        upload_pauses: When each sender's sync client stood still.
        stalls: When each observer's did.
        delays: Of each observer, the delays of all deliveries to it, milliseconds, unsorted.
        visible_delays: The same of those whose record became the newest it had.
        states: What each observer that runs at the end sees then.
    """

    machines: tuple[str, ...]
    observers: tuple[str, ...]
    medium: Medium
    faults: tuple[Fault, ...]
    duration_ms: int = field(alias="duration")
    seed: int
    config: HeartbeatConfig
    alive: Mapping[str, tuple[Span, ...]] = field(converter=frozen_mapping)
    heard: Mapping[str, tuple[Heard, ...]] = field(converter=frozen_mapping)
    upload_pauses: Mapping[str, tuple[Span, ...]] = field(converter=frozen_mapping)
    stalls: Mapping[str, tuple[Span, ...]] = field(converter=frozen_mapping)
    delays: Mapping[str, tuple[int, ...]] = field(converter=frozen_mapping)
    visible_delays: Mapping[str, tuple[int, ...]] = field(converter=frozen_mapping)
    states: Mapping[str, FleetState] = field(converter=frozen_mapping, eq=False)

    @property
    def duration(self) -> Duration:
        """How long the run was."""
        return to_duration(self.duration_ms)

    @property
    def events(self) -> Mapping[str, tuple[Transition, ...]]:
        """The transitions each observer announced, as its listener got them."""
        return {
            observer: tuple(each.event for each in heard if isinstance(each.event, Transition))
            for observer, heard in self.heard.items()
        }

    @property
    def fleet_events(self) -> Mapping[str, tuple[Heard, ...]]:
        """What each observer announced about the fleet as a whole."""
        return {
            observer: tuple(each for each in heard if not isinstance(each.event, Transition))
            for observer, heard in self.heard.items()
        }

    def timeline(self, observer: str, machine: str) -> list[tuple[float, MachineStatus]]:
        """What an observer announced of a machine: (true seconds since the start, status from then on).

        Begins as unknown at 0.

        Raises:
            UnknownMachineError: One of the two was not there.
        """
        name = self._known(normalize_machine_id(machine), self.machines, "machine")
        found = [(0.0, MachineStatus.UNKNOWN)]
        for at_ms, event in self.heard[self._known(normalize_machine_id(observer), self.observers, "observer")]:
            if isinstance(event, Transition) and event.machine_id == name:
                found.append((at_ms / 1000, event.after))
        return found

    def suspected(self, observer: str, machine: str, *, suspicion: str = "offline") -> tuple[Span, ...]:
        """When an observer suspected a machine.

        Args:
            observer: Who.
            machine: Whom.
            suspicion: ``offline``, or ``warning`` to count warnings too.

        Raises:
            InvalidConfigurationError: Another word.
            UnknownMachineError: One of the two was not there.
        """
        counted = _counted(suspicion)
        line = self.timeline(observer, machine)
        ends = [*(round(at * 1000) for at, _ in line[1:]), self.duration_ms]
        return tuple(
            Span(round(at * 1000), end) for (at, status), end in zip(line, ends, strict=True) if status in counted
        )

    def quality(
        self,
        observer: str | None = None,
        *,
        suspicion: str = "offline",
        detectable_after: Length | None = None,
    ) -> Quality:
        """Score one observer, or all together.

        Nobody is scored on itself, for the time after its own end, or for a death it had not the time to see because
        it was not alive itself.

        Args:
            observer: Who; everybody by default, where each pair of observer and machine counts as one machine.
            suspicion: ``offline``, or ``warning`` to count warnings too.
            detectable_after: How long a death must last to be missed; by default `detectable_after_ms`.

        Raises:
            InvalidConfigurationError: Another suspicion, or no length of time.
            UnknownMachineError: No such observer.
        """
        watching = self.observers if observer is None else (normalize_machine_id(observer),)
        alive: dict[str, tuple[Span, ...]] = {}
        suspected: dict[str, tuple[Span, ...]] = {}
        watched: dict[str, tuple[Span, ...]] = {}
        for name in watching:
            for machine in self.machines:
                if machine == name:
                    continue
                pair = f"{machine} seen by {name}"
                alive[pair] = self.alive[machine]
                watched[pair] = self.alive[name]
                suspected[pair] = self.suspected(name, machine, suspicion=suspicion)
        limit_ms = self.detectable_after_ms if detectable_after is None else length_ms(detectable_after)
        return assess(
            alive=alive,
            suspected=suspected,
            duration_ms=self.duration_ms,
            duplicates=sum(self._duplicates(name) for name in watching),
            detectable_after_ms=limit_ms,
            watched=watched,
        )

    def mistakes(self, observer: str | None = None, *, suspicion: str = "offline") -> tuple[Mistake, ...]:
        """Every suspicion that began while its machine was alive, by observer.

        Args:
            observer: Who; everybody by default.
            suspicion: ``offline``, or ``warning`` to count warnings too.
        """
        watching = self.observers if observer is None else (normalize_machine_id(observer),)
        return tuple(
            Mistake(name, machine, span, span.start_ms - start_ms, self._unheard(machine, span.start_ms))
            for name in watching
            for machine in self.machines
            if machine != name
            for span in _joined(self.suspected(name, machine, suspicion=suspicion))
            for start_ms, end_ms in self.alive[machine]
            if start_ms <= span.start_ms < end_ms
        )

    @property
    def detectable_after_ms(self) -> int:
        """How long a death may stay unseen by right, ``2 T + allowance + one look`` and the worst this medium did."""
        worst_ms = max((max(delays) for delays in self.delays.values() if delays), default=0)
        stall_ms = max((end - start for spans in self.stalls.values() for start, end in spans), default=0)
        return self.bound_ms + worst_ms + stall_ms

    @property
    def bound_ms(self) -> int:
        """``2 T + allowance + one look``, by the observers' configuration; 60 s stand in for a measured allowance."""
        delay = self.medium.propagation_delay
        return (
            2 * span_ms(self.config.offline_timeout)
            + (UNMEASURED_DELAY_MS if delay is None else span_ms(delay))
            + span_ms(self.config.check_interval or self.config.heartbeat_interval)
        )

    @property
    def medium_p99_jitter(self) -> Duration | None:
        """What the medium really did, the 99th percentile of all delays drawn, less the smallest."""
        return _optional(p99_jitter([delay for delays in self.delays.values() for delay in delays]))

    @property
    def visible_p99_jitter(self) -> Duration | None:
        """The same of the deliveries whose record became the newest its reader had."""
        return _optional(p99_jitter([delay for delays in self.visible_delays.values() for delay in delays]))

    @property
    def text(self) -> str:
        """Everything announced, a line an event; equal for equal runs, to the byte."""
        lines = [f"{self.medium.name} {self.duration_ms} {self.seed}"]
        for observer in self.observers:
            lines += [f"{observer} {at_ms} {_line(event)}" for at_ms, event in self.heard[observer]]
        return "\n".join(lines) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def _duplicates(self, observer: str) -> int:
        """Events with an id that came before, and second announcements of one silence as offline."""
        told: set[str] = set()
        count = 0
        for _, event in self.heard[observer]:
            facts = {event.id}
            if isinstance(event, Transition) and event.after is MachineStatus.OFFLINE and event.episode is not None:
                # What a flapping machine settles on, and who is still offline after its maintenance, is told again.
                again = " while unsettled" if event.flapping or event.suppressed else ""
                facts.add(f"offline in {event.episode}{again}")
            count += not told.isdisjoint(facts)
            told |= facts
        return count

    def _unheard(self, machine: str, at_ms: int) -> bool:
        """Whether an upload pause may be why it was suspected."""
        patience_ms = self.detectable_after_ms
        return any(start <= at_ms <= end + patience_ms for start, end in self.upload_pauses.get(machine, ()))

    def _known(self, name: str, names: tuple[str, ...], what: str) -> str:
        if name not in names:
            raise UnknownMachineError(
                f"no {what} {name!r} is in this run: expected one of {', '.join(names)}", machine_id=name
            )
        return name

    def __repr__(self) -> str:
        events = sum(map(len, self.heard.values()))
        return (
            f"<Run of {counted(len(self.machines), 'machine')} on {self.medium.name}, {said(self.duration_ms)}, "
            f"{counted(len(self.observers), 'observer')}, {counted(events, 'event')}, seed {self.seed}>"
        )

    def _repr_html_(self) -> str:
        rows = []
        for observer in self.observers:
            columns, cells = quality_columns(self.quality(observer))
            unheard = sum(mistake.in_upload_pause for mistake in self.mistakes(observer))
            rows.append((observer, *cells, str(unheard)))
        return html_table(("observer", *columns, "in upload pauses"), rows, caption=repr(self)[1:-1])


def _counted(suspicion: str) -> tuple[MachineStatus, ...]:
    if suspicion == "offline":
        return (MachineStatus.OFFLINE,)
    if suspicion == "warning":
        return (MachineStatus.WARNING, MachineStatus.OFFLINE)
    raise InvalidConfigurationError(f"suspicion is {suspicion!r}: expected 'offline' or 'warning'")


def _joined(spans: tuple[Span, ...]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if joined and span.start_ms <= joined[-1].end_ms:
            joined[-1] = Span(joined[-1].start_ms, span.end_ms)
        else:
            joined.append(span)
    return joined


def _line(event: Event) -> str:
    if isinstance(event, Transition):
        return (
            f"{event.machine_id} {event.before} {event.after} {event.reason} {event.occurred_at_ms} "
            f"{event.detected_at_ms} {event.incarnation}.{event.seq} {event.basis} {event.id}"
            f"{' flapping' if event.flapping else ''}{' suppressed' if event.suppressed else ''}"
        )
    return f"{type(event).__name__} {' '.join(event.machine_ids)} {event.detected_at_ms} {event.id}"


def _optional(ms: int | None) -> Duration | None:
    return None if ms is None else to_duration(ms)
