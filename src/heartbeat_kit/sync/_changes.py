"""How much a sync changed: the three counts of a run, and how long the machine was away.

Owns the value. Must not know a plan or who counted.
"""

from __future__ import annotations

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._times import to_duration

__all__ = ["SyncChanges"]


@attrs.frozen(kw_only=True)
class SyncChanges:
    """The counts of a run, a path counting once however many steps it takes.

    Attributes:
        files_synced: Paths the run wrote or deleted so that both sides agree on them now.
        conflicts_resolved: Conflicts settled by a policy, a merge, the rule that an edit outweighs a delete, or a
            person's approval.
        decisions_created: Decision records that did not exist before.
        offline_duration: How long the machine was away, on its return.

    >>> SyncChanges(files_synced=3, conflicts_resolved=1)
    <SyncChanges 3 synced, 1 resolved, 0 decisions>
    """

    files_synced: int = 0
    conflicts_resolved: int = 0
    decisions_created: int = 0
    offline_duration_ms: int | None = field(alias="offline_duration", default=None)

    @property
    def offline_duration(self) -> Duration | None:
        """How long the machine was away, on its return."""
        return None if self.offline_duration_ms is None else to_duration(self.offline_duration_ms)

    def __wire__(self, _locale: str) -> dict[str, int]:
        """The shape of `to_wire`."""
        counts = {
            "filesSynced": self.files_synced,
            "conflictsResolved": self.conflicts_resolved,
            "decisionsCreated": self.decisions_created,
        }
        return counts if self.offline_duration_ms is None else {**counts, "offlineDuration": self.offline_duration_ms}

    def __repr__(self) -> str:
        away = "" if self.offline_duration_ms is None else f", after {self.offline_duration_ms / 1000:.0f} s offline"
        created = f"{self.decisions_created} decision{'' if self.decisions_created == 1 else 's'}"
        return f"<SyncChanges {self.files_synced} synced, {self.conflicts_resolved} resolved, {created}{away}>"
