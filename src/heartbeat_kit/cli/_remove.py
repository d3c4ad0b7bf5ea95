"""`remove`: forgets a machine.

Owns its words and its exit codes. Loaded only by whoever removes.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from heartbeat_kit import normalize_machine_id
from heartbeat_kit.cli._opening import opened
from heartbeat_kit.cli._terminal import Terminal

__all__ = ["run"]

_REMOVED: Final = 0
_NOT_THERE: Final = 1


def run(arguments: Namespace) -> int:
    """Remove the record, and say whether there was one."""
    name = normalize_machine_id(arguments.id)
    with opened(arguments) as service:
        removed = service.remove(name)
    Terminal().line(f"{name} is removed" if removed else f"{name} was not there")
    return _REMOVED if removed else _NOT_THERE
