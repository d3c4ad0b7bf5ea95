"""What a service needs of its arguments, checked before anything else happens.

Owns these checks and the record of a running service. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import attrs

from heartbeat_kit._clock import Clock
from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._results import ServiceStatus
from heartbeat_kit._times import epoch_ms, span_ms, to_iso
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.storage import StorageTraits

__all__ = [
    "require_clock",
    "require_config",
    "require_host",
    "require_length",
    "require_moment",
    "require_patience",
    "require_settings",
    "require_span",
    "require_storage",
    "service_record",
]

_LONGEST_S = 1e12
_METHODS = ("put", "load", "remove", "close")


def require_storage(storage: Any) -> None:
    """Refuse what is no `Storage`.

    Raises:
        InvalidConfigurationError: Names what is missing.
    """
    missing = [name for name in _METHODS if not callable(getattr(storage, name, None))]
    if missing:
        raise InvalidConfigurationError(
            f"{type(storage).__name__} is no storage, it lacks {', '.join(f'{name}()' for name in missing)}: pass a "
            "Storage, for example open_storage('folder:///path')"
        )
    if not isinstance(getattr(storage, "traits", None), StorageTraits):
        raise InvalidConfigurationError(
            f"{type(storage).__name__} does not declare its traits: give it an attribute traits = StorageTraits(…)"
        )


def require_config(config: Any) -> HeartbeatConfig:
    """The configuration, or the defaults for None.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if config is None:
        return HeartbeatConfig()
    if not isinstance(config, HeartbeatConfig):
        raise InvalidConfigurationError(f"config is a {type(config).__name__}: expected a HeartbeatConfig or None")
    return config


def require_host(host: Any) -> str:
    """A host name that a record can carry.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if not isinstance(host, str) or not 0 < len(host) <= 255 or not host.isprintable():
        raise InvalidConfigurationError(f"host is {host!r:.80}: expected a printable name of 1 to 255 characters")
    return host


def require_settings(names: Iterable[str]) -> None:
    """Refuse what is no field of a configuration.

    Raises:
        InvalidConfigurationError: Names what is not, and what is.
    """
    known = [attribute.name for attribute in attrs.fields(HeartbeatConfig)]
    if unknown := sorted(set(names) - set(known)):
        raise InvalidConfigurationError(f"no setting {', '.join(unknown)}: expected some of {', '.join(known)}")


def require_span(name: str, value: Any) -> int | None:
    """A positive duration in milliseconds, or None for None.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if value is None:
        return None
    if not isinstance(value, timedelta) or span_ms(value) < 1:
        raise InvalidConfigurationError(f"{name} is {value!r}: expected a positive timedelta or None")
    return span_ms(value)


def require_length(name: str, value: Any) -> int:
    """A duration of zero or more in milliseconds.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if not isinstance(value, timedelta) or span_ms(value) < 0:
        raise InvalidConfigurationError(f"{name} is {value!r:.80}: expected a timedelta of zero or more")
    return span_ms(value)


def require_patience(name: str, value: Any) -> int:
    """How long to wait, a timedelta or a number of seconds, in milliseconds.

    Raises:
        InvalidConfigurationError: It is something else, or has no end.
    """
    if isinstance(value, timedelta):
        return span_ms(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LONGEST_S:  # NaN is not less
        raise InvalidConfigurationError(f"{name} is {value!r:.80}: expected a timedelta or a number of seconds")
    return int(value * 1000)


def require_moment(name: str, value: Any) -> int | None:
    """A time with a time zone in epoch milliseconds, or None for None.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if value is None:
        return None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidConfigurationError(f"{name} is {value!r:.80}: expected a datetime with a time zone")
    return epoch_ms(value)


def require_clock(clock: Any) -> Clock:
    """Refuse what is no `Clock`.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if not isinstance(clock, Clock) or isinstance(clock, type):
        raise InvalidConfigurationError(
            f"clock is {clock!r:.80}: expected a Clock with now(), loop() and wait(), such as SystemClock()"
        )
    return clock


def service_record(status: ServiceStatus, *, running: bool) -> dict[str, Any]:
    """What ``heartbeat-service.json`` says of a service, in the reference's words."""
    config = status.config
    return {
        "machineId": status.machine_id,
        "heartbeatInterval": span_ms(config.heartbeat_interval),
        "offlineTimeout": span_ms(config.offline_timeout),
        "autoSyncEnabled": config.auto_sync_enabled,
        "isRunning": running,
        "startedAt": None if status.started_at_ms is None else to_iso(status.started_at_ms),
    }
