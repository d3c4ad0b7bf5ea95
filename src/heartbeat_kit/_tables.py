"""States and reports as tables: HTML for notebooks, rich for terminals, a data frame for pandas.

Owns the columns and their looks. Every cell is escaped; the colours work on light and dark backgrounds. rich and
pandas are imported when asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from heartbeat_kit._times import to_iso
from heartbeat_kit._words import printable
from heartbeat_kit.errors import MissingDependencyError

if TYPE_CHECKING:
    import pandas

    from heartbeat_kit._models import FleetState, MachineState
    from heartbeat_kit._results import CheckReport

__all__ = ["MACHINE_COLUMNS", "html_table", "import_pandas", "machine_rows", "report_rows", "rich_table", "to_pandas"]

Row = tuple[str, ...]
Rows = tuple[Row, list[Row]]

MACHINE_COLUMNS: Final = ("machine", "status", "silent for", "last heartbeat", "since", "why")
_GREEN, _ORANGE, _RED, _GREY = "#2e9e4f", "#d08700", "#d64545", "#8a8f98"
_DOTS: Final = {
    "status": {"online": _GREEN, "warning": _ORANGE, "offline": _RED, "unknown": _GREY},
    "outcome": {"ok": _GREEN, "warning": _ORANGE, "failed": _RED, "not made": _GREY},
}
"""Columns that are drawn with a coloured dot."""
_STYLES: Final = {_GREEN: "green", _ORANGE: "yellow", _RED: "red", _GREY: "bright_black"}


def machine_rows(machines: Sequence[MachineState]) -> Rows:
    """One row a machine."""
    rows: list[Row] = []
    for machine in machines:
        notes = [
            machine.reason,
            "stale" if machine.stale else "",
            "identity conflict" if machine.identity_conflict else "",
        ]
        beat = machine.heartbeat
        rows.append(
            (
                machine.machine_id,
                str(machine.status),
                _span(machine.age_ms) if beat else "",
                to_iso(beat.last_heartbeat_ms) if beat else "never",
                "" if machine.since_ms is None else to_iso(machine.since_ms),
                ", ".join(note for note in notes if note),
            )
        )
    return MACHINE_COLUMNS, rows


def report_rows(report: CheckReport) -> Rows:
    """One row a transition of the report."""
    return ("machine", "status", "before", "occurred", "why", "id"), [
        (e.machine_id, str(e.after), str(e.before), to_iso(e.occurred_at_ms), str(e.reason), e.id[:8])
        for e in report.transitions
    ]


def html_table(columns: Sequence[str], rows: list[tuple[str, ...]], *, caption: str = "") -> str:
    """An escaped table without colours of its own but a dot a status, so it reads on any background."""
    cell = "padding:2px 10px;text-align:left;vertical-align:top;color:inherit;background:transparent"
    head = "".join(f'<th style="{cell};opacity:.7">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{cell}">{_dot(name, text)}{escape(text)}</td>' for name, text in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    note = (
        f'<caption style="caption-side:top;text-align:left;color:inherit;padding:2px 10px">{escape(caption)}</caption>'
    )
    return (
        f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums;color:inherit">'
        f"{note if caption else ''}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def rich_table(columns: Sequence[str], rows: list[tuple[str, ...]], *, caption: str = "") -> Any:
    """A `rich.table.Table`; only rich itself asks for it."""
    from rich.table import Table  # noqa: PLC0415 - optional
    from rich.text import Text  # noqa: PLC0415 - optional

    # As Text, because rich reads markup in a plain title and a reason may hold brackets.
    title = Text(printable(caption), style="table.title") if caption else None
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(
            *(
                Text(printable(text), style=_STYLES.get(_DOTS.get(name, {}).get(text, ""), ""))
                for name, text in zip(columns, row, strict=True)
            )
        )
    return table


def import_pandas() -> Any:
    """The module, as late as that.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas  # noqa: PLC0415 - optional, and nobody else's name for it
    except ImportError as error:
        raise MissingDependencyError("to_pandas() needs pandas: pip install 'heartbeat-kit[pandas]'") from error
    return pandas


def to_pandas(state: FleetState) -> pandas.DataFrame:
    """One row a machine, indexed by machine id.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    pd = import_pandas()

    def stamp(ms: int | None) -> Any:
        return pd.NaT if ms is None else pd.Timestamp(ms, unit="ms", tz="UTC")

    times = ["last_heartbeat", "since", "warning_since", "offline_since"]
    frame = pd.DataFrame(
        [
            {
                "machine_id": machine.machine_id,
                "status": str(machine.status),
                "age": pd.Timedelta(machine.age_ms, unit="ms"),
                "last_heartbeat": stamp(machine.heartbeat.last_heartbeat_ms if machine.heartbeat else None),
                "since": stamp(machine.since_ms),
                "warning_since": stamp(machine.warning_since_ms),
                "offline_since": stamp(machine.offline_since_ms),
                "missed_heartbeats": machine.missed_heartbeats,
                "reason": machine.reason,
                "stale": machine.stale,
                "metadata": machine.metadata,
            }
            for machine in state
        ],
        columns=[
            "machine_id",
            "status",
            "age",
            "last_heartbeat",
            "since",
            "warning_since",
            "offline_since",
            "missed_heartbeats",
            "reason",
            "stale",
            "metadata",
        ],
    )
    # Also a column without any time is one of times, so that it can be reckoned with.
    for name in times:
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("ms")
    return frame.set_index("machine_id")


def _dot(column: str, text: str) -> str:
    colour = _DOTS.get(column, {}).get(text)
    return "" if colour is None else f'<span style="color:{colour}">&#9679;</span>&nbsp;'


def _span(ms: int) -> str:
    seconds = ms / 1000
    if abs(seconds) < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if abs(seconds) < 7_200 else f"{seconds / 3600:.1f} h"
