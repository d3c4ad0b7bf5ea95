"""What a silence means: `MachineStatus` and the one classifier behind every view.

Owns the half-open bands of the status table. Pure: no clock, no storage, no model.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from heartbeat_kit._config import DEFAULT_OFFLINE_TIMEOUT
from heartbeat_kit._times import epoch_us, span_us
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["MachineStatus", "classify", "named_status", "status_of_age"]


class MachineStatus(StrEnum):
    """What is known of a machine.

    >>> MachineStatus("offline") is MachineStatus.OFFLINE
    True
    """

    ONLINE = "online"
    WARNING = "warning"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


def named_status(name: str, value: MachineStatus | str) -> MachineStatus:
    """The status a text names; `name` is what the argument is called.

    Raises:
        InvalidConfigurationError: It names none.
    """
    try:
        return MachineStatus(value)
    except ValueError as error:
        known = ", ".join(MachineStatus)
        raise InvalidConfigurationError(f"{name}={value!r:.80} is no status: expected one of {known}") from error


def status_of_age(age: int, timeout: int) -> MachineStatus:
    """The status of a silence of `age` under `timeout`, both integers of one unit.

    The bands tile the axis: ``age ≤ -T`` unknown, ``-T < age < T`` online, ``T ≤ age < 2T`` warning, ``2T ≤ age``
    offline. A sender slightly ahead of us is alive; a stamp from the future proves nothing.
    """
    if age >= 2 * timeout:
        return MachineStatus.OFFLINE
    if age >= timeout:
        return MachineStatus.WARNING
    if age > -timeout:
        return MachineStatus.ONLINE
    return MachineStatus.UNKNOWN


def classify(
    last_heartbeat: datetime | None,
    now: datetime,
    *,
    offline_timeout: timedelta = DEFAULT_OFFLINE_TIMEOUT,
) -> MachineStatus:
    """Classify a machine by the time of its last heartbeat, to the microsecond.

    Args:
        last_heartbeat: When it last beat (aware), or ``None`` if it never did.
        now: The time to judge at (aware).
        offline_timeout: T: online below T, warning from T, offline from 2 T. Positive.

    Returns:
        `MachineStatus.UNKNOWN` without a heartbeat, for a stamp T or more in the future, and for a time without a
        time zone, which names no instant. Never raises for any time.

    Raises:
        InvalidConfigurationError: `offline_timeout` is not positive, or an argument is of another type.

    >>> from datetime import UTC, datetime, timedelta
    >>> last = datetime(2026, 1, 15, 23, 0, tzinfo=UTC)
    >>> [str(classify(last, last + timedelta(seconds=s))) for s in (119, 120, 239, 240)]
    ['online', 'warning', 'warning', 'offline']
    """
    if not isinstance(offline_timeout, timedelta) or span_us(offline_timeout) <= 0:
        raise InvalidConfigurationError(f"offline_timeout is {offline_timeout!r:.80}: expected a positive duration")
    timeout = span_us(offline_timeout)
    for name, moment in (("last_heartbeat", last_heartbeat or now), ("now", now)):
        if not isinstance(moment, datetime):
            raise InvalidConfigurationError(f"{name} is {moment!r:.80}: expected a datetime")
    if last_heartbeat is None:
        return MachineStatus.UNKNOWN
    try:
        age = epoch_us(now) - epoch_us(last_heartbeat)
    except (ValueError, OverflowError):
        return MachineStatus.UNKNOWN
    return status_of_age(age, timeout)
