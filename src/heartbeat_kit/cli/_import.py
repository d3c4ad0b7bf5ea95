"""`import-roosync`: RooSync's files into a storage, and what became of each.

Owns its exit codes and its words. Loaded only by whoever imports.
"""

from __future__ import annotations

import contextlib
import json
from argparse import Namespace
from collections.abc import Iterable

from heartbeat_kit import MemoryStorage, open_storage, to_wire
from heartbeat_kit._words import printable
from heartbeat_kit.cli._opening import STORAGE_VARIABLE, named
from heartbeat_kit.cli._terminal import Cell, Terminal
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.roosync import ImportReport, import_roosync
from heartbeat_kit.storage import Storage
from heartbeat_kit.storage._registry import open_existing

__all__ = ["run"]

_ALL_READ, _SOME_NOT = 0, 1


def run(arguments: Namespace) -> int:
    """Import, and show the report."""
    url = named(arguments.storage, "storage", "--storage folder:///srv/share", STORAGE_VARIABLE)
    with contextlib.closing(_opened(url, dry_run=arguments.dry_run)) as storage:
        report = import_roosync(
            arguments.source,
            storage,
            dry_run=arguments.dry_run,
            same=_same(arguments.same or ()),
            apart=arguments.apart,
            interval=arguments.interval,
        )
    terminal = Terminal()
    if arguments.json:
        terminal.line(json.dumps(to_wire(report), indent=2))
    else:
        _show(terminal, report)
    return _SOME_NOT if report.unreadable else _ALL_READ


def _opened(url: str, *, dry_run: bool) -> Storage:
    """The storage; a dry run makes none, so one that is to be made holds nothing."""
    return (open_existing(url) or MemoryStorage()) if dry_run else open_storage(url)


def _same(given: Iterable[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not all(name and equals and known for name, equals, known in pairs):
        raise InvalidConfigurationError("--same expects OTHER=NAME, for example --same po-2024=myia-po-2024")
    return {name: known for name, _, known in pairs}


def _show(terminal: Terminal, report: ImportReport) -> None:
    terminal.prose(report.message[0].upper() + report.message[1:], style="bold")
    columns, rows = report.rows()
    if rows:
        for line in terminal.table(columns, [[Cell(printable(text)) for text in row] for row in rows]):
            terminal.line(line)
