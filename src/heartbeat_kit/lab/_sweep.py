"""`sweep`: many configurations on one trace, side by side.

Owns the rows and what a setting is called. The figures come from `replay`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._tables import html_table, import_pandas
from heartbeat_kit._times import span_ms, to_duration
from heartbeat_kit._words import said
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab._quality import Quality, Span
from heartbeat_kit.lab._replay import Outcome, Replay, replay
from heartbeat_kit.lab._trace import Trace
from heartbeat_kit.lab._words import markdown_table

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["Sweep", "SweepRow", "setting_of", "sweep"]

_WEEK_MS: Final = 7 * 86_400_000
_COLUMNS: Final = (
    "setting",
    "mistakes",
    "a week",
    "a machine-day",
    "warnings",
    "detection",
    "detection p99",
    "counted",
    "deadline",
    "missed",
    "undecided",
)


@attrs.frozen(kw_only=True)
class SweepRow:
    """One configuration and what it would have done.

    Attributes:
        name: What the setting is called.
        config: The configuration.
        quality: All the figures.
        duration: Length of the trace.
        warnings: Warnings that would have been announced.
        undecided: Suspicions that the trace does not decide: silent to its end.
        deadline: How long a death stays undetected by the settings alone, see `Replay.deadline`.
    """

    name: str
    config: HeartbeatConfig
    quality: Quality
    duration_ms: int = field(alias="duration")
    warnings: int
    undecided: int
    deadline_ms: int = field(alias="deadline")

    @classmethod
    def of(cls, name: str, trace: Trace, outcome: Replay) -> SweepRow:
        """The row of a replay."""
        return cls(
            name=name,
            config=outcome.config,
            quality=outcome.quality,
            duration=trace.duration_ms,
            warnings=outcome.warnings,
            undecided=outcome.count(Outcome.UNDECIDED),
            deadline=outcome.deadline_ms,
        )

    @property
    def mistakes_per_week(self) -> float | None:
        """Wrong suspicions of the whole fleet a week; ``None`` for a trace without length."""
        return self.quality.mistakes * _WEEK_MS / self.duration_ms if self.duration_ms else None

    @property
    def measured(self) -> bool:
        """Whether the detection times were measured on deaths of the trace; if not they are the deadline."""
        return self.quality.detections > 0

    @property
    def detection_ms(self) -> int:
        """Mean detection time, measured; on a trace without a detected death the deadline."""
        found = self.quality.detection_time_ms
        return self.deadline_ms if found is None else found

    @property
    def detection_p99_ms(self) -> int:
        """99th percentile of the detection time, measured; on a trace without a detected death the deadline."""
        found = self.quality.detection_time_p99_ms
        return self.deadline_ms if found is None else found

    @property
    def detection(self) -> Duration:
        """Mean detection time, see `measured`."""
        return to_duration(self.detection_ms)

    @property
    def detection_p99(self) -> Duration:
        """99th percentile of the detection time, see `measured`."""
        return to_duration(self.detection_p99_ms)

    def to_row(self) -> dict[str, Any]:
        """Plain numbers for a data frame; durations in seconds."""
        return {
            "setting": self.name,
            "heartbeat_interval_s": span_ms(self.config.heartbeat_interval) / 1000,
            "offline_timeout_s": span_ms(self.config.offline_timeout) / 1000,
            "confirm_offline": self.config.confirm_offline,
            "mistakes": self.quality.mistakes,
            "mistakes_per_week": self.mistakes_per_week,
            "mistakes_per_machine_day": self.quality.mistakes_per_machine_day,
            "warnings": self.warnings,
            "detection_s": self.detection_ms / 1000,
            "detection_p99_s": self.detection_p99_ms / 1000,
            "detection_measured": self.measured,
            "deadline_s": self.deadline_ms / 1000,
            "missed": self.quality.missed,
            "undecided": self.undecided,
        }

    def _cells(self) -> tuple[str, ...]:
        week, day = self.mistakes_per_week, self.quality.mistakes_per_machine_day
        return (
            self.name,
            str(self.quality.mistakes),
            "–" if week is None else f"{week:.3g}",
            "–" if day is None else f"{day:.3g}",
            str(self.warnings),
            said(self.detection_ms),
            said(self.detection_p99_ms),
            "measured" if self.measured else "deadline",
            said(self.deadline_ms),
            str(self.quality.missed),
            str(self.undecided),
        )


@attrs.frozen(kw_only=True)
class Sweep:
    """Configurations side by side; a table in notebooks, and `str()` is the same in Markdown.

    The detection time is measured where the trace holds deaths. Where it holds none it is the deadline: twice the
    timeout, the medium's allowance and half the time between two looks after the last beat; the column ``counted``
    says which.

    Attributes:
        rows: One a configuration, in the order given.
        trace: What they were tried on.
    """

    rows: tuple[SweepRow, ...]
    trace: Trace = field(eq=False)

    @property
    def caption(self) -> str:
        """What they were tried on, in words."""
        return repr(self.trace)[1:-1]

    def to_pandas(self) -> pandas.DataFrame:
        """One row a configuration, indexed by its name; durations in seconds.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        frame: pandas.DataFrame = import_pandas().DataFrame([row.to_row() for row in self.rows]).set_index("setting")
        return frame

    def plot(self, ax: Axes | None = None) -> Axes:
        """Mistakes a week against detection time, a labelled point a configuration: low and left is better.

        Args:
            ax: Where to draw; a new figure by default.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from heartbeat_kit.lab._plot import plot_sweep  # noqa: PLC0415 - matplotlib is optional

        return plot_sweep(self, ax)

    def __iter__(self) -> Iterator[SweepRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> SweepRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no setting {name!r} here: expected one of {', '.join(row.name for row in self.rows)}")

    def __str__(self) -> str:
        return markdown_table(_COLUMNS, [row._cells() for row in self.rows])  # noqa: SLF001 - its own rows

    def __repr__(self) -> str:
        return f"<Sweep of {len(self.rows)} settings on {self.caption}>"

    def _repr_html_(self) -> str:
        return html_table(_COLUMNS, [row._cells() for row in self.rows], caption=repr(self)[1:-1])  # noqa: SLF001 - its own rows


def sweep(
    trace: Trace,
    configs: Iterable[HeartbeatConfig] | Mapping[str, HeartbeatConfig],
    *,
    truth: Mapping[str, Sequence[Span]] | None = None,
) -> Sweep:
    """Replay a trace under each of several configurations.

    The beats stay as they were recorded, whatever `HeartbeatConfig.heartbeat_interval` says, see `replay`.

    Args:
        trace: What was seen.
        configs: What to try, by name or in a list; in a list each is called by its beat, its timeout and, above 1,
            the looks that must agree.
        truth: When each machine was alive; see `replay`.

    Raises:
        InvalidConfigurationError: `configs` is empty or holds something else, or two of a list are called the same.

    >>> from datetime import timedelta
    >>> from heartbeat_kit.lab import Trace, sweep
    >>> beats = [*range(0, 600, 30), *range(900, 1500, 30)]
    >>> trace = Trace.of_timestamps({"web-1": beats, "web-2": range(0, 1500, 30)}, interval=timedelta(seconds=30))
    >>> found = sweep(trace, [HeartbeatConfig(offline_timeout=timedelta(seconds=s)) for s in (60, 120, 240)])
    >>> [(row.name, row.quality.mistakes, row.detection_ms) for row in found]
    [('30 s / 60 s', 1, 135000), ('30 s / 120 s', 1, 255000), ('30 s / 240 s', 0, 495000)]
    """
    if not isinstance(configs, Iterable):
        raise InvalidConfigurationError(f"configs is a {type(configs).__name__}: expected several HeartbeatConfig")
    named = [*configs.items()] if isinstance(configs, Mapping) else [(setting_of(each), each) for each in configs]
    if not named:
        raise InvalidConfigurationError("configs is empty: give at least one HeartbeatConfig to try")
    if strange := [name for name, config in named if not isinstance(config, HeartbeatConfig)]:
        raise InvalidConfigurationError(f"{', '.join(map(str, strange))}: expected a HeartbeatConfig for each name")
    names = [name for name, _ in named]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidConfigurationError(f"two settings are called {twice[0]!r}: give them in a mapping, by name")
    return Sweep(
        rows=tuple(SweepRow.of(name, trace, replay(trace, config, truth=truth)) for name, config in named),
        trace=trace,
    )


def setting_of(config: HeartbeatConfig) -> str:
    """What a configuration is called: beat / timeout, and the looks that must agree.

    >>> setting_of(HeartbeatConfig()), setting_of(HeartbeatConfig(confirm_offline=2))
    ('30 s / 120 s', '30 s / 120 s, 2 looks')
    """
    if not isinstance(config, HeartbeatConfig):
        raise InvalidConfigurationError(f"a configuration is a {type(config).__name__}: expected a HeartbeatConfig")
    beat, timeout = span_ms(config.heartbeat_interval) / 1000, span_ms(config.offline_timeout) / 1000
    looks = f", {config.confirm_offline} looks" if config.confirm_offline > 1 else ""
    return f"{beat:g} s / {timeout:g} s{looks}"
