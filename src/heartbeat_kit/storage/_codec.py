"""Heartbeats as JSON: the one place that knows how a machine's record looks in a file.

Owns the record of a heartbeat, the version of all layouts and the largest record that is read. Must not know where
files are; events, ledger entries and maintenance windows have codecs of their own.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._times import to_iso
from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage._record_shape import AS_IS, OPTIONAL_STAMP, Shape, shape_of, structured

__all__ = [
    "MAX_RECORD_BYTES",
    "SCHEMA_VERSION",
    "heartbeat_from_bytes",
    "heartbeat_from_record",
    "heartbeat_to_text",
]

SCHEMA_VERSION: Final = 1
"""Version of every file layout of this library; a newer one is read as far as its known fields are sound."""
MAX_RECORD_BYTES: Final = 64_000
"""A record is a few hundred bytes and at most 10,000 of metadata; more is not ours."""


@cache
def _heartbeat_shape() -> Shape:
    return shape_of(
        Heartbeat,
        machine_id=AS_IS,
        last_heartbeat_ms=OPTIONAL_STAMP,
        incarnation=AS_IS,
        seq=AS_IS,
        interval_ms=AS_IS,
        metadata_json={**AS_IS, "unstruct_hook": json.loads},
        first_seen_ms={**OPTIONAL_STAMP, "omit_if_default": False},
        host=AS_IS,
        left_at_ms=OPTIONAL_STAMP,
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
    found: Heartbeat = structured(_heartbeat_shape(), Heartbeat, record)
    return found
