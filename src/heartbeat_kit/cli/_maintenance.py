"""`maintenance`: plans a time in which a machine may be away, lists what is planned, ends it early.

Owns its words and which moments may be left out. Loaded only by whoever plans.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence

from heartbeat_kit import HeartbeatService, MaintenanceWindow, to_wire
from heartbeat_kit._times import to_datetime, to_iso
from heartbeat_kit._words import printable, said
from heartbeat_kit.cli._opening import opened
from heartbeat_kit.cli._terminal import Cell, Terminal
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.storage import SharedLedger

__all__ = ["end", "listed", "plan"]

_DONE, _NOTHING = 0, 1
_COLUMNS = ("machine", "from", "until", "for", "now", "reason")


def plan(arguments: Namespace) -> int:
    """Plan a window."""
    with opened(arguments) as service:
        start = arguments.start or to_datetime(service.clock.now().wall_ms)
        try:
            until = arguments.until or start + arguments.span
        except OverflowError as error:
            raise InvalidConfigurationError(
                f"the maintenance would last for {arguments.span.days} days from {start}, past the last year there is: "
                "give a shorter --for"
            ) from error
        window = service.maintenance(arguments.id, start, until, arguments.reason)
        _answer(arguments, service, [window])
    return _DONE


def listed(arguments: Namespace) -> int:
    """Show the windows that have not ended."""
    with opened(arguments) as service:
        now_ms = service.clock.now().wall_ms
        _answer(arguments, service, [each for each in service.maintenance_windows() if each.end_ms > now_ms])
    return _DONE


def end(arguments: Namespace) -> int:
    """End the windows of a machine that hold now."""
    with opened(arguments) as service:
        ended = service.end_maintenance(arguments.id)
        _answer(arguments, service, ended)
    return _DONE if ended else _NOTHING


def _answer(arguments: Namespace, service: HeartbeatService, windows: Sequence[MaintenanceWindow]) -> None:
    terminal, now_ms = Terminal(), service.clock.now().wall_ms
    if arguments.json:
        terminal.line(json.dumps([to_wire(window) for window in windows], indent=2))
        return
    if not windows:
        terminal.line("no maintenance")
    else:
        for line in terminal.table(_COLUMNS, [_row(window, now_ms) for window in windows]):
            terminal.line(line)
    if not isinstance(service.storage, SharedLedger):
        terminal.line()
        terminal.prose(
            f"Kept for the service of {service.machine_id} that has its state directory at "
            f"{printable(str(service.state_dir))}: on this storage each observer has a calendar of its own.",
            style="dim",
        )


def _row(window: MaintenanceWindow, now_ms: int) -> list[Cell]:
    when = "planned" if now_ms < window.start_ms else "holds" if now_ms < window.end_ms else "ended"
    span = said(window.end_ms - window.start_ms)
    texts = (to_iso(window.start_ms), to_iso(window.end_ms), span, when, printable(window.reason))
    return [Cell(window.machine_id, "bold"), *map(Cell, texts)]
