"""Storages and what they promise: the public names of the storage layer.

Owns the map of this package. `Storage` is the protocol, `StorageTraits` what a storage declares, the others are the
backends, the values and the optional abilities.
"""

from heartbeat_kit.storage._protocol import (
    EventLog,
    LedgerEntry,
    Move,
    RecordLookup,
    ServiceConfigStore,
    SharedLedger,
    Snapshot,
    Storage,
    StorageTraits,
)
from heartbeat_kit.storage.memory import MemoryStorage

__all__ = [
    "EventLog",
    "LedgerEntry",
    "MemoryStorage",
    "Move",
    "RecordLookup",
    "ServiceConfigStore",
    "SharedLedger",
    "Snapshot",
    "Storage",
    "StorageTraits",
]
