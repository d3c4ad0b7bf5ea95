"""What may be removed at last: old backups, closed decisions' contents, displaced files, receipts, stale temporaries.

Owns the rules of what stays. Nothing that a journal, an open decision or the newest state of a machine rests on is
ever removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from heartbeat_kit.errors import DamagedBackupError
from heartbeat_kit.sync._archive import read_archive
from heartbeat_kit.sync._backup import Backup, read_backup
from heartbeat_kit.sync._journal import read_journal
from heartbeat_kit.sync._places import DECISIONS, EPOCHS, OBJECTS, Places, receipt
from heartbeat_kit.sync._published import read_publication
from heartbeat_kit.sync._receipt import Receipt, all_receipts
from heartbeat_kit.sync._restoring import check_backup
from heartbeat_kit.sync._sealed import Damaged
from heartbeat_kit.sync._survey import read_decisions
from heartbeat_kit.sync._tree import OUR_PREFIX, TRASH, Kind, Tree
from heartbeat_kit.sync._writer import Objects, Writer

__all__ = ["Pruned", "prune", "sweep_trash"]

_WAIT_NS: Final = 600 * 1_000_000_000
"""Displaced files wait this long for an editor that still has them open."""


_DAY_NS: Final = 86_400 * 1_000_000_000


class Pruned(NamedTuple):
    """What `prune` removed.

    Attributes:
        backups: The names of backups.
        contents: How many contents that nothing names any more.
        receipts: How many receipts of transitions long past.
        temporaries: How many temporary files that a kill had left.
    """

    backups: tuple[str, ...]
    contents: int
    receipts: int = 0
    temporaries: int = 0


class _Found(NamedTuple):
    name: str
    size: int
    backup: Backup


def prune(places: Places, *, keep_last: int, oldest_ms: int | None, max_bytes: int | None, now_ns: int = 0) -> Pruned:
    """Remove backups that are beyond every limit given, and the contents that then nothing names.

    Args:
        places: The trees.
        keep_last: So many of each machine stay, newest first.
        oldest_ms: Those taken at or after this time stay (epoch milliseconds).
        max_bytes: Of what else would stay the oldest go until the rest is no larger.
        now_ns: The wall clock; temporaries a day older are nobody's any more.
    """
    found = sorted(_backups(places), key=lambda each: (-each.backup.taken_at_ms, each.name))
    journal = read_journal(places.state)
    open_paths = {d.path for d in read_decisions(places.shared)[0].values() if d.is_open}
    pinned = {journal.backup} if journal is not None else set()
    seen: dict[str, int] = {}
    stays: list[_Found] = []
    goes: list[_Found] = []
    for each in found:
        place = seen.get(each.backup.machine_id, 0)
        if place == 0 and not (each.backup.files and _verifies(places, each.name)):
            pass  # the newest that can restore something is the one that counts
        else:
            seen[each.backup.machine_id] = place + 1
        held = each.name in pinned or place == 0 or any(kept.path in open_paths for kept in each.backup.files)
        young = oldest_ms is not None and each.backup.taken_at_ms >= oldest_ms
        if held:
            pinned.add(each.name)
        (stays if held or young or place < keep_last else goes).append(each)
    if max_bytes is not None:
        size = sum(each.size for each in stays)
        for each in reversed(list(stays)):
            if size <= max_bytes:
                break
            if each.name not in pinned:
                stays.remove(each)
                goes.append(each)
                size -= each.size
    for each in goes:
        places.backups.remove(each.name)
    if goes:
        places.backups.sync("")
    named = {sha for each in stays for sha in each.backup.contents}
    known = {each.name for each in found}  # what one that cannot be read keeps beside it is not known
    whole = all(name in known for name, _ in _documents(places))
    contents = _forget(Objects(Writer(places.backups), OBJECTS), named) if goes and whole else 0
    receipts = 0 if oldest_ms is None else _forget_receipts(places, oldest_ms)
    return Pruned(
        tuple(each.name for each in goes), contents + _unpin(places), receipts, _sweep_temporaries(places, now_ns)
    )


def sweep_trash(tree: Tree, now_ns: int) -> list[str]:
    """Remove displaced files that waited long enough; returns those that were edited after all, which stay."""
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
            else:
                kept = f"{TRASH}/edited-{name}"
                tree.move(path, kept)
                edited.append(kept)
    return edited


def _sweep_temporaries(places: Places, now_ns: int) -> int:
    """Those of documents and contents; a step's own are cleared by whoever finishes its run."""
    mine = [(places.state, ""), (places.state, OBJECTS), (places.backups, ""), (places.backups, OBJECTS)]
    shared = [(places.shared, name) for name in ("baseline", DECISIONS, EPOCHS, OBJECTS)]
    gone = 0
    for tree, directory in [*mine, *shared]:
        with contextlib.suppress(FileNotFoundError):
            for name, stat in tree.list(directory):
                ours = stat.kind is Kind.FILE and name.startswith(OUR_PREFIX) and name.endswith(".tmp")
                if ours and now_ns - stat.mtime_ns > _DAY_NS:
                    tree.remove(f"{directory}/{name}".removeprefix("/"))
                    gone += 1
    return gone


def _unpin(places: Places) -> int:
    """Forget what only closed decisions pinned."""
    known, damaged = read_decisions(places.shared)
    if damaged:
        return 0  # what a record that cannot be read pins is not known
    named = {sha for decision in known.values() if decision.is_open for sha in decision.pinned}
    return _forget(Objects(Writer(places.shared), OBJECTS), named)


def _forget_receipts(places: Places, oldest_ms: int) -> int:
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
                shared.remove(receipt(each.transition_id, each.observer))
                gone += 1
    return gone


def _published_as_taken(places: Places, of: Receipt, baseline_id: str) -> set[str]:
    """What the machine said it took in: until it has, others need the receipt to know its base."""
    try:
        found = read_publication(places.shared, of.machine_id, baseline_id)
    except (OSError, Damaged):
        return set()
    return {of.transition_id} if found is None else set(found[0].taken)


def _forget(objects: Objects, named: Iterable[str]) -> int:
    kept = set(named)
    gone = [sha for sha in objects.names() if sha not in kept]
    for sha in gone:
        objects.remove(sha)
    return len(gone)


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


def _backups(places: Places) -> list[_Found]:
    found = []
    for name, size in _documents(places):
        with contextlib.suppress(DamagedBackupError):
            found.append(_Found(name, size, read_backup(places.backups, name)))
    return found


def _verifies(places: Places, name: str) -> bool:
    try:
        check_backup(places, name)
    except DamagedBackupError:
        return False
    return True
