"""What may be removed at last: old backups, closed decisions' contents, displaced files, receipts, stale temporaries.

Owns the rules of what stays. Nothing that a journal, an open decision or the newest state of a machine rests on is
ever removed.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._requirements import require_length
from heartbeat_kit.errors import DamagedBackupError, InvalidConfigurationError
from heartbeat_kit.sync._archive import read_archive
from heartbeat_kit.sync._backup import Backup, read_backup
from heartbeat_kit.sync._journal import read_journal
from heartbeat_kit.sync._places import DECISIONS, EPOCHS, OBJECTS, PUBLISHED, Places, published, receipt, receipts
from heartbeat_kit.sync._published import read_publication
from heartbeat_kit.sync._receipt import Receipt, all_receipts
from heartbeat_kit.sync._restoring import check_backup
from heartbeat_kit.sync._sealed import Damaged
from heartbeat_kit.sync._steps import run_of
from heartbeat_kit.sync._survey import read_decisions
from heartbeat_kit.sync._tree import OUR_PREFIX, TRASH, Kind, Tree
from heartbeat_kit.sync._writer import Objects, Writer

__all__ = ["Limits", "Pruned", "prune", "sweep_trash"]

_WAIT_NS: Final = 600 * 1_000_000_000
"""Displaced files wait this long for an editor that still has them open."""
_DAY_NS: Final = 86_400 * 1_000_000_000
_HASH_LENGTH: Final = 64
_NEWER: Final = "newer than any that restores something"


@attrs.frozen(kw_only=True)
class Pruned:
    """What `prune` removed, and what it kept.

    Attributes:
        backups: The names of the backups that went.
        contents: How many contents that nothing names any more.
        receipts: How many receipts of transitions long past.
        temporaries: How many temporary files that a kill had left.
        kept: The names of the backups that stay, newest first, each with the reason.
        unreadable: Those among them that stay because they cannot be read.
        dry_run: Nothing was removed; it says what would be.
    """

    backups: tuple[str, ...]
    contents: int
    receipts: int
    temporaries: int
    kept: Mapping[str, str] = field(converter=frozen_mapping)
    unreadable: tuple[str, ...] = ()
    dry_run: bool = False

    def __repr__(self) -> str:
        would = "would remove " if self.dry_run else ""
        return (
            f"<Pruned {would}{len(self.backups)} backups, {self.contents} contents, {self.receipts} receipts, "
            f"{self.temporaries} temporaries; {len(self.kept)} backups kept>"
        )


class _Found(NamedTuple):
    name: str
    size: int
    backup: Backup


Remove = Callable[[Tree, str], None]


class Limits(NamedTuple):
    """What stays.

    Attributes:
        keep_last: So many backups of each machine, newest first.
        oldest_ms: What was made at or after this time (epoch milliseconds).
        max_bytes: Of what else would stay the oldest go until the rest is no larger.
    """

    keep_last: int
    oldest_ms: int
    max_bytes: int | None = None

    @classmethod
    def of(cls, now_ms: int, *, keep_last: int, keep_within: timedelta, max_bytes: int | None) -> Limits:
        """The limits a person gives.

        Raises:
            InvalidConfigurationError: One cannot be.
        """
        for name, value in (("keep_last", keep_last), ("max_bytes", max_bytes)):
            if type(value) is not int and not (name == "max_bytes" and value is None):
                raise InvalidConfigurationError(f"{name} is {value!r:.80}: expected a whole number")
            if value is not None and value < 0:
                raise InvalidConfigurationError(f"{name} is {value}: expected zero or more")
        return cls(keep_last, now_ms - require_length("keep_within", keep_within), max_bytes)


def prune(places: Places, limits: Limits, *, now_ns: int, dry_run: bool = False) -> Pruned:
    """Remove backups that are beyond every limit given, and the contents that then nothing names.

    Args:
        places: The trees.
        limits: What stays.
        now_ns: The wall clock; temporaries a day older are nobody's any more.
        dry_run: Only say what would be removed.
    """
    remove = _leave if dry_run else _remove
    documents = _documents(places)
    found = sorted(_backups(places, documents), key=lambda each: (-each.backup.taken_at_ms, each.name))
    why = _reasons(places, found, limits)
    goes = [each.name for each in found if each.name not in why]
    for name in goes:
        remove(places.backups, name)
    if goes and not dry_run:
        places.backups.sync("")
    named = {sha for each in found if each.name in why for sha in each.backup.contents}
    known = {each.name for each in found}
    unread = {name: "it cannot be read, so it is left alone" for name, _ in documents if name not in known}
    # What a backup that cannot be read keeps beside it is not known.
    contents = 0 if unread else _forget(places.backups, named, now_ns, remove)
    return Pruned(
        backups=tuple(goes),
        contents=contents + _unpin(places, now_ns, remove),
        receipts=_forget_receipts(places, limits.oldest_ms, remove),
        temporaries=_sweep_temporaries(places, now_ns, remove),
        kept={**why, **unread},
        unreadable=tuple(unread),
        dry_run=dry_run,
    )


def _reasons(places: Places, found: Sequence[_Found], limits: Limits) -> dict[str, str]:
    """Why each backup that stays does; `found` newest first."""
    journal = read_journal(places.state)
    open_paths = {d.path for d in read_decisions(places.shared)[0].values() if d.is_open}
    held: dict[str, str] = {}
    others: dict[str, str] = {}
    sizes: dict[str, int] = {}
    restoring: Counter[str] = Counter()
    for name, size, backup in found:
        sizes[name] = size
        machine_id = backup.machine_id
        # The newest that can restore something is the one that counts.
        is_newest = not restoring[machine_id]
        restores = not is_newest or (bool(backup.files) and _verifies(places, name))
        asked = next((kept.path for kept in backup.files if kept.path in open_paths), None)
        if journal is not None and name == journal.backup:
            held[name] = "an interrupted run rests on it"
        elif is_newest:
            held[name] = f"the newest of {machine_id} that restores something" if restores else _NEWER
        elif asked is not None:
            held[name] = f"an open decision is about {asked}"
        elif backup.taken_at_ms >= limits.oldest_ms:
            others[name] = "younger than what may go"
        elif restoring[machine_id] < limits.keep_last:
            others[name] = f"one of the last {limits.keep_last} of {machine_id}"
        restoring[machine_id] += restores
    if limits.max_bytes is not None:
        beside = Objects(Writer(places.backups), OBJECTS).sizes()
        contents = {each.name: set() if each.backup.inline else {*each.backup.contents} for each in found}
        uses = Counter(sha for name in (*held, *others) for sha in contents[name])
        total = sum(sizes[name] for name in (*held, *others)) + sum(beside.get(sha, 0) for sha in uses)
        for name in reversed(list(others)):
            if total > limits.max_bytes:
                uses.subtract(contents[name])
                total -= sizes[name] + sum(beside.get(sha, 0) for sha in contents[name] if not uses[sha])
                del others[name]
    return {name: why for name in sizes if (why := held.get(name) or others.get(name))}


def _remove(tree: Tree, path: str) -> None:
    tree.remove(path)


def _leave(tree: Tree, path: str) -> None:
    """A dry run."""


def sweep_trash(tree: Tree, now_ns: int, run_id: str | None = None) -> list[str]:
    """Remove displaced files that waited long enough; returns those that were edited after all, which stay.

    Args:
        tree: Whose trash.
        now_ns: The wall clock.
        run_id: A run that is to be finished yet: what was edited of its files it puts back itself.
    """
    unfinished = None if run_id is None else f"-{run_of(run_id)}-"
    edited: list[str] = []
    try:
        waiting = tree.list(TRASH)
    except OSError:
        return edited  # there is none, or it is somebody else's
    for name, stat in waiting:
        path = f"{TRASH}/{name}"
        if stat.kind is not Kind.FILE or name.startswith("edited-") or now_ns - stat.ctime_ns < _WAIT_NS:
            continue
        with contextlib.suppress(OSError):  # of another user, perhaps: no run fails for what waits in the trash
            if tree.read(path, keep=False).sha256 == name.partition("-")[0]:
                tree.remove(path)
            elif unfinished is None or unfinished not in name:
                kept = f"{TRASH}/edited-{name}"
                tree.move(path, kept)
                edited.append(kept)
    return edited


def _sweep_temporaries(places: Places, now_ns: int, remove: Remove) -> int:
    """Those of documents and contents; a step's own are cleared by whoever finishes its run."""
    mine = [(places.state, ""), (places.state, OBJECTS), (places.backups, ""), (places.backups, OBJECTS)]
    names = ["baseline", DECISIONS, EPOCHS, OBJECTS]
    for machine_id in _names(places.shared, PUBLISHED):
        names += [published(machine_id), f"{published(machine_id)}/{OBJECTS}"]
    shared = [(places.shared, name) for name in names]
    gone = 0
    for tree, directory in [*mine, *shared]:
        with contextlib.suppress(FileNotFoundError):
            for name, stat in tree.list(directory):
                ours = stat.kind is Kind.FILE and name.startswith(OUR_PREFIX) and name.endswith(".tmp")
                if ours and now_ns - stat.mtime_ns > _DAY_NS:
                    remove(tree, f"{directory}/{name}".removeprefix("/"))
                    gone += 1
    return gone


def _unpin(places: Places, now_ns: int, remove: Remove) -> int:
    """Forget what only closed decisions pinned."""
    known, damaged = read_decisions(places.shared)
    if damaged:
        return 0  # what a record that cannot be read pins is not known
    named = {sha for decision in known.values() if decision.is_open for sha in decision.pinned}
    return _forget(places.shared, named, now_ns, remove)


def _forget_receipts(places: Places, oldest_ms: int, remove: Remove) -> int:
    """Receipts of old, but for the newest of each machine and operation, and what a machine has not taken in yet."""
    archive, shared = read_archive(places.state), places.shared
    known = set(archive.taken) if archive else set()
    gone = 0
    seen: set[tuple[str, str]] = set()
    for each in sorted(all_receipts(shared), key=lambda each: each.synced_at_ms, reverse=True):
        is_newest = (each.machine_id, each.operation) not in seen
        seen.add((each.machine_id, each.operation))
        if is_newest or each.synced_at_ms >= oldest_ms:
            continue
        if each.operation == "online" or (
            archive is not None and each.transition_id in known & _published_as_taken(places, each, archive.baseline_id)
        ):
            with contextlib.suppress(FileNotFoundError):
                remove(shared, receipt(each.transition_id, each.observer))
                gone += 1
            if remove is not _leave:
                with contextlib.suppress(OSError):  # another's receipt may be in it
                    shared.rmdir(receipts(each.transition_id))
    return gone


def _published_as_taken(places: Places, of: Receipt, baseline_id: str) -> set[str]:
    """What the machine said it took in: until it has, others need the receipt to know its base."""
    try:
        found = read_publication(places.shared, of.machine_id, baseline_id)
    except (OSError, Damaged):
        return set()
    return {of.transition_id} if found is None else set(found[0].taken)


def _forget(tree: Tree, named: Iterable[str], now_ns: int, remove: Remove) -> int:
    """Remove contents that nothing names; a young one may belong to a record that is still on its way."""
    kept, gone = set(named), 0
    with contextlib.suppress(FileNotFoundError):
        for name, stat in tree.list(OBJECTS):
            if len(name) == _HASH_LENGTH and name not in kept and now_ns - stat.mtime_ns > _DAY_NS:
                remove(tree, f"{OBJECTS}/{name}")
                gone += 1
    return gone


def _names(tree: Tree, directory: str) -> list[str]:
    try:
        return [name for name, stat in tree.list(directory) if stat.kind is Kind.DIRECTORY]
    except FileNotFoundError:
        return []


def _documents(places: Places) -> list[tuple[str, int]]:
    try:
        listed = places.backups.list("")
    except FileNotFoundError:
        return []
    return [
        (name, stat.size)
        for name, stat in listed
        if stat.kind is Kind.FILE and name.endswith(".json") and not name.startswith(OUR_PREFIX)
    ]


def _backups(places: Places, documents: Iterable[tuple[str, int]]) -> list[_Found]:
    found = []
    for name, size in documents:
        with contextlib.suppress(DamagedBackupError):
            found.append(_Found(name, size, read_backup(places.backups, name)))
    return found


def _verifies(places: Places, name: str) -> bool:
    try:
        check_backup(places, name)
    except DamagedBackupError:
        return False
    return True
