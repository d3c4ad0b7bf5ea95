"""Rolling back: a backup as a run of its own, with a backup of its own.

Owns what a rollback does and refuses. It is journaled like any run, so a kill leaves the old state or the new one, and
rolling back the rollback undoes it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection

import attrs

from heartbeat_kit._events import event_id
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import (
    DamagedBackupError,
    InvalidMachineIdError,
    NotExecutorError,
    RollbackRefusedError,
    SyncFileError,
)
from heartbeat_kit.sync._archive import Archive, read_archive
from heartbeat_kit.sync._backup import Backup, Kept, content_of, read_backup
from heartbeat_kit.sync._baseline import read_manifest, read_sentinel
from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._complete import Done
from heartbeat_kit.sync._decision import DecisionState
from heartbeat_kit.sync._execute import write_backup
from heartbeat_kit.sync._journal import Journal, Step, in_order
from heartbeat_kit.sync._model import File, Side, SyncMode
from heartbeat_kit.sync._places import OBJECTS, Places
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._receipt import receipts_of
from heartbeat_kit.sync._report import SyncOutcome, SyncReport
from heartbeat_kit.sync._session import Session, file_errors
from heartbeat_kit.sync._survey import overlay
from heartbeat_kit.sync._tree import Kind, Tree, file_above, holds_nothing, stat_at
from heartbeat_kit.sync._writer import Objects, Writer, parent_of

__all__ = ["check_backup", "restore", "try_backup"]


def check_backup(places: Places, name: str) -> Backup:
    """Read a backup and every content it keeps.

    Raises:
        DamagedBackupError: One bit of it is not as it was written.
    """
    backup = read_backup(places.backups, name)
    try:
        known = normalize_machine_id(backup.machine_id)
    except InvalidMachineIdError:
        known = None
    if known != backup.machine_id:
        raise DamagedBackupError(f"the backup {name} is of a machine {backup.machine_id!r:.80} that cannot be")
    beside = Objects(Writer(places.backups), OBJECTS)
    for sha256 in backup.contents:
        content_of(backup, sha256, beside.get)
    return backup


def try_backup(places: Places, name: str) -> int:
    """Restore a backup into a temporary folder, read every file again, and return how many there are.

    Raises:
        DamagedBackupError: One bit of it is not as it was written.
    """
    backup = check_backup(places, name)
    beside = Objects(Writer(places.backups), OBJECTS)
    with tempfile.TemporaryDirectory(prefix="heartbeat-kit-verify-") as folder, file_errors():
        writer = Writer(RealTree(folder))
        kept = [each for each in backup.files if each.before is not None]
        for each in kept:
            path = f"{each.side}/{each.path}"
            writer.ensure(parent_of(path))
            if each.before is not None:
                writer.tree.create(path, content_of(backup, each.before.sha256, beside.get), mode=0o600)
        wrong = [e.path for e in kept if e.before and writer.tree.read(f"{e.side}/{e.path}").sha256 != e.before.sha256]
    if wrong:
        raise DamagedBackupError(f"{name} does not restore {', '.join(wrong[:3])}", paths=wrong)
    return len(kept)


def restore(places: Places, name: str, session: Session, *, observer: str, now_ms: int, force: bool) -> SyncReport:
    """Make every file of a backup as it was; the report names the backup of how it was before.

    Raises:
        DamagedBackupError: The backup cannot be used; nothing was changed.
        NotExecutorError: It holds files of another machine; nothing was changed.
        RollbackRefusedError: Somebody edited a file since; nothing was changed.
        SyncFileError: A file is not as it should be afterwards.
    """
    backup = check_backup(places, name)
    if backup.machine_id != observer and any(kept.side is Side.MACHINE for kept in backup.files):
        raise NotExecutorError(
            f"{name} holds files of {backup.machine_id}: roll it back there", machine_id=backup.machine_id
        )
    archive = read_archive(places.state)
    baseline_id = read_sentinel(places.shared, archive.baseline_id if archive else None)
    _, digest = read_manifest(places.shared, baseline_id)
    steps = _steps(places, backup, force=force)
    own = backup.machine_id == observer
    if not steps:
        return _undone(backup, now_ms, own=own)
    base, taken = _base(places, backup.machine_id, archive)
    plan_id = event_id("restore", name, now_ms)
    touched = {step.path for step in steps}  # what else both agreed on since stays as it is
    agreed = {path: file for path, file in backup.agreed.items() if path in touched}
    reverse = attrs.evolve(
        backup,
        operation="restore",
        taken_at_ms=now_ms,
        plan_id=plan_id,
        files=tuple(_kept(step) for step in steps),
        agreed={path: base.get(path) for path in agreed},
        manifest=digest,
        inline={},
    )
    beside = Objects(Writer(places.backups), OBJECTS)
    completion = session.completion
    completion.local.put_all(
        (step.after.sha256, content_of(backup, step.after.sha256, beside.get)) for step in steps if step.after
    )
    for step in steps:
        if step.before is not None:
            tree, path = places.of(step.side, step.path)
            found = tree.read(path)
            completion.local.put_all([(found.sha256, found.data)])
    made = write_backup(places, reverse, completion)
    journal = Journal(
        id=plan_id,
        operation="restore",
        machine_id=backup.machine_id,
        baseline_id=baseline_id,
        plan_id=plan_id,
        transition_id=None if own else plan_id,  # of another machine: a receipt tells it what it agreed on before
        synced_at_ms=now_ms,
        steps=steps,
        agreed={**base, **agreed} if own else agreed,
        archives=own,
        taken=taken if own else (),
        announce={step.path: step.after for step in steps if step.side is Side.BASELINE},
        closes=dict.fromkeys(backup.decisions, DecisionState.ROLLED_BACK),
        backup=made,
        planned=SyncChanges(files_synced=len({step.path for step in steps if step.side is not Side.CONFLICTS})),
    )
    session.fence.check()
    completion.commit(journal)
    done = completion.complete(journal, session.fence)
    _prove(places, steps, done)
    report = _undone(backup, now_ms, own=own)
    path = f"{places.backups.root}/{made}"
    return attrs.evolve(report, changes=done.changes, backup_created=True, backup_path=path, plan_id=plan_id)


def _undone(backup: Backup, now_ms: int, *, own: bool) -> SyncReport:
    """The mode is that of the sync taken back; of a rollback that is taken back, that of who does it."""
    modes = {str(each): each for each in SyncMode}
    mode = modes.get(backup.operation, SyncMode.ONLINE if own else SyncMode.OFFLINE)
    return SyncReport(machine_id=backup.machine_id, mode=mode, outcome=SyncOutcome.ROLLED_BACK, synced_at=now_ms)


def _base(places: Places, machine_id: str, archive: Archive | None) -> tuple[dict[str, File], tuple[str, ...]]:
    """What the machine agrees on with the baseline, receipts included, and the receipts the archive does not know."""
    known = archive.taken if archive else ()
    fresh = [each for each in receipts_of(places.shared, machine_id) if each.transition_id not in known]
    base = dict(archive.entries) if archive else {}
    for receipt in fresh if archive else ():  # without an archive there is no base, and no receipt makes one
        overlay(base, receipt)
    return base, tuple(each.transition_id for each in fresh)


def _steps(places: Places, backup: Backup, *, force: bool) -> tuple[Step, ...]:
    steps, edited = [], []
    touched = {places.of(kept.side, kept.path) for kept in backup.files}
    for kept in backup.files:
        now = _file_at(places, kept.side, kept.path, touched)
        if now == kept.before:
            continue
        if now != kept.after and not force:
            edited.append(kept.path)
        steps.append(Step(side=kept.side, path=kept.path, before=now, after=kept.before))
    if edited:
        raise RollbackRefusedError(
            f"{len(edited)} of {len(backup.files)} files were edited since the backup {backup.name} was made, "
            f"{', '.join(edited[:3])} for one: save them elsewhere, or roll back with force=True (a backup of now is "
            "made first)",
            machine_id=backup.machine_id,
            paths=edited,
        )
    return in_order(steps)


def _prove(places: Places, steps: tuple[Step, ...], done: Done) -> None:
    """A rollback is one only if every file is as it was."""
    touched = {places.of(step.side, step.path) for step in steps}
    wrong = [step.path for step in steps if _file_at(places, step.side, step.path, touched) != step.after]
    if wrong or done.foreign:
        raise SyncFileError(
            f"{', '.join(wrong) or 'a file'} was edited while it was rolled back and was left as it is; the rest is "
            "rolled back",
            paths=wrong,
        )


def _kept(step: Step) -> Kept:
    return Kept(side=step.side, path=step.path, before=step.before, after=step.after)


def _file_at(places: Places, side: Side, path: str, touched: Collection[tuple[Tree, str]]) -> File | None:
    """The file at a path; none is where one of those `touched` is in the way and will not stay."""
    tree, where = places.of(side, path)
    stat = stat_at(tree, where)
    if stat is None:
        above = file_above(tree, where)
        if above is not None and (tree, above) not in touched:
            raise RollbackRefusedError(f"{path} is beneath a file now: nothing was changed", paths=[path])
        return None
    if stat.kind is Kind.DIRECTORY and holds_nothing(tree, where, {each for of, each in touched if of is tree}):
        return None
    if stat.kind is not Kind.FILE:
        raise RollbackRefusedError(f"{path} is a {stat.kind} now: nothing was changed", paths=[path])
    content = tree.read(where, keep=False)
    return File(sha256=content.sha256, size=content.stat.size, mode=content.stat.mode & 0o777)
