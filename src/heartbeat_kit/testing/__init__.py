"""The test kit: time that stands still, storages that fail, fleets that die on demand, and the storage contract.

Owns the map of this package. Everything is loaded on first use, so importing it needs no pytest; only
`StorageContract`, a class of pytest tests, does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heartbeat_kit._lazy import load
from heartbeat_kit.errors import MissingDependencyError

if TYPE_CHECKING:
    from heartbeat_kit.testing._clock import FakeClock
    from heartbeat_kit.testing._contract import StorageContract
    from heartbeat_kit.testing._faulty import FaultyStorage
    from heartbeat_kit.testing._fleet import Fleet
    from heartbeat_kit.testing._hostile import HOSTILE_MACHINE_IDS
    from heartbeat_kit.testing._listener import RecordingListener

__all__ = ["HOSTILE_MACHINE_IDS", "FakeClock", "FaultyStorage", "Fleet", "RecordingListener", "StorageContract"]

_HOMES = {
    "HOSTILE_MACHINE_IDS": "_hostile",
    "FakeClock": "_clock",
    "FaultyStorage": "_faulty",
    "Fleet": "_fleet",
    "RecordingListener": "_listener",
    "StorageContract": "_contract",
}


def __getattr__(name: str) -> Any:
    try:
        return load(__name__, _HOMES, name)
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise MissingDependencyError(f"{name} is a class of pytest tests: pip install pytest") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
