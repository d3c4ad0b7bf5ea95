"""Records as JSON: the one place that knows how a heartbeat, a ledger entry and a transition look in a file.

Owns names (camelCase), formats (UTC ISO-8601 with milliseconds and ``Z``; durations as integer milliseconds) and the
distrust with which stored data is read. Must not know where files are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from heartbeat_kit._events import Basis, Reason, Transition
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import from_iso, to_iso
from heartbeat_kit.errors import HeartbeatKitError, InvalidHeartbeatError
from heartbeat_kit.storage._protocol import LedgerEntry

__all__ = [
    "MAX_RECORD_BYTES",
    "SCHEMA_VERSION",
    "entry_from_record",
    "entry_to_record",
    "heartbeat_from_bytes",
    "heartbeat_from_record",
    "heartbeat_to_text",
    "transition_from_record",
    "transition_to_record",
]

SCHEMA_VERSION: Final = 1
"""Version of every file layout of this library; a newer one is read as far as its known fields are sound."""
MAX_RECORD_BYTES: Final = 64_000
"""A record is a few hundred bytes and at most 10,000 of metadata; more is not ours."""

Record = dict[str, Any]


class _Shape(NamedTuple):
    unstructure: Callable[[Any], Record]
    structure: Callable[[Any, Any], Any]


def _as_is(value: Any, _: Any) -> Any:
    return value


def _optional_iso(ms: int | None) -> str | None:
    return None if ms is None else to_iso(ms)


def _optional_from_iso(value: Any, _: Any) -> int | None:
    return None if value is None else from_iso(value)


def _is_type(*allowed: type) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if type(value) not in allowed:
            raise ValueError(f"expected {' or '.join(t.__name__ for t in allowed)}, found {type(value).__name__}")
        return value

    return check


_STAMP = {"unstruct_hook": _optional_iso, "struct_hook": _optional_from_iso, "omit_if_default": True}
_TEXT = {"struct_hook": _is_type(str)}
_NUMBER = {"struct_hook": _is_type(int)}
_OPTIONAL_TEXT = {"struct_hook": _is_type(str, type(None)), "omit_if_default": True}


def _enum(kind: type) -> dict[str, Any]:
    return {"unstruct_hook": str, "struct_hook": lambda value, _: kind(value)}


def _shape(cls: type, **fields: dict[str, Any]) -> _Shape:
    """Build both directions for one class; its attributes are renamed to camelCase, without the unit suffix."""
    converter = Converter(detailed_validation=False)
    known = {attribute.name for attribute in attrs.fields(cls)}
    if known != set(fields):
        raise AssertionError(f"{cls.__name__}: {known ^ set(fields)} have no rule")
    overrides: dict[str, Any] = {
        name: override(rename=_camel(name.removesuffix("_ms").removesuffix("_json")), **rule)
        for name, rule in fields.items()
    }
    return _Shape(
        make_dict_unstructure_fn(cls, converter, **overrides),
        make_dict_structure_fn(cls, converter, **overrides),
    )


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@cache
def _heartbeat_shape() -> _Shape:
    number = {"struct_hook": _as_is}  # Heartbeat's own validators judge these
    return _shape(
        Heartbeat,
        machine_id=number,
        last_heartbeat_ms=_STAMP,
        incarnation=number,
        seq=number,
        interval_ms=number,
        metadata_json={"struct_hook": _as_is, "unstruct_hook": json.loads},
        first_seen_ms={"unstruct_hook": _optional_iso, "struct_hook": _optional_from_iso},
        host=number,
        left_at_ms=_STAMP,
    )


@cache
def _transition_shape() -> _Shape:
    return _shape(
        Transition,
        id=_TEXT,
        machine_id=_TEXT,
        before=_enum(MachineStatus),
        after=_enum(MachineStatus),
        reason=_enum(Reason),
        observer=_TEXT,
        occurred_at_ms=_STAMP,
        detected_at_ms=_STAMP,
        last_heartbeat_ms=_STAMP,
        incarnation=_NUMBER,
        seq=_NUMBER,
        episode=_OPTIONAL_TEXT,
        offline_duration_ms={"struct_hook": _is_type(int, type(None)), "omit_if_default": True},
        basis=_enum(Basis),
    )


@cache
def _entry_shape() -> _Shape:
    return _shape(
        LedgerEntry,
        machine_id=_TEXT,
        status=_enum(MachineStatus),
        event_id=_TEXT,
        reason=_enum(Reason),
        since_ms=_STAMP,
        episode=_OPTIONAL_TEXT,
        incarnation=_NUMBER,
        seq=_NUMBER,
    )


def heartbeat_to_text(heartbeat: Heartbeat) -> str:
    """One line of JSON; the metadata goes in as the canonical text it already is."""
    left = "" if heartbeat.left_at_ms is None else f',"leftAt":"{to_iso(heartbeat.left_at_ms)}"'
    return (
        f'{{"schemaVersion":{SCHEMA_VERSION},"machineId":"{heartbeat.machine_id}",'
        f'"lastHeartbeat":"{to_iso(heartbeat.last_heartbeat_ms)}","incarnation":{heartbeat.incarnation},'
        f'"seq":{heartbeat.seq},"interval":{heartbeat.interval_ms},"metadata":{heartbeat.metadata_json},'
        f'"firstSeen":"{to_iso(heartbeat.first_seen_ms)}","host":{json.dumps(heartbeat.host)}{left}}}'
    )


def heartbeat_from_bytes(data: bytes) -> Heartbeat:
    """Parse one stored record.

    Raises:
        InvalidHeartbeatError: It is empty, cut, not JSON, too large, or a field is missing or unsound.
    """
    if not data:
        raise InvalidHeartbeatError("the file is empty (0 bytes): its write is not complete, or its sync is not")
    if len(data) > MAX_RECORD_BYTES:
        raise InvalidHeartbeatError(f"the record has {len(data)} bytes, at most {MAX_RECORD_BYTES} are read")
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidHeartbeatError(f"not JSON ({error}): the record is cut or damaged") from error
    return heartbeat_from_record(parsed)


def heartbeat_from_record(record: Any) -> Heartbeat:
    """Build a heartbeat from parsed JSON, believing nothing. Unknown fields are passed over.

    Raises:
        InvalidHeartbeatError: A field is missing or unsound; the message names it.
    """
    found: Heartbeat = _structured(_heartbeat_shape(), Heartbeat, record)
    return found


def transition_to_record(transition: Transition) -> Record:
    """The stored form of a transition."""
    return _transition_shape().unstructure(transition)


def transition_from_record(record: Any) -> Transition:
    """Read a stored transition.

    Raises:
        InvalidHeartbeatError: A field is missing or unsound.
    """
    found: Transition = _structured(_transition_shape(), Transition, record)
    return found


def entry_to_record(entry: LedgerEntry) -> Record:
    """The stored form of a ledger entry."""
    return _entry_shape().unstructure(entry)


def entry_from_record(record: Any) -> LedgerEntry:
    """Read a stored ledger entry.

    Raises:
        InvalidHeartbeatError: A field is missing or unsound.
    """
    found: LedgerEntry = _structured(_entry_shape(), LedgerEntry, record)
    return found


def _structured(shape: _Shape, cls: type, record: Any) -> Any:
    if type(record) is not dict:
        raise InvalidHeartbeatError(f"expected a JSON object, found {type(record).__name__}")
    try:
        return shape.structure(record, cls)
    except HeartbeatKitError as error:
        raise InvalidHeartbeatError(f"unsound record: {error}", machine_id=error.machine_id) from error
    except KeyError as error:
        raise InvalidHeartbeatError(f"the record has no field {error}") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidHeartbeatError(f"unsound record: {error}") from error
