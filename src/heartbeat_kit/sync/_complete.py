"""From a journal to a finished run: the steps, then what is said of them, then the end of the journal.

Owns the order after the commit point, for the run itself and for whoever finishes it later. Every part may be done
again. Must not know how a plan came about.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final

import attrs

from heartbeat_kit.sync._archive import Archive, read_archive
from heartbeat_kit.sync._baseline import read_manifest, read_sentinel
from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._decision import (
    Decision,
    DecisionAction,
    DecisionKind,
    DecisionState,
    decision_id,
    to_json,
)
from heartbeat_kit.sync._fence import Fence
from heartbeat_kit.sync._journal import Journal, read_journal
from heartbeat_kit.sync._model import File, Side, SyncMode
from heartbeat_kit.sync._places import ARCHIVE, DECISIONS, JOURNAL, MANIFEST, OBJECTS, Places, receipt
from heartbeat_kit.sync._published import note_synced
from heartbeat_kit.sync._receipt import Receipt, receipt_for
from heartbeat_kit.sync._steps import Foreign, Stepper
from heartbeat_kit.sync._survey import read_decisions
from heartbeat_kit.sync._tree import Tree
from heartbeat_kit.sync._writer import Objects, Writer, parent_of

__all__ = ["Completion", "Done"]

_REFUSED: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL}
)
_STALE_NS: Final = 43_200 * 1_000_000_000
_STAND: Final = (DecisionState.PENDING, DecisionState.APPROVED, DecisionState.REJECTED)


@attrs.frozen(kw_only=True)
class Done:
    """A finished run.

    Attributes:
        journal: What it was committed to.
        foreign: The steps that were not done, because somebody else changed the file.
        decisions: The records that were made.
        changes: What was done, in numbers.
    """

    journal: Journal
    foreign: tuple[Foreign, ...]
    decisions: tuple[Decision, ...]
    changes: SyncChanges


class Completion:
    """Finishes runs.

    Args:
        places: The trees.
        observer: Who finishes.
        keeps: Whether the content of an agreed path is kept for later merging.
        now_ns: The wall clock: what is kept for others and is older than half a day is written anew, so that `prune`
            spares it until what names it has arrived.
    """

    def __init__(self, places: Places, observer: str, keeps: Callable[[str], bool], now_ns: int = 0) -> None:
        self._places = places
        self.stale_ns = now_ns - _STALE_NS
        self._observer = observer
        self.keeps = keeps
        self._writers: dict[int, Writer] = {}
        self.local = Objects(self.writer(places.state), OBJECTS)
        self.pinned = Objects(self.writer(places.shared), OBJECTS, stale_ns=self.stale_ns)

    def writer(self, tree: Tree) -> Writer:
        """The writer of a tree for the length of this run."""
        return self._writers.setdefault(id(tree), Writer(tree))

    def recover(self, fence: Fence) -> Done | None:
        """Finish the run that a journal tells of, if there is one.

        Raises:
            DamagedSyncStateError: The journal cannot be understood.
            BaselineUnavailableError: The baseline it is about is not there.
            OSError: It is not finished yet; the journal stays.
        """
        state = self._places.state
        journal = read_journal(state)
        if journal is None:
            return None
        # It was read, but whether it survives a power cut is not known: a kill leaves what was written un-synced.
        state.sync_file(JOURNAL)
        state.sync(parent_of(JOURNAL))
        self.local.put_all(self._needed(journal))
        return self.complete(journal, fence, settled=self._settled(journal), again=True)

    def commit(self, journal: Journal) -> None:
        """The commit point: when this returns, the run will be finished, by whomever."""
        self.writer(self._places.state).put(JOURNAL, journal.to_bytes(), mode=0o600)

    def withdraw(self) -> None:
        """Take the commit back, as long as no step was done."""
        self._places.state.remove(JOURNAL)
        self._places.state.sync(parent_of(JOURNAL))

    def complete(self, journal: Journal, fence: Fence, *, settled: Container[str] = (), again: bool = False) -> Done:
        """Do what the journal says, but for the paths another run has settled since.

        What cannot be written the second time, because of what it is and not of what goes on, is left to a person: one
        such file must not keep all others from being synced for ever.

        Raises:
            SyncFencedError: Another run took over; the journal stays.
            OSError: It is not finished yet; the journal stays.
        """
        read_sentinel(self._places.shared, journal.baseline_id)
        stepper, foreign = Stepper(journal.id, self.local, fence.check), []
        for number, step in enumerate(journal.steps):
            tree, path = self._places.of(step.side, step.path)
            if step.path in settled:
                stepper.abandon(step, number, self.writer(tree), path)
                continue
            try:
                left = stepper.perform(step, number, self.writer(tree), path)
            except OSError as error:
                if not again or error.errno not in _REFUSED:
                    raise
                left = Foreign(step, None, 0, f"it cannot be written: {error.strerror}")
            if left is not None:
                foreign.append(left)
        for tree in dict.fromkeys(self._places.of(step.side)[0] for step in journal.steps):
            stepper.settle(tree)
        lost = {each.step.path for each in foreign if each.step.side is not Side.CONFLICTS}
        kept = {each.step.path for each in foreign if each.step.side is Side.BASELINE}
        self._announce(journal, {path for path in journal.announce if path in kept or path in settled}, fence)
        made = (*journal.decisions, *(self._found_foreign(journal, each) for each in foreign))
        if again:
            pinned = ((sha256, self.local.get(sha256)) for each in journal.decisions for sha256 in each.pinned)
            self.pinned.put_all([(sha256, data) for sha256, data in pinned if data is not None])
        self._decide(made, journal.closes, lost)
        agreed = {path: file for path, file in journal.agreed.items() if path not in lost}
        archive = self._archive(journal, agreed) if journal.archives else read_archive(self._places.state)
        note = note_synced(self._places.shared, journal.machine_id) if journal.archives else None
        if note is not None:
            self.writer(self._places.shared).put(*note)
        touched = {step.path for step in journal.steps}
        changes = attrs.evolve(
            journal.planned,
            files_synced=journal.planned.files_synced - len(lost & touched),
            conflicts_resolved=journal.planned.conflicts_resolved - len(lost.intersection(journal.resolved)),
            decisions_created=len(made),
        )
        self._receipt(journal, changes, agreed)
        self._end(archive)
        return Done(journal=journal, foreign=tuple(foreign), decisions=made, changes=changes)

    def acknowledge(self, journal: Journal) -> Done:
        """Note a run that found nothing to do."""
        self._receipt(journal, journal.planned, {})
        return Done(journal=journal, foreign=(), decisions=(), changes=journal.planned)

    def forget_contents(self, archive: Archive | None) -> None:
        """Remove local contents that neither a journal nor the archive needs."""
        kept = {f.sha256 for path, f in archive.entries.items() if self.keeps(path)} if archive else set()
        for sha256 in self.local.names():
            if sha256 not in kept:
                self.local.remove(sha256)

    def _settled(self, journal: Journal) -> frozenset[str]:
        """The paths another observer settled while we were cut off: what came after it must not be undone by us."""
        if journal.operation != SyncMode.OFFLINE or journal.transition_id is None:
            return frozenset()
        found = receipt_for(self._places.shared, journal.transition_id)
        return frozenset(found.agreed) if found is not None and found.observer != self._observer else frozenset()

    def _needed(self, journal: Journal) -> list[tuple[str, bytes]]:
        found = {step.after.sha256: self.local.get(step.after.sha256) for step in journal.steps if step.after}
        return [(sha256, data) for sha256, data in found.items() if data is not None]

    def _announce(self, journal: Journal, lost: Iterable[str], fence: Fence) -> None:
        shared = self._places.shared
        changes = {path: file for path, file in journal.announce.items() if path not in set(lost)}
        if not changes:
            return
        writer = self.writer(shared)
        while True:
            manifest, digest = read_manifest(shared, journal.baseline_id)
            following = manifest.after(changes, digest)
            if following is None:  # announced by a run that was cut off, perhaps not durably
                writer.settle(MANIFEST, manifest.to_bytes())
                return
            fence.check()
            if writer.put_over(digest, MANIFEST, following.to_bytes()):
                return

    def _found_foreign(self, journal: Journal, foreign: Foreign) -> Decision:
        """The record of a step that somebody else's edit kept from being done; all contents are pinned."""
        step = foreign.step
        tree, path = self._places.of(step.side, step.path)
        contents = []
        for file in (step.before, step.after):
            data = None if file is None else self.local.get(file.sha256)
            if file is not None and data is not None:
                contents.append((file.sha256, data))
        if foreign.sha256 is not None:
            with contextlib.suppress(OSError):
                found = tree.read(path)
                contents.append((found.sha256, found.data))
        self.pinned.put_all(contents)
        before, after = (None if file is None else file.sha256 for file in (step.before, step.after))
        machine, baseline = (foreign.sha256, after) if step.side is Side.MACHINE else (after, foreign.sha256)
        return Decision(
            id=decision_id(journal.machine_id, step.path, before, machine, baseline),
            machine_id=journal.machine_id,
            path=step.path,
            kind=DecisionKind.FOREIGN_EDIT,
            base=before,
            machine=machine,
            baseline=baseline,
            action=DecisionAction.MANUAL_REVIEW,
            reason=foreign.why,
        )

    def _decide(self, made: Sequence[Decision], closes: Mapping[str, str], lost: Container[str]) -> None:
        """Write the records; one about a path that was left alone was not carried out, and stays as it is."""
        shared = self._places.shared
        writer = self.writer(shared)
        known, _ = read_decisions(shared) if made or closes else ({}, frozenset())
        for decision in made:
            before = known.get(decision.id)
            # Asked by us before we were cut off, and answered since: the answer stays.
            if before is None or before.state not in _STAND:
                writer.put(f"{DECISIONS}/{decision.id}.json", to_json(decision))
            else:
                shared.sync(DECISIONS)
        if closes:
            for key, state in closes.items():
                if key in known and (state == DecisionState.SUPERSEDED or known[key].path not in lost):
                    closed = attrs.evolve(known[key], state=DecisionState(state))
                    writer.put(f"{DECISIONS}/{key}.json", to_json(closed))

    def _archive(self, journal: Journal, agreed: Mapping[str, File | None]) -> Archive:
        state = self._places.state
        archive = (read_archive(state) or Archive(baseline_id=journal.baseline_id)).after(agreed, journal.taken)
        self.writer(state).put(ARCHIVE, archive.to_bytes(), mode=0o600)
        return archive

    def _receipt(self, journal: Journal, changes: SyncChanges, agreed: Mapping[str, File | None]) -> None:
        shared = self._places.shared
        if journal.transition_id is None:
            return
        others = receipt_for(shared, journal.transition_id)
        if others is not None and others.observer != self._observer:
            return  # another finished it while we were cut off
        digest = None
        if journal.backup is not None:
            with contextlib.suppress(OSError):
                digest = self._places.backups.read(journal.backup, keep=False).sha256
        record = Receipt(
            transition_id=journal.transition_id,
            operation=journal.operation,
            machine_id=journal.machine_id,
            observer=self._observer,
            plan_id=journal.plan_id,
            backup=journal.backup,
            backup_digest=digest,
            synced_at_ms=journal.synced_at_ms,
            changes=changes,
            agreed={} if journal.archives else agreed,  # what the archive says needs no telling
            pending=journal.pending,
            deferred=journal.deferred,
        )
        self.writer(shared).put(receipt(journal.transition_id, self._observer), record.to_bytes())

    def _end(self, archive: Archive | None) -> None:
        state = self._places.state
        with contextlib.suppress(FileNotFoundError):
            state.remove(JOURNAL)
        state.sync(parent_of(JOURNAL))
        self.forget_contents(archive)
