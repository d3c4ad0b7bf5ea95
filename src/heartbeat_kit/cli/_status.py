"""`status`: the fleet at one look.

Owns its exit codes. Reads, and writes nothing but its answer.
"""

from __future__ import annotations

import json
from argparse import Namespace

from heartbeat_kit import FleetState, MachineStatus, ObserverHealth, to_wire
from heartbeat_kit.cli._opening import opened
from heartbeat_kit.cli._terminal import Terminal
from heartbeat_kit.cli._view import fleet_lines

__all__ = ["status"]

_EVERYBODY_ONLINE, _SOMEBODY_NOT, _BLIND = 0, 1, 2


def status(arguments: Namespace) -> int:
    """Look once and show it."""
    with opened(arguments) as service:
        state = service.state()
    terminal = Terminal()
    blind = state.observer.health is ObserverHealth.BLIND
    if arguments.json:
        terminal.line(json.dumps(to_wire(state, include_heartbeats=True), indent=2))
    elif arguments.explain is None or blind:
        for line in fleet_lines(state, terminal):
            terminal.line(line)
    else:
        machine = state[arguments.explain]
        terminal.prose(machine.explain())
        return _EVERYBODY_ONLINE if machine.status is MachineStatus.ONLINE else _SOMEBODY_NOT
    if blind:
        return _BLIND
    return _EVERYBODY_ONLINE if _all_online(state) else _SOMEBODY_NOT


def _all_online(state: FleetState) -> bool:
    """An empty storage is no healthy fleet: it may be the wrong folder."""
    return 0 < len(state) == len(state.online)
