"""`watch`: the fleet at one look after another.

Owns what counts as a change between two looks. Reads, and writes nothing but its answer.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from heartbeat_kit import FleetState, MachineStatus
from heartbeat_kit.cli._opening import opened
from heartbeat_kit.cli._signals import StopSignals
from heartbeat_kit.cli._terminal import Terminal
from heartbeat_kit.cli._view import fleet_lines

__all__ = ["watch"]


def watch(arguments: Namespace) -> int:
    """Look until Ctrl-C, or so many times."""
    terminal = Terminal()
    with StopSignals() as signals, opened(arguments) as service:
        terminal.begin_pages()
        try:
            looks, before = 0, None
            while not signals.stopping:
                state = service.state()
                terminal.page(_page(state, terminal, before, arguments.every.total_seconds()))
                looks, before = looks + 1, {machine.machine_id: machine.status for machine in state}
                if looks == arguments.count:
                    break
                signals.wait(arguments.every.total_seconds())
        finally:
            terminal.end_pages()
            if terminal.moves and signals.stopping:
                terminal.line()  # below the ^C that the terminal shows
    return 0


def _page(state: FleetState, terminal: Terminal, before: Mapping[str, MachineStatus] | None, every: float) -> list[str]:
    """The screen of one look, no taller than the terminal."""
    time = state.retrieved_at.strftime("%Y-%m-%d %H:%M:%SZ")
    hint = f", every {every:g} s, Ctrl-C ends" if terminal.moves else ""
    most = max(terminal.size[1] - 9, 3) if terminal.moves else None
    changed, gone = _changes(state, before)
    lines = [terminal.paint(f"seen by {state.observer.machine_id} at {time}{hint}", "dim")]
    lines += fleet_lines(state, terminal, changed=changed, most=most)
    return [*lines, *(terminal.paint(f"{machine_id} is gone, it was {status}", "bold") for machine_id, status in gone)]


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
