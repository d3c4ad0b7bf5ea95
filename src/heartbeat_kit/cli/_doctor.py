"""`doctor`: a diagnosis, in words or as JSON.

Owns how it is drawn and where it is saved. Loaded only by whoever asks.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from typing import Final

from heartbeat_kit import SystemClock, default_machine_id, normalize_machine_id, open_storage, to_wire
from heartbeat_kit.cli._opening import STORAGE_VARIABLE, both_sides, named, opened
from heartbeat_kit.cli._terminal import Cell, Terminal, printable
from heartbeat_kit.doctor import Diagnosis, Outcome, diagnose
from heartbeat_kit.doctor._diagnose import unopened
from heartbeat_kit.errors import InvalidConfigurationError, MissingDependencyError, StorageError
from heartbeat_kit.storage._files import replace_file

__all__ = ["run"]

_STYLES: Final = {Outcome.OK: "green", Outcome.WARNING: "yellow bold", Outcome.FAILED: "red bold"}


def run(arguments: Namespace) -> int:
    """Look at everything, and say what is wrong."""
    diagnosis = _diagnosis(arguments)
    text = json.dumps(to_wire(diagnosis), indent=2)
    terminal = Terminal()
    if arguments.save is not None:
        replace_file(os.path.abspath(arguments.save), f"{text}\n".encode(), durable=True)
    if arguments.json:
        terminal.line(text)
    else:
        _show(terminal, diagnosis)
    return diagnosis.exit_code


def _diagnosis(arguments: Namespace) -> Diagnosis:
    url = named(arguments.storage, "storage", "--storage folder:///srv/share", STORAGE_VARIABLE)
    try:
        open_storage(url).close()
    except (InvalidConfigurationError, MissingDependencyError, StorageError) as error:
        who = default_machine_id() if arguments.machine_id is None else normalize_machine_id(arguments.machine_id)
        return unopened(who, str(error), SystemClock().now())
    with opened(arguments) as service:
        return diagnose(service, both_sides(arguments, service), listen=arguments.listen or 0)


def _show(terminal: Terminal, diagnosis: Diagnosis) -> None:
    width = max(len(found.check) for found in diagnosis)
    for found in diagnosis:
        title = f"{found.outcome:<8}{found.check.replace('_', ' '):<{width}} "
        terminal.prose(printable(found.found), mark=Cell(title, _STYLES[found.outcome]))
        if found.remedy:
            terminal.prose(printable(found.remedy), mark=Cell(f"{'':<{len(title) - 2}}→"), style="bold")
    terminal.line()
    for why in dict.fromkeys(diagnosis.unchecked.values()):
        names = [check.replace("_", " ") for check, reason in diagnosis.unchecked.items() if reason == why]
        terminal.prose(printable(f"Not checked ({why}): {', '.join(names)}."))
    terminal.prose(f"{diagnosis.summary[0].upper()}{diagnosis.summary[1:]}.", style="bold")
