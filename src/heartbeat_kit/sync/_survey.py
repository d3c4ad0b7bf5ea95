"""Everything a plan is made of, read once.

Owns the reading: archive, receipts, baseline, the machine's side, decisions. Changes nothing. Must not know what will
be done about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import attrs

from heartbeat_kit.errors import BaselineUnavailableError, DamagedSyncStateError
from heartbeat_kit.sync._archive import Archive, read_archive
from heartbeat_kit.sync._baseline import Manifest, announced, read_manifest, read_sentinel
from heartbeat_kit.sync._decision import Decision, from_json
from heartbeat_kit.sync._guards import is_bare
from heartbeat_kit.sync._model import ABSENT, File, Side, Snapshot, SyncMode, Unknown, Unsupported
from heartbeat_kit.sync._places import BASELINE_FILES, DECISIONS, Places, published
from heartbeat_kit.sync._published import as_snapshot, is_spent, read_publication
from heartbeat_kit.sync._receipt import Receipt, receipts_of
from heartbeat_kit.sync._sealed import Damaged
from heartbeat_kit.sync._selection import Selection
from heartbeat_kit.sync._snapshot import Remembered, Validator, read_snapshot, takes_part
from heartbeat_kit.sync._tree import Kind, Tree, holds_nothing
from heartbeat_kit.sync._writer import Objects, Writer

__all__ = ["Agreed", "Survey", "Surveyor", "holding_back", "overlay", "read_decisions"]


@attrs.frozen(kw_only=True, eq=False)
class Survey:
    """What was read.

    Attributes:
        mode: For which sync.
        machine_id: Of which machine.
        baseline_id: The UUID of the baseline.
        manifest: What the baseline announces.
        manifest_digest: Of its bytes.
        archive: This machine's, or ``None``; offline it has no part in it.
        base: What both sides agreed on last.
        taken: The transitions whose receipts the base takes in, and the archive does not know yet.
        dropped: Paths of the archive that take no part any more.
        machine: The machine's side.
        baseline: The other.
        actual: The baseline's files as they are, whatever is announced.
        decisions: All records of this machine.
        publication_digest: Of what the machine published; ``None`` online, or if it published nothing.
        receipts: The receipts that concern the machine, oldest first.
        problem: Why the machine's side cannot be used at all; empty if it can.
    """

    mode: SyncMode
    machine_id: str
    baseline_id: str
    manifest: Manifest
    manifest_digest: str
    archive: Archive | None
    base: Mapping[str, File]
    taken: tuple[str, ...]
    dropped: tuple[str, ...]
    machine: Snapshot
    baseline: Snapshot
    actual: Snapshot
    decisions: Mapping[str, Decision]
    publication_digest: str | None = None
    receipts: tuple[Receipt, ...] = ()
    problem: str = ""


class Agreed(NamedTuple):
    """What a machine agreed on with the baseline.

    Attributes:
        base: The files, by path, those that take no part left out.
        known: The transitions whose receipts were part of it before.
        fresh: Those whose receipts it takes in now.
    """

    base: dict[str, File]
    known: tuple[str, ...]
    fresh: tuple[str, ...]


class Surveyor:
    """Reads, and remembers between two readings what need not be read again.

    Args:
        places: The trees.
        selection: Which paths take part.
        validators: What a file of a kind must pass to be believed.
    """

    def __init__(self, places: Places, selection: Selection, validators: Sequence[Validator]) -> None:
        self._places = places
        self._selection = selection
        self._validators = validators
        self._workspace: dict[str, Remembered] = {}
        self._baseline: dict[str, Remembered] = {}

    def forget(self) -> None:
        """Read everything anew next time."""
        self._workspace, self._baseline = {}, {}

    def workspace(self, now_ns: int) -> Snapshot:
        """The working copy of this machine."""
        tree = self._places.workspace
        reading = read_snapshot(
            tree, self._selection, validators=self._validators, remembered=self._workspace, now_ns=now_ns
        )
        self._workspace = reading.remembered
        return reading.snapshot

    def baseline_files(self, now_ns: int) -> Snapshot:
        """The files of the baseline as they are."""
        reading = read_snapshot(
            self._places.shared,
            self._selection,
            under=BASELINE_FILES,
            validators=self._validators,
            remembered=self._baseline,
            now_ns=now_ns,
        )
        self._baseline = reading.remembered
        return reading.snapshot

    def survey(self, machine_id: str, mode: SyncMode, now_ns: int) -> Survey:
        """Read everything.

        Raises:
            BaselineUnavailableError: There is no baseline that could be used.
            DamagedSyncStateError: The archive cannot be understood.
            OSError: The local state cannot be read.
        """
        shared = self._places.shared
        archive = read_archive(self._places.state)
        baseline_id = read_sentinel(shared, archive.baseline_id if archive else None)
        manifest, manifest_digest = read_manifest(shared, baseline_id)
        receipts = receipts_of(shared, machine_id)
        actual = self.baseline_files(now_ns)
        covers = self._selection.covers
        problem, digest = "", None
        if mode is SyncMode.ONLINE:
            machine = self.workspace(now_ns)
            agreed: Mapping[str, File] = archive.entries if archive else {}
            known = archive.taken if archive else ()
        else:
            machine, agreed, known, digest, problem = self._published(machine_id, manifest, actual)
        has_base = mode is SyncMode.OFFLINE or archive is not None
        base, _, fresh = self._agreed(agreed if has_base else None, known, receipts)
        if mode is SyncMode.ONLINE:
            machine = _with_folders(machine, base, actual.entries, *self._places.of(Side.MACHINE))
        actual = _with_folders(actual, base, machine.entries, *self._places.of(Side.BASELINE))
        decisions, _ = read_decisions(shared)
        return Survey(
            mode=mode,
            machine_id=machine_id,
            baseline_id=baseline_id,
            manifest=manifest,
            manifest_digest=manifest_digest,
            archive=archive,
            base=base,
            taken=fresh,
            dropped=tuple(
                path
                for path in (archive.entries if archive else ())
                if path not in base and not takes_part(path, self._selection)
            ),
            machine=machine,
            baseline=announced(manifest, actual, base, machine, covers),
            actual=actual,
            decisions={
                key: each
                for key, each in decisions.items()
                # One about a path that takes no part here is for a coordinator with wider patterns.
                if each.machine_id == machine_id and takes_part(each.path, self._selection)
            },
            publication_digest=digest,
            receipts=receipts,
            problem=problem,
        )

    def own(self, machine_id: str, now_ns: int) -> tuple[str, Agreed, Snapshot]:
        """What this machine publishes: for which baseline, on what it agreed with it, and its working copy.

        Raises:
            BaselineUnavailableError: There is no baseline.
            DamagedSyncStateError: The archive cannot be understood.
        """
        archive = read_archive(self._places.state)
        baseline_id = read_sentinel(self._places.shared, archive.baseline_id if archive else None)
        receipts = receipts_of(self._places.shared, machine_id)
        agreed = self._agreed(archive.entries if archive else None, archive.taken if archive else (), receipts)
        return baseline_id, agreed, self.workspace(now_ns)

    def _agreed(self, agreed: Mapping[str, File] | None, known: tuple[str, ...], receipts: Iterable[Receipt]) -> Agreed:
        fresh = [each for each in receipts if each.transition_id not in known]
        base = dict(agreed or {})
        if agreed is not None:
            for receipt in fresh:
                overlay(base, receipt)
        # Without an archive there is no base, and no receipt makes one, now or later: it speaks of a time of which
        # nothing else is known, and nothing is deleted for the lack of an archive.
        # A path that the walk would pass over looks absent on both sides, so it must not be in the base.
        base = {path: file for path, file in base.items() if takes_part(path, self._selection)}
        return Agreed(base, known, tuple(each.transition_id for each in fresh))

    def _published(
        self, machine_id: str, manifest: Manifest, actual: Snapshot
    ) -> tuple[Snapshot, Mapping[str, File], tuple[str, ...], str | None, str]:
        shared = self._places.shared

        def nothing(problem: str) -> tuple[Snapshot, Mapping[str, File], tuple[str, ...], str | None, str]:
            return Snapshot(closed={"": problem}), {}, (), None, problem

        try:
            found = read_publication(shared, machine_id, manifest.baseline_id)
        except (OSError, Damaged) as error:
            return nothing(f"what {machine_id} published cannot be used: {error}")
        if found is None:
            return nothing(f"{machine_id} never published its files, so there is nothing to preserve")
        publication, digest = found
        if is_spent(shared, machine_id, digest):
            return nothing(
                f"{machine_id} synced after it last published: the baseline has all that, and perhaps newer work"
            )
        contents = Objects(Writer(shared), f"{published(machine_id)}/objects")

        def is_here(path: str, file: File) -> bool:
            # A content the baseline has too is never read, so it need not have arrived.
            return actual.entry(path) == file or contents.get(file.sha256) is not None

        snapshot = as_snapshot(publication, manifest.entries, self._selection.covers, is_here)
        return snapshot, publication.base, publication.taken, digest, ""


def holding_back(survey: Survey, paths: Iterable[str]) -> Survey:
    """The same, with paths of which nothing is known but that they do not stand still."""
    if is_bare(survey.machine):
        return survey  # the guard against a side that is not there must see it as it is
    moving = dict.fromkeys(paths, Unknown("it kept changing while the sync was under way"))
    machine = attrs.evolve(survey.machine, entries={**survey.machine.entries, **moving})
    return attrs.evolve(survey, machine=machine)


def overlay(base: dict[str, File], receipt: Receipt) -> None:
    """Take what a receipt says was agreed on into a base."""
    for path, file in receipt.agreed.items():
        if file is None:
            base.pop(path, None)
        else:
            base[path] = file


def _with_folders(found: Snapshot, base: Iterable[str], other: Iterable[str], tree: Tree, under: str) -> Snapshot:
    """The snapshot, with what is a folder here and a file elsewhere, of which the walk tells nothing.

    A file may take the place of a folder in which there is nothing but what is synced, once that is gone. A folder
    that holds anything else stays. Where a file was agreed on, a folder with files that are synced says that it is
    gone, an empty one says nothing.
    """
    hidden, odd = set(base), dict[str, Unsupported]()
    for path in hidden.union(other).difference(found.entries):
        if found.entry(path) is not ABSENT:
            continue
        where = f"{under}/{path}".removeprefix("/")
        try:
            stat = tree.stat(where)
        except OSError as error:
            if isinstance(error, NotADirectoryError) and not _is_beneath_a_file(path, found):
                odd[path] = Unsupported("beneath what is no folder")
            continue
        if stat is None or stat.kind is not Kind.DIRECTORY:
            continue
        synced = {f"{under}/{each}".removeprefix("/") for each in found.entries if each.startswith(f"{path}/")}
        stays = not synced if path in hidden else not _may_make_way(tree, where, synced)
        if stays:
            odd[path] = Unsupported("a folder, where a file was or is to be")
    return attrs.evolve(found, entries={**found.entries, **odd}) if odd else found


def _is_beneath_a_file(path: str, found: Snapshot) -> bool:
    while path:
        path = path.rpartition("/")[0]
        if isinstance(found.entries.get(path), File):
            return True
    return False


def _may_make_way(tree: Tree, directory: str, synced: set[str]) -> bool:
    try:
        return holds_nothing(tree, directory, synced)
    except OSError:
        return False  # what cannot be looked into may hold anything


def read_decisions(shared: Tree) -> tuple[dict[str, Decision], frozenset[str]]:
    """All decision records by id, and the ids of those that cannot be read.

    Raises:
        BaselineUnavailableError: The shared folder is not there, which is not the same as no decisions.
    """
    found: dict[str, Decision] = {}
    damaged: set[str] = set()
    try:
        names = [name for name, _ in shared.list(DECISIONS) if name.endswith(".json") and not name.startswith(".")]
    except OSError as error:
        if isinstance(error, FileNotFoundError) and shared.stat("") is not None:
            return {}, frozenset()
        raise BaselineUnavailableError(
            f"the decisions in {shared.root} cannot be listed ({error.strerror or error}): mount the shared folder"
        ) from error
    for name in names:
        key = name.removesuffix(".json")
        try:
            decision = from_json(shared.read(f"{DECISIONS}/{name}", limit=1 << 20).data)
        except FileNotFoundError:
            continue
        except (OSError, DamagedSyncStateError):
            damaged.add(key)
        else:
            if decision.id == key:
                found[key] = decision
            else:
                damaged.add(key)
    return found, frozenset(damaged)
