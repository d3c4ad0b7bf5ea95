"""Every error this library raises, in one tree.

Owns the exception types, their stable codes and how they pickle. Knows nothing else of the library::

    HeartbeatKitError
     ├── InvalidMachineIdError          (ValueError)    INVALID_MACHINE_ID
     │    └── MissingMachineIdError                     HEARTBEAT_MISSING_MACHINE_ID
     ├── InvalidMetadataError           (ValueError)    INVALID_METADATA
     ├── InvalidHeartbeatError          (ValueError)    INVALID_HEARTBEAT
     ├── InvalidConfigurationError      (ValueError)    INVALID_CONFIGURATION
     ├── MissingDependencyError         (ImportError)   MISSING_DEPENDENCY
     ├── UnknownMachineError            (KeyError)      UNKNOWN_MACHINE
     ├── NoMachineAvailableError        (LookupError)   NO_MACHINE_AVAILABLE
     ├── DamagedTraceError              (ValueError)    TRACE_DAMAGED
     ├── StorageError
     │    ├── StorageUnavailableError   (OSError)       STORAGE_UNAVAILABLE
     │    ├── StorageCorruptError       (ValueError)    STORAGE_CORRUPT
     │    └── StorageClosedError        (ValueError)    STORAGE_CLOSED
     ├── SyncError                      (RuntimeError)
     │    ├── MachineNotOfflineError                    MACHINE_NOT_OFFLINE
     │    ├── MachineNotOnlineError                     MACHINE_NOT_ONLINE
     │    ├── OfflineSyncError                          SYNC_OFFLINE_FAILED
     │    ├── OnlineSyncError                           SYNC_ONLINE_FAILED
     │    ├── NotExecutorError                          NOT_EXECUTOR
     │    ├── BaselineUnavailableError                  BASELINE_UNAVAILABLE
     │    ├── TooManyDeletesError                       TOO_MANY_DELETES
     │    ├── AllChangedError                           ALL_CHANGED
     │    ├── StalePlanError                            STALE_PLAN
     │    ├── RecoveryPendingError                      RECOVERY_PENDING
     │    ├── SyncBusyError                             SYNC_BUSY
     │    ├── SyncFencedError                           SYNC_FENCED
     │    ├── SyncFileError             (OSError)       SYNC_FILE_FAILED
     │    ├── DamagedSyncStateError     (ValueError)    SYNC_STATE_DAMAGED
     │    ├── DamagedBackupError        (ValueError)    BACKUP_DAMAGED
     │    ├── RollbackRefusedError                      ROLLBACK_REFUSED
     │    ├── UnknownDecisionError      (KeyError)      UNKNOWN_DECISION
     │    └── DecisionRefusedError                      DECISION_REFUSED
     └── ServiceError                   (RuntimeError)
          ├── HeartbeatRegistrationError                HEARTBEAT_REGISTRATION_FAILED
          ├── HeartbeatCheckError                       HEARTBEAT_CHECK_FAILED
          ├── HeartbeatStateError                       HEARTBEAT_GET_STATE_FAILED
          ├── HeartbeatStopError                        HEARTBEAT_STOP_FAILED
          └── HeartbeatStartError                       HEARTBEAT_START_FAILED
               └── ServiceAlreadyRunningError           SERVICE_ALREADY_RUNNING

Catch the leaf you can act on, or `HeartbeatKitError` for all of them; compare ``error.code``, never the text.

    >>> from heartbeat_kit import normalize_machine_id
    >>> from heartbeat_kit.errors import HeartbeatKitError
    >>> try:
    ...     normalize_machine_id("../escaped")
    ... except HeartbeatKitError as error:
    ...     error.code
    'INVALID_MACHINE_ID'
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

__all__ = [
    "AllChangedError",
    "BaselineUnavailableError",
    "DamagedBackupError",
    "DamagedSyncStateError",
    "DamagedTraceError",
    "DecisionRefusedError",
    "HeartbeatCheckError",
    "HeartbeatKitError",
    "HeartbeatRegistrationError",
    "HeartbeatStartError",
    "HeartbeatStateError",
    "HeartbeatStopError",
    "InvalidConfigurationError",
    "InvalidHeartbeatError",
    "InvalidMachineIdError",
    "InvalidMetadataError",
    "MachineNotOfflineError",
    "MachineNotOnlineError",
    "MissingDependencyError",
    "MissingMachineIdError",
    "NoMachineAvailableError",
    "NotExecutorError",
    "OfflineSyncError",
    "OnlineSyncError",
    "RecoveryPendingError",
    "RollbackRefusedError",
    "ServiceAlreadyRunningError",
    "ServiceError",
    "StalePlanError",
    "StorageClosedError",
    "StorageCorruptError",
    "StorageError",
    "StorageUnavailableError",
    "SyncBusyError",
    "SyncError",
    "SyncFencedError",
    "SyncFileError",
    "TooManyDeletesError",
    "UnknownDecisionError",
    "UnknownMachineError",
]


class HeartbeatKitError(Exception):
    """Base of every error of this library.

    Attributes:
        code: A stable, upper-case name of what went wrong; the text may change between releases, the code does not.
        message: What was found, what was expected, what to do.
        machine_id: The machine the error is about, or ``None``.
    """

    code: ClassVar[str] = "HEARTBEAT_KIT_ERROR"

    def __init__(self, message: str, *, machine_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.machine_id = machine_id

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), machine_id=self.machine_id), (self.message,)


class InvalidMachineIdError(HeartbeatKitError, ValueError):
    """The text cannot name a machine; nothing was stored."""

    code = "INVALID_MACHINE_ID"


class MissingMachineIdError(InvalidMachineIdError):
    """No machine id was given where one is needed."""

    code = "HEARTBEAT_MISSING_MACHINE_ID"


class InvalidMetadataError(HeartbeatKitError, ValueError):
    """The metadata is not a JSON object of at most 10,000 bytes; nothing was stored."""

    code = "INVALID_METADATA"


class InvalidHeartbeatError(HeartbeatKitError, ValueError):
    """A heartbeat record has a field of the wrong type or out of range."""

    code = "INVALID_HEARTBEAT"


class InvalidConfigurationError(HeartbeatKitError, ValueError):
    """A setting, a path, a URL or an environment variable cannot work as given."""

    code = "INVALID_CONFIGURATION"


class MissingDependencyError(HeartbeatKitError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""

    code = "MISSING_DEPENDENCY"


class UnknownMachineError(HeartbeatKitError, KeyError):
    """No machine of that id is known here."""

    code = "UNKNOWN_MACHINE"


class NoMachineAvailableError(HeartbeatKitError, LookupError):
    """No machine of the fleet can be given work; the message says what speaks against each."""

    code = "NO_MACHINE_AVAILABLE"


class DamagedTraceError(HeartbeatKitError, ValueError):
    """A line of a trace file of `heartbeat_kit.lab` says nothing that can be.

    Attributes:
        line: Its number; the header is line 1.
    """

    code = "TRACE_DAMAGED"

    def __init__(self, message: str, *, line: int = 0, machine_id: str | None = None) -> None:
        super().__init__(message, machine_id=machine_id)
        self.line = line

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), line=self.line, machine_id=self.machine_id), (self.message,)


class StorageError(HeartbeatKitError):
    """Base of everything that can go wrong between us and the storage."""

    code = "STORAGE_ERROR"


class StorageUnavailableError(StorageError, OSError):
    """The storage could not be read or written; nothing was stored, try again later."""

    code = "STORAGE_UNAVAILABLE"


class StorageCorruptError(StorageError, ValueError):
    """What is stored cannot be understood, and no good copy of it is left."""

    code = "STORAGE_CORRUPT"


class StorageClosedError(StorageError, ValueError):
    """The storage was used after `close()`."""

    code = "STORAGE_CLOSED"


class SyncError(HeartbeatKitError, RuntimeError):
    """Base of everything `SyncCoordinator` refuses or fails to do.

    Attributes:
        paths: The files it is about, relative to the root they are synced under where they are; may be empty.
    """

    code = "SYNC_ERROR"

    def __init__(self, message: str, *, machine_id: str | None = None, paths: Iterable[str] = ()) -> None:
        super().__init__(message, machine_id=machine_id)
        self.paths = tuple(paths)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), machine_id=self.machine_id, paths=self.paths), (self.message,)


class MachineNotOfflineError(SyncError):
    """The machine is not offline, or not any more; nothing was changed."""

    code = "MACHINE_NOT_OFFLINE"


class MachineNotOnlineError(SyncError):
    """The machine is not online; nothing was changed."""

    code = "MACHINE_NOT_ONLINE"


class OfflineSyncError(SyncError):
    """`sync_on_offline()` failed; the cause is chained, and says what was left how."""

    code = "SYNC_OFFLINE_FAILED"


class OnlineSyncError(SyncError):
    """`sync_on_online()` failed; the cause is chained, and says what was left how."""

    code = "SYNC_ONLINE_FAILED"


class NotExecutorError(SyncError):
    """Only the machine itself can do this; nothing was changed."""

    code = "NOT_EXECUTOR"


class BaselineUnavailableError(SyncError):
    """The shared baseline is not there, is another one than before, or cannot be understood; nothing was changed."""

    code = "BASELINE_UNAVAILABLE"


class TooManyDeletesError(SyncError):
    """More files are gone from one side than a person deletes at once; nothing was changed."""

    code = "TOO_MANY_DELETES"


class AllChangedError(SyncError):
    """Every file of one side changed at once; nothing was changed."""

    code = "ALL_CHANGED"


class StalePlanError(SyncError):
    """What the plan was made of is not there any more; nothing was changed, make a new plan."""

    code = "STALE_PLAN"


class RecoveryPendingError(SyncError):
    """An interrupted run is to be completed first, which a dry run does not do."""

    code = "RECOVERY_PENDING"


class SyncBusyError(SyncError):
    """Another run is under way; nothing was changed, try again later."""

    code = "SYNC_BUSY"


class SyncFencedError(SyncError):
    """Another run took over while this one stood still; what is left of it is not done."""

    code = "SYNC_FENCED"


class SyncFileError(SyncError, OSError):
    """A file could not be read or written; what was begun is completed by the next run."""

    code = "SYNC_FILE_FAILED"


class DamagedSyncStateError(SyncError, ValueError):
    """The journal or the archive on this machine cannot be understood; nothing was changed, see `recover()`."""

    code = "SYNC_STATE_DAMAGED"


class DamagedBackupError(SyncError, ValueError):
    """The backup cannot be understood, or does not hold what it should; nothing was changed."""

    code = "BACKUP_DAMAGED"


class RollbackRefusedError(SyncError):
    """Somebody edited a file since the backup was made; nothing was changed."""

    code = "ROLLBACK_REFUSED"


class UnknownDecisionError(SyncError, KeyError):
    """There is no decision of that id."""

    code = "UNKNOWN_DECISION"


class DecisionRefusedError(SyncError):
    """The decision is closed, or needs an action that was not given; nothing was changed."""

    code = "DECISION_REFUSED"


class ServiceError(HeartbeatKitError, RuntimeError):
    """Base of failures of a `HeartbeatService` operation; the cause is chained."""

    code = "HEARTBEAT_SERVICE_ERROR"


class HeartbeatRegistrationError(ServiceError):
    """`register()` could not store the heartbeat."""

    code = "HEARTBEAT_REGISTRATION_FAILED"


class HeartbeatCheckError(ServiceError):
    """`check()` failed for a reason that is not the storage being away."""

    code = "HEARTBEAT_CHECK_FAILED"


class HeartbeatStateError(ServiceError):
    """`state()` failed for a reason that is not the storage being away."""

    code = "HEARTBEAT_GET_STATE_FAILED"


class HeartbeatStopError(ServiceError):
    """`stop()` could not end the background work in time."""

    code = "HEARTBEAT_STOP_FAILED"


class HeartbeatStartError(ServiceError):
    """`start()` could not begin the background work."""

    code = "HEARTBEAT_START_FAILED"


class ServiceAlreadyRunningError(HeartbeatStartError):
    """A service for this machine and storage already runs on this host."""

    code = "SERVICE_ALREADY_RUNNING"
