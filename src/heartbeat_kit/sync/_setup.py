"""What a coordinator needs of its arguments, checked before anything else happens.

Owns these checks, the folder of its local state, and the making of a baseline. Must not know a sync.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import platformdirs

from heartbeat_kit.errors import InvalidConfigurationError, StalePlanError
from heartbeat_kit.sync._archive import read_archive
from heartbeat_kit.sync._baseline import Manifest, read_manifest, read_sentinel
from heartbeat_kit.sync._fence import Fence
from heartbeat_kit.sync._model import ABSENT, File, Snapshot
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._places import BACKUPS, BASELINE_FILES, MANIFEST, NOTE, SENTINEL, Places
from heartbeat_kit.sync._policy import Choice, ConflictPolicy
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._session import file_errors
from heartbeat_kit.sync._tree import Tree
from heartbeat_kit.sync._writer import Writer

__all__ = [
    "Folders",
    "adopt",
    "backup_name",
    "folders",
    "open_places",
    "read_note",
    "require_one_of",
    "require_policy",
    "write_note",
]

_OURS: Final = ("baseline", "decisions", "epochs", "objects", "published", "transitions")
Named = TypeVar("Named", bound=StrEnum)
Folders = tuple[Path, Path, Path, Path | None]
"""Workspace, shared folder, local state, backups."""


def folders(workspace: Any, shared: Any, state_dir: Any, backups: Any, machine_id: str) -> Folders:
    """The folders of a coordinator, absolute; none of the first two is made.

    Raises:
        InvalidConfigurationError: One is no folder, or lies where it would be synced.
    """
    work = _folder("workspace", workspace)
    share = Path(os.path.realpath(_path("shared", shared)))  # may be mounted later
    given = platformdirs.user_state_path("heartbeat_kit") if state_dir is None else _path("state_dir", state_dir)
    place = hashlib.sha256(f"{work}\0{share}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    state = Path(os.path.realpath(given)) / "sync" / place / machine_id
    kept = None if backups is None else Path(os.path.realpath(_path("backups", backups)))
    for name, folder, others in [
        ("shared", share, [("workspace", work)]),
        ("workspace", work, [("shared", share)]),
        ("state_dir", state, [("workspace", work), ("shared", share)]),
        ("backups", kept, [("workspace", work), *((f"shared/{name}", share / name) for name in _OURS)]),
    ]:
        for other, parent in others:
            if folder is not None and (folder == parent or parent in folder.parents):
                raise InvalidConfigurationError(
                    f"{name} ({folder}) lies in {other} ({parent}), so it would be synced itself: give it a place of "
                    "its own"
                )
    if kept == share:
        raise InvalidConfigurationError(f"backups is the shared folder itself ({share}): give it a folder of its own")
    return work, share, state, kept


def _folder(name: str, value: Any) -> Path:
    path = _path(name, value)
    if not path.is_dir():
        raise InvalidConfigurationError(f"{name} is {str(path)!r:.200}: give the path of a folder that is there")
    return Path(os.path.realpath(path))


def _path(name: str, value: Any) -> Path:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InvalidConfigurationError(f"{name} is {value!r:.80}: give the path of a folder")
    return Path(text).expanduser().absolute()


def require_policy(policy: ConflictPolicy | Mapping[str, Choice | str] | Choice | str | None) -> ConflictPolicy:
    """The policy as one; ``None`` leaves every conflict to a person."""
    if isinstance(policy, ConflictPolicy):
        return policy
    return ConflictPolicy() if policy is None else ConflictPolicy(policy)


def require_one_of(name: str, value: Named | str, *choices: Named) -> Named:
    """The choice of that name.

    Raises:
        InvalidConfigurationError: It is none of them.
    """
    found = next((each for each in choices if each == value), None)
    if found is None:
        expected = " or ".join(f"'{each}'" for each in choices)
        raise InvalidConfigurationError(f"{name} is {value!r:.40}: expected {expected}")
    return found


def backup_name(backup: str | os.PathLike[str], folder: str) -> str:
    """The name of a backup in the folder of backups, from its path or its name.

    Raises:
        InvalidConfigurationError: It cannot be one.
    """
    text = os.fspath(backup) if isinstance(backup, str | os.PathLike) else ""
    name = os.path.basename(text) if isinstance(text, str) else ""
    if path_problem(name) is not None:
        raise InvalidConfigurationError(f"{backup!r:.80} is no backup: give the path or the name of one")
    if os.path.dirname(text) and os.path.realpath(os.path.dirname(text)) != os.path.realpath(folder):
        raise InvalidConfigurationError(
            f"{backup!r:.200} is not in the folder of the backups ({folder}): copy it there"
        )
    return name


def open_places(found: Folders) -> Places:
    """The trees of the folders; nothing is made yet."""
    work, share, state, kept = found
    backups = RealTree(share / BACKUPS if kept is None else kept)
    return Places(RealTree(work), RealTree(share), RealTree(state), backups, shares_backups=kept is None)


def make_local(found: Folders) -> None:
    """Make the local folders, which only this user may read.

    Raises:
        SyncFileError: One cannot be made.
    """
    with file_errors():
        for folder in found[2:]:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def adopt(places: Places, look: Callable[[], Snapshot], covers: Callable[[str], bool], fence: Fence) -> Manifest:
    """Announce the files of the baseline as they are; make the baseline if there is none.

    Raises:
        BaselineUnavailableError: The manifest that is there is damaged, or this machine knows another baseline.
        SyncFencedError: Another run took over; nothing was announced.
        StalePlanError: The baseline moved on meanwhile; nothing was announced.
    """
    shared, writer = places.shared, Writer(places.shared)
    archive = read_archive(places.state)
    known = archive.baseline_id if archive else None
    found = shared.stat(MANIFEST) is not None
    marked = read_sentinel(shared, known) if shared.stat(SENTINEL) is not None or (known and not found) else ""
    # Without a mark the manifest says whose it is: somebody asked for this, so it is no half-mounted share. It is read
    # before the files: what is announced meanwhile is not taken for gone.
    manifest, digest = read_manifest(shared, marked or known) if found else (None, "")
    actual = look()
    files = {path: file for path, file in actual.entries.items() if isinstance(file, File) and not file.doubt}
    if manifest is None:
        following = Manifest(baseline_id=marked or str(uuid.uuid4()), generation=1, parent="", entries=files)
    else:
        gone = {path: None for path in manifest.entries if actual.entry(path) is ABSENT and covers(path)}
        following = manifest.after({**gone, **files}, digest) or manifest
    writer.ensure(BASELINE_FILES)
    fence.check()
    document = following.to_bytes()
    if not (writer.put_over(digest, MANIFEST, document) if found else writer.put_new(MANIFEST, document)):
        raise StalePlanError("the baseline moved on while its files were looked at; nothing was changed, try again")
    if not marked:
        writer.put(SENTINEL, f"{following.baseline_id}\n".encode())
    return following


def read_note(state: Tree) -> bytes:
    """What `write_note` wrote last, or nothing."""
    try:
        return state.read(NOTE, limit=4096).data
    except OSError:
        return b""


def write_note(state: Tree, data: bytes) -> None:
    """Keep a few bytes over a restart.

    Raises:
        SyncFileError: They are not kept.
    """
    with file_errors():
        Writer(state).put(NOTE, data, mode=0o600)
