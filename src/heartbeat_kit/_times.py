"""Conversions between epoch milliseconds (what we compute with) and the types people read.

Owns: integer milliseconds ↔ ISO-8601 text ↔ `pendulum.DateTime` / `pendulum.Duration`.
Must not know: any clock, any model. Hot paths stay on integers; a `DateTime` exists only where a person looks.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)

MIN_MS = -(_EPOCH - datetime.min.replace(tzinfo=UTC)) // _MILLISECOND
"""0001-01-01T00:00:00Z, the earliest stamp a `datetime` can hold."""
MAX_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
"""9999-12-31T23:59:59.999Z, the latest."""
_LONGEST_MS = -timedelta.min // _MILLISECOND


def epoch_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly; naive moments raise `ValueError`."""
    if moment.utcoffset() is None:
        raise ValueError(f"a time without a time zone names no instant: {moment.isoformat()}")
    # The stdlib subtraction on purpose: pendulum's own builds an Interval, thirty times slower.
    return datetime.__sub__(moment, _EPOCH) // _MICROSECOND


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, rounded down."""
    return epoch_us(moment) // 1000


def span_us(span: timedelta) -> int:
    """A duration in whole microseconds, exactly, whatever subclass of `timedelta` it is."""
    return timedelta.__floordiv__(span, _MICROSECOND)


def span_ms(span: timedelta) -> int:
    """A duration in whole milliseconds, rounded down."""
    return timedelta.__floordiv__(span, _MILLISECOND)


def to_datetime(ms: int) -> pendulum.DateTime:
    """The UTC `pendulum.DateTime` of an epoch millisecond count; beyond the calendar it stops at the last day."""
    moment = _EPOCH + timedelta(milliseconds=min(max(ms, MIN_MS), MAX_MS))
    return pendulum.instance(moment, tz=pendulum.UTC)


def optional_datetime(ms: int | None) -> pendulum.DateTime | None:
    """`to_datetime` where there may be no time."""
    return None if ms is None else to_datetime(ms)


def to_duration(ms: int) -> pendulum.Duration:
    """The `pendulum.Duration` of a millisecond count; beyond what a `timedelta` can hold it stops there."""
    return pendulum.duration(milliseconds=min(max(ms, -_LONGEST_MS), _LONGEST_MS))


def to_iso(ms: int) -> str:
    """UTC ISO-8601 with milliseconds and ``Z``: ``2026-01-15T23:30:00.000Z``."""
    moment = _EPOCH + timedelta(milliseconds=min(max(ms, MIN_MS), MAX_MS))
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def from_iso(text: Any) -> int:
    """Epoch milliseconds of a stored ISO-8601 time; anything that does not name one instant raises `ValueError`.

    `pendulum.parse` is not used here: it takes "now" and "P1D" for times.
    """
    if not isinstance(text, str):
        raise ValueError(f"expected an ISO-8601 time, found {type(text).__name__}")  # noqa: TRY004 - one error type for stored data
    if len(text) > 40:
        raise ValueError(f"expected an ISO-8601 time, found {len(text)} characters")
    return epoch_ms(datetime.fromisoformat(text))
