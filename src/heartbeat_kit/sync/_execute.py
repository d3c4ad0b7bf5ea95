"""From a plan to its commit point: contents, verified backup, one more look at everything, journal.

Owns the order before the commit point. Until the journal is durable nothing that anybody tracks was changed, and an
error leaves all as it was. Must not know why a plan says what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import attrs

from heartbeat_kit._events import event_id
from heartbeat_kit._frozen import FrozenDict
from heartbeat_kit.errors import DamagedBackupError, StalePlanError, SyncFencedError
from heartbeat_kit.sync._backup import INLINE_LIMIT, Backup, Kept, content_of
from heartbeat_kit.sync._complete import Completion, Done
from heartbeat_kit.sync._decision import Decision, DecisionState
from heartbeat_kit.sync._fence import Fence
from heartbeat_kit.sync._journal import Journal, Step, in_order
from heartbeat_kit.sync._model import File, Side, Snapshot, SyncMode
from heartbeat_kit.sync._places import BACKUPS, MANIFEST, OBJECTS, Places, published
from heartbeat_kit.sync._plan import Act, SyncPlan
from heartbeat_kit.sync._survey import Survey
from heartbeat_kit.sync._tree import Kind, Tree, holds_nothing, stat_at
from heartbeat_kit.sync._writer import Objects, Writer

__all__ = ["Executor", "Order", "journal_of"]


_NAMED: Final = 3


@attrs.frozen(kw_only=True)
class Order:
    """How a run is to be done.

    Attributes:
        transition_id: The event it answers, or ``None``.
        evidence_ms: The time in the backup's name: the same for whoever does the same.
        synced_at_ms: The time it says it was done at.
        create_backup: Whether to write the backup for people; what is replaced is kept in the local state anyway.
        still_valid: Says why the run is void by now, or nothing.
        offline_ms: How long the machine was away, on its return.
    """

    transition_id: str | None
    evidence_ms: int
    synced_at_ms: int
    create_backup: bool = True
    still_valid: Callable[[], str] = str
    offline_ms: int | None = None


class Void(Exception):  # noqa: N818 - no error: the machine came back, so there is nothing to do any more
    """The transition a run answers is void; nothing was changed."""


class Executor:
    """Does runs.

    Args:
        places: The trees.
        completion: What follows the commit point.
        merged: Contents the planner made, by hash.
    """

    def __init__(self, places: Places, completion: Completion, merged: Mapping[str, bytes]) -> None:
        self._places = places
        self._completion = completion
        self._merged = merged

    def is_idle(self, survey: Survey, plan: SyncPlan, order: Order) -> bool:
        """Whether carrying out a plan would change nothing and note nothing."""
        return self._without_kept(journal_of(survey, plan, order)).is_idle

    def execute(self, survey: Survey, plan: SyncPlan, order: Order, fence: Fence, *, whole: bool = True) -> Done:
        """Do what a plan says; one that is not whole says nothing about the paths it leaves out.

        Raises:
            StalePlanError: Something moved since the survey; nothing was changed.
            Void: The transition is void; nothing was changed.
            DamagedBackupError: The backup does not verify; nothing was changed.
            SyncFencedError: Another run took over.
            OSError: Before the commit point nothing was changed; after it the next run finishes.
        """
        journal = self._without_kept(journal_of(survey, plan, order, whole=whole))
        if journal.is_idle:
            if reason := order.still_valid():
                raise Void(reason)
            fence.check()
            return self._completion.acknowledge(journal)
        before = self._collect(survey, plan, journal)
        fence.check()
        if order.create_backup and journal.steps:
            journal = attrs.evolve(journal, backup=self._back_up(survey, journal, order, before))
        if reason := order.still_valid():
            raise Void(reason)
        self._recheck(survey, plan)
        fence.check()
        self._completion.commit(journal)
        try:
            fence.check()
        except SyncFencedError:
            self._completion.withdraw()  # overtaken while we wrote it: nothing was done, so nothing is to be finished
            raise
        return self._completion.complete(journal, fence)

    def _without_kept(self, journal: Journal) -> Journal:
        """Losing versions that are kept already, by an earlier run, are no steps of this one."""
        kept = [s for s in journal.steps if s.side is not Side.CONFLICTS or s.after != self._kept(s)]
        return attrs.evolve(journal, steps=tuple(kept))

    def _kept(self, step: Step) -> File | None:
        tree, path = self._places.of(step.side, step.path)
        sha256 = _hash_at(tree, path)
        return None if not sha256 or step.after is None else attrs.evolve(step.after, sha256=sha256)

    def _collect(self, survey: Survey, plan: SyncPlan, journal: Journal) -> dict[str, bytes]:
        """Every content that will be written, replaced or asked about, in a store and durable.

        Returns:
            The contents that will be replaced, by hash, if they go into the backup's document; else nothing.
        """
        replaced = {step.before.sha256: step.before.size for step in journal.steps if step.before}
        inline = sum(replaced.values()) <= INLINE_LIMIT
        held: dict[str, bytes] = {}

        moved: list[str] = []

        def contents() -> Iterator[tuple[str, bytes]]:
            for sha, path in sorted(wanted.items()):
                data = self._find(survey, path, sha)
                if data is None:
                    moved.append(path)
                    continue
                if inline and sha in replaced:
                    held[sha] = data
                yield sha, data

        wanted: dict[str, str] = {}
        for action in plan.actions:  # by the action's path: what goes into the store of conflicts has another there
            for effect in action.effects:
                for file in (effect.before, effect.after):
                    if file is not None:
                        wanted.setdefault(file.sha256, action.path)
        self._completion.local.put_all(contents())
        _refuse_moved(moved)
        # What a later merge would start from; where it is nowhere any more, such a conflict is for a person.
        ancestors = {f.sha256: path for path, f in journal.agreed.items() if f and self._completion.keeps(path)}
        found = ((sha, self._find(survey, path, sha)) for sha, path in sorted(ancestors.items()) if sha not in wanted)
        if ancestors:
            self._completion.local.put_all((sha, data) for sha, data in found if data is not None)
        for decision in journal.decisions:
            paths = {action.path for action in plan.actions if action.decision and action.decision.id == decision.id}
            self._pin(survey, decision, paths or {decision.path})
        return held

    def _pin(self, survey: Survey, decision: Decision, paths: Iterable[str]) -> None:
        """The contents of a decision outlive the files; the common ancestor's is kept where it still is."""
        contents = []
        for sha256 in decision.pinned:
            for path in paths:
                data = self._find(survey, path, sha256)
                if data is not None:
                    contents.append((sha256, data))
                    break
        self._completion.local.put_all(contents)  # they are pinned again, should this be cut off for long
        self._completion.pinned.put_all(contents)

    def _find(self, survey: Survey, path: str, sha256: str) -> bytes | None:
        if sha256 in self._merged:
            return self._merged[sha256]
        sides = [self._places.of(Side.BASELINE, path), self._places.of(Side.CONFLICTS, path)]
        if survey.mode is SyncMode.ONLINE:
            sides.insert(0, self._places.of(Side.MACHINE, path))
        for tree, where in sides:
            stat = stat_at(tree, where)
            if stat is not None and stat.kind is Kind.FILE:
                content = tree.read(where)
                if content.sha256 == sha256:
                    return content.data
        shared = Writer(self._places.shared)
        stores = [Objects(shared, f"{published(survey.machine_id)}/objects"), self._completion.pinned]
        for store in [*stores, self._completion.local]:
            data = store.get(sha256)
            if data is not None:
                return data
        return None

    def _back_up(self, survey: Survey, journal: Journal, order: Order, before: Mapping[str, bytes]) -> str:
        agreed = {path: survey.base.get(path) for path in {step.path for step in journal.steps} | set(journal.agreed)}
        backup = Backup(
            operation=journal.operation,
            machine_id=journal.machine_id,
            taken_at_ms=order.evidence_ms,
            plan_id=journal.plan_id,
            files=tuple(Kept(side=s.side, path=s.path, before=s.before, after=s.after) for s in journal.steps),
            agreed=agreed,
            manifest=survey.manifest_digest,
            decisions=tuple(journal.closes),
        )
        return write_backup(self._places, backup, self._completion, before)

    def _recheck(self, survey: Survey, plan: SyncPlan) -> None:
        """Nothing the plan rests on has moved."""
        shared = self._places.shared
        if shared.read(MANIFEST, keep=False).sha256 != survey.manifest_digest:
            raise StalePlanError("the baseline moved on since the plan was made; nothing was changed")
        if survey.publication_digest is not None:
            found = shared.read(f"{published(survey.machine_id)}/manifest.json", keep=False)
            if found.sha256 != survey.publication_digest:
                raise StalePlanError(f"{survey.machine_id} published anew since the plan was made; nothing was changed")
        moved = []
        for action in plan.actions:
            if not action.effects:
                continue
            sides = [(Side.BASELINE, action.baseline, survey.actual)]
            if survey.mode is SyncMode.ONLINE:
                sides.append((Side.MACHINE, action.machine, survey.machine))
            for side, entry, seen in sides:
                tree, path = self._places.of(side, action.path)
                try:
                    there = _hash_at(tree, path)
                    makes = any(each.side is side and each.after is not None for each in action.effects)
                    if there == "" and _is_no_file(tree, path, action.path, seen if makes else None):
                        there = None
                except (PermissionError, NotADirectoryError):
                    there = ""  # not as it was found, so it is not known
                if there != (entry.sha256 if isinstance(entry, File) else None):
                    moved.append(action.path)
        _refuse_moved(moved)


def _refuse_moved(paths: Iterable[str]) -> None:
    moved = sorted(set(paths))
    if moved:
        more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
        raise StalePlanError(
            f"{', '.join(moved[:_NAMED])}{more} changed since the plan was made; nothing was changed", paths=moved
        )


def journal_of(survey: Survey, plan: SyncPlan, order: Order, *, whole: bool = True) -> Journal:
    """What a run is committed to."""
    steps = in_order(Step(side=e.side, path=e.path, before=e.before, after=e.after) for e in plan.effects)
    agreed = _news(survey, plan)
    announce: dict[str, File | None] = {s.path: s.after for s in steps if s.side is Side.BASELINE}
    away = {action.path for action in plan.actions if action.waits}  # the base moves there to what only the machine has
    for path, file in plan.agreed.items():  # written by a run that was cut off before it announced them
        if path not in announce and path not in away and survey.manifest.entries.get(path) != file:
            announce[path] = file
    closes: dict[str, str] = {}
    current, asked = set(), set()
    for action in plan.actions:
        if action.decision is not None:
            current.add(action.decision.id)
            asked.add(action.path)
            if action.decision.state is DecisionState.APPROVED and action.act not in (Act.PENDING, Act.DECISION):
                closes[action.decision.id] = DecisionState.APPLIED
    if whole and survey.mode is SyncMode.ONLINE:
        for key, decision in survey.decisions.items():
            is_known = decision.path in asked or decision.path not in plan.deferred
            if decision.is_open and key not in current and is_known:
                closes[key] = DecisionState.SUPERSEDED
    return Journal(
        id=event_id("run", plan.id, survey.manifest_digest, order.transition_id or "", order.evidence_ms),
        operation=str(plan.mode),
        machine_id=plan.machine_id,
        baseline_id=survey.baseline_id,
        plan_id=plan.id,
        transition_id=order.transition_id,
        synced_at_ms=order.synced_at_ms,
        steps=steps,
        agreed=agreed,
        archives=survey.mode is SyncMode.ONLINE,
        announce=announce,
        taken=survey.taken if survey.mode is SyncMode.ONLINE else (),
        decisions=plan.decisions,
        closes=closes,
        planned=attrs.evolve(plan.planned, offline_duration=order.offline_ms),
        resolved=tuple(action.path for action in plan.actions if action.is_resolved),
        pending=plan.pending,
        deferred=plan.deferred,
    )


def _news(survey: Survey, plan: SyncPlan) -> dict[str, File | None]:
    """What the base learns; online also what the receipts said, and what takes no part any more leaves it."""
    if survey.mode is SyncMode.OFFLINE:
        return {path: file for path, file in plan.agreed.items() if survey.base.get(path) != file}
    known = survey.archive.entries if survey.archive else {}
    after: dict[str, File | None] = {**dict.fromkeys(survey.dropped), **survey.base, **plan.agreed}
    return {path: file for path, file in after.items() if known.get(path) != file}


def write_backup(
    places: Places, backup: Backup, completion: Completion, held: Mapping[str, bytes] = FrozenDict()
) -> str:
    """Write a backup, read it again by its name, and prove it; returns the name.

    Args:
        places: The trees.
        backup: The backup, without contents.
        completion: Whose local store has the contents.
        held: Those that are at hand.

    Raises:
        DamagedBackupError: What was read is not what was written.
        OSError: It cannot be written.
    """
    backups, contents = places.backups, completion.local
    if places.shares_backups:
        completion.writer(places.shared).ensure(BACKUPS)
    writer = completion.writer(backups)
    sizes = backup.contents
    data = {sha: held[sha] if sha in held else contents.get(sha) or b"" for sha in sizes}
    beside = Objects(writer, OBJECTS, stale_ns=completion.stale_ns)
    if sum(sizes.values()) <= INLINE_LIMIT:
        backup = attrs.evolve(backup, inline=data)
    else:
        beside.put_all(sorted(data.items()))
    while not writer.put_new(backup.name, document := backup.to_bytes(), mode=0o600):
        if backups.read(backup.name, keep=False).sha256 == hashlib.sha256(document).hexdigest():
            backups.sync_file(backup.name)  # the same run was cut off after it
            break
        backup = attrs.evolve(backup, taken_at_ms=backup.taken_at_ms + 1)
    if backups.read(backup.name).data != document:
        raise DamagedBackupError(f"the backup {backup.name} reads back otherwise than it was written")
    for sha256 in sizes:  # what was read is what was written; and what was written is what was to be
        content_of(backup, sha256, beside.get)
    return backup.name


def _hash_at(tree: Tree, path: str) -> str | None:
    """The hash of a file; ``None`` where nothing is, empty where something else is."""
    stat = stat_at(tree, path)
    if stat is None:
        return None
    return tree.read(path, keep=False).sha256 if stat.kind is Kind.FILE else ""


def _is_no_file(tree: Tree, where: str, path: str, seen: Snapshot | None) -> bool:
    """Whether this is a directory; where a file is to be made, with no file in it but those that were seen."""
    stat = tree.stat(where)
    if seen is None:
        return stat is not None and stat.kind is Kind.DIRECTORY
    inside = {f"{where}{each.removeprefix(path)}" for each in seen.entries if each.startswith(f"{path}/")}
    return stat is not None and stat.kind is Kind.DIRECTORY and holds_nothing(tree, where, inside)
