"""`report`: how a day was for each machine.

Owns its exit codes. Reads, and writes nothing but its answer. Loaded only by whoever asks.
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Final

from heartbeat_kit import ObserverHealth, to_wire
from heartbeat_kit._words import printable
from heartbeat_kit.cli._opening import opened
from heartbeat_kit.cli._terminal import Terminal
from heartbeat_kit.ops import daily_report

__all__ = ["run"]

_NO_OUTAGE: Final = 0
_OUTAGES: Final = 1
_FAILED: Final = 2
"""Nobody can be seen now, so there may have been more."""


def run(arguments: Namespace) -> int:
    """Reckon a day, and show it."""
    with opened(arguments) as service:
        report = daily_report(service, arguments.day, tz=arguments.tz)
        blind = service.state().observer.health is ObserverHealth.BLIND
    terminal = Terminal()
    if arguments.json:
        terminal.line(json.dumps({**to_wire(report), "success": not blind}, indent=2))
    else:
        for line in report.text().splitlines():
            terminal.line(printable(line))
    if blind:
        return _FAILED
    return _OUTAGES if any(machine.unplanned for machine in report) else _NO_OUTAGE
