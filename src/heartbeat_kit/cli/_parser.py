"""What can be asked for: the arguments of every command.

Owns names, defaults and help texts. Each command's function is found in ``arguments.command``.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from typing import Any

from heartbeat_kit.cli._arguments import ERRORS, add_sides, add_storage, add_timing, command, count, late, seconds
from heartbeat_kit.cli._beat import beat
from heartbeat_kit.cli._demo import demo
from heartbeat_kit.cli._parser_ops import add_maintenance, add_remove, add_report
from heartbeat_kit.cli._parser_sync import add_sync
from heartbeat_kit.cli._status import status
from heartbeat_kit.cli._watch import watch

__all__ = ["make_parser"]


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
        epilog=ERRORS,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_beat(commands)
    _add_status(commands)
    _add_watch(commands)
    add_sync(commands)
    add_report(commands)
    add_maintenance(commands)
    add_remove(commands)
    _add_doctor(commands)
    _add_import(commands)
    _add_mcp(commands)
    return parser


def _add_demo(commands: Any) -> None:
    parser = command(
        commands,
        "demo",
        demo,
        summary="watch a fleet lose a machine and nothing else, in half a minute",
        description="Starts one process for each machine, all beating into a fresh temporary folder, then kills one, "
        "revives it and lets another say goodbye. Meanwhile the machines keep a folder in step: what the dead one had "
        "published is preserved, and all is taken back once. Whatever it shows it also checks. Nothing is left behind.",
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


def _add_import(commands: Any) -> None:
    parser = command(
        commands,
        "import-roosync",
        late("_import"),
        summary="take over the fleet of a RooSync folder",
        description="Stores the newest evidence of each machine that RooSync left in its shared folder. The source is "
        "only read. Done again it changes nothing.",
        codes=["0  everything was read", "1  something could not be; it is listed", "2  it failed, or bad usage"],
    )
    parser.add_argument("source", metavar="SOURCE", help="RooSync's shared folder, its folder heartbeats, or a file")
    add_storage(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be stored")
    parser.add_argument(
        "--same",
        action="append",
        metavar="OTHER=NAME",
        help="another name of a machine, may be repeated; those found (po-2024 for myia-po-2024) count as well",
    )
    parser.add_argument("--apart", action="store_true", help="find no names that are one machine; only --same counts")
    parser.add_argument(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        help="the beat they promise (default: as RooSync was set, else 30)",
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")


def _add_mcp(commands: Any) -> None:
    parser = command(
        commands,
        "mcp",
        late("_mcp"),
        summary="serve the fleet to agents by the Model Context Protocol",
        description="Serves RooSync's tools on standard input and output, for an agent's client to start. Needs the "
        "extra mcp.",
        codes=["0  the client went", "2  it failed, or bad usage"],
    )
    add_storage(parser)
    add_timing(parser)
    add_sides(parser)
    parser.add_argument("--state-dir", metavar="DIR", help="local directory for what the service and the sync note")
    parser.add_argument("--locale", choices=("en", "fr"), default="en", help="language of the messages (default: en)")
    parser.add_argument(
        "--passive-beats",
        action="store_true",
        help="every call of a tool is also a heartbeat of this machine, at most one in each interval",
    )


def _add_doctor(commands: Any) -> None:
    parser = command(
        commands,
        "doctor",
        late("_doctor"),
        summary="find out what is wrong, and what to do about it",
        description="Looks at everything a verdict rests on: the storage, the clocks, the records, the running "
        "service and, with both folders, the sync. Nothing is changed.",
        codes=["0  all is well", "1  there are warnings", "2  something failed, or bad usage"],
    )
    add_storage(parser)
    add_timing(parser)
    add_sides(parser)
    parser.add_argument("--state-dir", metavar="DIR", help="local directory of what the service and the sync note")
    parser.add_argument(
        "--listen",
        type=seconds,
        metavar="SECONDS",
        help="listen so long at most for the beats of the others, to compare their clocks",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    parser.add_argument("--save", metavar="FILE", help="keep it as JSON in a file, too")


def _add_beat(commands: Any) -> None:
    parser = command(
        commands,
        "beat",
        beat,
        summary="send one heartbeat, or go on sending them",
        description="Stores one heartbeat of this machine; with --forever goes on until SIGINT or SIGTERM.",
        codes=["0  the heartbeat is stored, or the service was stopped", "2  it is not, or bad usage"],
    )
    add_storage(parser)
    parser.add_argument(
        "--machine-id",
        metavar="ID",
        help="who this machine is (default: $MACHINE_ID, $ROOSYNC_MACHINE_ID, the host name)",
    )
    parser.add_argument(
        "--metadata", metavar="JSON", help="an object to send from now on; without it what was sent before stays"
    )
    add_timing(parser)
    parser.add_argument("--state-dir", metavar="DIR", help="local directory of the service's lock and ledger")
    parser.add_argument("--json", action="store_true", help="print the result as JSON (a single heartbeat)")
    parser.add_argument("--forever", action="store_true", help="beat and look in the foreground until stopped")
    parser.add_argument(
        "--leave", action="store_true", help="with --forever: say goodbye when stopped, so nobody has to wait"
    )
    parser.add_argument("--announce", action="store_true", help="with --forever: print each event as one line of JSON")


def _add_status(commands: Any) -> None:
    parser = command(
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
    add_storage(parser)
    add_timing(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print the state as JSON")
    shape.add_argument("--explain", metavar="ID", help="say in words what is believed of one machine, and why")


def _add_watch(commands: Any) -> None:
    parser = command(
        commands,
        "watch",
        watch,
        summary="show who is alive, again and again",
        description="Shows the fleet until Ctrl-C and marks what changed. Nothing is written, nothing is announced.",
        codes=["0  ended by Ctrl-C, or after --count looks", "2  bad usage"],
    )
    add_storage(parser)
    add_timing(parser)
    parser.add_argument(
        "--every",
        type=seconds,
        default=timedelta(seconds=2),
        metavar="SECONDS",
        help="time between looks (default: 2)",
    )
    parser.add_argument("--count", type=count, metavar="N", help="look so many times, then end")


def _demo_seconds(text: str) -> timedelta:
    span = seconds(text)
    if not timedelta(seconds=0.2) <= span <= timedelta(seconds=60):
        raise argparse.ArgumentTypeError(f"{text} is out of range: expected 0.2 to 60 seconds")
    return span


def _machines(text: str) -> int:
    number = count(text)
    if not 3 <= number <= 24:
        raise argparse.ArgumentTypeError(f"{text} is out of range: expected 3 to 24 machines")
    return number
