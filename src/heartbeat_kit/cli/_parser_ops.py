"""What can be asked of `report`, `maintenance` and `remove`.

Owns names, defaults and help texts. Loads none of the commands, so that other commands pay nothing for them.
"""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from heartbeat_kit.cli._arguments import add_storage, add_timing, command, late, moment, seconds

__all__ = ["add_maintenance", "add_remove", "add_report"]


def add_report(commands: Any) -> None:
    """The command `report`."""
    parser = command(
        commands,
        "report",
        late("_report"),
        summary="show how a day was for each machine",
        description="Reckons from the history of the service of this machine how long each machine was there, and "
        "its outages. Nothing is written, nothing is announced.",
        codes=["0  there was no outage that nobody had planned", "1  there was one", "2  it failed, or bad usage"],
    )
    _add_observer(parser)
    parser.add_argument("--day", type=_day, metavar="DATE", help="a day, as 2026-01-15 (default: the last 24 hours)")
    parser.add_argument(
        "--tz", default="UTC", metavar="NAME", help="time zone of the day, as Europe/Paris (default: UTC)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def add_maintenance(commands: Any) -> None:
    """The command `maintenance` and its subcommands."""
    parser = commands.add_parser(
        "maintenance",
        help="plan a time in which a machine may be away",
        description="In a window of maintenance the events of a machine are marked as suppressed; its status stays "
        "true. Whatever differs when it ends is announced then.",
    )
    below = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    plan = command(
        below,
        "plan",
        late("_maintenance", "plan"),
        summary="plan a window, or change the end of one",
        description="Plans a window. One of the machine with the same start is replaced. A time without an offset is "
        "local time.",
        codes=["0  it is planned", "2  it is not, or bad usage"],
    )
    plan.add_argument("id", metavar="ID", help="the machine")
    plan.add_argument("--from", dest="start", type=moment, metavar="TIME", help="as 2026-01-15T22:00 (default: now)")
    length = plan.add_mutually_exclusive_group(required=True)
    length.add_argument("--until", type=moment, metavar="TIME", help="its end")
    length.add_argument("--for", dest="span", type=seconds, metavar="SECONDS", help="its length")
    plan.add_argument("--reason", default="", metavar="TEXT", help="why, for people")
    show = command(
        below,
        "list",
        late("_maintenance", "listed"),
        summary="show the windows that have not ended",
        description="Shows the windows that hold, and those to come.",
        codes=["0  they are shown", "2  it failed, or bad usage"],
    )
    end = command(
        below,
        "end",
        late("_maintenance", "end"),
        summary="end the window of a machine that holds now",
        description="Ends what holds now of a machine. Whatever differs then is announced.",
        codes=["0  it is ended", "1  none held", "2  it failed, or bad usage"],
    )
    end.add_argument("id", metavar="ID", help="the machine")
    for each in (plan, show, end):
        _add_observer(each)
        each.add_argument("--json", action="store_true", help="print the windows as JSON")


def add_remove(commands: Any) -> None:
    """The command `remove`."""
    parser = command(
        commands,
        "remove",
        late("_remove"),
        summary="forget a machine",
        description="Removes the record of a machine, also one that cannot be read. Should the machine beat again, "
        "it is there again.",
        codes=["0  it is removed", "1  it was not there", "2  it failed, or bad usage"],
    )
    parser.add_argument("id", metavar="ID", help="the machine")
    _add_observer(parser)


def _add_observer(parser: argparse.ArgumentParser) -> None:
    """Whose history and calendar it is."""
    add_storage(parser)
    parser.add_argument(
        "--machine-id",
        metavar="ID",
        help="whose service observes (default: $MACHINE_ID, $ROOSYNC_MACHINE_ID, the host name)",
    )
    parser.add_argument("--state-dir", metavar="DIR", help="local directory of that service's lock and ledger")
    add_timing(parser)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: expected for example 2026-01-15") from None
