"""A ledger as JSON text, one entry per line.

Owns the text and the memory of lines already made: a write costs what changed. Must not know files.
"""

from __future__ import annotations

import json
from typing import Any

from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._times import to_iso
from heartbeat_kit.storage._event_codec import event_to_record
from heartbeat_kit.storage._ledger_codec import entry_to_record, window_to_record
from heartbeat_kit.storage._ledger_state import LedgerState, Pending
from heartbeat_kit.storage._protocol import LedgerEntry

__all__ = ["LedgerWriter", "compact"]


def compact(value: Any) -> str:
    """JSON without spaces, ASCII only: what is damaged in a stored text stays as it was read."""
    return json.dumps(value, separators=(",", ":"))


class LedgerWriter:
    """Writes ledgers one after another, under their lock."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[LedgerEntry, str]] = {}
        self._outbox: dict[str, tuple[Pending, str]] = {}
        self._windows: tuple[tuple[MaintenanceWindow, ...], str] = ((), "")

    def members(self, state: LedgerState) -> str:
        """The members of the ledger's object, without the braces."""
        entries: dict[str, tuple[LedgerEntry, str]] = {}
        for key, entry in state.entries.items():
            known = self._entries.get(key)
            if known is None or known[0] is not entry:
                known = (entry, f"{compact(key)}:{compact(entry_to_record(entry))}")
            entries[key] = known
        outbox: dict[str, tuple[Pending, str]] = {}
        for key, item in state.outbox.items():
            waiting = self._outbox.get(key)
            if waiting is None or waiting[0] != item:
                record = {"owner": item.owner, "transition": event_to_record(item.transition)}
                waiting = (item, compact(record))
            outbox[key] = waiting
        self._entries, self._outbox = entries, outbox
        if self._windows[0] != state.windows:
            self._windows = (state.windows, _calendar(state.windows))
        last = "null" if state.last_commit_ms is None else f'"{to_iso(state.last_commit_ms)}"'
        return f'"lastCommit":{last},"entries":{{{_lines(entries)}}},"outbox":[{_lines(outbox)}]{self._windows[1]}'


def _lines(items: dict[str, tuple[Any, str]]) -> str:
    return _block([text for _, text in items.values()])


def _calendar(windows: tuple[MaintenanceWindow, ...]) -> str:
    """The last member of the ledger, or nothing: most fleets have no maintenance planned."""
    return f',"windows":[{_block([compact(window_to_record(window)) for window in windows])}]' if windows else ""


def _block(lines: list[str]) -> str:
    return "\n" + ",\n".join(lines) + "\n" if lines else ""
