"""`doctor`: a diagnosis, in words or as JSON.

Owns how it is drawn and where it is saved. Loaded only by whoever asks.
"""

from __future__ import annotations

import json
import os
import stat
from argparse import Namespace
from typing import Final

from heartbeat_kit import SystemClock, default_machine_id, normalize_machine_id, to_wire
from heartbeat_kit._words import printable
from heartbeat_kit.cli._opening import STORAGE_VARIABLE, both_sides, named, opened
from heartbeat_kit.cli._terminal import Cell, Terminal
from heartbeat_kit.doctor import Diagnosis, FindingOutcome, diagnose
from heartbeat_kit.doctor._diagnose import unopened, without_sync
from heartbeat_kit.errors import InvalidConfigurationError, MissingDependencyError, StorageError, SyncError
from heartbeat_kit.storage._files import replace_file
from heartbeat_kit.storage._registry import open_existing
from heartbeat_kit.sync._typed import typed

__all__ = ["run"]

_STYLES: Final = {FindingOutcome.OK: "green", FindingOutcome.WARNING: "yellow bold", FindingOutcome.FAILED: "red bold"}


def run(arguments: Namespace) -> int:
    """Look at everything, and say what is wrong."""
    diagnosis = _diagnosis(arguments)
    text = json.dumps(to_wire(diagnosis), indent=2)
    terminal = Terminal()
    if arguments.json:
        terminal.line(text)
    else:
        _show(terminal, diagnosis)
    if arguments.save is not None:  # last: a full disk is when a diagnosis is wanted most
        _save(arguments.save, f"{text}\n".encode())
    return diagnosis.exit_code


def _save(place: str, data: bytes) -> None:
    """Replace the file in one step, wherever a link leads; what is no regular file is written to."""
    path = os.path.realpath(place)
    try:
        mode = os.stat(path).st_mode if os.path.lexists(path) else None
        if mode is None or stat.S_ISREG(mode):
            replace_file(path, data, durable=True, mode=0o666 if mode is None else stat.S_IMODE(mode))
            if mode is not None:
                os.chmod(path, stat.S_IMODE(mode))  # whatever the umask says
        else:
            with open(path, "wb") as file:
                file.write(data)
    except OSError as error:
        raise OSError(error.errno, f"the diagnosis is not saved: {error.strerror or error}", place) from error


def _diagnosis(arguments: Namespace) -> Diagnosis:
    url = named(arguments.storage, "storage", "--storage folder:///srv/share", STORAGE_VARIABLE)
    try:
        storage = open_existing(url)
        reason = "" if storage is not None else "it is not there; whoever beats first makes it"
        if storage is not None:
            storage.close()
    except (InvalidConfigurationError, MissingDependencyError, StorageError) as error:
        reason = str(error)
    if reason:
        who = default_machine_id() if arguments.machine_id is None else normalize_machine_id(arguments.machine_id)
        return unopened(who, reason, SystemClock().now())
    with opened(arguments) as service:
        try:
            coordinator, trouble = both_sides(arguments, service), ""
        except (SyncError, InvalidConfigurationError) as error:
            coordinator, trouble = None, str(error)
        diagnosis = diagnose(service, coordinator, listen=arguments.listen or 0)
    return without_sync(diagnosis, trouble) if trouble else diagnosis


def _show(terminal: Terminal, diagnosis: Diagnosis) -> None:
    width = max(len(found.check) for found in diagnosis)
    for found in diagnosis:
        title = f"{found.outcome:<8}{found.check.replace('_', ' '):<{width}} "
        terminal.prose(typed(printable(found.found)), mark=Cell(title, _STYLES[found.outcome]))
        if found.remedy:
            terminal.prose(typed(printable(found.remedy)), mark=Cell(f"{'':<{len(title) - 2}}→"), style="bold")
    terminal.line()
    for why in dict.fromkeys(diagnosis.unchecked.values()):
        names = [check.replace("_", " ") for check, reason in diagnosis.unchecked.items() if reason == why]
        terminal.prose(printable(f"Not checked ({why}): {', '.join(names)}."))
    terminal.prose(f"{diagnosis.summary[0].upper()}{diagnosis.summary[1:]}.", style="bold")
