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
     ├── DamagedTraceError              (ValueError)    TRACE_DAMAGED
     ├── StorageError
     │    ├── StorageUnavailableError   (OSError)       STORAGE_UNAVAILABLE
     │    ├── StorageCorruptError       (ValueError)    STORAGE_CORRUPT
     │    └── StorageClosedError        (ValueError)    STORAGE_CLOSED
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

from functools import partial
from typing import Any, ClassVar

__all__ = [
    "DamagedTraceError",
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
    "MissingDependencyError",
    "MissingMachineIdError",
    "ServiceAlreadyRunningError",
    "ServiceError",
    "StorageClosedError",
    "StorageCorruptError",
    "StorageError",
    "StorageUnavailableError",
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
