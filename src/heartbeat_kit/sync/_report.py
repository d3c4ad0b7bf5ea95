"""`SyncReport`: what a sync did, or would do.

Owns the report, its looks and its wire shape. Must not know how a sync is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import attrs
from attrs import field
from pendulum import DateTime

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._times import to_datetime, to_iso
from heartbeat_kit._words import counted
from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._decision import Decision
from heartbeat_kit.sync._model import SyncMode

__all__ = ["SyncOutcome", "SyncReport", "not_executor"]


class SyncOutcome(StrEnum):
    """How a sync ended."""

    APPLIED = "applied"
    """Done, as the changes say; they may be none."""
    ALREADY_DONE = "already_done"
    """Done before for the same transition; the changes are those of then."""
    DRY_RUN = "dry_run"
    """Nothing was done; `SyncReport.planned` says what would be."""
    NOT_EXECUTOR = "not_executor"
    """Only the machine itself can do it, and this is not it; nothing was done."""
    NOTHING_PUBLISHED = "nothing_published"
    """The machine published nothing that could be preserved; nothing was done."""
    VOID = "void"
    """The machine came back before anything was changed; nothing was done."""
    ROLLED_BACK = "rolled_back"
    """Every file of a backup is as it was."""


_SHOWN: Final = 5
_SAID: Final = {
    SyncOutcome.APPLIED: "{mode} sync of {id} done",
    SyncOutcome.ALREADY_DONE: "{mode} sync of {id} was done before",
    SyncOutcome.DRY_RUN: "{mode} sync of {id} was only planned",
    SyncOutcome.NOT_EXECUTOR: "{mode} sync of {id} is for {who} to do (NOT_EXECUTOR)",
    SyncOutcome.NOTHING_PUBLISHED: "{mode} sync of {id} found nothing published that could be preserved",
    SyncOutcome.ROLLED_BACK: "{mode} sync of {id} was rolled back",
    SyncOutcome.VOID: "{mode} sync of {id} was not done, for {id} is back",
}


@attrs.frozen(kw_only=True)
class SyncReport:
    """The outcome of a sync.

    Attributes:
        machine_id: Whose files.
        mode: ``online`` or ``offline``.
        outcome: How it ended.
        synced_at: When (UTC).
        changes: What was done; all zero in a dry run.
        planned: In a dry run, what would be done.
        backup_created: A backup is there and verifies.
        backup_path: Where; ``None`` without one.
        plan_id: What was planned.
        transition_id: The event it answered, or ``None``.
        decisions: The decision records that were made.
        waiting: The ids of what a person has still to decide about this machine, whichever sync asked, by path.
        pending: Paths that wait for the machine.
        deferred: Paths that were left alone, with the reason.
        rejected: Names that cannot be synced, with the reason.
        recovered: An interrupted run was finished first.
        note: What else a person should know; empty if nothing.
    """

    machine_id: str
    mode: SyncMode
    outcome: SyncOutcome
    synced_at_ms: int = field(alias="synced_at")
    changes: SyncChanges = field(factory=SyncChanges)
    planned: SyncChanges | None = None
    backup_created: bool = False
    backup_path: str | None = None
    plan_id: str | None = None
    transition_id: str | None = None
    decisions: tuple[Decision, ...] = ()
    waiting: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    deferred: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    rejected: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    recovered: bool = False
    note: str = ""

    @property
    def synced_at(self) -> DateTime:
        """When it was done, UTC."""
        return to_datetime(self.synced_at_ms)

    @property
    def already_done(self) -> bool:
        """Whether it had been done before."""
        return self.outcome is SyncOutcome.ALREADY_DONE

    @property
    def dry_run(self) -> bool:
        """Whether it was only planned."""
        return self.outcome is SyncOutcome.DRY_RUN

    @property
    def message(self) -> str:
        """One sentence."""
        said = _SAID[self.outcome].format(
            mode=str(self.mode).capitalize(),
            id=self.machine_id,
            who="another machine" if self.mode is SyncMode.OFFLINE else f"{self.machine_id} itself",
        )
        asked = f"{counted(len(self.waiting), 'decision')} for a person to make" if self.waiting else ""
        return "; ".join(filter(None, [said, self.note, asked]))

    def __repr__(self) -> str:
        counts = self.planned if self.planned is not None else self.changes
        would = "would have " if self.planned is not None else ""
        waiting = f", {len(self.pending)} pending" if self.pending else ""
        deferred = f", {len(self.deferred)} deferred" if self.deferred else ""
        asked = counts.decisions_created
        return (
            f"<SyncReport {self.mode} {self.machine_id} {self.outcome}: {would}{counts.files_synced} synced, "
            f"{counts.conflicts_resolved} resolved, {asked} decision{'' if asked == 1 else 's'}{waiting}{deferred}>"
        )

    def __wire__(self, locale: str) -> dict[str, Any]:
        """The shape of `to_wire`."""
        done = locale == "fr" and self.outcome is SyncOutcome.APPLIED
        return {
            "success": self.outcome not in (SyncOutcome.NOT_EXECUTOR, SyncOutcome.VOID),
            "machineId": self.machine_id,
            "syncedAt": to_iso(self.synced_at_ms),
            "outcome": str(self.outcome),
            "alreadyDone": self.already_done,
            "backupCreated": self.backup_created,
            **({} if self.backup_path is None else {"backupPath": self.backup_path}),
            "changes": self.changes.__wire__(locale),
            **({} if self.planned is None else {"planned": self.planned.__wire__(locale)}),
            **({} if self.plan_id is None else {"planId": self.plan_id}),
            **({} if self.transition_id is None else {"transitionId": self.transition_id}),
            "decisions": [each.id for each in self.decisions],
            "waiting": list(self.waiting),
            "pending": list(self.pending),
            "deferred": dict(self.deferred),
            "rejected": dict(self.rejected),
            "recovered": self.recovered,
            "message": f"Synchronisation {self.mode} effectuée pour {self.machine_id}" if done else self.message,
        }

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table  # noqa: PLC0415 - for notebooks only

        return html_table(*self._rows(), caption=self.message)

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*self._rows(), caption=self.message)

    def _rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        counts = self.planned if self.planned is not None else self.changes
        rows: list[tuple[str, ...]] = [
            ("files synced", str(counts.files_synced), "planned" if self.planned is not None else ""),
            ("conflicts resolved", str(counts.conflicts_resolved), ""),
            ("decisions created", str(counts.decisions_created), _some(each.path for each in self.decisions)),
            ("pending", str(len(self.pending)), _some(self.pending)),
            ("deferred", str(len(self.deferred)), _some(f"{path} ({why})" for path, why in self.deferred.items())),
            ("rejected", str(len(self.rejected)), _some(f"{path} ({why})" for path, why in self.rejected.items())),
            ("backup", "verified" if self.backup_created else "none", self.backup_path or ""),
        ]
        return ("what", "how many", "which"), rows


def _some(texts: Iterable[str]) -> str:
    found = list(texts)
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def not_executor(machine_id: str, mode: SyncMode, now_ms: int) -> SyncReport:
    """The answer to what only another machine can do."""
    return SyncReport(machine_id=machine_id, mode=mode, outcome=SyncOutcome.NOT_EXECUTOR, synced_at=now_ms)
