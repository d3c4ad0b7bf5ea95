"""`JitterMeter`: how much longer than at best a medium that delays takes to show a beat.

Owns the measured allowance: what a rise tells of a delay, and the estimate made of many. Must not know verdicts,
records or a clock; every time is given to it.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

__all__ = ["JitterMeter"]

_WINDOW: Final = 200
_MACHINES: Final = 40  # × _WINDOW: at most 8,000 samples. Few machines with a floor each beat many without one.
_ENOUGH: Final = 50
_CAP_MS: Final = 600_000
_STEP_MS: Final = 60_000
_STEP_P99: Final = 3
_IN_A_ROW: Final = 5
_DUE: Final = 8  # beats that were due, and of which none came, before we say that the medium stood still
_REFRESH: Final = 25
_MISSED: Final = 20  # of beats far faster than the medium, this many a rise tell enough

# Floor: see `_Window.offset_ms`.
_ORDER: Final = 5
_REACH: Final = math.gamma(_ORDER + 0.5) / (math.gamma(_ORDER) * math.gamma(1.5)) - 1

# Edges of the histogram: 0, 0.1 s, then 15 % apart up to the cap; a bound goes to the nearest.
_EDGES: Final = (0.0, *(100 * 1.15**i for i in range(int(math.log(_CAP_MS / 100) / math.log(1.15)) + 1)), _CAP_MS)
_BETWEEN: Final = tuple((a + b) / 2 for a, b in pairwise(_EDGES))
_BINS: Final = len(_EDGES)  # the last one is open: not seen within the cap
_ROUNDS: Final = 30  # fewer leave a coherent medium at half a look, more fit the noise of the tail
_TAIL: Final = tuple(1 - math.exp(-x / 10) for x in (16, 21, 26, 31, 36, 42))  # P80 … P98.5, evenly in log survival


class _Sample(NamedTuple):
    """A beat that was seen, in the sender's stamps: it took between `low_ms` and `high_ms`.

    `missed` beats before it, `spacing_ms` apart, were never seen: each had not arrived at `low_ms` of this one's time.
    """

    low_ms: int
    high_ms: int
    missed: int
    spacing_ms: int


class _Window:
    """What is known of one machine."""

    __slots__ = ("floor_ms", "incarnation", "late", "samples", "seen_ms", "seq", "stamp_ms")

    def __init__(self, incarnation: int, seq: int, stamp_ms: int) -> None:
        self.incarnation = incarnation
        self.seq = seq
        self.stamp_ms = stamp_ms
        self.seen_ms = 0
        self.samples: deque[_Sample] = deque()
        self.late: list[_Sample] = []
        self.floor_ms = 0

    def add(self, sample: _Sample) -> None:
        samples = self.samples
        if not samples or sample.high_ms < self.floor_ms:
            self.floor_ms = sample.high_ms
        samples.append(sample)
        if len(samples) > _WINDOW and samples.popleft().high_ms == self.floor_ms:
            self.floor_ms = min(known.high_ms for known in samples)

    def offset_ms(self) -> float:
        """The skew plus the best delay: where this machine's jitter is zero.

        The least upper end still holds what the luckiest beat waited for its look. An upper end is the sum of a delay
        and a wait, so the ends grow with the square root of their rank near the least one, and the first and the
        fifth tell where they start (after the end point estimate of Robson & Whitlock 1964).
        """
        if len(self.samples) < _ENOUGH:
            return self.floor_ms
        ends = sorted([sample.high_ms for sample in self.samples])
        return ends[0] - (ends[_ORDER - 1] - ends[0]) / _REACH


class JitterMeter:
    """The p99 of the jitter of a medium, from the rises one observer saw.

    A beat's delay is known only up to its sender's clock skew, and the moment it arrived only up to the observer's
    looks: it came after the last look that did not show it. A beat that a newer one replaced before any look showed
    it is known to have been later than that look. Leaving such beats out would hide the long delays, and taking the
    look's time would add one look to all of them. So the distribution is estimated from the bounds themselves, by
    self-consistency (Turnbull 1976; the estimate of Kaplan & Meier 1958 for beats that were never seen), relative to
    each machine's own best delay and pooled over the machines. A straight line through the logarithm of its survival
    from P80 to P98.5 gives the p99: the last percent alone is a handful of beats.

    A clock that was set, and an observer that was suspended, are not jitter: see `rose`. Values never exceed ten
    minutes. Of a fleet of more than 40 machines, 40 are measured; one that was silent for ten minutes gives its place
    to the next.

    Example:
        >>> meter = JitterMeter()
        >>> for seq in range(50):
        ...     delay = 200 * (seq % 10)
        ...     sent = 10_000 * seq
        ...     meter.rose(
        ...         "web1", incarnation=1, seq=seq, stamp_ms=sent, interval_ms=10_000,
        ...         unseen_ms=sent + delay - 100, seen_ms=sent + delay,
        ...     )
        >>> meter.samples, 1_500 < meter.p99_ms < 2_500
        (50, True)
    """

    def __init__(self) -> None:
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._samples = 0
        self._p99_ms: int | None = None
        self._limit_ms = _STEP_MS
        self._fresh = 0
        self._look_ms: int | None = None
        self._rose_in_look = 0
        self._usual_rises = 0.0
        self._usual_ms = 0.0
        self._stood_still = False

    @property
    def samples(self) -> int:
        """How many beats the estimate rests on."""
        return self._samples

    @property
    def p99_ms(self) -> int | None:
        """The p99 of the jitter in milliseconds; ``None`` until 50 beats are known."""
        return self._p99_ms

    def rose(
        self,
        machine_id: str,
        *,
        incarnation: int,
        seq: int,
        stamp_ms: int,
        interval_ms: int,
        unseen_ms: int,
        seen_ms: int,
    ) -> None:
        """A look showed a newer record.

        A beat more than the greater of a minute and three times the p99 *below* the machine's best, or five in a row
        as far *above* it, mean that a clock was set (or the observer's stood still): what was known of the machine is
        forgotten. A new life keeps it. After a time in which nobody rose although eight beats were due, the medium
        stood still: a rise then tells how long, and is not measured.

        Args:
            machine_id: Whose record.
            incarnation: Which life of the sender.
            seq: The beat's number in it.
            stamp_ms: When it was sent, by the sender's wall clock.
            interval_ms: The beat the sender promises.
            unseen_ms: The observer's monotonic time of the last look that did not show it.
            seen_ms: The observer's monotonic time of the look that did.
        """
        if seen_ms != self._look_ms:
            self._next_look(unseen_ms, seen_ms, interval_ms)
        self._rose_in_look += 1
        window = self._windows.get(machine_id)
        if window is None:
            if not self._has_room(seen_ms):
                return
            window = self._windows[machine_id] = _Window(incarnation, seq, stamp_ms)
            jump = 1
        else:
            self._windows.move_to_end(machine_id)
            jump = seq - window.seq if incarnation == window.incarnation and seq > window.seq else 1
        # The promise bounds what two stamps say of the beats between them: one of the stamps may follow a set clock.
        spacing = min(max(stamp_ms - window.stamp_ms, 0) // jump, interval_ms)
        window.incarnation, window.seq, window.stamp_ms, window.seen_ms = incarnation, seq, stamp_ms, seen_ms
        if not self._stood_still:
            self._measure(window, _Sample(unseen_ms - stamp_ms, seen_ms - stamp_ms, jump - 1, spacing))

    def forget(self, machine_id: str) -> None:
        """A machine was removed: its beats no longer count."""
        window = self._windows.pop(machine_id, None)
        if window is not None:
            self._changed(-len(window.samples))

    def _has_room(self, seen_ms: int) -> bool:
        if len(self._windows) < _MACHINES:
            return True
        longest = next(iter(self._windows))
        if seen_ms - self._windows[longest].seen_ms <= _CAP_MS:
            return False
        self.forget(longest)
        return True

    def _next_look(self, unseen_ms: int, seen_ms: int, interval_ms: int) -> None:
        if self._look_ms is not None:
            self._usual_rises += (self._rose_in_look - self._usual_rises) / 8
            # Judged by the pace before this gap; both means begin at zero, so their ratio is right from the first.
            quiet = unseen_ms - self._look_ms
            due = self._usual_rises * quiet
            # Quiet for less than one interval are senders that beat in step, not a medium that stood still.
            self._stood_still = quiet >= interval_ms and due >= _DUE * self._usual_ms > 0
            self._usual_ms += (seen_ms - self._look_ms - self._usual_ms) / 8
        self._look_ms = seen_ms
        self._rose_in_look = 0

    def _measure(self, window: _Window, sample: _Sample) -> None:
        before = len(window.samples)
        new = [sample]
        if before:
            worst = window.floor_ms + self._limit_ms
            if sample.missed and sample.low_ms + sample.missed * sample.spacing_ms > worst:
                new = [sample._replace(missed=0)]  # so many were held up together: one event, not many delays
            if sample.high_ms < window.floor_ms - self._limit_ms:
                window.samples.clear()
                window.late = []
            elif sample.low_ms > worst:
                window.late += new
                if len(window.late) < _IN_A_ROW:
                    return
                window.samples.clear()
                new = []
            if window.late:
                new, window.late = window.late + new, []
        for one in new:
            window.add(one)
        self._changed(len(window.samples) - before)

    def _changed(self, more: int) -> None:
        self._samples += more
        self._fresh += 1 if more >= 0 else -more
        if self._samples < _ENOUGH:
            self._p99_ms = None
            self._limit_ms = _STEP_MS
        elif self._p99_ms is None or (self._fresh >= _REFRESH and self._fresh * 4 >= self._samples):
            self._fresh = 0
            self._p99_ms = round(_p99(_counted(self._windows.values())))
            self._limit_ms = max(_STEP_MS, _STEP_P99 * self._p99_ms)


def _counted(windows: Iterable[_Window]) -> dict[tuple[int, int], int]:
    """How many beats took from edge to edge; an upper edge of `_BINS` says that it was not seen."""
    seen: list[tuple[int, int]] = []
    missed: list[int] = []
    for window in windows:
        offset = window.offset_ms()
        seen += [
            (bisect(_BETWEEN, low - offset) if low > offset else 0, bisect(_BETWEEN, high - offset))
            for low, high, _, _ in window.samples
        ]
        missed += [
            bisect(_BETWEEN, low - offset + back * spacing)
            for low, _, gone, spacing in window.samples
            if gone and spacing
            for first in (max(int((offset - low) // spacing), 0) + 1,)  # newer ones were sent after that look
            for back in range(first, min(gone, first + _MISSED) + 1)
        ]
    counted: Counter[tuple[int, int]] = Counter()
    for (low, high), count in Counter(seen).items():
        start = min(low, _BINS - 2)  # the cap
        counted[start, max(high, start + 1)] += count
    for low, count in Counter(missed).items():
        if low:  # else nothing is known of it
            counted[low, _BINS] += count
    return counted


def _p99(counted: Mapping[tuple[int, int], int]) -> float:
    seen = [0.0] * (_BINS + 1)
    for (low, high), count in counted.items():
        if high < _BINS:
            seen[low] += count / (high - low)
            seen[high] -= count / (high - low)
    mass = list(accumulate(seen))[:_BINS]
    rows = [(low, high, count) for (low, high), count in counted.items()]
    for _ in range(_ROUNDS):
        below = [0.0, *accumulate(mass)]
        slope = [0.0] * (_BINS + 1)
        for low, high, count in rows:
            within = below[high] - below[low]
            if within > 1e-9:  # else it was missed for longer than any was seen to take: where to, nobody knows
                share = count / within
                slope[low] += share
                slope[high] -= share
        mass = [m * s for m, s in zip(mass, accumulate(slope), strict=False)]
    below = [0.0, *accumulate(mass)]
    return max(0.0, min(_line_through([(-math.log(1 - q), _quantile(below, q)) for q in _TAIL]), float(_CAP_MS)))


def _quantile(below: list[float], q: float) -> float:
    target = q * below[-1]
    i = min(max(next(i for i, b in enumerate(below) if b >= target) - 1, 0), _BINS - 2)
    part = (target - below[i]) / (below[i + 1] - below[i]) if below[i + 1] > below[i] else 1.0
    return _EDGES[i] + min(part, 1.0) * (_EDGES[i + 1] - _EDGES[i])


def _line_through(points: list[tuple[float, float]]) -> float:
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return mean_y + slope * (math.log(100) - mean_x)
