"""Events as JSON: how a transition, a cascade and a silent fleet look in a file.

Owns their records and the member that tells them apart. A transition has no ``kind``: its record is what it was
before there were other events. ``id`` comes first in every record; the history looks for it there. Must not know
files.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from heartbeat_kit._events import Basis, Reason, Transition
from heartbeat_kit._fleet_events import CascadeDetected, Event, FleetSilent
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage._record_shape import (
    FLAG,
    NUMBER,
    OPTIONAL_NUMBER,
    OPTIONAL_STAMP,
    OPTIONAL_TEXT,
    STAMP,
    TEXT,
    TEXTS,
    Record,
    Shape,
    enum,
    shape_of,
    structured,
)

__all__ = ["event_from_record", "event_to_record"]

_KINDS: Final[dict[str, type[CascadeDetected | FleetSilent]]] = {
    "cascade": CascadeDetected,
    "fleet_silent": FleetSilent,
}
_NAMES: Final = {cls: kind for kind, cls in _KINDS.items()}


@cache
def _shapes() -> dict[type, Shape]:
    return {
        Transition: shape_of(
            Transition,
            id=TEXT,
            machine_id=TEXT,
            before=enum(MachineStatus),
            after=enum(MachineStatus),
            reason=enum(Reason),
            observer=TEXT,
            occurred_at_ms=STAMP,
            detected_at_ms=STAMP,
            last_heartbeat_ms=OPTIONAL_STAMP,
            incarnation=NUMBER,
            seq=NUMBER,
            episode=OPTIONAL_TEXT,
            offline_duration_ms=OPTIONAL_NUMBER,
            basis=enum(Basis),
            flapping=FLAG,
            suppressed=FLAG,
        ),
        CascadeDetected: shape_of(
            CascadeDetected,
            id=TEXT,
            observer=TEXT,
            machine_ids=TEXTS,
            began_at_ms=STAMP,
            detected_at_ms=STAMP,
            threshold=NUMBER,
            window_ms=NUMBER,
        ),
        FleetSilent: shape_of(
            FleetSilent,
            id=TEXT,
            observer=TEXT,
            machine_ids=TEXTS,
            last_heard_ms=OPTIONAL_STAMP,
            detected_at_ms=STAMP,
            believed_at_ms=STAMP,
        ),
    }


def event_to_record(event: Event) -> Record:
    """The stored form of an event."""
    record = _shapes()[type(event)].unstructure(event)
    if isinstance(event, Transition):
        return record
    return {"id": event.id, "kind": _NAMES[type(event)], **record}


def event_from_record(record: Any) -> Event:
    """Read a stored event.

    Raises:
        InvalidHeartbeatError: It is of a kind this version does not know, or a field is missing or unsound.
    """
    cls: type[Event] = Transition
    if isinstance(record, dict) and "kind" in record:
        kind = record["kind"]
        if type(kind) is not str or kind not in _KINDS:
            raise InvalidHeartbeatError(
                f"an event of kind {kind!r:.80}, expected one of {', '.join(_KINDS)} or none: a newer version wrote "
                "it, or it is damaged"
            )
        cls = _KINDS[kind]
    found: Event = structured(_shapes()[cls], cls, record)
    return found
