"""The engine: survey, plan, run, report, over whatever trees it is given.

Owns the order of a sync from the lock to the report. Must not know heartbeats, services or who may act: the crash
tests run it on a simulated disk, the coordinator on a real one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import attrs

from heartbeat_kit._events import event_id
from heartbeat_kit._words import printable
from heartbeat_kit.errors import DamagedBackupError, StalePlanError, SyncError
from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._complete import Completion, Done
from heartbeat_kit.sync._deciding import asked
from heartbeat_kit.sync._decision import DecisionState
from heartbeat_kit.sync._execute import Executor, Order, Void
from heartbeat_kit.sync._fence import Fence
from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._journal import read_journal
from heartbeat_kit.sync._model import Snapshot, SyncMode
from heartbeat_kit.sync._places import Places
from heartbeat_kit.sync._plan import SyncPlan
from heartbeat_kit.sync._planning import Planned, Planning
from heartbeat_kit.sync._policy import Choice, ConflictPolicy
from heartbeat_kit.sync._published import Publication
from heartbeat_kit.sync._publishing import publish
from heartbeat_kit.sync._receipt import Receipt, receipt_for
from heartbeat_kit.sync._report import SyncOutcome, SyncReport
from heartbeat_kit.sync._restoring import check_backup
from heartbeat_kit.sync._retention import sweep_trash
from heartbeat_kit.sync._selection import Selection
from heartbeat_kit.sync._session import Lock, Session, Sessions, file_errors
from heartbeat_kit.sync._snapshot import Validator
from heartbeat_kit.sync._survey import Survey, Surveyor, holding_back

__all__ = ["Engine", "Task"]

_log = logging.getLogger("heartbeat_kit")
_TRIES: Final = 3
"""How often a run that found the world moved makes a new plan, before it gives up."""


class Task(NamedTuple):
    """What is to be synced, and how.

    Attributes:
        machine_id: Whose files.
        mode: Which sync.
        order: Made of the survey: the transition it answers and its times.
        dry_run: Only plan.
        sync_from_baseline: Whether the machine may be written to.
        guards: What is refused.
        plan_id: The plan that is to be carried out and no other; ``None`` for whatever is right now.
        only: The one path that takes part, all others staying as they are; ``None`` for all.
    """

    machine_id: str
    mode: SyncMode
    order: Callable[[Survey], Order]
    dry_run: bool = False
    sync_from_baseline: bool = True
    guards: Guards | None = None
    plan_id: str | None = None
    only: str | None = None


class Engine:
    """Runs syncs.

    Args:
        places: The trees.
        observer: Who runs.
        selection: Which paths take part.
        policy: What becomes of conflicts.
        guards: What is refused.
        validators: What a file of a kind must pass to be believed.
        lock: Among the processes of this machine.
        make_fence: Among machines.
        now_ns: The wall clock, epoch nanoseconds.
        prepare: Makes the local folders.
    """

    def __init__(
        self,
        places: Places,
        *,
        observer: str,
        selection: Selection,
        policy: ConflictPolicy,
        guards: Guards,
        validators: Sequence[Validator],
        lock: Lock,
        make_fence: Callable[[], Fence],
        now_ns: Callable[[], int],
        prepare: Callable[[], None],
    ) -> None:
        self.places = places
        self._observer = observer
        self._guards = guards
        self._now_ns = now_ns
        self._policy = policy
        self._surveyor = Surveyor(places, selection, validators)
        self._planning = Planning(places, policy, validators)
        self.sessions = Sessions(places, lock, make_fence, self._completion, prepare, sweep=self._sweep)

    def plan(self, task: Task) -> SyncPlan:
        """What a sync would do now. Writes nothing.

        Raises:
            RecoveryPendingError: An interrupted run is to be finished first.
        """
        with self.sessions.looking():
            survey = self._surveyor.survey(task.machine_id, task.mode, self._now_ns())
            return self._plan(survey, task).plan

    def run(self, task: Task) -> SyncReport:
        """Do a sync, or say what it would do.

        Raises:
            SyncError: By its code; nothing was changed unless it says otherwise.
        """
        report = self._look(task) if task.dry_run else self._carry_out(task)
        return attrs.evolve(report, waiting=self._waiting(report))

    def _carry_out(self, task: Task) -> SyncReport:
        with self.sessions.open() as session:
            moving: list[str] = []
            for left in range(_TRIES - 1, -1, -1):
                try:
                    # The last try is made without what did not stand still in those before: the rest need not wait.
                    report = self._attempt(task, session, moving if left == 0 else ())
                    return attrs.evolve(report, note="; ".join(filter(None, [report.note, session.swept])))
                except StalePlanError as error:
                    if task.plan_id is not None or left == 0:
                        raise
                    moving.extend(error.paths)
                    self._surveyor.forget()
        raise AssertionError("a run ends with a report or an error")

    def _waiting(self, report: SyncReport) -> tuple[str, ...]:
        """What nobody has answered about the machine."""
        try:
            stored = asked(self.places, all_states=True)
        except SyncError:  # it was there a moment ago; what was done is what counts
            stored = ()
        known = {each.id: each for each in (*report.decisions, *stored)}
        return tuple(
            each.id
            for each in sorted(known.values(), key=lambda each: each.path)
            if each.machine_id == report.machine_id and each.state is DecisionState.PENDING
        )

    def baseline_files(self) -> Snapshot:
        """The files of the baseline as they are."""
        return self._surveyor.baseline_files(self._now_ns())

    def publish(self, machine_id: str) -> Publication:
        """Publish the working copy."""
        if self.sessions.is_interrupted:
            self.recover()
        with self.sessions.local(), file_errors():
            now_ns = self._now_ns()
            own = self._surveyor.own(machine_id, now_ns)
            now_ms = now_ns // 1_000_000
            return publish(self.places, machine_id, own, completion=self._completion(), now_ms=now_ms)

    def recover(self) -> Done | None:
        """Finish what was interrupted, if anything was."""
        with self.sessions.open() as session:
            return session.recovered

    def _sweep(self) -> str:
        """Let go of displaced files; says which were edited after all, because somebody had them open."""
        pending = read_journal(self.places.state)
        run_id = None if pending is None else pending.id
        trees = (self.places.workspace, self.places.shared)
        edited = [f"{tree.root}/{path}" for tree in trees for path in sweep_trash(tree, self._now_ns(), run_id)]
        if edited:
            _log.warning("edited while they were replaced, and kept: %s", ", ".join(edited))
        return f"edited while it was replaced, and kept: {', '.join(edited)}" if edited else ""

    def _completion(self) -> Completion:
        keeps = self._policy.choice
        return Completion(self.places, self._observer, lambda path: keeps(path) is Choice.MERGE, self._now_ns())

    def _plan(self, survey: Survey, task: Task) -> Planned:
        guards = self._guards if task.guards is None else task.guards
        planned = self._planning.plan(survey, guards, sync_from_baseline=task.sync_from_baseline)
        if task.only is None:
            return planned
        chosen = tuple(action for action in planned.plan.actions if _one_tree(action.path, task.only))
        return planned._replace(plan=attrs.evolve(planned.plan, actions=chosen))

    def _look(self, task: Task) -> SyncReport:
        with self.sessions.looking():
            survey = self._surveyor.survey(task.machine_id, task.mode, self._now_ns())
            order = task.order(survey)
            done = self._done_before(order)
            is_final = done is not None and not done.deferred
            if survey.problem and not is_final:
                return self._nothing(survey, order)
            plan, merged = self._plan(survey, task)
            idle = Executor(self.places, self._completion(), merged).is_idle
            if done is not None and (is_final or idle(survey, plan, order)):
                return attrs.evolve(self._repeated(done), changes=SyncChanges(), planned=done.changes)
        _refuse(plan, task)
        return attrs.evolve(
            self._report(survey, plan, order, SyncOutcome.DRY_RUN),
            planned=attrs.evolve(plan.planned, offline_duration=order.offline_ms),
            decisions=plan.decisions,
        )

    def _attempt(self, task: Task, session: Session, moving: Iterable[str]) -> SyncReport:
        survey = holding_back(self._surveyor.survey(task.machine_id, task.mode, self._now_ns()), moving)
        order = task.order(survey)
        recovered = session.recovered is not None
        done = self._done_before(order)
        if done is not None and not done.deferred:
            return attrs.evolve(self._repeated(done), recovered=recovered)
        if survey.problem:
            return attrs.evolve(self._nothing(survey, order), recovered=recovered)
        session.fence.check()
        planned = self._plan(survey, task)
        if task.plan_id is not None and planned.plan.id != task.plan_id:  # made without writing to the machine, perhaps
            planned = self._plan(survey, task._replace(sync_from_baseline=False))
        plan = planned.plan
        executor = Executor(self.places, session.completion, planned.merged)
        if done is not None:  # what was unknown then may be known now: that much of it is not done yet
            if executor.is_idle(survey, plan, order):
                return attrs.evolve(self._repeated(done), recovered=recovered)
            order = attrs.evolve(order, transition_id=event_id(done.transition_id, "deferred", done.plan_id))
        if task.plan_id is not None and plan.id != task.plan_id:
            raise StalePlanError(
                f"the plan {task.plan_id[:8]} is not what would be done now ({plan.id[:8]}): files, baseline, policy "
                "or settings changed since; nothing was changed, make a new plan",
                machine_id=plan.machine_id,
            )
        _refuse(plan, task)
        try:
            done_now = executor.execute(survey, plan, order, session.fence, whole=task.only is None)
        except Void as void:
            return attrs.evolve(self._report(survey, plan, order, SyncOutcome.VOID), note=str(void))
        report = self._report(survey, plan, order, SyncOutcome.APPLIED)
        backup = done_now.journal.backup
        return attrs.evolve(
            report,
            changes=done_now.changes,
            decisions=done_now.decisions,
            backup_created=backup is not None,
            backup_path=None if backup is None else self.path_of(backup),
            recovered=recovered,
            note="" if not done_now.foreign else f"{len(done_now.foreign)} left alone, edited meanwhile",
        )

    def path_of(self, backup: str) -> str:
        """Where a backup lies."""
        return f"{self.places.backups.root}/{backup}"

    def _done_before(self, order: Order) -> Receipt | None:
        """The last receipt for a transition: one that left something deferred may have been followed by another."""
        found, transition_id = None, order.transition_id
        while transition_id is not None and (after := receipt_for(self.places.shared, transition_id)) is not None:
            found, transition_id = after, event_id(after.transition_id, "deferred", after.plan_id)
            if not after.deferred:
                break
        return found

    def _repeated(self, receipt: Receipt) -> SyncReport:
        return SyncReport(
            machine_id=receipt.machine_id,
            mode=SyncMode(receipt.operation),
            outcome=SyncOutcome.ALREADY_DONE,
            synced_at=receipt.synced_at_ms,
            changes=receipt.changes,
            backup_created=receipt.backup is not None and self._verifies(receipt.backup),
            backup_path=None if receipt.backup is None else self.path_of(receipt.backup),
            plan_id=receipt.plan_id,
            transition_id=receipt.transition_id,
            pending=receipt.pending,
            deferred=receipt.deferred,
            note=f"by {receipt.observer}",
        )

    def _verifies(self, backup: str) -> bool:
        try:
            check_backup(self.places, backup)
        except DamagedBackupError:
            return False
        return True

    def _nothing(self, survey: Survey, order: Order) -> SyncReport:
        return SyncReport(
            machine_id=survey.machine_id,
            mode=survey.mode,
            outcome=SyncOutcome.NOTHING_PUBLISHED,
            synced_at=order.synced_at_ms,
            transition_id=order.transition_id,
            note=survey.problem,
        )

    def _report(self, survey: Survey, plan: SyncPlan, order: Order, outcome: SyncOutcome) -> SyncReport:
        return SyncReport(
            machine_id=plan.machine_id,
            mode=plan.mode,
            outcome=outcome,
            synced_at=order.synced_at_ms,
            plan_id=plan.id,
            transition_id=order.transition_id,
            pending=plan.pending,
            deferred=plan.deferred,
            rejected={
                printable(path): printable(why)
                for path, why in {**survey.actual.rejected, **survey.machine.rejected}.items()
            },
        )


def _one_tree(path: str, other: str) -> bool:
    """Whether two paths are one, or one is beneath the other: then neither can be changed without the other."""
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")


def _refuse(plan: SyncPlan, task: Task) -> None:
    """A plan with refusals is carried out by nobody."""
    if plan.refusals:
        raise plan.refusals[0].error(task.machine_id)
