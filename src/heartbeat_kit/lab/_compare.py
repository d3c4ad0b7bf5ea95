"""`compare`: the library's verdicts beside other detectors' on the same trace, against the same truth.

Owns running a detector over a trace and the table. The figures are those of `assess`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from attrs import field

from heartbeat_kit._clock import Instant
from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._tables import html_table
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab._detectors import Detector
from heartbeat_kit.lab._quality import Quality, Span, assess, quality_columns
from heartbeat_kit.lab._replay import others, replay
from heartbeat_kit.lab._sweep import setting_of
from heartbeat_kit.lab._trace import Trace
from heartbeat_kit.lab._words import markdown_table

__all__ = ["Comparison", "DetectorRun", "compare", "run_detector"]

_LEFT_OUT: Final = frozenset({"duplicates"})
"""A detector that only suspects announces nothing, so it cannot announce it twice."""


@attrs.frozen(kw_only=True)
class Comparison:
    """Detectors side by side. `str()` is a Markdown table.

    Attributes:
        qualities: The figures by the detector's name; the library first.
        caption: What they were compared on.
    """

    qualities: Mapping[str, Quality] = field(converter=frozen_mapping)
    caption: str

    def __getitem__(self, name: str) -> Quality:
        if name not in self.qualities:
            raise KeyError(f"no detector {name!r} here: expected one of {', '.join(self.qualities)}")
        return self.qualities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.qualities)

    def __len__(self) -> int:
        return len(self.qualities)

    def __str__(self) -> str:
        return markdown_table(*self._table())

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.qualities)} detectors on {self.caption}>"

    def _repr_html_(self) -> str:
        columns, rows = self._table()
        return html_table(columns, rows, caption=repr(self)[1:-1])

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        columns: tuple[str, ...] = ("detector",)
        rows = []
        for name, quality in self.qualities.items():
            heads, cells = quality_columns(quality)
            kept = [place for place, head in enumerate(heads) if head not in _LEFT_OUT]
            columns = ("detector", *(heads[place] for place in kept))
            rows.append((name, *(cells[place] for place in kept)))
        return columns, rows


class DetectorRun:
    """A detector at work, look by look.

    It is told of the records that rose in a look, then asked about every machine heard so far; a suspicion begins and
    ends with a look. The detector given is left as it is: a copy runs.

    Args:
        detector: One of those here, or one of your own.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = copy.deepcopy(detector)
        self._spans: dict[str, list[Span]] = {}
        self._since: dict[str, int] = {}

    def look(self, at_ms: int, now: Instant, risen: Iterable[Heartbeat]) -> None:
        """One look.

        Args:
            at_ms: Its place on the axis of the spans.
            now: Both clocks of the observer; the detector is given the one it goes by.
            risen: The records that rose.
        """
        detector, since = self._detector, self._since
        clock_ms = now.wall_ms if detector.wall_clock else now.mono_ms
        for beat in risen:
            detector.heard(beat.machine_id, beat.last_heartbeat_ms, clock_ms)
            self._spans.setdefault(beat.machine_id, [])
        for name, found in self._spans.items():
            suspected = detector.suspects(name, clock_ms)
            if suspected and name not in since:
                since[name] = at_ms
            elif not suspected and name in since:
                found.append(Span(since.pop(name), at_ms))

    def spans(self, end_ms: int) -> dict[str, list[Span]]:
        """When each machine was suspected, with what is still suspected at the end."""
        lasting = {name: [Span(begun_ms, max(end_ms, begun_ms))] for name, begun_ms in self._since.items()}
        return {name: [*found, *lasting.get(name, [])] for name, found in self._spans.items()}


def run_detector(detector: Detector, trace: Trace) -> dict[str, list[Span]]:
    """When a detector would have suspected each machine of a trace; see `DetectorRun`.

    The observer's own record is passed over.

    Args:
        detector: One of those here, or one of your own.
        trace: What was seen.

    Returns:
        Spans in milliseconds since the first look, see `Trace.since_start_ms`.

    >>> from datetime import timedelta
    >>> from heartbeat_kit.lab import ArrivalTimeout, Trace, run_detector
    >>> trace = Trace.of_timestamps({"web-1": [0, 30, 60, 300, 330]}, interval=timedelta(seconds=30))
    >>> run_detector(ArrivalTimeout(timedelta(seconds=120)), trace)
    {'web-1': [Span(start_ms=180000, end_ms=300000)]}
    """
    running = DetectorRun(detector)
    for look, risen in trace.rises():
        others = [beat for beat in risen if beat.machine_id != trace.facts.observer]
        running.look(trace.since_start_ms(look.finished.mono_ms), look.finished, others)
    return running.spans(trace.duration_ms)


def compare(
    trace: Trace,
    truth: Mapping[str, Sequence[Span]],
    detectors: Iterable[Detector] | Mapping[str, Detector],
    config: HeartbeatConfig | None = None,
) -> Comparison:
    """Score the library and other detectors on one trace.

    A goodbye is news to the library only: to the others it is a machine that falls silent.

    Args:
        trace: What was seen.
        truth: When each machine was alive, in milliseconds since the first look (`Trace.aligned` puts `Run.alive`
            there). Machines without an entry are left out, and so is the observer.
        detectors: By name, or a list: each is called by its ``repr`` then.
        config: The library's configuration; that of the recording by default.

    Raises:
        InvalidConfigurationError: `truth` is empty, or two detectors have one name.

    >>> from datetime import timedelta
    >>> from heartbeat_kit.lab import ArrivalTimeout, Span, Trace, compare
    >>> beats = [*range(0, 600, 30), *range(840, 1500, 30)]
    >>> trace = Trace.of_timestamps({"web-1": beats}, interval=timedelta(seconds=30))
    >>> found = compare(trace, {"web-1": [Span(0, 1_500_000)]}, {"on arrival": ArrivalTimeout()})
    >>> {name: found[name].mistakes for name in found}
    {'heartbeat_kit 30 s / 120 s': 1, 'on arrival': 1}
    """
    if not truth:
        raise InvalidConfigurationError("truth is empty: give for each machine the spans in which it was alive")
    config = trace.config if config is None else config
    alive = others(truth, trace)
    qualities = {f"heartbeat_kit {setting_of(config)}": replay(trace, config, truth=truth).quality}
    named: list[tuple[str, Any]] = (
        [*detectors.items()] if isinstance(detectors, Mapping) else [(repr(each), each) for each in detectors]
    )
    for name, detector in named:
        if name in qualities:
            raise InvalidConfigurationError(f"two detectors are called {name!r}: give them in a mapping, by name")
        suspected = {machine: spans for machine, spans in run_detector(detector, trace).items() if machine in alive}
        qualities[name] = assess(alive=alive, suspected=suspected, duration_ms=max(trace.duration_ms, 1))
    return Comparison(qualities=qualities, caption=repr(trace)[1:-1])
