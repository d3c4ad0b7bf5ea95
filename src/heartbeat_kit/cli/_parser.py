"""What can be asked for: the arguments of every command.

Owns names, defaults and help texts. Each command's function is found in ``arguments.command``.
"""

from __future__ import annotations

import argparse
import math
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from heartbeat_kit.cli._beat import beat
from heartbeat_kit.cli._demo import demo
from heartbeat_kit.cli._opening import STORAGE_VARIABLE
from heartbeat_kit.cli._status import status
from heartbeat_kit.cli._watch import watch

__all__ = ["make_parser"]

_STORAGES = """\
storages:
  folder:///srv/share            a folder shared by hosts (NFS, SMB, a synced cloud folder)
      ?propagation_delay=0       ... whose writes every host sees at once
  json:///var/lib/heartbeats     one file on this host
"""
_ERRORS = "A failure is printed to standard error as 'error CODE: message'."


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - only whoever asks pays for it

        sys.stdout.write(f"heartbeat-kit {version('heartbeat-kit')}\n")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="heartbeat-kit",
        description="Know which of your machines are alive. Start with: heartbeat-kit demo",
        epilog=_ERRORS,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_beat(commands)
    _add_status(commands)
    _add_watch(commands)
    return parser


def _add_demo(commands: Any) -> None:
    parser = _command(
        commands,
        "demo",
        demo,
        summary="watch a small fleet live and lose a machine, in about 20 seconds",
        description="Starts one process for each machine, all beating into a fresh temporary folder, then "
        "kills one, revives it and lets another say goodbye. Whatever it shows it also checks. Nothing is left behind.",
        codes=["0  everything was as it should be", "1  something was not; it is named", "130  interrupted"],
    )
    parser.add_argument(
        "--seconds-per-beat",
        type=_demo_seconds,
        default=timedelta(seconds=1),
        metavar="SECONDS",
        help="pace of the play, 0.2 to 60 (default: 1); slow it down on a busy computer",
    )
    parser.add_argument(
        "--machines", type=_machines, default=4, metavar="N", help="size of the fleet, 3 to 24 (default: 4)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder to look around in it")


def _add_beat(commands: Any) -> None:
    parser = _command(
        commands,
        "beat",
        beat,
        summary="send one heartbeat, or go on sending them",
        description="Stores one heartbeat of this machine; with --forever goes on until SIGINT or SIGTERM.",
        codes=["0  the heartbeat is stored, or the service was stopped", "2  it is not, or bad usage"],
    )
    _add_storage(parser)
    parser.add_argument(
        "--machine-id", metavar="ID", help="who this machine is (default: $MACHINE_ID, else the host name)"
    )
    parser.add_argument(
        "--metadata", metavar="JSON", help="an object to send from now on; without it what was sent before stays"
    )
    _add_timing(parser)
    parser.add_argument("--state-dir", metavar="DIR", help="local directory of the service's lock and ledger")
    parser.add_argument("--json", action="store_true", help="print the result as JSON (a single heartbeat)")
    parser.add_argument("--forever", action="store_true", help="beat and look in the foreground until stopped")
    parser.add_argument(
        "--leave", action="store_true", help="with --forever: say goodbye when stopped, so nobody has to wait"
    )
    parser.add_argument("--announce", action="store_true", help="with --forever: print each event as one line of JSON")


def _add_status(commands: Any) -> None:
    parser = _command(
        commands,
        "status",
        status,
        summary="show who is alive",
        description="Reads the storage once and shows every machine. Nothing is written, nothing is announced.",
        codes=[
            "0  everybody is online",
            "1  somebody is in warning, offline or unknown, or nobody has registered",
            "2  blind (the storage cannot be seen), or bad usage",
        ],
    )
    _add_storage(parser)
    _add_timing(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print the state as JSON")
    shape.add_argument("--explain", metavar="ID", help="say in words what is believed of one machine, and why")


def _add_watch(commands: Any) -> None:
    parser = _command(
        commands,
        "watch",
        watch,
        summary="show who is alive, again and again",
        description="Shows the fleet until Ctrl-C and marks what changed. Nothing is written, nothing is announced.",
        codes=["0  ended by Ctrl-C, or after --count looks", "2  bad usage"],
    )
    _add_storage(parser)
    _add_timing(parser)
    parser.add_argument(
        "--every",
        type=_seconds,
        default=timedelta(seconds=2),
        metavar="SECONDS",
        help="time between looks (default: 2)",
    )
    parser.add_argument("--count", type=_count, metavar="N", help="look so many times, then end")


def _command(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    codes: Sequence[str],
) -> argparse.ArgumentParser:
    listed = "exit codes:\n" + "".join(f"  {code}\n" for code in codes)
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description, 78),
        epilog=listed if name == "demo" else f"{_STORAGES}\n{listed}\n{_ERRORS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function, usage_error=parser.error)
    return parser


def _add_storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--storage", metavar="URL", help=f"where heartbeats live (default: ${STORAGE_VARIABLE})")


def _add_timing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interval",
        type=_seconds,
        metavar="SECONDS",
        help="time between heartbeats (default: $HEARTBEAT_INTERVAL in ms, else 30)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="T: silent for T is a warning, for 2 T offline (default: $OFFLINE_TIMEOUT in ms, else 120)",
    )


def _seconds(text: str) -> timedelta:
    try:
        seconds = float(text)
        if math.isfinite(seconds) and seconds >= 0.001:
            return timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no length of time: expected seconds, for example 30 or 0.5")


def _demo_seconds(text: str) -> timedelta:
    span = _seconds(text)
    if not timedelta(seconds=0.2) <= span <= timedelta(seconds=60):
        raise argparse.ArgumentTypeError(f"{text} is out of range: expected 0.2 to 60 seconds")
    return span


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text[:9]) == int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no count: expected a whole number of at least 1")


def _machines(text: str) -> int:
    number = _count(text)
    if not 3 <= number <= 24:
        raise argparse.ArgumentTypeError(f"{text} is out of range: expected 3 to 24 machines")
    return number
