"""`main`: from arguments to an exit code.

Owns what happens to errors, an interruption and a reader that has gone. Must not know what a command does.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from heartbeat_kit._words import printable
from heartbeat_kit.cli._parser import make_parser
from heartbeat_kit.errors import HeartbeatKitError

__all__ = ["main"]

_FAILED: Final = 2
_SYSTEM: Final = "OPERATING_SYSTEM"
_INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141
"""What a shell reports of any tool whose reader went away (128 + SIGPIPE)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; bad usage raises `SystemExit` with 2, as argparse does.

    Args:
        argv: The arguments after the program's name; those of this process by default.

    >>> main(["status", "--storage", "memory://"])
    nobody has registered here yet
    1
    """
    _open_streams()
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
        return _PIPE_CLOSED
    except OSError as error:  # a full disk behind our output, no room for a temporary folder
        _write_nowhere()
        sys.stderr.write(f"error {_SYSTEM}: {error}\n")
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _open_streams() -> None:
    """Somebody may have closed them (``>&-``): then what is written goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _write_nowhere() -> None:
    """The interpreter flushes once more when it ends; let that go nowhere instead of failing again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str] | None) -> int:
    arguments = make_parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except HeartbeatKitError as error:
        sys.stdout.flush()
        sys.stderr.write(f"error {error.code}: {printable(str(error))}\n")  # a name in it may be anybody's
        return _FAILED
    return code
