"""Storages and what they promise: the public names of the storage layer.

Owns the map of this package. `Storage` is the protocol, `StorageTraits` what a storage declares, the others are the
backends, the values and the optional abilities.
"""

from heartbeat_kit.storage._protocol import (
    EventLog,
    LedgerEntry,
    Move,
    Observation,
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
    "EventLog",
    "JsonFileStorage",
    "LedgerEntry",
    "LocalLedger",
    "MemoryStorage",
    "Move",
    "Observation",
    "RecordLookup",
    "ServiceConfigStore",
    "SharedFolderStorage",
    "SharedLedger",
    "Snapshot",
    "Storage",
    "StorageTraits",
    "open_storage",
]
