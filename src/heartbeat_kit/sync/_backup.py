"""Backups: what a run is about to touch, as it was, in one document that proves itself.

Owns the document, its reading and its verification. Must not know a journal, nor when a backup is made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._times import to_iso
from heartbeat_kit.errors import DamagedBackupError
from heartbeat_kit.sync._model import File, Side
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._sealed import Damaged, Written, entries_to, file_from, file_to, seal, unseal
from heartbeat_kit.sync._tree import Tree

__all__ = ["INLINE_LIMIT", "Backup", "Kept", "content_of", "read_backup"]

_KIND: Final = "heartbeat_kit.backup"
INLINE_LIMIT: Final = 32 << 20
"""More bytes than this are kept beside the document, under their hashes."""


@attrs.frozen(kw_only=True)
class Kept:
    """One file of a backup.

    Attributes:
        side: Whose file it is.
        path: Where.
        before: As it was; ``None`` if it was not there.
        after: As the run was to leave it; ``None`` if it was to be gone.
    """

    side: Side
    path: str
    before: File | None
    after: File | None


@attrs.frozen(kw_only=True)
class Backup:
    """What a run was about to touch.

    Attributes:
        operation: ``online``, ``offline`` or ``restore``.
        machine_id: Whose sync it was.
        taken_at_ms: Of the transition or of the call; it is in the name.
        plan_id: What was about to be done.
        files: Every file that was to be touched, of both sides, and those that were to be made.
        agreed: What both sides had agreed on for these files; ``None`` for nothing.
        inline: The contents in the document itself, by hash; the others lie beside it.
        manifest: The digest of the baseline's manifest.
        decisions: The decisions the run was about to carry out.
    """

    operation: str
    machine_id: str
    taken_at_ms: int
    plan_id: str
    files: tuple[Kept, ...]
    agreed: Mapping[str, File | None] = field(converter=frozen_mapping)
    manifest: str
    decisions: tuple[str, ...] = ()
    inline: Mapping[str, bytes] = field(factory=dict, converter=frozen_mapping, repr=False)

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.operation}-sync-{self.machine_id}-{self.taken_at_ms}.json"

    @property
    def contents(self) -> dict[str, int]:
        """The hash and the size of every content it keeps."""
        return {kept.before.sha256: kept.before.size for kept in self.files if kept.before is not None}

    def to_bytes(self) -> bytes:
        """The document."""
        return seal(
            _KIND,
            {
                "operation": self.operation,
                "machineId": self.machine_id,
                "takenAt": self.taken_at_ms,
                "takenAtText": to_iso(self.taken_at_ms),
                "planId": self.plan_id,
                "files": [
                    {"side": str(k.side), "path": k.path, "before": file_to(k.before), "after": file_to(k.after)}
                    for k in self.files
                ],
                "agreed": entries_to(self.agreed),
                "manifest": self.manifest,
                "decisions": list(self.decisions),
                # In base64 nothing needs to be escaped, and there is much of it.
                "data": Written(_data(self.inline)),
            },
        )


def _data(inline: Mapping[str, bytes]) -> Iterator[bytes]:
    yield b"{"
    for number, (sha256, data) in enumerate(sorted(inline.items())):
        yield b'%s"%s":"' % (b"," if number else b"", sha256.encode())
        yield base64.b64encode(data)
        yield b'"'
    yield b"}"


def read_backup(backups: Tree, name: str) -> Backup:
    """The backup of that name, its digest checked; `content_of` checks the contents.

    Raises:
        DamagedBackupError: It is not there or cannot be understood.
    """
    try:
        record = unseal(_KIND, backups.read(name).data)
        return _backup(record)
    except FileNotFoundError as error:
        raise DamagedBackupError(
            f"there is no backup {name} in {backups.root}: prune(dry_run=True) lists those there are", paths=[name]
        ) from error
    except (OSError, Damaged) as error:
        raise DamagedBackupError(
            f"the backup {name} in {backups.root} cannot be used: {error}; nothing was changed", paths=[name]
        ) from error


def _backup(record: Mapping[str, Any]) -> Backup:
    files, data, agreed = record.get("files"), record.get("data"), record.get("agreed")
    texts = [record.get(key) for key in ("operation", "machineId", "planId", "manifest")]
    decisions, taken_at = record.get("decisions"), record.get("takenAt")
    if not isinstance(files, list) or not isinstance(data, dict) or not all(isinstance(text, str) for text in texts):
        raise Damaged("its fields cannot be")
    if not isinstance(decisions, list) or not all(isinstance(each, str) for each in decisions):
        raise Damaged("its decisions cannot be")
    if type(taken_at) is not int:
        raise Damaged("its time cannot be")
    if not isinstance(agreed, dict) or any(path_problem(path) for path in agreed):
        raise Damaged("its base cannot be")
    operation, machine_id, plan_id, manifest = texts
    return Backup(
        operation=str(operation),
        machine_id=str(machine_id),
        taken_at_ms=taken_at,
        plan_id=str(plan_id),
        files=tuple(_kept(each) for each in files),
        agreed={path: None if file is None else file_from(file) for path, file in agreed.items()},
        manifest=str(manifest),
        decisions=tuple(decisions),
        inline={sha: _decoded(text) for sha, text in data.items()},
    )


def _kept(value: Any) -> Kept:
    if not isinstance(value, dict) or value.get("side") not in list(Side) or not isinstance(value.get("path"), str):
        raise Damaged("one of its files cannot be")
    if problem := path_problem(value["path"]):
        raise Damaged(f"its path {value['path']!r:.80} {problem}")
    before, after = (None if value.get(key) is None else file_from(value[key]) for key in ("before", "after"))
    return Kept(side=Side(value["side"]), path=value["path"], before=before, after=after)


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise Damaged("one of its contents is no base64") from error


def content_of(backup: Backup, sha256: str, beside: Callable[[str], bytes | None]) -> bytes:
    """One content of a backup, verified.

    Args:
        backup: The backup.
        sha256: Which.
        beside: Where to look for what is not in the document itself.

    Raises:
        DamagedBackupError: It is missing, or is not what its hash says.
    """
    data = backup.inline[sha256] if sha256 in backup.inline else beside(sha256)
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        paths = [kept.path for kept in backup.files if kept.before is not None and kept.before.sha256 == sha256]
        raise DamagedBackupError(
            f"the backup {backup.name} lacks the content of {', '.join(paths[:3])}; nothing was changed", paths=paths
        )
    return data
