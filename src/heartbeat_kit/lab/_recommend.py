"""`recommend`: the setting a trace speaks for, with the reason in words.

Owns the grid that is tried, the choice and the paragraph. The figures come from `replay`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Final

import attrs

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._tables import html_table
from heartbeat_kit._times import to_duration
from heartbeat_kit._words import counted, said
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab._lengths import positive_ms
from heartbeat_kit.lab._replay import replay
from heartbeat_kit.lab._sweep import Sweep, SweepRow, setting_of
from heartbeat_kit.lab._trace import Trace
from heartbeat_kit.lab._words import per_week, times

__all__ = ["Recommendation", "recommend"]

_MULTIPLES: Final = (2, 2.5, 3, 4, 5, 6, 8, 10, 13, 16, 20, 26, 32, 40)
"""Timeouts tried, in beats: each about a quarter above the one before."""
_WEEK_MS: Final = 7 * 86_400_000
_RULE_OF_THREE: Final = 3
"""After n units of time without an event, its rate is below 3 / n with 95 % confidence (Hanley, Lippman-Hand 1983)."""


@attrs.frozen(kw_only=True)
class Recommendation:
    """A setting and why.

    Attributes:
        config: The setting.
        meets: Whether it meets all that was asked.
        reason: What was tried, what would have gone wrong, why this one.
        sweep: Everything that was tried.
    """

    config: HeartbeatConfig
    meets: bool
    reason: str
    sweep: Sweep

    def __repr__(self) -> str:
        return (
            f"<Recommendation {setting_of(self.config)}{'' if self.meets else ', which does not meet what was asked'}>"
        )

    def _repr_html_(self) -> str:
        return html_table(("recommended", "why"), [(setting_of(self.config), self.reason)]) + self.sweep._repr_html_()


def recommend(
    trace: Trace,
    *,
    max_false_per_week: float = 1.0,
    max_detection: timedelta | None = None,
    intervals: Iterable[timedelta] | None = None,
    tried: Sweep | None = None,
) -> Recommendation:
    """Find the setting that a trace speaks for.

    For each beat, timeouts from 2 to 40 beats are replayed. Of those that meet what was asked the fastest is taken
    that would still have met `max_false_per_week` one step shorter (about a quarter), so that it does not stand on the
    edge of what this one trace happened to hold; without such a one, the slowest that meets it.

    Args:
        trace: What was seen.
        max_false_per_week: Machines of the fleet wrongly called offline, at most so many a week.
        max_detection: How long after its last beat a dead machine may be called offline at the latest: the deadline,
            see `Replay.deadline`. ``None``: as fast as the mistakes allow.
        intervals: Beats to consider, none shorter than the recorded one: a longer one is tried by leaving beats out
            (`Trace.thinned`). Only the recorded one by default.
        tried: Choose from these, a `sweep` of this trace or the `Recommendation.sweep` of another wish, instead of
            replaying anything.

    Raises:
        InvalidConfigurationError: A limit that is none, a trace without length, or settings tried on another one.

    >>> from heartbeat_kit.lab import Trace, recommend
    >>> beats = [*range(0, 600, 30), *range(900, 1500, 30)]
    >>> trace = Trace.of_timestamps({"web-1": beats, "web-2": range(0, 1500, 30)}, interval=timedelta(seconds=30))
    >>> recommend(trace, max_false_per_week=0), recommend(trace, max_detection=timedelta(minutes=3)).meets
    (<Recommendation 30 s / 240 s>, False)
    """
    limit = _false_limit(max_false_per_week)
    longest_ms = None if max_detection is None else positive_ms("max_detection", max_detection)
    if not trace.duration_ms or not trace.machines:
        raise InvalidConfigurationError(f"{trace!r} says nothing about any setting: record more than one look")
    rows = _rows(trace, intervals) if tried is None else _given(trace, intervals, tried)
    chosen = _choice(rows, limit, longest_ms)
    meets = _meets(chosen, limit, longest_ms)
    return Recommendation(
        config=chosen.config,
        meets=meets,
        reason=_reason(trace, rows, chosen, limit, longest_ms),
        sweep=Sweep(rows=rows, trace=trace),
    )


def _rows(trace: Trace, intervals: Iterable[timedelta] | None) -> tuple[SweepRow, ...]:
    if intervals is not None and not isinstance(intervals, Iterable):
        raise InvalidConfigurationError(f"intervals is {intervals!r:.80}: expected several timedeltas")
    recorded_ms = trace.facts.heartbeat_interval_ms
    beats = {recorded_ms} if intervals is None else {positive_ms("intervals", each) for each in intervals}
    if not beats:
        raise InvalidConfigurationError("intervals is empty: give at least one, or None for the recorded one")
    return tuple(row for beat_ms in sorted(beats) for row in _tried(trace, beat_ms))


def _given(trace: Trace, intervals: Iterable[timedelta] | None, tried: Sweep) -> tuple[SweepRow, ...]:
    if intervals is not None:
        raise InvalidConfigurationError("both intervals and tried are given: what was tried has its beats")
    if not isinstance(tried, Sweep) or not tried.rows or tried.trace != trace:
        raise InvalidConfigurationError(f"tried is {tried!r:.200}: expected a Sweep of {trace!r}")
    return tuple(sorted(tried.rows, key=lambda row: (row.config.heartbeat_interval, row.deadline_ms)))


def _false_limit(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InvalidConfigurationError(f"max_false_per_week is {value!r:.80}: expected a number of zero or more")
    return float(value)


def _tried(trace: Trace, beat_ms: int) -> Iterable[SweepRow]:
    thinned = trace if beat_ms == trace.facts.heartbeat_interval_ms else trace.thinned(to_duration(beat_ms))
    recorded = trace.facts.check_interval_ms != trace.facts.heartbeat_interval_ms
    for multiple in _MULTIPLES:
        config = attrs.evolve(
            trace.config,
            heartbeat_interval=to_duration(beat_ms),
            offline_timeout=to_duration(int(beat_ms * multiple)),
            check_interval=to_duration(trace.facts.check_interval_ms) if recorded else None,
        )
        yield SweepRow.of(setting_of(config), trace, replay(thinned, config))


def _rate(row: SweepRow) -> float:
    return row.mistakes_per_week or 0.0


def _meets(row: SweepRow, limit: float, longest_ms: int | None) -> bool:
    return _rate(row) <= limit and (longest_ms is None or row.deadline_ms <= longest_ms)


def _choice(rows: tuple[SweepRow, ...], limit: float, longest_ms: int | None) -> SweepRow:
    fit = [row for row in rows if _meets(row, limit, longest_ms)]
    if not fit:
        return min(rows, key=lambda row: (_miss(row, limit, longest_ms), row.deadline_ms))
    shorter = {id(row): before for before, row in pairwise(rows) if _same_beat(before, row)}
    easy = [row for row in fit if id(row) in shorter and _rate(shorter[id(row)]) <= limit]
    if easy:
        return min(easy, key=lambda row: row.deadline_ms)
    return max(fit, key=lambda row: row.deadline_ms)


def _same_beat(one: SweepRow, other: SweepRow) -> bool:
    return one.config.heartbeat_interval == other.config.heartbeat_interval


def _miss(row: SweepRow, limit: float, longest_ms: int | None) -> float:
    """How far a setting is from what was asked: the worse of the two ratios (a mistake more weighs as one a week)."""
    late = 0.0 if longest_ms is None else math.log(max(row.deadline_ms / longest_ms, 1.0))
    return max(late, math.log(max((_rate(row) + 1) / (limit + 1), 1.0)))


def _reason(trace: Trace, rows: tuple[SweepRow, ...], chosen: SweepRow, limit: float, longest_ms: int | None) -> str:
    asked = f"machines wrongly called offline at most {times(limit)} a week"
    if longest_ms is not None:
        asked += f" and a death called within {said(longest_ms)}"
    names = [row.name for row in rows]
    tried = (
        f"Tried on {len(trace.looks)} looks at {len(trace.machines)} machines over {said(trace.duration_ms)}: "
        f"{len(rows)} settings from {names[0]} to {names[-1]} (beat / timeout)."
    )
    parts = [f"Asked: {asked}.", tried]
    wrong = [row for row in rows if _rate(row) > limit]
    if wrong:
        worst = max(wrong, key=_rate)
        parts.append(
            f"{len(wrong)} of them would have been wrong too often; {worst.name} most, with "
            f"{counted(worst.quality.mistakes, 'mistake')} ({per_week(_rate(worst))})."
        )
    slow = [row for row in rows if longest_ms is not None and row.deadline_ms > longest_ms]
    if slow:
        parts.append(f"{len(slow)} would have called a death too late.")
    outcome = (
        f"{chosen.name} would have made {counted(chosen.quality.mistakes, 'mistake')} ({per_week(_rate(chosen))}) "
        f"and calls a machine offline {said(chosen.deadline_ms)} after its last beat"
    )
    if _meets(chosen, limit, longest_ms):
        parts.append(f"{outcome}; {_why(rows, chosen, limit)}.")
    else:
        parts.append(f"No setting meets {'both' if longest_ms is not None else 'that'}. The nearest: {outcome}.")
        parts += _sides(rows, limit, longest_ms)
    if not chosen.quality.mistakes:
        bound = _RULE_OF_THREE * _WEEK_MS / trace.duration_ms
        parts.append(
            f"A trace of this length without a mistake leaves up to {per_week(bound)} possible (95 %); a longer one "
            "says more."
        )
    if chosen.undecided:
        parts.append(
            f"Silences that last to the end of the trace, {chosen.undecided} here, count neither as deaths nor as "
            "mistakes."
        )
    return " ".join(parts)


def _sides(rows: tuple[SweepRow, ...], limit: float, longest_ms: int | None) -> Iterable[str]:
    """What each of two limits alone would allow, so that one can be chosen to give way."""
    if longest_ms is None:
        return
    if right := [row for row in rows if _rate(row) <= limit]:
        fastest = min(right, key=lambda row: row.deadline_ms)
        yield f"The fastest that is right often enough is {fastest.name}, after {said(fastest.deadline_ms)}."
    if soon := [row for row in rows if row.deadline_ms <= longest_ms]:
        best = min(soon, key=lambda row: (_rate(row), row.deadline_ms))
        yield f"Of those that are fast enough, {best.name} is wrong least often, {per_week(_rate(best))}."


def _why(rows: tuple[SweepRow, ...], chosen: SweepRow, limit: float) -> str:
    place = rows.index(chosen)
    if place == 0 or not _same_beat(rows[place - 1], chosen):
        return "no shorter one was tried"
    below = rows[place - 1]
    if _rate(below) <= limit:
        return f"it is the fastest that leaves a margin, {below.name} would have met the limit too"
    return f"nothing that is fast enough leaves a margin, {below.name} would have been wrong too often"
