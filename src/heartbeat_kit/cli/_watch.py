"""`watch`: the fleet at one look after another.

Owns what counts as a change between two looks. Reads, and writes nothing but its answer.
"""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections.abc import Mapping
from typing import Protocol

from heartbeat_kit import FleetState, MachineStatus
from heartbeat_kit.cli._opening import opened
from heartbeat_kit.cli._signals import StopSignals
from heartbeat_kit.cli._terminal import Terminal
from heartbeat_kit.cli._view import COLUMNS, FleetView, fleet_view

__all__ = ["watch"]


class _Pages(Protocol):
    """Where one look after another is shown."""

    def begin(self) -> None: ...

    def show(self, view: FleetView) -> None: ...

    def end(self) -> None: ...


class _PlainPages:
    """Pages drawn by the terminal alone, or written one below the other where there is none."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.begin, self.end = terminal.begin_pages, terminal.end_pages

    def show(self, view: FleetView) -> None:
        table = ["", *self._terminal.table(COLUMNS, view.rows)] if view.rows else []
        self._terminal.page([*view.above, *table, *view.below])


def watch(arguments: Namespace) -> int:
    """Look until Ctrl-C, or so many times."""
    terminal = Terminal()
    pages = _pages(terminal)
    with StopSignals() as signals, opened(arguments) as service:
        pages.begin()
        try:
            looks, before = 0, None
            while not signals.stopping:
                with signals.breaking_off():  # a storage that hangs holds nobody who wants to leave
                    state = service.state()
                pages.show(_page(state, terminal, before, arguments.every.total_seconds()))
                looks, before = looks + 1, {machine.machine_id: machine.status for machine in state}
                if looks == arguments.count:
                    break
                signals.wait(arguments.every.total_seconds())
        except KeyboardInterrupt:
            pass  # asked to stop while it looked
        finally:
            pages.end()
            if terminal.moves and signals.stopping:
                terminal.line()  # below the ^C that the terminal shows
    return 0


def _pages(terminal: Terminal) -> _Pages:
    """On a terminal those of rich, if it is installed."""
    if terminal.moves:
        with contextlib.suppress(ImportError):
            from heartbeat_kit.cli._rich_pages import RichPages  # noqa: PLC0415 - rich is optional

            return RichPages(colours=terminal.colours)
    return _PlainPages(terminal)


def _page(state: FleetState, terminal: Terminal, before: Mapping[str, MachineStatus] | None, every: float) -> FleetView:
    """The screen of one look, no taller than the terminal."""
    time = state.retrieved_at.strftime("%Y-%m-%d %H:%M:%SZ")
    hint = f", every {every:g} s, Ctrl-C ends" if terminal.moves else ""
    most = max(terminal.size[1] - 9, 3) if terminal.moves else None
    changed, gone = _changes(state, before)
    view = fleet_view(state, terminal, changed=changed, most=most)
    seen = terminal.paint(f"seen by {state.observer.machine_id} at {time}{hint}", "dim")
    lost = [terminal.paint(f"{machine_id} is gone, it was {status}", "bold") for machine_id, status in gone]
    return view._replace(above=[seen, *view.above], below=[*view.below, *lost])


def _changes(
    state: FleetState, before: Mapping[str, MachineStatus] | None
) -> tuple[dict[str, str], list[tuple[str, MachineStatus]]]:
    if before is None:
        return {}, []
    changed = {
        machine.machine_id: f"was {before[machine.machine_id]}" if machine.machine_id in before else "new"
        for machine in state
        if before.get(machine.machine_id) is not machine.status
    }
    return changed, [(machine_id, status) for machine_id, status in before.items() if machine_id not in state]
