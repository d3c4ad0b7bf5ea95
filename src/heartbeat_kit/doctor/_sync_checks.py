"""The checks of backup-and-sync: what was interrupted, what the next sync would do, what the backups are worth.

Owns the questions asked of a coordinator, the words and the remedies. Writes nothing into either folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heartbeat_kit._words import counted
from heartbeat_kit.doctor._checks import failure, fine, listed, warning
from heartbeat_kit.doctor._diagnosis import Finding, FindingOutcome
from heartbeat_kit.errors import (
    BaselineUnavailableError,
    DamagedSyncStateError,
    HeartbeatKitError,
    RecoveryPendingError,
)
from heartbeat_kit.sync import SyncCoordinator

__all__ = ["sync_findings"]

_MEANT: Final = (
    "see that both folders are whole; a change that is meant is applied with heartbeat-kit sync online "
    "--allow-mass-change"
)
_RENAME: Final = "do what it says of each; heartbeat-kit sync plan lists them all"
_DISCARD: Final = "recover(discard_damaged=True) sets it aside and begins anew; every difference is a question then"
_RECOVER: Final = "recover() finishes it, and so does the next sync"


def sync_findings(coordinator: SyncCoordinator, *, newest_backups: int) -> tuple[list[Finding], dict[str, str]]:
    """Every finding about the sync of this machine, and the checks that could not be made, with the reason.

    Args:
        coordinator: Of this machine.
        newest_backups: How many backups are tried, the newest first; those that cannot be read are found in any case.
    """
    journal, plan = _next_sync(coordinator)
    found, unchecked = [journal], {}
    if plan is None:
        why = "an interrupted run is to be finished first"
        if journal.outcome is FindingOutcome.FAILED:
            why = "what this machine noted of its syncs is damaged"
        unchecked = {"sync_plan": why, "sync_backups": why}
    else:
        found += [plan, _backups(coordinator, newest_backups)]
    try:
        found.append(_decisions(coordinator))
    except BaselineUnavailableError:  # the plan says so
        unchecked["sync_decisions"] = "the baseline is not there"
    except DamagedSyncStateError:  # the journal says so
        unchecked["sync_decisions"] = unchecked.get("sync_plan", journal.found)
    return found, unchecked


def _next_sync(coordinator: SyncCoordinator) -> tuple[Finding, Finding | None]:
    """The journal, and the plan: none is made over an interrupted run."""
    whole = fine("sync_journal", "nothing is interrupted")
    try:
        plan = coordinator.plan()
    except RecoveryPendingError as error:
        if isinstance(error.__cause__, DamagedSyncStateError):
            return failure("sync_journal", str(error.__cause__), _DISCARD), None
        return warning("sync_journal", f"a run was interrupted: {error}", _RECOVER), None
    except DamagedSyncStateError as error:
        return failure("sync_journal", str(error), _DISCARD), None
    except (HeartbeatKitError, OSError) as error:
        found = f"the next sync would fail: {_coded(error)}"
        return whole, failure("sync_plan", found, "do what it says, then look again")
    if plan.refusals:
        found = "; ".join(f"{refusal.code}: {refusal.message}" for refusal in plan.refusals)
        return whole, warning("sync_plan", f"the next sync would be refused: {found}", _MEANT)
    if plan.deferred:
        left = [f"{path} ({why})" for path, why in plan.deferred.items()]
        found = f"the next sync would leave {counted(len(left), 'path')} alone: {listed(left, most=3)}"
        return whole, warning("sync_plan", found, _RENAME)
    return whole, fine("sync_plan", f"the next sync would change {counted(len(plan.effects), 'file')}")


def _backups(coordinator: SyncCoordinator, newest: int) -> Finding:
    """Can what was backed up be restored?"""
    try:
        found = coordinator.prune(dry_run=True)
    except (HeartbeatKitError, OSError) as error:
        return failure("sync_backups", f"the backups cannot be listed: {_coded(error)}", _LOOK)
    names = [name for name in (*found.kept, *found.backups) if name not in found.unreadable]
    tried: Sequence[str] = [*names[:newest], *found.unreadable]
    damaged = []
    for name in tried:
        try:
            coordinator.verify(name)
        except (HeartbeatKitError, OSError) as error:
            damaged.append(f"{name}: {_coded(error)}")
    if damaged:
        return failure(
            "sync_backups",
            f"{counted(len(damaged), 'backup')} cannot be restored: {listed(damaged, most=3)}",
            "do not rely on it; a sync makes a new one, and what damaged this one may damage more",
        )
    if not tried:
        none = f"{counted(len(names), 'backup')}, none of which was tried" if names else "there is none yet"
        return fine("sync_backups", none)
    return fine("sync_backups", f"the newest {len(tried)} of {len(names)} were restored and compared")


def _decisions(coordinator: SyncCoordinator) -> Finding:
    """Does anything wait for a person?"""
    try:
        waiting = coordinator.decisions()
    except (BaselineUnavailableError, DamagedSyncStateError):
        raise
    except (HeartbeatKitError, OSError) as error:
        return failure("sync_decisions", f"they cannot be listed: {_coded(error)}", _LOOK)
    if not waiting:
        return fine("sync_decisions", "nothing waits for a person")
    return warning(
        "sync_decisions",
        f"{counted(len(waiting), 'question')} to a person: {listed([each.path for each in waiting])}",
        "answer them: heartbeat-kit sync decisions, or approve() and reject()",
    )


_LOOK: Final = "see that the shared folder is there and this user may use it"


def _coded(error: BaseException) -> str:
    return f"{error.code}: {error}" if isinstance(error, HeartbeatKitError) else str(error)
