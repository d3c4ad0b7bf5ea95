"""`SyncCoordinator`: the façade of backup-and-sync. Each method is a few lines over one part.

Owns the wiring, and who may do what when. Decides nothing about files (`_planner`), and changes none (`_engine`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Final

from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit.errors import InvalidConfigurationError, MachineNotOfflineError
from heartbeat_kit.storage import Storage
from heartbeat_kit.storage._locks import ProcessLock
from heartbeat_kit.sync._auto import AutoSync, Told
from heartbeat_kit.sync._deciding import Versions, answer, asked, find, versions_of
from heartbeat_kit.sync._decision import Decision, DecisionAction, DecisionState
from heartbeat_kit.sync._engine import Engine
from heartbeat_kit.sync._evidence import Witness
from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._model import SyncMode
from heartbeat_kit.sync._places import Places
from heartbeat_kit.sync._plan import SyncPlan
from heartbeat_kit.sync._policy import Choice, ConflictPolicy
from heartbeat_kit.sync._published import Publication
from heartbeat_kit.sync._receipt import answered_at
from heartbeat_kit.sync._recovery import Recovery, set_aside
from heartbeat_kit.sync._report import SyncReport, not_executor
from heartbeat_kit.sync._restoring import restore, try_backup
from heartbeat_kit.sync._retention import Limits, Pruned, prune
from heartbeat_kit.sync._selection import Selection
from heartbeat_kit.sync._setup import (
    adopt,
    backup_name,
    folders,
    make_local,
    open_places,
    require_one_of,
    require_policy,
)
from heartbeat_kit.sync._snapshot import DEFAULT_VALIDATORS, Validator
from heartbeat_kit.sync._tasks import Tasks, failing
from heartbeat_kit.sync._wiring import acts, fence_of

__all__ = ["SyncCoordinator"]

_PATIENCE_S: Final = 60.0  # how long to wait for another sync of this machine


class SyncCoordinator:
    """Keeps the files of a machine in step with a shared baseline, when the machine goes and when it returns.

    Construction reads nothing and writes nothing. Every method may be called from any thread; runs wait for each other.
    Nothing is changed without a verified backup, and a kill or a power cut at any point leaves the old state or the
    new one.

    Args:
        storage_or_service: Who is alive: a `HeartbeatService`, or a `Storage` for one of its own that is not started.
        workspace: The folder of the live files of this machine.
        shared: The folder all machines share; what it lacks is made by `adopt_baseline`.
        machine_id: Who this machine is; by default as the service has it.
        policy: What becomes of conflicts: a `ConflictPolicy`, or what one is made of. By default a person decides.
        include: Patterns of the paths that take part; see `Selection`.
        exclude: Patterns of those that do not.
        state_dir: A directory on local disk for the archive and the journal; the user's state directory by default.
        backups: A directory for the backups, which may hold secrets; ``backups`` in the shared folder by default.
        guards: What is refused; `Guards()` by default.
        validators: What files of a kind must pass to be believed; by default ``*.json`` must parse.

    Raises:
        InvalidConfigurationError: A folder is missing, or lies where it would be synced itself.

    >>> import tempfile, pathlib
    >>> from heartbeat_kit import MemoryStorage, HeartbeatService, SyncCoordinator
    >>> home = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("etc", "share"):
    ...     (home / name).mkdir()
    >>> _ = (home / "etc" / "app.conf").write_text("port = 1")
    >>> service = HeartbeatService(MemoryStorage(), machine_id="web-1")
    >>> registration = service.register()
    >>> coordinator = SyncCoordinator(service, workspace=home / "etc", shared=home / "share", state_dir=home / "state")
    >>> _ = coordinator.adopt_baseline()
    >>> coordinator.sync_on_online("web-1").changes
    <SyncChanges 1 synced, 0 resolved, 0 decisions>
    >>> (home / "share" / "baseline" / "files" / "app.conf").read_text()
    'port = 1'
    """

    def __init__(
        self,
        storage_or_service: Storage | HeartbeatService,
        *,
        workspace: str | os.PathLike[str],
        shared: str | os.PathLike[str],
        machine_id: str | None = None,
        policy: ConflictPolicy | Mapping[str, Choice | str] | Choice | str | None = None,
        include: str | Iterable[str] = ("**",),
        exclude: str | Iterable[str] = (),
        state_dir: str | os.PathLike[str] | None = None,
        backups: str | os.PathLike[str] | None = None,
        guards: Guards | None = None,
        validators: Sequence[Validator] = DEFAULT_VALIDATORS,
    ) -> None:
        if isinstance(storage_or_service, HeartbeatService):
            self._service = storage_or_service
            if machine_id is not None and normalize_machine_id(machine_id) != self._service.machine_id:
                raise InvalidConfigurationError(
                    f"machine_id is {machine_id!r}, but the service is {self._service.machine_id!r}: leave it out"
                )
        else:
            self._service = HeartbeatService(storage_or_service, machine_id=machine_id, state_dir=state_dir)
        self._machine_id = self._service.machine_id
        self._policy = require_policy(policy)
        self._selection = Selection(include=include, exclude=exclude)
        self._guards = Guards() if guards is None else guards
        self._validators = tuple(validators)
        self._folders = folders(workspace, shared, state_dir, backups, self._machine_id)
        self._witness = Witness(self._service)
        self._tasks = Tasks(
            self._machine_id, self._witness, self._now_ms, lambda key: answered_at(self._places.shared, key)
        )

    def __repr__(self) -> str:
        return f"<SyncCoordinator of {self._machine_id}: {self._folders[0]} in step with {self._folders[1]}>"

    @property
    def machine_id(self) -> str:
        """Who this machine is."""
        return self._machine_id

    @property
    def service(self) -> HeartbeatService:
        """Who is asked which machines are alive."""
        return self._service

    def sync_on_offline(self, machine_id: str, *, create_backup: bool = True, dry_run: bool = False) -> SyncReport:
        """Preserve what a machine published before it went: its last edits go into the baseline, nothing is deleted.

        Args:
            machine_id: The machine, which must be offline.
            create_backup: Write a backup for people. What is replaced is kept by the journal either way.
            dry_run: Only say what would be done; nothing at all is written.

        Raises:
            MachineNotOfflineError: It is not offline, or nobody can tell. An unconfirmed offline is taken, because a
                single run may know no more; what syncs by itself (`attach`) waits for what is announced.
            SyncError: Refused, by its code; nothing was changed.
            OfflineSyncError: It failed; the cause is chained.
        """
        name = normalize_machine_id(machine_id)
        if name == self._machine_id:
            return not_executor(name, SyncMode.OFFLINE, self._now_ms())
        with failing(SyncMode.OFFLINE, name):
            task = self._tasks.offline(name, create_backup=create_backup)
            return self._engine.run(task._replace(dry_run=dry_run))

    def sync_on_online(
        self,
        machine_id: str,
        *,
        create_backup: bool = True,
        dry_run: bool = False,
        sync_from_baseline: bool = True,
        again: bool = False,
    ) -> SyncReport:
        """Bring a machine that returned up to date, and the baseline with it; the machine does this itself, once.

        Args:
            machine_id: This machine, which must be online. For any other the outcome is ``not_executor``.
            create_backup: Write a backup for people. What is replaced is kept by the journal either way.
            dry_run: Only say what would be done; nothing at all is written.
            sync_from_baseline: Whether files of the machine may be written; without it they stay pending.
            again: Sync now; without it what was done for this return already is only told.

        Raises:
            MachineNotOnlineError: It is not online, or nobody can tell.
            SyncError: Refused, by its code; nothing was changed.
            OnlineSyncError: It failed; the cause is chained.
        """
        name = normalize_machine_id(machine_id)
        if name != self._machine_id:
            return not_executor(name, SyncMode.ONLINE, self._now_ms())
        with failing(SyncMode.ONLINE, name):
            task = self._tasks.online(create_backup=create_backup, again=again)
            return self._engine.run(task._replace(dry_run=dry_run, sync_from_baseline=sync_from_baseline))

    def plan(
        self,
        machine_id: str | None = None,
        *,
        mode: SyncMode | str = SyncMode.ONLINE,
        sync_from_baseline: bool = True,
        guards: Guards | None = None,
    ) -> SyncPlan:
        """What a sync would do now, whatever was done before. Writes nothing.

        Args:
            machine_id: Whose files; this machine by default.
            mode: ``online``, for this machine; ``offline``, for another.
            sync_from_baseline: As for `sync_on_online`.
            guards: What is refused, instead of what the coordinator refuses: `Guards.off()` for a mass change that
                is meant.

        Raises:
            NotExecutorError: An online plan of another machine: its files are not here.
            RecoveryPendingError: An interrupted run is to be finished first.
            SyncError: By its code.
        """
        name = self._machine_id if machine_id is None else normalize_machine_id(machine_id)
        task = self._tasks.whenever(name, require_one_of("mode", mode, *SyncMode), guards=guards)
        return self._engine.plan(task._replace(sync_from_baseline=sync_from_baseline))

    def apply(self, plan: SyncPlan, *, create_backup: bool = True) -> SyncReport:
        """Carry out a plan, if it is still what would be done.

        Raises:
            StalePlanError: It is not; nothing was changed.
            SyncError: By its code, such as that of the guard the plan was refused by.
        """
        if plan.refusals:
            raise plan.refusals[0].error(plan.machine_id)
        task = self._tasks.whenever(plan.machine_id, plan.mode, create_backup=create_backup, guards=Guards.off())
        return self._engine.run(task._replace(plan_id=plan.id))

    def publish(self) -> Publication:
        """Publish this machine's files, so that others can preserve them when it is gone.

        Raises:
            SyncError: What was published before still stands.
        """
        return self._engine.publish(self._machine_id)

    def adopt_baseline(self) -> int:
        """Announce the files of the baseline as they are now, and return its generation.

        Makes the baseline in a shared folder that has none, and takes over what people edited in it by hand.

        Raises:
            SyncError: By its code; nothing was changed.
        """
        with self._engine.sessions.open(founding=True) as session:
            look, covers = self._engine.baseline_files, self._selection.covers
            return adopt(self._places, look, covers, session.fence).generation

    def recover(self, *, discard_damaged: bool = False) -> Recovery:
        """Finish what was interrupted. Every run does so by itself; nothing happens if there is nothing.

        Args:
            discard_damaged: Set a damaged journal or archive aside, under a name beside it, and begin anew.

        Raises:
            DamagedSyncStateError: One is damaged, and was not to be set aside.
        """
        aside: tuple[str, ...] = ()
        if discard_damaged:
            with self._engine.sessions.local():
                aside = set_aside(self._places.state)
        return Recovery.of(self._engine.recover(), aside)

    def rollback(self, backup: str | os.PathLike[str], *, force: bool = False) -> SyncReport:
        """Make every file of a backup as it was; the backup this makes first undoes it.

        Args:
            backup: Its path or name, such as `SyncReport.backup_path`.
            force: Also where somebody edited a file since.

        Raises:
            DamagedBackupError: The backup cannot be used; nothing was changed.
            RollbackRefusedError: A file was edited since; nothing was changed.
            NotExecutorError: It holds files of another machine; nothing was changed.
            SyncError: By its code.
        """
        name = backup_name(backup, self._places.backups.root)
        with self._engine.sessions.open() as session:
            return restore(self._places, name, session, observer=self._machine_id, now_ms=self._now_ms(), force=force)

    def verify(self, backup: str | os.PathLike[str]) -> int:
        """Restore a backup into a temporary folder, compare every file, and return how many there were.

        Raises:
            DamagedBackupError: One bit of it is not as it was written.
        """
        return try_backup(self._places, backup_name(backup, self._places.backups.root))

    def prune(
        self,
        *,
        keep_last: int = 10,
        keep_within: timedelta = timedelta(days=30),
        max_bytes: int | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove old backups, receipts, and contents that nothing has named for a day.

        The newest verified backup of each machine stays, and any that a journal or an open decision rests on.

        Args:
            keep_last: So many backups of each machine stay.
            keep_within: Those younger than this stay.
            max_bytes: Of all that stay for these two reasons the oldest go, until what is left is no larger.
            dry_run: Only say what would be removed, and why what stays does.
        """
        now_ms = self._now_ms()
        limits = Limits.of(now_ms, keep_last=keep_last, keep_within=keep_within, max_bytes=max_bytes)
        sessions = self._engine.sessions
        with sessions.looking() if dry_run else sessions.open():
            return prune(self._places, limits, now_ns=now_ms * 1_000_000, dry_run=dry_run)

    def decisions(self, *, all_states: bool = False) -> tuple[Decision, ...]:
        """What waits for a person, by path; with `all_states` what was answered too.

        Raises:
            BaselineUnavailableError: There is no baseline, or another than before.
        """
        return asked(self._places, all_states=all_states)

    def versions(self, decision_id: str) -> Versions:
        """The contents a decision is about, to compare them before it is answered.

        Raises:
            UnknownDecisionError: There is none of that id.
        """
        return versions_of(self._places, find(self._places, decision_id))

    def approve(self, decision_id: str, *, action: DecisionAction | str | None = None) -> Decision:
        """Say yes to a decision. It is carried out now if it can be from here, else by the next sync of its machine.

        Args:
            decision_id: Its id, or the beginning of it.
            action: ``sync_to_baseline`` (the machine's version) or ``keep_target`` (the baseline's); by default what
                the decision proposes.

        Returns:
            The decision as it is then: ``applied``, or ``approved`` while it waits.

        Raises:
            UnknownDecisionError: There is none of that id.
            DecisionRefusedError: It is closed, or an action is needed.
        """
        chosen = None if action is None else require_one_of("action", action, *DecisionAction)
        decision = self._answer(decision_id, DecisionState.APPROVED, chosen)
        own = decision.machine_id == self._machine_id
        with contextlib.suppress(MachineNotOfflineError):  # it is alive, and does it itself
            mode = SyncMode.ONLINE if own else SyncMode.OFFLINE
            self._engine.run(
                self._tasks.whenever(decision.machine_id, mode, guards=Guards.off())._replace(only=decision.path)
            )
        return find(self._places, decision.id)

    def reject(self, decision_id: str) -> Decision:
        """Say no to a decision: both sides stay as they are until one of them changes.

        Raises:
            UnknownDecisionError: There is none of that id.
            DecisionRefusedError: It is closed.
        """
        return self._answer(decision_id, DecisionState.REJECTED, None)

    def attach(self, service: HeartbeatService | None = None, *, on_report: Told | None = None) -> AutoSync:
        """Sync by itself from now on: whenever the service announces that a machine went or returned.

        Args:
            service: Whose events to follow; by default the coordinator's own.
            on_report: Called with each `SyncReport`, and once with each error it goes on from.
        """
        can = acts(self._engine, self._tasks, self._witness, self._machine_id)
        return AutoSync(service or self._service, can, on_report)

    def _answer(self, decision_id: str, state: DecisionState, action: DecisionAction | None) -> Decision:
        with self._engine.sessions.open() as session:
            decision = find(self._places, decision_id)
            return answer(self._places, session.completion, decision, state, action)

    @cached_property
    def _places(self) -> Places:
        return open_places(self._folders)

    @cached_property
    def _engine(self) -> Engine:
        lock = ProcessLock(f"{self._places.state.root}/sync.lock", _PATIENCE_S)
        return Engine(
            self._places,
            observer=self._machine_id,
            selection=self._selection,
            policy=self._policy,
            guards=self._guards,
            validators=self._validators,
            lock=lock,
            make_fence=lambda: fence_of(self._service, self._places),
            now_ns=lambda: self._now_ms() * 1_000_000,
            prepare=lambda: make_local(self._folders),
        )

    def _now_ms(self) -> int:
        return self._service.clock.now().wall_ms
