"""`Document`: everything `heartbeats.json` says, read with distrust.

Owns what counts as a damaged file, what as one bad record, and what is kept though it is not understood. Must not
know where the file is, nor how it is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs
from attrs import field

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import InvalidHeartbeatError, InvalidMachineIdError
from heartbeat_kit.storage._codec import SCHEMA_VERSION, heartbeat_from_record
from heartbeat_kit.storage._ledger_state import EMPTY_LEDGER, LedgerReader, LedgerState
from heartbeat_kit.storage._protocol import Snapshot
from heartbeat_kit.storage._reuse import Reuse

__all__ = ["DERIVED", "EMPTY_DOCUMENT", "Document", "DocumentReader"]

DERIVED: Final = ("onlineMachines", "offlineMachines", "warningMachines", "unknownMachines", "statistics")
"""Top-level keys that are a view for people: written, never read."""
_KNOWN: Final = frozenset({"schemaVersion", "heartbeats", "ledger", *DERIVED})
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@attrs.frozen(kw_only=True, eq=False)
class Document:
    """The content of the file. Never changes; the methods make the next one.

    Attributes:
        heartbeats: Readable records by machine id.
        ledger: What was announced.
        unreadable: Why a record cannot be read, by the key it stands under.
        damaged: The unreadable records as they were found, by the same keys; written back untouched.
        foreign: Top-level keys of a newer version or another program; written back untouched.
        schema: `schemaVersion`, never below ours.
    """

    heartbeats: Mapping[str, Heartbeat] = _NOTHING
    ledger: LedgerState = EMPTY_LEDGER
    unreadable: Mapping[str, str] = _NOTHING
    damaged: Mapping[str, Any] = _NOTHING
    foreign: Mapping[str, Any] = _NOTHING
    schema: int = SCHEMA_VERSION
    snapshot: Snapshot = field(init=False)

    @snapshot.default
    def _as_snapshot(self) -> Snapshot:
        return Snapshot(heartbeats=self.heartbeats, unreadable=self.unreadable)

    def with_heartbeat(self, heartbeat: Heartbeat) -> Document:
        """The document with this record in place of the machine's others, readable or not."""
        heartbeats = dict(self.heartbeats)
        known = heartbeat.machine_id in heartbeats
        heartbeats[heartbeat.machine_id] = heartbeat
        if not known:
            heartbeats = dict(sorted(heartbeats.items()))  # people look a machine up by its name
        return self._without_damaged(heartbeat.machine_id, heartbeats)

    def without(self, machine_id: str) -> Document:
        """The document without any record of a machine; this one if there is none."""
        if machine_id not in self.heartbeats and not any(_means(key, machine_id) for key in self.damaged):
            return self
        heartbeats = {key: record for key, record in self.heartbeats.items() if key != machine_id}
        return self._without_damaged(machine_id, heartbeats)

    def with_ledger(self, ledger: LedgerState) -> Document:
        """The document with another ledger."""
        return attrs.evolve(self, ledger=ledger)

    def _without_damaged(self, machine_id: str, heartbeats: dict[str, Heartbeat]) -> Document:
        healed = {key for key in self.damaged if _means(key, machine_id)}
        return attrs.evolve(
            self,
            heartbeats=MappingProxyType(heartbeats),
            unreadable=_less(self.unreadable, healed),
            damaged=_less(self.damaged, healed),
        )


EMPTY_DOCUMENT: Final = Document()


class DocumentReader:
    """Reads documents one after another; records that did not change stay the same objects."""

    def __init__(self) -> None:
        self._heartbeats: Reuse[Heartbeat] = Reuse(_heartbeat)
        self._ledger = LedgerReader()

    def learn(self, heartbeat: Heartbeat) -> None:
        """Know a record that was just written, so that reading it back gives this object."""
        self._heartbeats.learn(heartbeat.machine_id, heartbeat)

    def read(self, data: bytes, complain: Callable[[str], object]) -> Document:
        """Parse the file.

        Args:
            data: Its bytes.
            complain: Told about parts of the ledger that are left out.

        Raises:
            ValueError: The file as a whole is damaged; the message says how.
        """
        if not data:
            raise ValueError("it is empty (0 bytes)")
        try:
            record = json.loads(data)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if not isinstance(record, dict) or not isinstance(record.get("heartbeats"), dict):
            raise ValueError('expected a JSON object with an object "heartbeats"')  # noqa: TRY004 - as not JSON
        heartbeats: dict[str, Heartbeat] = {}
        unreadable: dict[str, str] = {}
        damaged: dict[str, Any] = {}
        for key, raw in record["heartbeats"].items():
            try:
                found = self._heartbeats(key, raw)
            except (InvalidHeartbeatError, InvalidMachineIdError) as error:
                unreadable[key] = str(error)
                damaged[key] = raw
                continue
            other = heartbeats.get(found.machine_id)
            if other is None or found.order > other.order:
                heartbeats[found.machine_id] = found
        for key in heartbeats.keys() & damaged.keys():  # another spelling of the id has a good record
            del unreadable[key], damaged[key]
        self._heartbeats.keep(record["heartbeats"])
        schema = record.get("schemaVersion")
        return Document(
            heartbeats=MappingProxyType(heartbeats),
            ledger=self._ledger.read(record.get("ledger"), complain),
            unreadable=MappingProxyType(unreadable),
            damaged=MappingProxyType(damaged),
            foreign=MappingProxyType({key: value for key, value in record.items() if key not in _KNOWN}),
            schema=max(schema, SCHEMA_VERSION) if type(schema) is int else SCHEMA_VERSION,
        )


def _heartbeat(key: str, raw: Any) -> Heartbeat:
    machine_id = normalize_machine_id(key)
    found = heartbeat_from_record(raw)
    if found.machine_id != machine_id:
        raise InvalidHeartbeatError(f"the record under {key!r} says it is of {found.machine_id!r}")
    return found


def _means(key: str, machine_id: str) -> bool:
    return key.strip().lower() == machine_id


def _less(found: Mapping[str, Any], gone: set[str]) -> Mapping[str, Any]:
    return MappingProxyType({key: value for key, value in found.items() if key not in gone}) if gone else found
