"""`diagnose`: gather the evidence, then judge it.

Owns the order of the checks, and which cannot be made by a blind observer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._requirements import require_patience
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit.doctor._checks import MEDIUM_CHECKS, blindness, failure
from heartbeat_kit.doctor._diagnosis import Diagnosis, Finding
from heartbeat_kit.doctor._evidence import gather
from heartbeat_kit.doctor._fleet_checks import FLEET_CHECKS
from heartbeat_kit.doctor._sync_checks import sync_findings
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.sync import SyncCoordinator

__all__ = ["diagnose", "unopened", "without_sync"]

_CHECKS: Final = {**MEDIUM_CHECKS, **FLEET_CHECKS}
_BLIND: Final = "blind: the machines cannot be seen"


def diagnose(
    service: HeartbeatService,
    coordinator: SyncCoordinator | None = None,
    *,
    listen: timedelta | float = 0,
    newest_backups: int = 5,
) -> Diagnosis:
    """Look at everything a verdict rests on, and say what is wrong and what to do.

    Nothing is announced, registered or deleted. To learn whether it can be written to, the storage writes a temporary
    and removes it (`HealthProbe`). The service need not run.

    Args:
        service: Whose storage, clock and machine.
        coordinator: To look at its sync too.
        listen: How long to listen at most for the beats of the other machines, a timedelta or seconds: only by their
            beats their clocks can be compared. It ends as soon as all were heard.
        newest_backups: How many backups are tried by restoring them.

    Raises:
        InvalidConfigurationError: An argument cannot be.

    >>> from heartbeat_kit import MemoryStorage
    >>> service = HeartbeatService(MemoryStorage(), machine_id="web-1")
    >>> registration = service.register()
    >>> diagnosis = diagnose(service)
    >>> diagnosis.outcome, diagnosis.exit_code, diagnosis["fleet"].found
    (<FindingOutcome.OK: 'ok'>, 0, '1 online')
    """
    if not isinstance(service, HeartbeatService):
        raise InvalidConfigurationError(f"service is a {type(service).__name__}: expected a HeartbeatService")
    if type(newest_backups) is not int or newest_backups < 0:
        raise InvalidConfigurationError(f"newest_backups is {newest_backups!r:.80}: expected a whole number, 0 or more")
    listen_ms = require_patience("listen", listen)
    if listen_ms < 0:
        raise InvalidConfigurationError(f"listen is {listen!r:.80}: expected a length of time, zero or more")
    evidence = gather(service, listen_ms=listen_ms)
    blind = evidence.blind
    findings: list[Finding] = []
    unchecked: dict[str, str] = {}
    for name, (check, needs_sight) in _CHECKS.items():
        if blind and needs_sight:
            unchecked[name] = _BLIND
        elif (found := check(evidence)) is not None:
            findings.append(found)
    if coordinator is not None:
        about_sync, not_made = sync_findings(coordinator, newest_backups=newest_backups)
        findings += about_sync
        unchecked |= not_made
    return Diagnosis(
        machine_id=evidence.machine_id,
        diagnosed_at=evidence.now.wall_ms,
        findings=tuple(findings),
        unchecked=unchecked,
        blind=blind,
    )


def without_sync(diagnosis: Diagnosis, reason: str) -> Diagnosis:
    """The diagnosis where the coordinator cannot be made, for this reason."""
    found = failure("sync_plan", f"nothing can be synced: {reason}", "give the two folders as they are")
    why = "the folders cannot be used"
    unchecked = dict.fromkeys(("sync_journal", "sync_backups", "sync_decisions"), why)
    return attrs.evolve(
        diagnosis, findings=(*diagnosis.findings, found), unchecked={**diagnosis.unchecked, **unchecked}
    )


def unopened(machine_id: str, reason: str, now: Instant) -> Diagnosis:
    """The diagnosis where not even the storage can be opened.

    Args:
        machine_id: Who looked.
        reason: Why it cannot be.
        now: When.
    """
    found = blindness(reason)
    return Diagnosis(
        machine_id=machine_id,
        diagnosed_at=now.wall_ms,
        findings=(found,),
        unchecked={name: _BLIND for name in _CHECKS if name != found.check},
        blind=reason,
    )
