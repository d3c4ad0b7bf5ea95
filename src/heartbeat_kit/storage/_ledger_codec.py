"""Ledger entries and maintenance windows as JSON.

Owns their records. Must not know files, nor the ledger they are parts of.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from heartbeat_kit._events import Reason
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage._protocol import LedgerEntry
from heartbeat_kit.storage._record_shape import (
    FLAG,
    NUMBER,
    OPTIONAL_STAMP,
    OPTIONAL_TEXT,
    STAMP,
    TEXT,
    Record,
    Shape,
    enum,
    optional_enum,
    shape_of,
    structured,
)

__all__ = ["entry_from_record", "entry_to_record", "window_from_record", "window_to_record"]


@cache
def _entry_shape() -> Shape:
    return shape_of(
        LedgerEntry,
        machine_id=TEXT,
        status=enum(MachineStatus),
        event_id=TEXT,
        reason=enum(Reason),
        since_ms=STAMP,
        episode=OPTIONAL_TEXT,
        incarnation=NUMBER,
        seq=NUMBER,
        flapping=FLAG,
        suppressed=FLAG,
        steady=optional_enum(MachineStatus),
        announced_ms=OPTIONAL_STAMP,
    )


@cache
def _window_shape() -> Shape:
    return shape_of(
        MaintenanceWindow,
        machine_id=TEXT,
        start_ms=STAMP,
        end_ms=STAMP,
        reason={**TEXT, "omit_if_default": True},
    )


def entry_to_record(entry: LedgerEntry) -> Record:
    """The stored form of a ledger entry."""
    return _entry_shape().unstructure(entry)


def entry_from_record(record: Any) -> LedgerEntry:
    """Read a stored ledger entry.

    Raises:
        InvalidHeartbeatError: A field is missing or unsound.
    """
    found: LedgerEntry = structured(_entry_shape(), LedgerEntry, record)
    return found


def window_to_record(window: MaintenanceWindow) -> Record:
    """The stored form of a maintenance window."""
    return _window_shape().unstructure(window)


def window_from_record(record: Any) -> MaintenanceWindow:
    """Read a stored maintenance window.

    Raises:
        InvalidHeartbeatError: A field is missing or unsound, or it ends before it begins.
    """
    found: MaintenanceWindow = structured(_window_shape(), MaintenanceWindow, record)
    return found
