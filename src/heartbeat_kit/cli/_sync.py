"""`sync`: the subcommands, each a call of `SyncCoordinator`, its answer and its exit code.

Owns which argument becomes which call, what counts as left for a person, and the names errors give to what a person
has to type. Loaded only by whoever syncs.
"""

from __future__ import annotations

import base64
import contextlib
import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from heartbeat_kit import SyncCoordinator, normalize_machine_id, to_wire
from heartbeat_kit._words import counted
from heartbeat_kit.cli._opening import SHARED_VARIABLE, WORKSPACE_VARIABLE, named, opened
from heartbeat_kit.cli._sync_view import SyncView
from heartbeat_kit.cli._terminal import Terminal
from heartbeat_kit.errors import MachineNotOfflineError, MachineNotOnlineError, SyncError
from heartbeat_kit.sync import (
    ConflictPolicy,
    Decision,
    DecisionState,
    Guards,
    SyncMode,
    SyncOutcome,
    SyncPlan,
    SyncReport,
)
from heartbeat_kit.sync._typed import typed

__all__ = [
    "approve",
    "decisions",
    "init",
    "offline",
    "online",
    "plan",
    "prune",
    "publish",
    "recover",
    "reject",
    "rollback",
    "show",
    "verify",
]

_DONE, _LEFT = 0, 1
_UNDONE: Final = {SyncOutcome.NOT_EXECUTOR, SyncOutcome.VOID, SyncOutcome.NOTHING_PUBLISHED}
_ADVICE: Final = {
    MachineNotOfflineError: "'heartbeat-kit status --explain {id}' says why; are --interval and --timeout those of the "
    "fleet? Where 'beat --forever' began only just, wait for 2 T: a silence it has not watched does not count",
    MachineNotOnlineError: "'heartbeat-kit beat' tells that this machine is here; 'sync online --again' does not ask",
}


def plan(arguments: Namespace) -> int:
    """Show what would be done now."""
    with _coordinating(arguments) as coordinator:
        name = coordinator.machine_id if arguments.id is None else normalize_machine_id(arguments.id)
        mode = arguments.mode or (SyncMode.ONLINE if name == coordinator.machine_id else SyncMode.OFFLINE)
        found = coordinator.plan(
            name, mode=mode, sync_from_baseline=not arguments.no_sync_from_baseline, guards=_guards(arguments)
        )
        _answer(arguments, found, lambda view: view.plan(found))
        if found.refusals:
            raise found.refusals[0].error(found.machine_id)
        asked = any(each.decision and each.decision.state is DecisionState.PENDING for each in found.actions)
    return _LEFT if asked or found.deferred else _DONE


def offline(arguments: Namespace) -> int:
    """Preserve what a machine published."""
    with _coordinating(arguments) as coordinator:
        if _whenever(arguments):
            finished = coordinator.recover()
            made = coordinator.plan(arguments.id, mode=SyncMode.OFFLINE, guards=_guards(arguments))
            report = coordinator.apply(made, create_backup=not arguments.no_backup)
            report = attrs.evolve(report, recovered=finished.plan_id is not None)
        else:
            report = coordinator.sync_on_offline(
                arguments.id, create_backup=not arguments.no_backup, dry_run=arguments.dry_run
            )
        return _reported(arguments, coordinator, report)


def online(arguments: Namespace) -> int:
    """Bring this machine up to date."""
    with _coordinating(arguments) as coordinator:
        name = arguments.id or coordinator.machine_id
        from_baseline = not arguments.no_sync_from_baseline
        if _whenever(arguments):
            finished = coordinator.recover()
            made = coordinator.plan(name, guards=_guards(arguments), sync_from_baseline=from_baseline)
            report = coordinator.apply(made, create_backup=not arguments.no_backup)
            report = attrs.evolve(report, recovered=finished.plan_id is not None)
        else:
            report = coordinator.sync_on_online(
                name,
                create_backup=not arguments.no_backup,
                dry_run=arguments.dry_run,
                sync_from_baseline=from_baseline,
            )
        return _reported(arguments, coordinator, report)


def init(arguments: Namespace) -> int:
    """Make the baseline, or take over what is in it."""
    with _coordinating(arguments) as coordinator:
        generation = coordinator.adopt_baseline()
    said = f"The baseline is there, at generation {generation}"
    _answer(arguments, {"generation": generation, "message": said}, lambda view: view.say(said))
    return _DONE


def publish(arguments: Namespace) -> int:
    """Publish this machine's files."""
    with _coordinating(arguments) as coordinator:
        found = coordinator.publish()
    said = f"Published {counted(len(found.entries), 'file')} of {found.machine_id} (number {found.number})"
    record = {
        "machineId": found.machine_id,
        "number": found.number,
        "files": len(found.entries),
        "unknown": dict(found.unknown),
        "message": said,
    }
    _answer(arguments, record, lambda view: view.say(said, reasons=found.unknown))
    return _LEFT if found.unknown else _DONE


def recover(arguments: Namespace) -> int:
    """Finish what was interrupted."""
    with _coordinating(arguments) as coordinator:
        found = coordinator.recover(discard_damaged=arguments.discard_damaged)
    said = "Nothing was interrupted"
    if found.plan_id is not None:
        said = f"Finished the interrupted sync {found.plan_id[:8]}, of {counted(found.files, 'file')}"
    if found.set_aside:
        said += f"; set aside: {', '.join(found.set_aside)}"
    record = {
        "planId": found.plan_id,
        "files": found.files,
        "setAside": list(found.set_aside),
        "message": said,
    }
    _answer(arguments, record, lambda view: view.say(said))
    return _DONE


def rollback(arguments: Namespace) -> int:
    """Make every file of a backup as it was."""
    with _coordinating(arguments) as coordinator:
        report = coordinator.rollback(arguments.backup, force=arguments.force)
    _answer(arguments, report, lambda view: view.rolled_back(report))
    return _DONE


def verify(arguments: Namespace) -> int:
    """Try a backup."""
    with _coordinating(arguments) as coordinator:
        files = coordinator.verify(arguments.backup)
    said = f"The backup restores: {counted(files, 'file')} compared"
    _answer(arguments, {"backup": arguments.backup, "files": files, "message": said}, lambda view: view.say(said))
    return _DONE


def prune(arguments: Namespace) -> int:
    """Remove old backups."""
    with _coordinating(arguments) as coordinator:
        gone = coordinator.prune(
            keep_last=arguments.keep_last,
            keep_within=arguments.keep_days,
            max_bytes=arguments.max_bytes,
            dry_run=arguments.dry_run,
        )
    parts = [
        counted(len(gone.backups), "backup"),
        f"{counted(gone.contents, 'content')} that nothing names any more",
        counted(gone.receipts, "old receipt"),
        counted(gone.temporaries, "temporary file"),
    ]
    said = f"{'Would remove' if gone.dry_run else 'Removed'} {', '.join(parts)}"
    record = {
        "backups": list(gone.backups),
        "contents": gone.contents,
        "receipts": gone.receipts,
        "temporaries": gone.temporaries,
        "kept": dict(gone.kept),
        "dryRun": gone.dry_run,
        "message": said,
    }
    _answer(arguments, record, lambda view: view.pruned(said, gone))
    return _DONE


def decisions(arguments: Namespace) -> int:
    """List what waits for a person."""
    with _coordinating(arguments) as coordinator:
        known = coordinator.decisions(all_states=True)
    shown = tuple(each for each in known if arguments.all or each.is_open)
    waiting = sum(each.state is DecisionState.PENDING for each in shown)
    record = {"count": len(shown), "waiting": waiting, "decisions": [to_wire(each) for each in shown]}
    _answer(arguments, record, lambda view: view.decisions(shown, known))
    return _LEFT if waiting else _DONE


def show(arguments: Namespace) -> int:
    """Show what a decision is about."""
    with _coordinating(arguments) as coordinator:
        found = coordinator.versions(arguments.id)
        (decision,) = (each for each in coordinator.decisions(all_states=True) if each.id.startswith(arguments.id))
    record = {
        "decision": to_wire(decision),
        "versions": {side: _version(data) for side, data in found._asdict().items()},
    }
    _answer(arguments, record, lambda view: view.versions(decision, found))
    return _DONE


def approve(arguments: Namespace) -> int:
    """Say yes to a decision."""
    with _coordinating(arguments) as coordinator:
        return _answered(arguments, coordinator.approve(arguments.id, action=arguments.action))


def reject(arguments: Namespace) -> int:
    """Say no to a decision."""
    with _coordinating(arguments) as coordinator:
        return _answered(arguments, coordinator.reject(arguments.id))


@contextlib.contextmanager
def _coordinating(arguments: Namespace) -> Iterator[SyncCoordinator]:
    """The coordinator a subcommand talks to; what the library advises is said in the words of the command line."""
    workspace = named(arguments.workspace, "workspace", "--workspace /etc/app", WORKSPACE_VARIABLE)
    shared = named(arguments.shared, "shared folder", "--shared /srv/share", SHARED_VARIABLE)
    with opened(arguments) as service:
        try:
            yield SyncCoordinator(
                service,
                workspace=workspace,
                shared=shared,
                policy=_policy(arguments.policy or ()),
                include=arguments.include or ("**",),
                exclude=arguments.exclude or (),
                state_dir=arguments.state_dir,
                backups=arguments.backups,
            )
        except SyncError as error:
            message = _advised(error)
            if message == error.message:
                raise
            raise type(error)(message, machine_id=error.machine_id, paths=error.paths) from error


def _policy(rules: list[str] | tuple[()]) -> ConflictPolicy:
    """The rules in their order; a choice without a glob is for every path. A glob may hold a '=', a choice does not."""
    parted = [rule.rpartition("=") for rule in rules]
    return ConflictPolicy([(glob if equals else "**", choice) for glob, equals, choice in parted])


def _version(data: bytes | None) -> dict[str, Any] | None:
    if data is None:
        return None
    return {"size": len(data), "base64": base64.b64encode(data).decode()}


def _guards(arguments: Namespace) -> Guards | None:
    return Guards.off() if arguments.allow_mass_change else None


def _whenever(arguments: Namespace) -> bool:
    """Whether it is done now, rather than once for each silence or return."""
    if arguments.dry_run and (arguments.again or arguments.allow_mass_change):
        arguments.usage_error(
            "--dry-run does not go with --again or --allow-mass-change: 'sync plan' shows what those would do"
        )
    return bool(arguments.again or arguments.allow_mass_change)


def _advised(error: SyncError) -> str:
    message = typed(error.message)
    advice = _ADVICE.get(type(error))
    return f"{message} ({advice.format(id=error.machine_id)})" if advice else message


def _reported(arguments: Namespace, coordinator: SyncCoordinator, report: SyncReport) -> int:
    def shown(view: SyncView) -> None:
        known = {each.id: each for each in (*report.decisions, *coordinator.decisions(all_states=True))}
        view.report(report, [known[each] for each in report.waiting if each in known], tuple(known.values()))

    _answer(arguments, report, shown)
    left = report.waiting or report.deferred or report.rejected or report.outcome in _UNDONE
    return _LEFT if left else _DONE


def _answered(arguments: Namespace, decision: Decision) -> int:
    _answer(arguments, decision, lambda view: view.answered(decision))
    return _DONE


def _answer(
    arguments: Namespace, result: SyncPlan | SyncReport | Decision | dict[str, Any], show: Callable[[SyncView], None]
) -> None:
    """The answer, as JSON or for people."""
    terminal = Terminal()
    if arguments.json:
        record = result if isinstance(result, dict) else to_wire(result)
        terminal.line(json.dumps({"success": True, **record}, indent=2))
    else:
        show(SyncView(terminal))
