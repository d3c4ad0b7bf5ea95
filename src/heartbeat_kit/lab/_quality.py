"""`Quality`: how good a failure detector was, in the field's terms, from what was true and what was suspected.

Owns the metrics and their definitions. Pure. Must not know services, media or how a run came about.

The metrics are those of W. Chen, S. Toueg, M. K. Aguilera, "On the Quality of Service of Failure Detectors", IEEE
Transactions on Computers 51(5), 2002: detection time (T_D), mistake rate (λ_M), mistake duration (T_M) and query
accuracy probability (P_A); extended to machines that come back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._tables import html_table
from heartbeat_kit._times import to_duration
from heartbeat_kit._words import counted, said
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["Quality", "Span", "assess", "quality_columns"]

_DAY_MS: Final = 86_400_000


class Span(NamedTuple):
    """A stretch of true time, half-open: from `start_ms` up to, not including, `end_ms`.

    Attributes:
        start_ms: Milliseconds since the start of the run.
        end_ms: The same; after `start_ms`.
    """

    start_ms: int
    end_ms: int


def _optional_duration(ms: int | None) -> Duration | None:
    return None if ms is None else to_duration(ms)


@attrs.frozen(kw_only=True)
class Quality:
    """What `assess` found. Figures of which there is no instance are ``None``, never zero.

    Attributes:
        machines: Machines watched; one that several observers watch counts once for each.
        duration: Length of the run.
        machine_days: Days the machines were alive, added up over the machines.
        mistakes: Suspicions that began while the machine was alive.
        mistakes_per_machine_day: The mistake rate λ_M, per day that a machine was alive.
        mistake_duration: Mean of T_M: from the wrong suspicion until it was taken back, or came true.
        query_accuracy: P_A: share of the machines' alive time in which they were not suspected, 0 to 1.
        deaths: Stretches in which a machine was not alive after it had been.
        detections: Deaths that were suspected when they ended, or when the run did.
        detection_time: Mean of T_D: from the death to the suspicion that held until its end; 0 if it was suspected
            already.
        detection_time_p99: The 99th percentile of T_D (nearest rank).
        missed: Deaths longer than the limit that were not detected.
        duplicates: Events announced more than once.
    """

    machines: int
    duration_ms: int = field(alias="duration")
    machine_days: float
    mistakes: int
    mistakes_per_machine_day: float | None
    mistake_duration_ms: int | None = field(alias="mistake_duration")
    query_accuracy: float | None
    deaths: int
    detections: int
    detection_time_ms: int | None = field(alias="detection_time")
    detection_time_p99_ms: int | None = field(alias="detection_time_p99")
    missed: int
    duplicates: int = 0

    @property
    def duration(self) -> Duration:
        """Length of the run."""
        return to_duration(self.duration_ms)

    @property
    def mistake_duration(self) -> Duration | None:
        """Mean duration of a mistake."""
        return _optional_duration(self.mistake_duration_ms)

    @property
    def detection_time(self) -> Duration | None:
        """Mean detection time."""
        return _optional_duration(self.detection_time_ms)

    @property
    def detection_time_p99(self) -> Duration | None:
        """99th percentile of the detection time."""
        return _optional_duration(self.detection_time_p99_ms)

    def to_row(self) -> dict[str, Any]:
        """Plain numbers for a table or a data frame; durations in seconds, what there is none of is ``None``."""
        return {
            "machines": self.machines,
            "duration_s": self.duration_ms / 1000,
            "machine_days": self.machine_days,
            "mistakes": self.mistakes,
            "mistakes_per_machine_day": self.mistakes_per_machine_day,
            "mistake_duration_s": _seconds(self.mistake_duration_ms),
            "query_accuracy": self.query_accuracy,
            "deaths": self.deaths,
            "detections": self.detections,
            "detection_time_s": _seconds(self.detection_time_ms),
            "detection_time_p99_s": _seconds(self.detection_time_p99_ms),
            "missed": self.missed,
            "duplicates": self.duplicates,
        }

    def __repr__(self) -> str:
        found = (
            "no deaths"
            if not self.deaths
            else f"{self.detections} of {self.deaths} deaths detected"
            + (
                f" in {said(self.detection_time_ms)} (p99 {said(self.detection_time_p99_ms)})"
                if self.detections
                else ""
            )
        )
        return (
            f"<Quality {counted(self.machines, 'machine')}, {self.machine_days:.3g} machine-days: "
            f"{counted(self.mistakes, 'mistake')} "
            f"({_rate(self.mistakes_per_machine_day)} a machine-day), accuracy {_share(self.query_accuracy)}, {found}, "
            f"{self.missed} missed, {counted(self.duplicates, 'duplicate')}>"
        )

    def _repr_html_(self) -> str:
        columns, row = quality_columns(self)
        return html_table(
            columns, [row], caption=f"{counted(self.machines, 'machine')}, {self.machine_days:.3g} machine-days"
        )


def quality_columns(quality: Quality) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Headings and cells of the figures people compare, as text."""
    cells = {
        "mistakes": str(quality.mistakes),
        "a machine-day": _rate(quality.mistakes_per_machine_day),
        "mistake lasts": said(quality.mistake_duration_ms),
        "accuracy": _share(quality.query_accuracy),
        "deaths": str(quality.deaths),
        "detected": str(quality.detections),
        "detection": said(quality.detection_time_ms),
        "detection p99": said(quality.detection_time_p99_ms),
        "missed": str(quality.missed),
        "duplicates": str(quality.duplicates),
    }
    return tuple(cells), tuple(cells.values())


def assess(
    *,
    alive: Mapping[str, Sequence[Span]],
    suspected: Mapping[str, Sequence[Span]],
    duration_ms: int,
    duplicates: int = 0,
    detectable_after_ms: int = 0,
    watched: Mapping[str, Sequence[Span]] = MappingProxyType({}),
) -> Quality:
    """Score suspicions against the truth.

    Spans that touch or overlap count as one, and what lies outside the run is cut off. For each machine:

    - a *mistake* is a suspicion that begins while the machine is alive, however soon after its return. It lasts until
      it is taken back, until the machine dies (it has come true), or until the run ends;
    - a suspicion that begins while the machine is dead and outlasts its return, because the observer has yet to hear
      of it, is no mistake; its rest counts against the query accuracy only;
    - a *death* is a stretch without life after a life in this run; before its first life a machine is not yet there.
      It is *detected* if the machine is suspected at its end, the return or the end of the run. The detection time
      runs from the death to the beginning of that suspicion: one that was taken back on the way detected nothing;
    - a death that was not detected is *missed* if it lasted longer than `detectable_after_ms`.

    Args:
        alive: When each machine was alive; a machine without spans never lived.
        suspected: When each was suspected; a machine may be left out.
        duration_ms: Length of the run.
        duplicates: Passed on into the result.
        detectable_after_ms: How long a death must last to be detectable at all.
        watched: When each machine was watched, if not all the time. Nothing counts after the end of the last span, and
            a death is missed only if one span shows more than `detectable_after_ms` of it.

    Raises:
        InvalidConfigurationError: A span that ends before it begins, a machine suspected of which `alive` knows
            nothing, or a run without length.

    >>> assess(
    ...     alive={"web-1": [Span(0, 600_000)], "web-2": [Span(0, 3_600_000)]},
    ...     suspected={"web-1": [Span(850_000, 3_600_000)], "web-2": [Span(60_000, 96_000)]},
    ...     duration_ms=3_600_000,
    ... )
    <Quality 2 machines, 0.0486 machine-days: 1 mistake (20.6 a machine-day), accuracy 99.1429 %, 1 of 1 deaths \
detected in 4 min 10 s (p99 4 min 10 s), 0 missed, 0 duplicates>
    """
    if duration_ms <= 0:
        raise InvalidConfigurationError(f"duration_ms is {duration_ms!r}: expected a positive number of milliseconds")
    if strangers := sorted(suspected.keys() - alive.keys()):
        raise InvalidConfigurationError(
            f"{', '.join(strangers)} suspected, but nothing is said of when they were alive: "
            f"alive has {', '.join(sorted(alive)) or 'nobody'}"
        )
    alive_ms = wrong_ms = deaths = missed = 0
    mistakes: list[int] = []
    detections: list[int] = []
    for machine, given in alive.items():
        watching = _tidy(machine, watched.get(machine, (Span(0, duration_ms),)), duration_ms)
        end_ms = watching[-1].end_ms if watching else 0
        lives = _tidy(machine, given, end_ms)
        doubts = _tidy(machine, suspected.get(machine, ()), end_ms)
        alive_ms += sum(life.end_ms - life.start_ms for life in lives)
        wrong_ms += _overlap(lives, doubts)
        mistakes += _mistakes(lives, doubts)
        for death in _deaths(lives, end_ms):
            deaths += 1
            doubt = _holding_at(doubts, death.end_ms - 1)
            if doubt is not None:
                detections.append(max(doubt.start_ms - death.start_ms, 0))
            elif any(_overlap([death], [shown]) > detectable_after_ms for shown in watching):
                missed += 1
    days = alive_ms / _DAY_MS
    return Quality(
        machines=len(alive),
        duration=duration_ms,
        machine_days=days,
        mistakes=len(mistakes),
        mistakes_per_machine_day=len(mistakes) / days if days else None,
        mistake_duration=_mean(mistakes),
        query_accuracy=1 - wrong_ms / alive_ms if alive_ms else None,
        deaths=deaths,
        detections=len(detections),
        detection_time=_mean(detections),
        detection_time_p99=_p99(detections),
        missed=missed,
        duplicates=duplicates,
    )


def _tidy(machine: str, spans: Iterable[Span], limit_ms: int) -> list[Span]:
    """Sorted, cut to what was watched, with what touches joined."""
    tidy: list[Span] = []
    for start, end in sorted(spans):
        if end < start:
            raise InvalidConfigurationError(f"a span of {machine} ends at {end} ms before it begins at {start} ms")
        cut = Span(max(start, 0), min(end, limit_ms))
        if cut.end_ms <= cut.start_ms:
            continue
        if tidy and cut.start_ms <= tidy[-1].end_ms:
            tidy[-1] = Span(tidy[-1].start_ms, max(tidy[-1].end_ms, cut.end_ms))
        else:
            tidy.append(cut)
    return tidy


def _holding_at(spans: Sequence[Span], moment_ms: int) -> Span | None:
    """The span that contains the moment."""
    place = bisect_right(spans, moment_ms, key=lambda span: span.start_ms) - 1
    return spans[place] if place >= 0 and moment_ms < spans[place].end_ms else None


def _overlap(lives: Sequence[Span], doubts: Sequence[Span]) -> int:
    return sum(
        max(min(life.end_ms, doubt.end_ms) - max(life.start_ms, doubt.start_ms), 0)
        for life in lives
        for doubt in doubts
    )


def _mistakes(lives: Sequence[Span], doubts: Sequence[Span]) -> list[int]:
    """The length of each mistake."""
    found = ((doubt, _holding_at(lives, doubt.start_ms)) for doubt in doubts)
    return [min(doubt.end_ms, life.end_ms) - doubt.start_ms for doubt, life in found if life is not None]


def _deaths(lives: Sequence[Span], limit_ms: int) -> list[Span]:
    returns = [*(life.start_ms for life in lives[1:]), limit_ms]
    return [Span(life.end_ms, back) for life, back in zip(lives, returns, strict=False) if life.end_ms < back]


def _mean(values: Sequence[int]) -> int | None:
    return round(sum(values) / len(values)) if values else None


def _p99(values: Sequence[int]) -> int | None:
    return sorted(values)[-(-99 * len(values) // 100) - 1] if values else None


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _rate(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.3g}"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.6g} %"
