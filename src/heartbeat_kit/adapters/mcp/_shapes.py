"""The answers of the tools, field by field: the schemas that a client is told.

Owns the shapes. What fills them is `to_wire`; a field without a value is left out, not null, unless it says so.
"""

from __future__ import annotations

from typing import (
    Any,
    NotRequired,  # pydantic takes none other before Python 3.12
)

from typing_extensions import TypedDict

__all__ = [
    "Checked",
    "Decided",
    "DecisionData",
    "EventData",
    "Events",
    "HeartbeatState",
    "Machines",
    "Registered",
    "ServiceAnswer",
    "ServiceResult",
    "Started",
    "Status",
    "Stopped",
    "Synced",
]


class Observer(TypedDict):
    """Who looked, and whether it can see."""

    machineId: str
    health: str
    since: str
    reason: NotRequired[str]


class Registered(TypedDict):
    """A heartbeat was stored."""

    success: bool
    machineId: str
    timestamp: str
    status: str
    isNewMachine: bool
    message: str


class HeartbeatData(TypedDict):
    """One machine; the two times are null when they are not in force."""

    machineId: str
    lastHeartbeat: NotRequired[str]
    status: str
    offlineSince: str | None
    warningSince: str | None
    missedHeartbeats: int | None
    metadata: dict[str, Any]
    firstSeen: NotRequired[str]
    reason: str
    stale: bool


class Machines(TypedDict):
    """The machines of one status: ids, or each with its data. Unconfirmed: nothing but its own stamp suggests it."""

    success: bool
    count: int
    machines: list[str] | list[HeartbeatData]
    unconfirmedMachines: list[str]
    checkedAt: str
    observer: Observer


class Statistics(TypedDict):
    """The fleet in numbers."""

    totalMachines: int
    onlineCount: int
    offlineCount: int
    warningCount: int
    unknownCount: int
    lastHeartbeatCheck: NotRequired[str]


class HeartbeatState(TypedDict):
    """The fleet. Of the unconfirmed nothing but their own stamps suggests the status they are listed with."""

    success: bool
    onlineMachines: list[str]
    warningMachines: list[str]
    offlineMachines: list[str]
    unknownMachines: list[str]
    unconfirmedMachines: list[str]
    statistics: Statistics
    heartbeats: NotRequired[dict[str, HeartbeatData]]
    retrievedAt: str
    observer: Observer


class Config(TypedDict):
    """What is in force; lengths in milliseconds."""

    heartbeatInterval: int
    offlineTimeout: int
    autoSyncEnabled: bool


class Started(TypedDict):
    """The service of this machine; `pending` says why its first heartbeat is not stored yet, if it is not."""

    success: bool
    machineId: str
    startedAt: NotRequired[str]
    config: Config
    pending: NotRequired[str]
    message: str


class Stopped(TypedDict):
    """It beats no more."""

    success: bool
    stoppedAt: str
    stateSaved: bool
    message: str


class Changes(TypedDict):
    """A check in numbers."""

    totalChanges: int
    offlineCount: int
    onlineCount: int
    warningCount: int


class Checked(TypedDict):
    """What a check found."""

    success: bool
    newlyOfflineMachines: list[str]
    newlyOnlineMachines: list[str]
    warningMachines: list[str]
    unknownMachines: list[str]
    checkedAt: str
    summary: str
    changes: Changes
    observer: Observer


class Status(HeartbeatState):
    """The fleet, filtered; with what the check before it found, if that was asked for."""

    changes: NotRequired[Checked]


class SyncCounts(TypedDict):
    """A sync in numbers; the duration in milliseconds."""

    filesSynced: int
    conflictsResolved: int
    decisionsCreated: int
    offlineDuration: NotRequired[int]


class Synced(TypedDict):
    """What a sync did, or would do (`planned`)."""

    success: bool
    machineId: str
    syncedAt: str
    outcome: str
    alreadyDone: bool
    backupCreated: bool
    backupPath: NotRequired[str]
    changes: SyncCounts
    planned: NotRequired[SyncCounts]
    planId: NotRequired[str]
    transitionId: NotRequired[str]
    decisions: list[str]
    waiting: list[str]
    pending: list[str]
    deferred: dict[str, str]
    rejected: dict[str, str]
    recovered: bool
    message: str


class DecisionData(TypedDict):
    """A question to a person; the three contents by their SHA-256, null for no file."""

    id: str
    machineId: str
    path: str
    kind: str
    base: str | None
    machine: str | None
    baseline: str | None
    state: str
    action: str
    reason: str


class Decided(TypedDict):
    """The decisions there are."""

    success: bool
    count: int
    waiting: int
    decisions: list[DecisionData]


class EventData(TypedDict):
    """A machine's status changed; the duration in milliseconds."""

    id: str
    machineId: str
    before: str
    after: str
    reason: str
    observer: str
    occurredAt: str
    detectedAt: str
    basis: str
    episode: NotRequired[str]
    lastHeartbeat: NotRequired[str]
    offlineDuration: NotRequired[int]
    flapping: NotRequired[bool]
    suppressed: NotRequired[bool]


class Events(TypedDict):
    """What was announced."""

    success: bool
    count: int
    events: list[EventData]


class ServiceResult(TypedDict, total=False):
    """The fields of the tool that does the same alone."""

    action: str
    success: bool
    machineId: str
    timestamp: str
    status: str
    isNewMachine: bool
    startedAt: str
    config: Config
    pending: str
    stoppedAt: str
    stateSaved: bool
    message: str


class ServiceAnswer(TypedDict):
    """What an action did."""

    success: bool
    message: str
    result: ServiceResult
