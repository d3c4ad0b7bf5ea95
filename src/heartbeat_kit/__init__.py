"""Know which of your machines are alive, and act exactly once when that changes.

Values: `HeartbeatConfig`, `Heartbeat`, `MachineState`, `FleetState`, `CheckReport`, `Transition` and their parts.
Functions: `classify`, `normalize_machine_id`, `default_machine_id`, `open_storage`, `to_wire`.
The service: `HeartbeatService` over a `Storage` (`MemoryStorage`, `JsonFileStorage`, `SharedFolderStorage`, or yours).
Errors live in `heartbeat_kit.errors`, the test kit in `heartbeat_kit.testing`.
"""

import logging

from heartbeat_kit._clock import Clock, Instant, SystemClock
from heartbeat_kit._config import DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_OFFLINE_TIMEOUT, HeartbeatConfig
from heartbeat_kit._dispatcher import Subscription
from heartbeat_kit._events import Basis, Reason, Transition
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import default_machine_id, normalize_machine_id
from heartbeat_kit._models import FleetState, MachineState, ObserverHealth, ObserverState, Statistics
from heartbeat_kit._results import CheckReport, Registration, ServiceStatus
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._status import MachineStatus, classify
from heartbeat_kit._wire import to_wire
from heartbeat_kit.storage import (
    JsonFileStorage,
    MemoryStorage,
    SharedFolderStorage,
    Storage,
    StorageTraits,
    open_storage,
)

__all__ = [
    "DEFAULT_HEARTBEAT_INTERVAL",
    "DEFAULT_OFFLINE_TIMEOUT",
    "Basis",
    "CheckReport",
    "Clock",
    "FleetState",
    "Heartbeat",
    "HeartbeatConfig",
    "HeartbeatService",
    "Instant",
    "JsonFileStorage",
    "MachineState",
    "MachineStatus",
    "MemoryStorage",
    "ObserverHealth",
    "ObserverState",
    "Reason",
    "Registration",
    "ServiceStatus",
    "SharedFolderStorage",
    "Statistics",
    "Storage",
    "StorageTraits",
    "Subscription",
    "SystemClock",
    "Transition",
    "classify",
    "default_machine_id",
    "normalize_machine_id",
    "open_storage",
    "to_wire",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
