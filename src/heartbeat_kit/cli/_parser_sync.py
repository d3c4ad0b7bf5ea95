"""What can be asked of `sync`: its subcommands and their arguments.

Owns names, defaults and help texts. Loads no part of the sync itself, so that other commands pay nothing for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Final

from heartbeat_kit.cli._arguments import add_sides, add_storage, add_timing, command, count, days, late, size

__all__ = ["ACTIONS", "MODES", "add_sync"]

MODES: Final = ("online", "offline")
ACTIONS: Final = ("sync_to_baseline", "keep_target")
_DONE: Final = "0  done; done before; or nothing to do"
_LEFT: Final = "1  something is left for a person: it is listed"
_FAILED: Final = "2  refused or failed, or bad usage"


def add_sync(commands: Any) -> None:
    """The command and its subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "sync",
        help="keep a folder in step with a shared baseline",
        description="Backup first, then a three-way sync of this machine's folder with the shared baseline. "
        "See what would be done with 'plan' or --dry-run; take it back with 'rollback'.",
    )
    below = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for add in (_add_upkeep, _add_runs, _add_decisions, _add_backups):
        add(below)


def _add_runs(below: Any) -> None:
    plan = _subcommand(
        below,
        "plan",
        summary="show what a sync would do now",
        description="Shows, file by file, what a sync would do now and why. Writes nothing.",
        codes=["0  all of it can be done", "1  some of it is left for a person", _FAILED],
    )
    plan.add_argument("id", nargs="?", metavar="ID", help="whose files (default: this machine's)")
    plan.add_argument(
        "--mode", choices=MODES, help="which sync (default: online for this machine, offline for another)"
    )
    _add_from_baseline(plan)
    _add_mass_change(plan)

    offline = _subcommand(
        below,
        "offline",
        summary="preserve what a machine published before it went offline",
        description="Puts the last edits that an offline machine published into the baseline. Deletes nothing. "
        "Done once for each silence, by whoever is first; all others are told that it was done.",
        codes=[_DONE, _LEFT, _FAILED],
    )
    offline.add_argument("id", metavar="ID", help="the machine, which must be offline")
    _add_running(offline)

    online = _subcommand(
        below,
        "online",
        summary="bring this machine up to date, and the baseline with it",
        description="Brings this machine and the baseline in step. Done once for each return of the machine; "
        "--again does it whenever it is asked for.",
        codes=[_DONE, _LEFT, _FAILED],
    )
    online.add_argument(
        "id", nargs="?", metavar="ID", help="the machine (default: this one; any other has to do it itself)"
    )
    _add_running(online)
    _add_from_baseline(online)


def _add_upkeep(below: Any) -> None:
    _subcommand(
        below,
        "init",
        summary="make the baseline, or take over what people edited in it by hand",
        description="Makes the baseline in a shared folder that has none. Where there is one, announces its files as "
        "they are now.",
        codes=["0  the baseline is there", _FAILED],
    )
    _subcommand(
        below,
        "publish",
        summary="publish this machine's files, so that others can preserve them",
        description="Stores a copy of this machine's files in the shared folder: what others preserve when this "
        "machine is gone.",
        codes=["0  all is published", "1  some files could not be read; they are listed", _FAILED],
    )
    recover = _subcommand(
        below,
        "recover",
        summary="finish a sync that was interrupted",
        description="Finishes a sync that was cut off. Every sync does so by itself before it begins.",
        codes=["0  nothing is left of it", _FAILED],
    )
    recover.add_argument(
        "--discard-damaged", action="store_true", help="set a damaged journal or archive aside and begin anew"
    )


def _add_backups(below: Any) -> None:
    rollback = _subcommand(
        below,
        "rollback",
        summary="make every file of a backup as it was",
        description="Makes every file of a backup as it was. A backup of now is made first: rolling that one back "
        "undoes it.",
        codes=["0  every file is as it was", _FAILED],
    )
    rollback.add_argument("backup", metavar="BACKUP", help="path or name of the backup")
    rollback.add_argument("--force", action="store_true", help="also where a file was edited since")

    verify = _subcommand(
        below,
        "verify",
        summary="try a backup: restore it into a temporary folder and compare",
        description="Restores a backup into a temporary folder and compares every file.",
        codes=["0  it restores", _FAILED],
    )
    verify.add_argument("backup", metavar="BACKUP", help="path or name of the backup")

    prune = _subcommand(
        below,
        "prune",
        summary="remove old backups",
        description="Removes old backups, and contents that nothing names any more. The newest backup of each "
        "machine stays, and any that a journal or an open decision rests on.",
        codes=["0  done, or nothing to do", _FAILED],
    )
    prune.add_argument(
        "--keep-last", type=count, default=10, metavar="N", help="so many of each machine stay (default: 10)"
    )
    prune.add_argument(
        "--keep-days", type=days, default=days("30"), metavar="N", help="those younger than this stay (default: 30)"
    )
    prune.add_argument("--max-bytes", type=size, metavar="N", help="of what stays, no more than this")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed, and what stays and why")


def _add_decisions(below: Any) -> None:
    decisions = _subcommand(
        below,
        "decisions",
        summary="list what waits for a person",
        description="Lists the conflicts that wait for an answer, and how to give it.",
        codes=["0  nothing waits for an answer", "1  something does", _FAILED],
    )
    decisions.add_argument("--all", action="store_true", help="also those that were answered")

    show = _subcommand(
        below,
        "show",
        summary="show what a decision is about, line by line",
        description="Shows how the version of the machine differs from that of the baseline.",
        codes=["0  it is shown", _FAILED],
    )
    show.add_argument("id", metavar="ID", help="the decision, or the beginning of its id")

    approve = _subcommand(
        below,
        "approve",
        summary="say yes to a decision",
        description="Answers a decision. It is carried out at once if it can be from here, else by the next sync of "
        "its machine.",
        codes=["0  it is answered", _FAILED],
    )
    approve.add_argument("id", metavar="ID", help="the decision, or the beginning of its id")
    approve.add_argument(
        "--action",
        choices=ACTIONS,
        help="sync_to_baseline takes the machine's version, keep_target the baseline's (default: what is proposed)",
    )

    reject = _subcommand(
        below,
        "reject",
        summary="say no to a decision: both sides stay as they are",
        description="Answers a decision with no: both sides stay as they are until one of them changes.",
        codes=["0  it is answered", _FAILED],
    )
    reject.add_argument("id", metavar="ID", help="the decision, or the beginning of its id")


def _subcommand(
    below: Any, name: str, *, summary: str, description: str, codes: Sequence[str]
) -> argparse.ArgumentParser:
    parser = command(below, name, late("_sync", name), summary=summary, description=description, codes=codes)
    add_storage(parser)
    add_sides(parser)
    parser.add_argument(
        "--include", action="append", metavar="GLOB", help="what takes part, may be repeated (default: all)"
    )
    parser.add_argument("--exclude", action="append", metavar="GLOB", help="what does not take part, may be repeated")
    parser.add_argument(
        "--policy",
        action="append",
        metavar="[GLOB=]CHOICE",
        help="what becomes of conflicts, may be repeated, the first that fits counts: decision, merge, baseline, "
        "machine or keep_both (default: decision)",
    )
    parser.add_argument(
        "--backups", metavar="DIR", help="directory for backups (default: 'backups' in the shared folder)"
    )
    parser.add_argument(
        "--state-dir", metavar="DIR", help="local directory of the service's ledger and of the sync's journal"
    )
    add_timing(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done; nothing is written")
    parser.add_argument(
        "--again", action="store_true", help="now, even if it was done before for the same silence or return"
    )
    parser.add_argument("--no-backup", action="store_true", help="write no backup for people")
    _add_mass_change(parser)


def _add_from_baseline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-sync-from-baseline",
        action="store_true",
        help="write nothing into the workspace; what would be written stays pending",
    )


def _add_mass_change(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-mass-change",
        action="store_true",
        help="do not refuse that many files are gone, or that all changed: it is meant",
    )
