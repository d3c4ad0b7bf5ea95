"""Storages and what they promise: the public names of the storage layer.

Owns the map of this package. `Storage` is the protocol, `StorageTraits` what a storage declares, the others are the
backends, the values and the optional abilities.
"""

from typing import TYPE_CHECKING, Any

from heartbeat_kit._lazy import load

if TYPE_CHECKING:
    from heartbeat_kit.storage._protocol import (
        BulkWriter,
        EventLog,
        HealthProbe,
        LedgerEntry,
        MaintenanceCalendar,
        Move,
        Observation,
        ObservationLog,
        Probe,
        RecordLookup,
        ServiceConfigStore,
        SharedLedger,
        Snapshot,
        Storage,
        StorageTraits,
    )
    from heartbeat_kit.storage._registry import open_storage
    from heartbeat_kit.storage.json_file import JsonFileStorage
    from heartbeat_kit.storage.local_ledger import LocalLedger
    from heartbeat_kit.storage.memory import MemoryStorage
    from heartbeat_kit.storage.shared_folder import SharedFolderStorage

__all__ = [
    "BulkWriter",
    "EventLog",
    "HealthProbe",
    "JsonFileStorage",
    "LedgerEntry",
    "LocalLedger",
    "MaintenanceCalendar",
    "MemoryStorage",
    "Move",
    "Observation",
    "ObservationLog",
    "Probe",
    "RecordLookup",
    "ServiceConfigStore",
    "SharedFolderStorage",
    "SharedLedger",
    "Snapshot",
    "Storage",
    "StorageTraits",
    "open_storage",
]

_HOMES = {
    "BulkWriter": "_protocol",
    "EventLog": "_protocol",
    "HealthProbe": "_protocol",
    "JsonFileStorage": "json_file",
    "LedgerEntry": "_protocol",
    "LocalLedger": "local_ledger",
    "MaintenanceCalendar": "_protocol",
    "MemoryStorage": "memory",
    "Move": "_protocol",
    "Observation": "_protocol",
    "ObservationLog": "_protocol",
    "Probe": "_protocol",
    "RecordLookup": "_protocol",
    "ServiceConfigStore": "_protocol",
    "SharedFolderStorage": "shared_folder",
    "SharedLedger": "_protocol",
    "Snapshot": "_protocol",
    "Storage": "_protocol",
    "StorageTraits": "_protocol",
    "open_storage": "_registry",
}


def __getattr__(name: str) -> Any:
    return load(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
