"""Lengths of time as the laboratory takes them: seconds or a timedelta in, integer milliseconds inside.

Owns the conversion and its errors. Must not know what the lengths are for.
"""

from __future__ import annotations

import math
from datetime import timedelta

from heartbeat_kit._times import span_ms
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["Length", "length_ms", "optional_length_ms", "positive_ms", "signed_ms"]

Length = float | timedelta
"""Seconds, or a timedelta."""


def signed_ms(value: Length) -> int:
    """Milliseconds of a length that may be negative.

    Raises:
        InvalidConfigurationError: It is no length of time.
    """
    if isinstance(value, timedelta):
        return span_ms(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidConfigurationError(f"{value!r} is no length of time: expected seconds or a timedelta")
    return round(value * 1000)


def length_ms(value: Length) -> int:
    """Milliseconds of a length of zero or more.

    Raises:
        InvalidConfigurationError: It is no length of time, or negative.
    """
    found = signed_ms(value)
    if found < 0:
        raise InvalidConfigurationError(f"{value!r} is negative: expected zero or more seconds, or a timedelta")
    return found


def optional_length_ms(value: Length | None) -> int | None:
    """`length_ms` where there may be none."""
    return None if value is None else length_ms(value)


def positive_ms(name: str, value: timedelta) -> int:
    """Milliseconds of a positive timedelta, where plain seconds would be mistaken for something else.

    Raises:
        InvalidConfigurationError: It is something else; `name` says of what.
    """
    if not isinstance(value, timedelta) or span_ms(value) < 1:
        raise InvalidConfigurationError(f"{name} is {value!r:.80}: expected a positive timedelta")
    return span_ms(value)
