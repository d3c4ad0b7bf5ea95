"""Receipts: what was done for a transition, so that nobody does it again.

Owns the document and the reading of those that concern a machine. Must not know how anything was done. One writer each:
an observer writes its own and no other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._journal import changes_from, changes_to
from heartbeat_kit.sync._model import File
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._places import receipts
from heartbeat_kit.sync._sealed import Damaged, entries_to, file_from, seal, unseal
from heartbeat_kit.sync._tree import Tree

__all__ = ["Receipt", "all_receipts", "answered_at", "receipt_for", "receipts_of"]

_KIND: Final = "heartbeat_kit.receipt"
_LIMIT: Final = 64 << 20
_OPERATIONS: Final = frozenset({"online", "offline", "restore"})
_LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, beyond which no time can be shown."""


@attrs.frozen(kw_only=True)
class Receipt:
    """What was done for a transition.

    Attributes:
        transition_id: Which.
        operation: ``online``, ``offline``, or ``restore`` for a rollback by another machine.
        machine_id: Whose sync.
        observer: Who did it.
        plan_id: What was planned.
        backup: The name of the backup, or ``None``.
        backup_digest: The digest of its bytes, or ``None``.
        synced_at_ms: When.
        changes: What was done, in numbers.
        agreed: What both sides agree on since, for the machine to learn; ``None`` for a file both have not.
        pending: What waits for the machine.
        deferred: What was left alone, with the reason.
    """

    transition_id: str
    operation: str
    machine_id: str
    observer: str
    plan_id: str
    backup: str | None
    backup_digest: str | None
    synced_at_ms: int
    changes: SyncChanges
    agreed: Mapping[str, File | None] = field(factory=dict, converter=frozen_mapping)
    pending: tuple[str, ...] = ()
    deferred: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)

    def to_bytes(self) -> bytes:
        """The document."""
        return seal(
            _KIND,
            {
                "transition": self.transition_id,
                "operation": self.operation,
                "machineId": self.machine_id,
                "observer": self.observer,
                "planId": self.plan_id,
                "backup": self.backup,
                "backupDigest": self.backup_digest,
                "syncedAt": self.synced_at_ms,
                "changes": changes_to(self.changes),
                "agreed": entries_to(self.agreed),
                "pending": list(self.pending),
                "deferred": dict(self.deferred),
            },
        )


def receipt_for(shared: Tree, transition_id: str) -> Receipt | None:
    """The receipt of a transition, whoever wrote it; of several the first by observer."""
    found = _in_folder(shared, transition_id)
    return next((each for each in found if each.operation != "restore"), None)


def answered_at(shared: Tree, transition_id: str) -> int | None:
    """When a transition was answered (epoch milliseconds), or ``None`` if it was not."""
    found = receipt_for(shared, transition_id)
    return None if found is None else found.synced_at_ms


def receipts_of(shared: Tree, machine_id: str) -> tuple[Receipt, ...]:
    """The receipts of all that others did for a machine, and took back, oldest first, one a transition."""
    found = [next(iter(_in_folder(shared, name)), None) for name in _transitions(shared)]
    mine = [
        each
        for each in found
        if each is not None and each.machine_id == machine_id and each.operation in ("offline", "restore")
    ]
    return tuple(sorted(mine, key=lambda each: (each.synced_at_ms, each.operation, each.transition_id)))


def all_receipts(shared: Tree) -> list[Receipt]:
    """Every receipt that can be read, those of several observers too."""
    return [each for name in _transitions(shared) for each in _in_folder(shared, name)]


def _transitions(shared: Tree) -> list[str]:
    try:
        return [name for name, _ in shared.list("transitions") if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _in_folder(shared: Tree, transition_id: str) -> list[Receipt]:
    found = []
    with contextlib.suppress(OSError):
        for name, _ in shared.list(receipts(transition_id)):
            if name.endswith(".json") and not name.startswith("."):
                with contextlib.suppress(OSError, Damaged, KeyError, TypeError, ValueError):
                    receipt = _receipt(shared.read(f"{receipts(transition_id)}/{name}", limit=_LIMIT).data)
                    if receipt.transition_id == transition_id:
                        found.append(receipt)
    return found


def _receipt(data: bytes) -> Receipt:
    record = unseal(_KIND, data)
    texts = [record[key] for key in ("transition", "operation", "machineId", "observer", "planId")]
    optional = [record["backup"], record["backupDigest"]]
    agreed, pending, deferred = record["agreed"], record["pending"], record["deferred"]
    if not (isinstance(agreed, dict) and isinstance(pending, list) and isinstance(deferred, dict)):
        raise Damaged("its fields cannot be")
    if not all(isinstance(text, str) for text in [*texts, *pending, *deferred.values()]):
        raise Damaged("its fields cannot be")
    if texts[1] not in _OPERATIONS:
        raise Damaged(f"its operation is {texts[1]!r:.40}")
    if not all(text is None or isinstance(text, str) for text in optional):
        raise Damaged("its backup cannot be")
    if type(record["syncedAt"]) is not int or not 0 <= record["syncedAt"] <= _LAST_MS:
        raise Damaged("its time cannot be")
    if any(path_problem(path) for path in agreed):
        raise Damaged("one of its paths cannot be")
    return Receipt(
        transition_id=texts[0],
        operation=texts[1],
        machine_id=texts[2],
        observer=texts[3],
        plan_id=texts[4],
        backup=optional[0],
        backup_digest=optional[1],
        synced_at_ms=record["syncedAt"],
        changes=changes_from(record["changes"]),
        agreed={path: None if file is None else file_from(file) for path, file in agreed.items()},
        pending=tuple(pending),
        deferred=deferred,
    )
