"""What must hold of a disk: as a crash left it, and after the next run. Each law is a small function with its name.

Owns the laws and how a disk is seen by them. Must not know where the states come from, nor how the engine keeps them.
"""

from __future__ import annotations

import contextlib
from functools import cached_property, lru_cache
from typing import Final

from heartbeat_kit.errors import DamagedBackupError, SyncError
from heartbeat_kit.sync._archive import read_archive
from heartbeat_kit.sync._backup import Backup
from heartbeat_kit.sync._baseline import read_manifest
from heartbeat_kit.sync._restoring import check_backup
from heartbeat_kit.sync._sealed import Damaged
from heartbeat_kit.sync._survey import read_decisions

from .nodes import sha256_of
from .scenes import BASELINE_ID, ROOTS, Scene, Tracked, documents, engine, tracked
from .sim_disk import SimDisk

__all__ = ["AFTER", "BEFORE", "View", "announced", "clean", "difference", "l10_documents", "l10_old_or_new"]


class View:
    """A disk as it is seen, each part of it read once."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk

    @cached_property
    def tracked(self) -> Tracked:
        """Every tracked file."""
        return tracked(self.disk)

    @cached_property
    def documents(self) -> dict[str, bytes]:
        """Manifest, archive, decisions and receipts."""
        return documents(self.disk)

    @cached_property
    def pinned(self) -> set[bytes]:
        """The contents that open decisions need."""
        if self.disk.inode("shared/objects") is None:
            return set()
        return {data for name, data in self.disk.files("shared/objects").items() if sha256_of(data) == name}

    @cached_property
    def backup_files(self) -> tuple[tuple[str, bytes], ...]:
        """All files in the folder of backups."""
        return tuple(self.disk.files("shared/backups").items()) if self.disk.inode("shared/backups") is not None else ()

    @property
    def backups(self) -> dict[str, Backup]:
        """The backups that verify."""
        return _verified(self.backup_files)

    @property
    def kept(self) -> set[bytes]:
        """Every content that a person finds again: current, in a verified backup, in the store of conflicts, pinned."""
        found = {data for data, _ in self.tracked.values()} | self.pinned
        return found.union(*(backup.inline.values() for backup in self.backups.values()))

    @cached_property
    def essence(self) -> tuple[object, ...]:
        """All that the next run reads; not what waits in the trash, nor stale temporaries of documents."""
        objects = self.disk.files("state/objects") if self.disk.inode("state/objects") is not None else {}
        names = (self.tracked, self.documents, dict(self.backup_files), objects)
        parts = [frozenset((name, data) for name, data in part.items() if ".hbk-" not in name) for part in names]
        return frozenset(self.pinned), *parts


@lru_cache(maxsize=1024)
def _verified(files: tuple[tuple[str, bytes], ...]) -> dict[str, Backup]:
    disk, found = SimDisk(), {}
    disk.tree("shared/backups")
    for name, data in files:
        disk.write(f"shared/backups/{name}", data)
    for name, _ in files:
        if "/" not in name and name.endswith(".json"):
            with contextlib.suppress(DamagedBackupError):
                found[name] = check_backup(engine(disk).places, name)
    return found


def difference(one: Tracked, other: Tracked) -> str:
    """The paths in which two states differ."""
    return ", ".join(sorted(path for path in {*one, *other} if one.get(path) != other.get(path)))


# As the disk is found


def l11_no_partial_file(scene: Scene, view: View) -> str:
    """Each tracked name shows its old content or its new one."""
    now, old, new = view.tracked, scene.old, scene.new
    names = sorted({*now, *old, *new})
    wrong = [name for name in names if now.get(name) not in (old.get(name), new.get(name))]
    return ", ".join(f"{name} is {now.get(name)}" for name in wrong)


def l12_backup_first(scene: Scene, view: View) -> str:
    """If anything is changed, a backup that verifies holds every content that is replaced."""
    if view.tracked == scene.old:
        return ""
    replaced = {name: version for name, version in scene.old.items() if scene.new.get(name) != version}
    why = "there is none"
    for backup in view.backups.values():
        sides = {f"{each.side}/{each.path}": each.before for each in backup.files if each.before is not None}
        held = {name: (backup.inline.get(file.sha256), file.mode) for name, file in sides.items()}
        why = ", ".join(name for name, version in replaced.items() if held.get(name) != version)
        if not why:
            return ""
    return why


def said_last(scene: Scene, view: View) -> str:
    """A manifest, an archive or a receipt tells only of what is there: others read them at any time."""
    was, now, done = scene.before, view.documents, scene.new
    told = [name for name, data in now.items() if "/decisions/" not in name and data != was.get(name)]
    return f"{', '.join(told)} before {difference(view.tracked, done)}" if told and view.tracked != done else ""


# After the next run


def l10_old_or_new(scene: Scene, view: View, promised: View | None) -> str:
    """Everything is as before or as afterwards, and what a caller was told is so."""
    if promised is not None and view.tracked != promised.tracked:
        return f"not as promised: {difference(view.tracked, promised.tracked)}"
    return "" if view.tracked in (scene.old, scene.new) else f"neither: {difference(view.tracked, scene.old)}"


def l10_documents(scene: Scene, view: View, promised: View | None) -> str:
    """Manifest, archive, decisions and receipts go with the files."""
    like = promised or View(scene.build() if view.tracked == scene.old else scene.done[0])
    now, then = view.documents, like.documents
    lost = {*like.backups} - {*view.backups} if like.tracked == scene.new else ()  # else it was the backup of no run
    return ", ".join([*(n for n in sorted({*now, *then}) if now.get(n) != then.get(n)), *(f"backup {n}" for n in lost)])


def l9_nothing_lost(scene: Scene, view: View, promised: View | None) -> str:
    """Every old content is somewhere a person finds it."""
    lost = {data for data, _ in scene.old.values()} - view.kept
    return ", ".join(map(repr, lost))


def l9_pinned(scene: Scene, view: View, promised: View | None) -> str:
    """What an open decision is about is pinned, base contents that were nowhere any more excepted."""
    known, damaged = read_decisions(view.disk.tree("shared"))
    asked = [each for each in known.values() if each.is_open and f"shared/decisions/{each.id}.json" not in scene.before]
    here = {sha256_of(data) for data in view.pinned}
    lost = [each.path for each in asked if {each.machine, each.baseline} - {None} - here]
    return ", ".join([*lost, *sorted(damaged)])


def clean(scene: Scene, view: View, promised: View | None) -> str:
    """No journal is left, and no temporary where the tracked files are."""
    left = [name for name in ("state/journal.json",) if view.disk.inode(name) is not None]
    for root in ROOTS.values():
        if view.disk.inode(root) is not None:
            names = view.disk.files(root)
            left += [f"{root}/{name}" for name in names if "/.hbk-" in f"/{name}" and ".hbk-trash/" not in name]
    return ", ".join(left)


def announced(scene: Scene, view: View, promised: View | None) -> str:
    """The manifest says what the files are, and the archive can be read."""
    try:
        manifest, _ = read_manifest(view.disk.tree("shared"), BASELINE_ID)
        read_archive(view.disk.tree("state"))
    except (SyncError, Damaged) as error:
        return str(error)
    here = {name: data for name, (data, _) in view.tracked.items() if name.startswith("baseline/")}
    files = {name.removeprefix("baseline/"): (sha256_of(data), len(data)) for name, data in here.items()}
    says = {path: (file.sha256, file.size) for path, file in manifest.entries.items()}
    return ", ".join(sorted(path for path in {*files, *says} if files.get(path) != says.get(path)))


BEFORE: Final = {
    "L11 no partial file": l11_no_partial_file,
    "L12 backup first": l12_backup_first,
    "said last": said_last,
}
AFTER: Final = {
    "L10 old or new": l10_old_or_new,
    "L10 documents": l10_documents,
    "L9 nothing lost": l9_nothing_lost,
    "L9 decisions pinned": l9_pinned,
    "journal and temporaries gone": clean,
    "manifest as the files": announced,
}
