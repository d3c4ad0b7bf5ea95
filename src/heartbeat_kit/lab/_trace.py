"""`Trace`: what one observer saw, look by look, so that its history can be judged again under other settings.

Owns the values: the facts an observer judged by (`ObserverFacts`), what a look found changed (`TraceLook`) and the
whole (`Trace`). Metadata and host names are not part of it. Must not know how a trace is written (`_trace_text`),
read, recorded or replayed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import attrs
from attrs import field
from pendulum import DateTime, Duration

from heartbeat_kit._clock import Instant
from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._tables import html_table
from heartbeat_kit._times import span_ms, to_datetime, to_duration, to_iso
from heartbeat_kit._words import counted, said
from heartbeat_kit.lab._quality import Span
from heartbeat_kit.storage import Snapshot, StorageTraits

__all__ = ["OWN_HOST", "ObserverFacts", "Trace", "TraceLook"]

OWN_HOST: Final = "own host"
"""What a trace calls the host of the observer; it does not name the others."""


@attrs.frozen(kw_only=True)
class ObserverFacts:
    """What an observer judged by, besides what it saw.

    Attributes:
        observer: Its machine id: its own record proves nothing about the others.
        shared_clock: Stored stamps were as good as its own clock (one host, or a server's clock).
        coherent: A write was visible to every reader at once.
        propagation_delay: How late a record may be seen, as the storage declared it; ``None`` if it declared nothing.
        heartbeat_interval: The beat its configuration expected.
        offline_timeout: The timeout T of its configuration.
        check_interval: Time between two looks in the background.
        silence_hold: As the next five, what its configuration said.
        confirm_offline: See `HeartbeatConfig`.
        confirm_online: See there.
        cascade_threshold: See there.
        cascade_window: See there.
        expected: See there.
    """

    observer: str
    shared_clock: bool
    coherent: bool
    propagation_delay_ms: int | None = field(alias="propagation_delay")
    heartbeat_interval_ms: int = field(alias="heartbeat_interval")
    offline_timeout_ms: int = field(alias="offline_timeout")
    check_interval_ms: int = field(alias="check_interval")
    silence_hold_ms: int = field(alias="silence_hold")
    confirm_offline: int
    confirm_online: int
    cascade_threshold: int
    cascade_window_ms: int = field(alias="cascade_window")
    expected: tuple[str, ...]

    @classmethod
    def of(cls, observer: str, config: HeartbeatConfig, traits: StorageTraits) -> ObserverFacts:
        """The facts of an observer that runs with `config` on a storage with these `traits`."""
        delay = traits.propagation_delay
        return cls(
            observer=observer,
            shared_clock=traits.server_clock or not traits.cross_host,
            coherent=traits.coherent,
            propagation_delay=None if delay is None else span_ms(delay),
            heartbeat_interval=span_ms(config.heartbeat_interval),
            offline_timeout=span_ms(config.offline_timeout),
            check_interval=span_ms(config.check_interval or config.heartbeat_interval),
            silence_hold=span_ms(config.silence_hold),
            confirm_offline=config.confirm_offline,
            confirm_online=config.confirm_online,
            cascade_threshold=config.cascade_threshold,
            cascade_window=span_ms(config.cascade_window),
            expected=config.expected,
        )

    @property
    def config(self) -> HeartbeatConfig:
        """The configuration it ran with; what makes no difference to a verdict has its default."""
        return HeartbeatConfig(
            heartbeat_interval=to_duration(self.heartbeat_interval_ms),
            offline_timeout=to_duration(self.offline_timeout_ms),
            check_interval=to_duration(self.check_interval_ms),
            silence_hold=to_duration(self.silence_hold_ms),
            confirm_offline=self.confirm_offline,
            confirm_online=self.confirm_online,
            cascade_threshold=self.cascade_threshold,
            cascade_window=to_duration(self.cascade_window_ms),
            expected=self.expected,
        )

    @property
    def traits(self) -> StorageTraits:
        """Traits that mean the same to an observer as those of the storage it looked at."""
        return StorageTraits(
            durable=False,
            cross_process=True,
            cross_host=not self.shared_clock,
            coherent=self.coherent,
            propagation_delay=None if self.propagation_delay_ms is None else to_duration(self.propagation_delay_ms),
        )


class TraceLook(NamedTuple):
    """One look that saw the storage, and what had changed since the look before.

    Attributes:
        started: Both clocks of the observer before it read.
        finished: Both clocks after.
        late_ms: How late the look was where that counts as a stall, else 0.
        blind: If looks between the one before and this one could not see the storage: the milliseconds from that one
            to the first of them, else ``None``.
        query: It was a question (`state`, `wait_for`), which announces nothing.
        server_ms: The storage's own clock, where it has one.
        records: Records that are new or another than before, without metadata; of their hosts only whether it was the
            observer's own.
        gone: Machines whose readable record is not there any more.
        unreadable: Machines whose record cannot be read, with the reason; ``None`` for one that is not so any more.
    """

    started: Instant
    finished: Instant
    late_ms: int = 0
    blind: int | None = None
    query: bool = False
    server_ms: int | None = None
    records: tuple[Heartbeat, ...] = ()
    gone: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str | None], ...] = ()


@attrs.frozen(kw_only=True)
class Trace:
    """What one observer saw from its first recorded look to its last.

    Attributes:
        facts: What it judged by.
        looks: The looks, oldest first. Their monotonic times never fall.
        cut: The file it was loaded from ended within a line (the recording process was killed); that look is missing.

    >>> trace = Trace.of_timestamps({"web-1": [0, 30, 60, 90]}, interval=timedelta(seconds=30))
    >>> trace
    <Trace by observer: 1 machine, 4 looks, 90 s>
    """

    facts: ObserverFacts
    looks: tuple[TraceLook, ...]
    cut: bool = False

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read a trace from a file that `save` or a `Recorder` wrote.

        A last line without its end is left out and told in `cut`.

        Raises:
            DamagedTraceError: A line says nothing that can be; the error has its number.
            StorageUnavailableError: The file cannot be read.
        """
        from heartbeat_kit.lab._trace_reader import load_trace  # noqa: PLC0415 - the reader knows the values

        return load_trace(path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace to a file in one step, replacing what is there.

        Raises:
            StorageUnavailableError: The file cannot be written; what was there still is.
        """
        from heartbeat_kit.lab._trace_text import save_trace  # noqa: PLC0415 - the text knows the values

        save_trace(self, path)

    @classmethod
    def of_timestamps(
        cls,
        timestamps: Mapping[str, Iterable[datetime | float]],
        *,
        interval: timedelta,
        check_interval: timedelta | None = None,
        offline_timeout: timedelta | None = None,
    ) -> Trace:
        """Make a trace from plain lists of beats, wherever they come from.

        Each beat is taken to have been seen at its stamp, by an observer on the same clock that looked every
        `check_interval` from the first beat of anybody to the last. A list says nothing of restarts, so every machine
        has one life.

        Args:
            timestamps: By machine id, in any order: aware datetimes or epoch seconds.
            interval: The beat the machines promised.
            check_interval: Time between two looks; `interval` by default.
            offline_timeout: T of the observer; four intervals by default.

        Raises:
            InvalidConfigurationError: A stamp without time zone or that is no time, or a length of time that cannot be.
            InvalidMachineIdError: A name that cannot be a machine's.
        """
        from heartbeat_kit.lab._timestamps import trace_of_timestamps  # noqa: PLC0415 - it makes traces

        return trace_of_timestamps(
            timestamps, interval=interval, check_interval=check_interval, offline_timeout=offline_timeout
        )

    @property
    def machines(self) -> tuple[str, ...]:
        """Every machine that was seen or could not be read, sorted."""
        return tuple(
            sorted(
                {beat.machine_id for look in self.looks for beat in look.records}
                | {name for look in self.looks for name, _ in look.unreadable}
            )
        )

    @property
    def duration_ms(self) -> int:
        """From the start of the first look to the end of the last, on the observer's monotonic clock."""
        return self.looks[-1].finished.mono_ms - self.looks[0].started.mono_ms if self.looks else 0

    @property
    def duration(self) -> Duration:
        """From the start of the first look to the end of the last, on the observer's monotonic clock."""
        return to_duration(self.duration_ms)

    @property
    def started_at(self) -> DateTime | None:
        """The observer's wall clock at the first look, UTC; ``None`` without looks."""
        return to_datetime(self.looks[0].started.wall_ms) if self.looks else None

    @property
    def config(self) -> HeartbeatConfig:
        """The configuration the observer ran with; what makes no difference to a verdict has its default."""
        return self.facts.config

    def since_start_ms(self, mono_ms: int) -> int:
        """True time as this trace knows it: monotonic milliseconds since the first look began.

        It stands for true time as long as the observer's monotonic clock runs true; on hosts where that clock stands
        still while they sleep, so does this one.
        """
        return mono_ms - self.looks[0].started.mono_ms

    def aligned(
        self, alive: Mapping[str, Sequence[Span]], *, zero: timedelta = timedelta(0)
    ) -> dict[str, tuple[Span, ...]]:
        """Spans of another time axis on that of this trace, for the `truth` of `replay`, `sweep` and `compare`.

        A simulation's `Run.alive` counts from the start of the run, where the hosts' monotonic clocks show zero: it
        fits as it is.

        Args:
            alive: When each machine was alive, on an axis of its own.
            zero: What the observer's monotonic clock showed at the zero of that axis.
        """
        begin_ms = self.looks[0].started.mono_ms - span_ms(zero) if self.looks else 0
        return {
            name: tuple(Span(span.start_ms - begin_ms, span.end_ms - begin_ms) for span in spans)
            for name, spans in alive.items()
        }

    def snapshots(self) -> Iterator[tuple[TraceLook, Snapshot]]:
        """Each look with everything the storage held then, unchanged records being the same objects."""
        held: dict[str, Heartbeat] = {}
        unreadable: dict[str, str] = {}
        snapshot = Snapshot(heartbeats={})
        for look in self.looks:
            if look.records or look.gone or look.unreadable or look.server_ms != snapshot.server_time_ms:
                held, unreadable = held.copy(), unreadable.copy()
                for name in look.gone:
                    held.pop(name, None)
                for name, reason in look.unreadable:
                    if reason is None:
                        unreadable.pop(name, None)
                    else:
                        unreadable[name] = reason
                held |= {beat.machine_id: beat for beat in look.records}
                snapshot = Snapshot(heartbeats=held, unreadable=unreadable, server_time_ms=look.server_ms)
            yield look, snapshot

    def rises(self) -> Iterator[tuple[TraceLook, tuple[Heartbeat, ...]]]:
        """Each look with the records that were newer than any seen of their machine before."""
        newest: dict[str, tuple[int, int]] = {}
        for look in self.looks:
            risen = tuple(beat for beat in look.records if beat.order > newest.get(beat.machine_id, (-1, -1)))
            newest |= {beat.machine_id: beat.order for beat in risen}
            yield look, risen

    def thinned(self, interval: timedelta) -> Trace:
        """The trace as if the machines had beaten less often.

        Beats in between are left out, the rest promise `interval`. A first beat of a life and a goodbye stay. The looks
        stay as they were.

        Raises:
            InvalidConfigurationError: `interval` is no duration, or shorter than the beat that was recorded: what was
                not sent cannot be replayed.
        """
        from heartbeat_kit.lab._thinning import thinned  # noqa: PLC0415 - it makes traces

        return thinned(self, interval)

    def __repr__(self) -> str:
        cut = ", last line cut" if self.cut else ""
        return (
            f"<Trace by {self.facts.observer}: {counted(len(self.machines), 'machine')}, "
            f"{counted(len(self.looks), 'look')}, {said(self.duration_ms)}{cut}>"
        )

    def _repr_html_(self) -> str:
        rows: dict[str, list[Heartbeat]] = {name: [] for name in self.machines}
        seen: dict[str, list[int]] = {name: [] for name in self.machines}
        for look, risen in self.rises():
            for beat in risen:
                rows[beat.machine_id].append(beat)
                seen[beat.machine_id].append(look.finished.mono_ms)
        return html_table(
            ("machine", "beats seen", "lives", "longest silence", "first beat", "last beat"),
            [(name, *_summary(rows[name], seen[name])) for name in rows],
            caption=repr(self)[1:-1],
        )


def _summary(beats: list[Heartbeat], seen: list[int]) -> tuple[str, ...]:
    if not beats:
        return ("0", "0", "", "never", "")
    longest = max((later - earlier for earlier, later in pairwise(seen)), default=None)
    return (
        str(len(beats)),
        str(len({beat.incarnation for beat in beats})),
        "" if longest is None else said(longest),
        to_iso(beats[0].last_heartbeat_ms),
        to_iso(beats[-1].last_heartbeat_ms),
    )
