"""The one plot of a sweep: mistakes against detection time. matplotlib is imported when it is drawn.

Owns the drawing; the figures are the sweep's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heartbeat_kit.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from heartbeat_kit.lab._sweep import Sweep

__all__ = ["plot_sweep"]


def plot_sweep(sweep: Sweep, ax: Axes | None = None) -> Axes:
    """See `Sweep.plot`."""
    try:
        import matplotlib.pyplot as plt  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingDependencyError("plot() needs matplotlib: pip install 'heartbeat-kit[plot]'") from error
    if ax is None:
        _, ax = plt.subplots()
    rows = [row for row in sweep if row.mistakes_per_week is not None]
    measured = bool(rows) and all(row.measured for row in rows)
    minutes, mistakes = [row.detection_ms / 60_000 for row in rows], [row.mistakes_per_week or 0.0 for row in rows]
    ax.scatter(minutes, mistakes, clip_on=False, zorder=3)
    for row, x, y in zip(rows, minutes, mistakes, strict=True):
        # Aslant, because the safe settings all lie side by side at the bottom.
        ax.annotate(row.name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="small", rotation=40)
    ax.set_xlabel(f"detection time in minutes ({'measured mean' if measured else 'deadline where no death was seen'})")
    ax.set_ylabel("mistakes a week")
    ax.set_xlim(0, 1.2 * max(minutes, default=1.0))
    ax.set_ylim(0, 1.25 * max([1.0, *mistakes]))
    ax.set_title(sweep.caption, fontsize="small")
    return ax
