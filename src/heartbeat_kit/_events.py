"""`Transition`: one change of a machine's status, announced once.

Owns the event, its reasons and its deterministic ids. Must not know how an event is stored or delivered.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

import attrs
from attrs import field
from pendulum import DateTime, Duration

from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import optional_datetime, to_datetime, to_duration

__all__ = ["Basis", "Reason", "Transition", "event_id"]


class Reason(StrEnum):
    """Why a status changed."""

    FIRST_SEEN = "first_seen"
    SILENT = "silent"
    RETURNED = "returned"
    LEFT = "left"
    REMOVED = "removed"


class Basis(StrEnum):
    """Whose clock a verdict rests on."""

    OBSERVER = "observer"
    """The record rose while this process watched; silence was measured on its own monotonic clock."""
    STAMP = "stamp"
    """The writer shares our clock, or the storage stamps by its own, so the stored stamp is as good as ours."""
    LEDGER = "ledger"
    """An earlier process of this observer saw the record rise and noted when."""
    SENDER = "sender"
    """Only the sender's own stamp is known; it is shown, never announced."""


def event_id(*evidence: str | int) -> str:
    """The id of an event: 128 bits of SHA-256 over the evidence, so all observers of one fact compute one id.

    >>> event_id("web-1", "offline", 1, 2) == event_id("web-1", "offline", 1, 2) != event_id("web-1", "offline", 12)
    True
    """
    return hashlib.sha256("\0".join(map(str, evidence)).encode()).hexdigest()[:32]


@attrs.frozen(kw_only=True, weakref_slot=False)
class Transition:
    """A machine went from one status to another.

    Attributes:
        id: Made of evidence alone: every observer of the same facts computes the same.
        machine_id: Whose status changed.
        before: The status announced last.
        after: The status now.
        occurred_at: The deadline that passed, or the beat that ended the silence (UTC, observer's clock).
        detected_at: When the observer found out.
        observer: The machine id of the observer that announced it.
        reason: ``first_seen``, ``silent``, ``returned``, ``left`` or ``removed``.
        episode: Id of the silence this event belongs to; a warning, the offline after it and the return share it.
        last_heartbeat: The last stamp of the sender that the verdict rests on, or ``None``.
        incarnation: Its life number.
        seq: Its beat number.
        offline_duration: On a return from offline: how long the machine was offline.
        basis: Whose clock the verdict rests on.
        flapping: The machine keeps changing; what it settles on is announced again, with this flag off.
        suppressed: It happened in a maintenance window: listeners that act should let it pass.
    """

    id: str
    machine_id: str
    before: MachineStatus
    after: MachineStatus
    reason: Reason
    observer: str
    occurred_at_ms: int = field(alias="occurred_at")
    detected_at_ms: int = field(alias="detected_at")
    last_heartbeat_ms: int | None = field(alias="last_heartbeat", default=None)
    incarnation: int = 0
    seq: int = 0
    episode: str | None = None
    offline_duration_ms: int | None = field(alias="offline_duration", default=None)
    basis: Basis = Basis.OBSERVER
    flapping: bool = False
    suppressed: bool = False

    @property
    def occurred_at(self) -> DateTime:
        """When the status changed, UTC."""
        return to_datetime(self.occurred_at_ms)

    @property
    def detected_at(self) -> DateTime:
        """When the observer found out, UTC."""
        return to_datetime(self.detected_at_ms)

    @property
    def last_heartbeat(self) -> DateTime | None:
        """The sender's last stamp, UTC."""
        return optional_datetime(self.last_heartbeat_ms)

    @property
    def offline_duration(self) -> Duration | None:
        """How long the machine was offline, on its return."""
        return None if self.offline_duration_ms is None else to_duration(self.offline_duration_ms)

    def __repr__(self) -> str:
        marks = f"{' flapping' if self.flapping else ''}{' suppressed' if self.suppressed else ''}"
        return (
            f"<Transition {self.machine_id} {self.before} → {self.after} ({self.reason}){marks} "
            f"at {self.occurred_at.isoformat()} id={self.id[:8]}>"
        )
