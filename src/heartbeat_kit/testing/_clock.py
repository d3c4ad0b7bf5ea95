"""`FakeClock`: time that moves when a test says so, with background loops and without one real sleep.

Owns the wall clock of one pretended machine and the words in which a test moves time. Must not know heartbeats.
"""

from __future__ import annotations

import copy
import threading
from datetime import UTC, datetime, timedelta

from pendulum import DateTime

from heartbeat_kit._clock import Instant, Step
from heartbeat_kit._times import epoch_ms, span_ms, to_datetime, to_iso
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.testing._timeline import FakeLoop, Host, Timeline

__all__ = ["FakeClock"]

_START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A `Clock` that stands still until it is told to move; loops run inside the call that moves it.

    Every loop runs on the thread that moves time, in the order of due times, each at exactly its due time (of equal
    ones the older loop first). A new loop is due at once: its first turn comes with the next `advance`, also
    ``advance(0)``. A turn may itself call `advance` or `wait`: time then moves inside the turn, others run, the loop
    under way does not start again. An exception of a turn ends its loop and comes out of the call that moved time.

    Args:
        start: The wall clock at the beginning (aware); 2026-01-01T00:00:00Z by default. The monotonic clock starts
            at zero.

    Raises:
        InvalidConfigurationError: `start` has no time zone.

    >>> clock = FakeClock()
    >>> def step():
    ...     print(clock.now_utc.to_time_string())
    ...     return clock.now().mono_ms + 30_000
    >>> loop = clock.loop(step, name="beat")
    >>> clock.advance(60)
    00:00:00
    00:00:30
    00:01:00
    """

    def __init__(self, start: datetime | None = None) -> None:
        try:
            self._start_ms = epoch_ms(_START if start is None else start)
        except ValueError as error:
            raise InvalidConfigurationError(f"start is {start!r}: expected a datetime with a time zone") from error
        self._wall_offset_ms = self._start_ms
        self._timeline = Timeline()
        self._host = Host()

    def now(self) -> Instant:
        """Both clocks of this machine."""
        true_ms = self._timeline.now_ms
        host = self._host
        awake_ms = true_ms if host.asleep_since is None else host.asleep_since
        return Instant(self._wall_offset_ms + true_ms, awake_ms - host.slept_ms)

    @property
    def now_utc(self) -> DateTime:
        """The wall clock as a UTC `pendulum.DateTime`."""
        return to_datetime(self.now().wall_ms)

    @property
    def monotonic(self) -> float:
        """The monotonic clock in seconds."""
        return self.now().mono_ms / 1000

    def loop(self, step: Step, *, name: str) -> FakeLoop:
        """Run `step` whenever it is due while time is moved; a time asked for that has passed means in 1 ms."""
        return self._timeline.add(self._host, step, name)

    def wait(self, event: threading.Event, timeout_ms: int) -> bool:
        """Move time from turn to turn until `event` is set or `timeout_ms` have passed; true if it is set."""
        if event.is_set():
            return True
        timeline = self._timeline
        with timeline.lock:
            timeline.run_until(timeline.now_ms + max(timeout_ms, 0), event)
        return event.is_set()

    def advance(self, seconds: float | timedelta) -> None:
        """Move time on, for this clock and its siblings, and run every loop that is due until then, inclusive.

        Raises:
            InvalidConfigurationError: The time is negative or no number.
        """
        length_ms = _forward(seconds)
        timeline = self._timeline
        with timeline.lock:
            timeline.run_until(timeline.now_ms + length_ms)

    def jump_wall(self, seconds: float | timedelta) -> None:
        """Set the wall clock forward, or back with a negative number (DST, NTP, a hand); nothing else moves."""
        self._wall_offset_ms += _milliseconds(seconds)

    def suspend(self, seconds: float | timedelta) -> None:
        """Put this machine to sleep: its wall clock goes on, its monotonic clock and its loops stand still.

        Siblings stay awake and their loops run meanwhile. A loop that was due in 10 s is due 10 s after waking up.
        """
        length_ms = _forward(seconds)
        with self._timeline.lock:
            self._timeline.suspend(self._host, length_ms)

    def stall(self, seconds: float | timedelta) -> None:
        """Stop this machine's loops for the next `seconds` (a stopped process); time moves by later calls only.

        Both its clocks go on. What became due meanwhile runs once, late.
        """
        length_ms = _forward(seconds)
        with self._timeline.lock:
            self._host.stalled_until = max(self._host.stalled_until, self._timeline.now_ms + length_ms)

    def kill(self) -> None:
        """End every loop of this machine at once, as SIGKILL ends a process; its clocks go on, new loops may start.

        Nothing is told to the owners of the loops: a service on this clock does not run any more and said no goodbye.
        """
        with self._timeline.lock:
            self._host.stalled_until = 0  # what was stopped is dead
            for loop in tuple(self._host.loops):
                loop.end()

    def sibling(self, *, skew: float | timedelta = 0) -> FakeClock:
        """The clock of another machine at the same time: moving either moves both.

        Args:
            skew: Seconds by which its wall clock is ahead of true time (behind, if negative), whatever was done to
                the wall clock of this one.
        """
        skew_ms = _milliseconds(skew)
        other = copy.copy(self)
        other._become_sibling(skew_ms)  # noqa: SLF001 - it is one of us
        return other

    def _become_sibling(self, skew_ms: int) -> None:
        self._host = Host()
        self._wall_offset_ms = self._start_ms + skew_ms

    def __repr__(self) -> str:
        instant, host = self.now(), self._host
        asleep = "" if host.asleep_since is None else ", asleep"
        stalled = ", stalled" if host.stalled_until > self._timeline.now_ms else ""
        loops = len(host.loops)
        return (
            f"<FakeClock {to_iso(instant.wall_ms)}, monotonic {instant.mono_ms / 1000:.3f} s, "
            f"{loops} loop{'' if loops == 1 else 's'}{asleep}{stalled}>"
        )


def _milliseconds(seconds: float | timedelta) -> int:
    if isinstance(seconds, timedelta):
        return span_ms(seconds)
    try:
        return round(seconds * 1000)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidConfigurationError(f"{seconds!r} is no time: expected seconds or a timedelta") from error


def _forward(seconds: float | timedelta) -> int:
    length_ms = _milliseconds(seconds)
    if length_ms < 0:
        raise InvalidConfigurationError(f"time does not run back by {-length_ms} ms: use jump_wall to set a wall clock")
    return length_ms
