"""The redo journal: what a run is committed to, complete enough for any later process to finish it.

Owns the document. Must not know how a step is done. The moment it is durable is the commit point of a run: before it
nothing was changed, after it everything will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit.errors import DamagedSyncStateError
from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._decision import Decision, DecisionState, from_json, to_json
from heartbeat_kit.sync._model import File, Side
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._places import JOURNAL
from heartbeat_kit.sync._sealed import Damaged, entries_to, file_from, file_to, seal, unseal
from heartbeat_kit.sync._tree import Tree

__all__ = ["Journal", "Step", "in_order", "read_journal"]

_KIND: Final = "heartbeat_kit.journal"


@attrs.frozen(kw_only=True)
class Step:
    """One file to change.

    Attributes:
        side: Whose.
        path: Which.
        before: As it must be found; ``None`` for absent.
        after: As it will be left; ``None`` for absent.
    """

    side: Side
    path: str
    before: File | None
    after: File | None


@attrs.frozen(kw_only=True)
class Journal:
    """A run past its commit point.

    Attributes:
        id: Of evidence alone: the same run has the same.
        operation: ``online``, ``offline`` or ``restore``.
        machine_id: Whose sync it is.
        baseline_id: With which baseline.
        plan_id: What was planned.
        transition_id: The event it answers, or ``None``.
        synced_at_ms: The time it says it was done at.
        steps: The files to change, in order.
        agreed: What both sides agree on afterwards.
        archives: Whether the archive is to say so; offline it is another machine's.
        announce: What the baseline's manifest is to say.
        taken: The transitions whose receipts the archive takes in.
        decisions: Records to write; a closed one that is asked anew is written over.
        closes: Decisions this run carries out, and what they become.
        backup: The name of the backup, or ``None``.
        planned: What was planned, in numbers.
        resolved: The paths whose conflicts it settles.
        pending: Paths that wait for the machine.
        deferred: Paths left alone, with the reason.
    """

    id: str
    operation: str
    machine_id: str
    baseline_id: str
    plan_id: str
    transition_id: str | None
    synced_at_ms: int
    steps: tuple[Step, ...] = ()
    agreed: Mapping[str, File | None] = field(factory=dict, converter=frozen_mapping)
    archives: bool = True
    announce: Mapping[str, File | None] = field(factory=dict, converter=frozen_mapping)
    taken: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    closes: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    backup: str | None = None
    planned: SyncChanges = field(factory=SyncChanges)
    resolved: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    deferred: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do and nothing to note but that it was looked at."""
        return not (self.steps or self.agreed or self.announce or self.taken or self.decisions or self.closes)

    def to_bytes(self) -> bytes:
        """The document."""
        return seal(
            _KIND,
            {
                "id": self.id,
                "operation": self.operation,
                "machineId": self.machine_id,
                "baseline": self.baseline_id,
                "planId": self.plan_id,
                "transition": self.transition_id,
                "syncedAt": self.synced_at_ms,
                "steps": [[str(s.side), s.path, file_to(s.before), file_to(s.after)] for s in self.steps],
                "agreed": entries_to(self.agreed),
                "archives": self.archives,
                "announce": entries_to(self.announce),
                "taken": list(self.taken),
                "decisions": [to_json(each).decode() for each in self.decisions],
                "closes": dict(self.closes),
                "backup": self.backup,
                "planned": changes_to(self.planned),
                "resolved": list(self.resolved),
                "pending": list(self.pending),
                "deferred": dict(self.deferred),
            },
        )


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Steps in the order they can be done in: new files last, when what may be in their way is gone.

    A losing version is kept before the file that replaces it is written, so it is not late.
    """
    return tuple(sorted(steps, key=lambda each: each.before is None and each.side is not Side.CONFLICTS))


def read_journal(state: Tree) -> Journal | None:
    """The journal of a run that was not finished, or ``None``.

    Raises:
        DamagedSyncStateError: It is there and cannot be understood.
    """
    try:
        return _journal(unseal(_KIND, state.read(JOURNAL).data))
    except FileNotFoundError:
        return None
    except (OSError, Damaged, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedSyncStateError(
            f"the journal {JOURNAL} in {state.root} cannot be used: {error}; nothing was changed. "
            "recover(discard_damaged=True) sets it aside; what its run had changed by then is in its backup"
        ) from error


def _journal(record: Mapping[str, Any]) -> Journal:
    return Journal(
        id=_text(record["id"]),
        operation=_text(record["operation"]),
        machine_id=_text(record["machineId"]),
        baseline_id=_text(record["baseline"]),
        plan_id=_text(record["planId"]),
        transition_id=None if record["transition"] is None else _text(record["transition"]),
        synced_at_ms=int(record["syncedAt"]),
        steps=tuple(_step(each) for each in record["steps"]),
        agreed=_changes(record["agreed"]),
        archives=record["archives"] is True,
        announce=_changes(record["announce"]),
        taken=tuple(_text(each) for each in record["taken"]),
        decisions=tuple(from_json(_text(each).encode()) for each in record["decisions"]),
        closes={_text(key): DecisionState(value) for key, value in record["closes"].items()},
        backup=None if record["backup"] is None else _text(record["backup"]),
        planned=changes_from(record["planned"]),
        resolved=tuple(_text(each) for each in record["resolved"]),
        pending=tuple(_text(each) for each in record["pending"]),
        deferred={_text(path): _text(why) for path, why in record["deferred"].items()},
    )


def _step(value: Any) -> Step:
    side, path, before, after = value
    return Step(side=Side(side), path=_path(path), before=_file(before), after=_file(after))


def _changes(value: Any) -> dict[str, File | None]:
    return {_path(path): _file(file) for path, file in value.items()}


def _file(value: Any) -> File | None:
    return None if value is None else file_from(value)


def _path(value: Any) -> str:
    if problem := path_problem(_text(value)):
        raise Damaged(f"its path {value!r:.80} {problem}")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Damaged(f"{value!r:.40} is no text")
    return value


def changes_to(changes: SyncChanges) -> list[int | None]:
    """Counts as they stand in a document."""
    return [
        changes.files_synced,
        changes.conflicts_resolved,
        changes.decisions_created,
        changes.offline_duration_ms,
    ]


def changes_from(value: Any) -> SyncChanges:
    """Counts out of a document.

    Raises:
        Damaged: They are none.
    """
    if not isinstance(value, list) or len(value) != 4 or not all(type(n) is int for n in value[:3]):
        raise Damaged("its counts cannot be")
    synced, resolved, decisions, duration = value
    if duration is not None and type(duration) is not int:
        raise Damaged("its duration cannot be")
    return SyncChanges(
        files_synced=synced, conflicts_resolved=resolved, decisions_created=decisions, offline_duration=duration
    )
