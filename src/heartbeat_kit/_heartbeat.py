"""`Heartbeat`: the one fact a machine stores about itself.

Owns the record, its order and its checks. Holds facts, never verdicts. Must not know storage or status.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import attrs
from attrs import field
from pendulum import DateTime, Duration

from heartbeat_kit import _metadata
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._times import MAX_MS, MIN_MS, epoch_ms, optional_datetime, span_ms, to_datetime, to_duration
from heartbeat_kit.errors import InvalidHeartbeatError

__all__ = ["Heartbeat"]

_INT64 = 2**63
_UNICODE = re.compile("[^\ud800-\udfff]*")


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        try:
            return epoch_ms(value)
        except ValueError as error:
            raise InvalidHeartbeatError(str(error)) from error
    return value


def _same_stamp(record: Any) -> int:
    stamp: int = record.last_heartbeat_ms
    return stamp


def _span(value: Any) -> Any:
    return span_ms(value) if isinstance(value, timedelta) else value


def _metadata_text(value: Any) -> Any:
    return value if type(value) is _metadata.MetadataText else _metadata.encode(value)


def _is_moment(record: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or not MIN_MS <= value <= MAX_MS:
        raise InvalidHeartbeatError(
            f"{attribute.alias} is {value!r}: expected an aware datetime, or epoch milliseconds",
            machine_id=record.machine_id,
        )


def _is_counter(record: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or not 0 <= value < _INT64:
        raise InvalidHeartbeatError(
            f"{attribute.alias} is {value!r}: expected a whole number from 0 to 2**63 - 1",
            machine_id=record.machine_id,
        )


def _is_interval(record: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or not 1 <= value <= MAX_MS:
        raise InvalidHeartbeatError(
            f"{attribute.alias} is {value!r}: expected a positive timedelta, or whole milliseconds",
            machine_id=record.machine_id,
        )


def _is_host(record: Any, _: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or len(value) > 255 or not (value.isascii() or _UNICODE.fullmatch(value)):
        raise InvalidHeartbeatError(
            f"host is {value!r:.80}: expected a name of at most 255 valid characters", machine_id=record.machine_id
        )


@attrs.frozen(kw_only=True, weakref_slot=False)
class Heartbeat:
    """A sign of life of one machine, written by that machine alone.

    Times may be given as aware datetimes or epoch milliseconds, the interval as a timedelta or milliseconds; the
    record keeps integers (suffix ``_ms``) and shows pendulum types.

    Args:
        machine_id: Whose heartbeat it is; normalised.
        last_heartbeat: The sender's UTC wall clock at the beat, to the millisecond.
        incarnation: Which life of the sender this is; rises with every start.
        seq: Rises with every beat of one life.
        interval: The beat the sender promises.
        metadata: A JSON object of at most 10,000 bytes.
        first_seen: When the machine first registered; `last_heartbeat` by default.
        host: The host name of the sender; tells two hosts under one id apart.
        left_at: When the machine said goodbye, or ``None`` while it stays.

    Raises:
        InvalidMachineIdError, InvalidMetadataError, InvalidHeartbeatError: A field that cannot be.

    >>> beat = Heartbeat(machine_id="Web-1", last_heartbeat=1768519800000, incarnation=1, seq=1, interval=30_000)
    >>> beat.last_heartbeat.isoformat(), beat.metadata
    ('2026-01-15T23:30:00+00:00', {})
    """

    machine_id: str = field(converter=normalize_machine_id)
    last_heartbeat_ms: int = field(alias="last_heartbeat", converter=_moment, validator=_is_moment)
    incarnation: int = field(validator=_is_counter)
    seq: int = field(validator=_is_counter)
    interval_ms: int = field(alias="interval", converter=_span, validator=_is_interval)
    metadata_json: str = field(alias="metadata", default=_metadata.EMPTY, converter=_metadata_text)
    first_seen_ms: int = field(
        alias="first_seen",
        default=attrs.Factory(_same_stamp, takes_self=True),
        converter=_moment,
        validator=_is_moment,
    )
    host: str = field(default="", validator=_is_host)
    left_at_ms: int | None = field(
        alias="left_at", default=None, converter=_moment, validator=attrs.validators.optional(_is_moment)
    )

    @property
    def order(self) -> tuple[int, int]:
        """``(incarnation, seq)``; of two records of a machine the higher one is the newer."""
        return self.incarnation, self.seq

    @property
    def last_heartbeat(self) -> DateTime:
        """The sender's stamp, UTC."""
        return to_datetime(self.last_heartbeat_ms)

    @property
    def first_seen(self) -> DateTime:
        """When the machine first registered, UTC."""
        return to_datetime(self.first_seen_ms)

    @property
    def left_at(self) -> DateTime | None:
        """When the machine said goodbye, UTC."""
        return optional_datetime(self.left_at_ms)

    @property
    def interval(self) -> Duration:
        """The promised beat."""
        return to_duration(self.interval_ms)

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of the metadata; changing it changes nothing here."""
        found: dict[str, Any] = json.loads(self.metadata_json)
        return found

    def __repr__(self) -> str:
        left = "" if self.left_at_ms is None else ", left"
        return f"<Heartbeat {self.machine_id} {self.last_heartbeat.isoformat()} #{self.incarnation}.{self.seq}{left}>"
