"""A fleet in words and rows, for `status`, `watch` and the demo.

Owns the wording, the order and the colours of statuses. Decides nothing: it shows what `state()` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from heartbeat_kit import Basis, FleetState, MachineState, MachineStatus, ObserverHealth
from heartbeat_kit.cli._terminal import Cell, Terminal

__all__ = ["COLUMNS", "STYLES", "FleetView", "fleet_lines", "fleet_view", "headline", "span", "status_cell"]

STYLES: Mapping[MachineStatus, str] = {
    MachineStatus.ONLINE: "green",
    MachineStatus.WARNING: "yellow bold",
    MachineStatus.OFFLINE: "red bold",
    MachineStatus.UNKNOWN: "grey",
}
COLUMNS = ("machine", "status", "silent for", "last heartbeat", "why")
_TROUBLE_FIRST = (MachineStatus.OFFLINE, MachineStatus.WARNING, MachineStatus.UNKNOWN, MachineStatus.ONLINE)


def span(ms: int) -> str:
    """A length of time as people say it: ``0.4 s``, ``12 s``, ``3 min``, ``2.5 h``, ``4 d``."""
    sign, seconds = ("-" if ms <= -50 else ""), abs(ms) / 1000
    if seconds < 10:
        return f"{sign}{seconds:.1f} s"
    if seconds < 120:
        return f"{sign}{seconds:.0f} s"
    if seconds < 7_200:
        return f"{sign}{seconds / 60:.0f} min"
    return f"{sign}{seconds / 3600:.1f} h" if seconds < 172_800 else f"{sign}{seconds / 86_400:.0f} d"


def status_cell(status: MachineStatus) -> Cell:
    """A status with its dot and its colour."""
    return Cell(f"{'○' if status is MachineStatus.UNKNOWN else '●'} {status}", STYLES[status])


def headline(state: FleetState, terminal: Terminal) -> str:
    """The counts; the statuses nobody has are left out."""
    total = len(state)
    counts = ((status, len(state.of(status))) for status in reversed(_TROUBLE_FIRST))
    parts = [terminal.paint(f"{count} {status}", STYLES[status]) for status, count in counts if count]
    return f"{total} machine{'' if total == 1 else 's'}: {', '.join(parts)}"


def fleet_lines(
    state: FleetState,
    terminal: Terminal,
    *,
    changed: Mapping[str, str] | None = None,
    most: int | None = None,
) -> list[str]:
    """The fleet as a table under its headline, with what a reader must know to believe it; see `fleet_view`."""
    view = fleet_view(state, terminal, changed=changed, most=most)
    table = ["", *terminal.table(COLUMNS, view.rows)] if view.rows else []
    return [*view.above, *table, *view.below]


class FleetView(NamedTuple):
    """A fleet to be drawn.

    Attributes:
        above: Lines before the table.
        rows: The cells of the table, under `COLUMNS`.
        below: Lines after it.
    """

    above: list[str]
    rows: list[list[Cell]]
    below: list[str]


def fleet_view(
    state: FleetState,
    terminal: Terminal,
    *,
    changed: Mapping[str, str] | None = None,
    most: int | None = None,
) -> FleetView:
    """What is to be drawn of a fleet.

    Args:
        state: The fleet.
        terminal: Paints the lines.
        changed: Machines that changed since the last look, with a phrase; they are marked.
        most: How many machines to show; those in trouble come first then, and the rest is counted.
    """
    changed = changed or {}
    above = []
    if state.observer.health is ObserverHealth.BLIND:
        above.append(terminal.paint(f"blind: {state.observer.reason}", "red bold"))
    if not len(state):
        return FleetView(above or ["nobody has registered here yet"], [], [])
    machines = list(state)
    if most is not None and len(machines) > most:
        machines.sort(key=lambda machine: (machine.machine_id not in changed, _TROUBLE_FIRST.index(machine.status)))
        machines = machines[:most]
    more = [f"… and {len(state) - len(machines)} more"] if len(machines) < len(state) else []
    return FleetView(
        [*above, headline(state, terminal)],
        [_row(machine, changed.get(machine.machine_id)) for machine in machines],
        [terminal.paint(note, "dim") for note in (*more, *_notes(machines))],
    )


def _row(machine: MachineState, change: str | None) -> list[Cell]:
    last = machine.last_heartbeat
    return [
        Cell(machine.machine_id, "inverse bold" if change else "bold"),
        status_cell(machine.status),
        Cell(span(machine.age_ms) if last else ""),
        Cell(last.strftime("%Y-%m-%d %H:%M:%SZ") if last else "never"),
        Cell(", ".join(_why(machine, change))),
    ]


def _why(machine: MachineState, change: str | None) -> Iterable[str]:
    if change:
        yield f"{change}!"
    yield machine.reason.replace("_", " ")
    if machine.offline_since is not None and machine.basis is not Basis.SENDER:
        yield f"offline since {machine.offline_since.strftime('%H:%M:%SZ')}"
    if machine.stale:
        yield "stale"
    if machine.unreadable is not None:
        yield machine.unreadable
    if machine.identity_conflict is not None:
        yield f"identity conflict: {machine.identity_conflict}"


def _notes(machines: Iterable[MachineState]) -> Iterable[str]:
    if any(machine.reason == "unconfirmed" and machine.basis is Basis.SENDER for machine in machines):
        yield ""
        yield "unconfirmed: by the machine's own clock, which one look cannot check"
