"""What several commands are asked in the same words: the kinds of arguments, and the frame of a command.

Owns how a text becomes a value and how a command is listed. Must not know which commands there are.
"""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from heartbeat_kit.cli._opening import SHARED_VARIABLE, STORAGE_VARIABLE, WORKSPACE_VARIABLE

__all__ = [
    "ERRORS",
    "add_sides",
    "add_storage",
    "add_timing",
    "command",
    "count",
    "days",
    "late",
    "moment",
    "seconds",
    "size",
]

_STORAGES = """\
storages:
  folder:///srv/share            a folder shared by hosts (NFS, SMB, a synced cloud folder)
      ?propagation_delay=0       ... whose writes every host sees at once
  json:///var/lib/heartbeats     one file in this folder, for one host
"""
ERRORS = "A failure is printed to standard error as 'error CODE: message'."


def command(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    codes: Sequence[str],
) -> argparse.ArgumentParser:
    """One more command: its function, what it does in a line and in a paragraph, and its exit codes."""
    listed = "exit codes:\n" + "".join(f"  {code}\n" for code in codes)
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description, 78),
        epilog=listed if name == "demo" else f"{_STORAGES}\n{listed}\n{ERRORS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function, usage_error=parser.error)
    return parser


def late(module: str, function: str = "run") -> Callable[[argparse.Namespace], int]:
    """A function of a module beside this one, which is loaded when it is called: no other command pays for it."""

    def run(arguments: argparse.Namespace) -> int:
        code: int = getattr(import_module(f"heartbeat_kit.cli.{module}"), function)(arguments)
        return code

    return run


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Where heartbeats live."""
    parser.add_argument("--storage", metavar="URL", help=f"where heartbeats live (default: ${STORAGE_VARIABLE})")


def add_sides(parser: argparse.ArgumentParser) -> None:
    """Who this machine is, and the two folders a sync keeps in step."""
    parser.add_argument(
        "--machine-id",
        metavar="ID",
        help="who this machine is (default: $MACHINE_ID, $ROOSYNC_MACHINE_ID, the host name)",
    )
    parser.add_argument(
        "--workspace", metavar="DIR", help=f"this machine's live files (default: ${WORKSPACE_VARIABLE})"
    )
    parser.add_argument("--shared", metavar="DIR", help=f"the folder all share (default: ${SHARED_VARIABLE})")


def add_timing(parser: argparse.ArgumentParser) -> None:
    """How long a silence may be."""
    parser.add_argument(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        help="time between heartbeats (default: $HEARTBEAT_INTERVAL in ms, else 30)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="T: silent for T is a warning, for 2 T offline (default: $OFFLINE_TIMEOUT in ms, else 120)",
    )


def seconds(text: str) -> timedelta:
    """A length of time, at least a millisecond."""
    try:
        value = float(text)
        if math.isfinite(value) and value >= 0.001:
            return timedelta(seconds=value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no length of time: expected seconds, for example 30 or 0.5")


def moment(text: str) -> datetime:
    """A point of time in ISO 8601; without an offset it is local time."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no point of time: expected for example 2026-01-15T22:00, or 2026-01-15T22:00+01:00"
        ) from None


def count(text: str) -> int:
    """A whole number, at least 1."""
    if text.isascii() and text.isdigit() and 0 < int(text[:9]) == int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no count: expected a whole number of at least 1")


def days(text: str) -> timedelta:
    """A number of days, 0 or more."""
    try:
        value = float(text)
        if math.isfinite(value) and value >= 0:
            return timedelta(days=value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no number of days: expected for example 30 or 0.5")


def size(text: str) -> int:
    """A number of bytes, 0 or more."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes: expected a whole number of at least 0")
