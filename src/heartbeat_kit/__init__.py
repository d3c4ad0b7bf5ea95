"""Know which of your machines are alive, and act exactly once when that changes.

Values: `HeartbeatConfig`, `Heartbeat`, `MachineState`, `FleetState`, `CheckReport` and their parts.
Events: `Transition`, about the fleet as a whole `CascadeDetected` and `FleetSilent`; `CascadeBrake` after a cascade.
Functions: `classify`, `normalize_machine_id`, `default_machine_id`, `open_storage`, `to_wire`.
The service: `HeartbeatService` over a `Storage` (`MemoryStorage`, `JsonFileStorage`, `SharedFolderStorage`, or yours).
Backup and sync: `SyncCoordinator`, with `SyncPlan`, `SyncReport`, `Decision`; the rest of it in `heartbeat_kit.sync`.
Errors live in `heartbeat_kit.errors`, the test kit in `heartbeat_kit.testing`, the laboratory in `heartbeat_kit.lab`.
"""

import logging
from typing import TYPE_CHECKING, Any

from heartbeat_kit._lazy import load

if TYPE_CHECKING:
    from heartbeat_kit._brake import CascadeBrake
    from heartbeat_kit._clock import Clock, Instant, SystemClock
    from heartbeat_kit._config import DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_OFFLINE_TIMEOUT, HeartbeatConfig
    from heartbeat_kit._dispatcher import Subscription
    from heartbeat_kit._events import Basis, Reason, Transition
    from heartbeat_kit._fleet_events import CascadeDetected, Event, FleetSilent
    from heartbeat_kit._heartbeat import Heartbeat
    from heartbeat_kit._identity import default_machine_id, normalize_machine_id
    from heartbeat_kit._maintenance import MaintenanceWindow
    from heartbeat_kit._medium_state import MediumState
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
    from heartbeat_kit.sync import ConflictPolicy, Decision, SyncChanges, SyncCoordinator, SyncPlan, SyncReport

__all__ = [
    "DEFAULT_HEARTBEAT_INTERVAL",
    "DEFAULT_OFFLINE_TIMEOUT",
    "Basis",
    "CascadeBrake",
    "CascadeDetected",
    "CheckReport",
    "Clock",
    "ConflictPolicy",
    "Decision",
    "Event",
    "FleetSilent",
    "FleetState",
    "Heartbeat",
    "HeartbeatConfig",
    "HeartbeatService",
    "Instant",
    "JsonFileStorage",
    "MachineState",
    "MachineStatus",
    "MaintenanceWindow",
    "MediumState",
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
    "SyncChanges",
    "SyncCoordinator",
    "SyncPlan",
    "SyncReport",
    "SystemClock",
    "Transition",
    "classify",
    "default_machine_id",
    "normalize_machine_id",
    "open_storage",
    "to_wire",
]

_HOMES = {
    "DEFAULT_HEARTBEAT_INTERVAL": "_config",
    "DEFAULT_OFFLINE_TIMEOUT": "_config",
    "Basis": "_events",
    "CascadeBrake": "_brake",
    "CascadeDetected": "_fleet_events",
    "CheckReport": "_results",
    "Clock": "_clock",
    "ConflictPolicy": "sync._policy",
    "Decision": "sync._decision",
    "Event": "_fleet_events",
    "FleetSilent": "_fleet_events",
    "FleetState": "_models",
    "Heartbeat": "_heartbeat",
    "HeartbeatConfig": "_config",
    "HeartbeatService": "_service",
    "Instant": "_clock",
    "JsonFileStorage": "storage.json_file",
    "MachineState": "_models",
    "MachineStatus": "_status",
    "MaintenanceWindow": "_maintenance",
    "MediumState": "_medium_state",
    "MemoryStorage": "storage.memory",
    "ObserverHealth": "_models",
    "ObserverState": "_models",
    "Reason": "_events",
    "Registration": "_results",
    "ServiceStatus": "_results",
    "SharedFolderStorage": "storage.shared_folder",
    "Statistics": "_models",
    "Storage": "storage._protocol",
    "StorageTraits": "storage._protocol",
    "Subscription": "_dispatcher",
    "SyncChanges": "sync._changes",
    "SyncCoordinator": "sync._coordinator",
    "SyncPlan": "sync._plan",
    "SyncReport": "sync._report",
    "SystemClock": "_clock",
    "Transition": "_events",
    "classify": "_status",
    "default_machine_id": "_identity",
    "normalize_machine_id": "_identity",
    "open_storage": "storage._registry",
    "to_wire": "_wire",
}

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    return load(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name[0] == "_"), *__all__})
