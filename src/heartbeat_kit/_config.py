"""`HeartbeatConfig`: every timing a service works with, checked once, frozen.

Owns the settings, their presets and their environment variables. Must not know clocks or storage.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._times import span_ms, to_duration
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["DEFAULT_HEARTBEAT_INTERVAL", "DEFAULT_OFFLINE_TIMEOUT", "HeartbeatConfig"]

DEFAULT_HEARTBEAT_INTERVAL = to_duration(30_000)
DEFAULT_OFFLINE_TIMEOUT = to_duration(120_000)
_LONGEST_MS = 366 * 86_400_000


def _duration(value: timedelta) -> Duration:
    return to_duration(span_ms(value)) if isinstance(value, timedelta) else value  # a wrong type goes to the validator


def _optional_duration(value: timedelta | None) -> Duration | None:
    return None if value is None else _duration(value)


def _span(_: Any, attribute: attrs.Attribute[Any], value: Any, *, least: int = 1) -> None:
    if not isinstance(value, timedelta):
        raise InvalidConfigurationError(
            f"{attribute.name} is {value!r}: expected a duration such as timedelta(seconds=30)"
        )
    if not least <= span_ms(value) <= _LONGEST_MS:
        raise InvalidConfigurationError(f"{attribute.name} is {value!r}: expected between {least} ms and 366 days")


def _span_or_zero(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    _span(_, attribute, value, least=0)


def _span_or_none(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _span(_, attribute, value)


def _count(_: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if type(value) is not int or value < 1:
        raise InvalidConfigurationError(f"{attribute.name} is {value!r}: expected a whole number of at least 1")


def _machine_ids(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidConfigurationError(
            f"expected is {value!r}: give machine ids in a list, such as ['web-1', 'web-2']"
        )
    return tuple(sorted({normalize_machine_id(name) for name in value}))


def _flag(_: Any, attribute: attrs.Attribute[Any], value: bool) -> None:
    if type(value) is not bool:
        raise InvalidConfigurationError(f"{attribute.name} is {value!r}: expected True or False")


@attrs.frozen(kw_only=True)
class HeartbeatConfig:
    """How often to beat and look, and how long silence may last.

    Attributes:
        heartbeat_interval: The beat this machine promises.
        offline_timeout: T: silence of T is a warning, of 2 T offline. At least two intervals, because one lost or
            late beat must not be a verdict.
        auto_sync_enabled: Shown to tools that act on a change of status; the service itself only stores it.
        check_interval: Time between two looks in background mode; ``None`` means `heartbeat_interval`.
        confirm_offline: Consecutive looks that must agree before a status worsens.
        confirm_online: Consecutive looks that must agree before a status improves.
        fresh_for: Age up to which `check()` may answer with its last look (never more than a third of
            `check_interval`).
        silence_hold: How long what may be the medium's fault (a record that cannot be read, everybody silent at
            once) is called unknown before silence is believed.
        cascade_threshold: More machines than this going offline within `cascade_window` are a cascade.
        cascade_window: How close together.
        expected: Machines that should be there: one that never beat is listed as unknown.

    Raises:
        InvalidConfigurationError: A value of the wrong type or out of range, or a timeout that a single late beat
            would break.

    >>> HeartbeatConfig().offline_timeout.in_seconds()
    120
    >>> HeartbeatConfig(heartbeat_interval=timedelta(seconds=90))
    Traceback (most recent call last):
        ...
    heartbeat_kit.errors.InvalidConfigurationError: offline_timeout (120 s) is shorter than two heartbeat intervals \
(2 x 90 s): one late beat would look like a failure; raise offline_timeout to at least 180 s or beat more often
    """

    heartbeat_interval: Duration = field(default=DEFAULT_HEARTBEAT_INTERVAL, converter=_duration, validator=_span)
    offline_timeout: Duration = field(default=DEFAULT_OFFLINE_TIMEOUT, converter=_duration, validator=_span)
    auto_sync_enabled: bool = field(default=True, validator=_flag)
    check_interval: Duration | None = field(default=None, converter=_optional_duration, validator=_span_or_none)
    confirm_offline: int = field(default=1, validator=_count)
    confirm_online: int = field(default=1, validator=_count)
    fresh_for: Duration = field(default=to_duration(10_000), converter=_duration, validator=_span_or_zero)
    silence_hold: Duration = field(default=to_duration(900_000), converter=_duration, validator=_span_or_zero)
    cascade_threshold: int = field(default=3, validator=_count)
    cascade_window: Duration = field(default=to_duration(300_000), converter=_duration, validator=_span)
    expected: tuple[str, ...] = field(default=(), converter=_machine_ids)

    def __attrs_post_init__(self) -> None:
        beat, timeout = span_ms(self.heartbeat_interval), span_ms(self.offline_timeout)
        if timeout < 2 * beat:
            raise InvalidConfigurationError(
                f"offline_timeout ({timeout / 1000:g} s) is shorter than two heartbeat intervals "
                f"(2 x {beat / 1000:g} s): one late beat would look like a failure; raise offline_timeout to at least "
                f"{2 * beat / 1000:g} s or beat more often"
            )

    @classmethod
    def development(cls) -> HeartbeatConfig:
        """A beat a minute, five minutes of patience."""
        return cls(heartbeat_interval=timedelta(minutes=1), offline_timeout=timedelta(minutes=5))

    @classmethod
    def production(cls) -> HeartbeatConfig:
        """The defaults by name: 30 s and 2 minutes."""
        return cls()

    @classmethod
    def critical(cls) -> HeartbeatConfig:
        """A beat every 10 s, a minute of patience."""
        return cls(heartbeat_interval=timedelta(seconds=10), offline_timeout=timedelta(minutes=1))

    @classmethod
    def synced_folder(cls) -> HeartbeatConfig:
        """For a folder a cloud client syncs, which needs rest between writes: a minute and five minutes."""
        return cls.development()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> HeartbeatConfig:
        """Read ``HEARTBEAT_INTERVAL`` and ``OFFLINE_TIMEOUT`` (milliseconds) and ``AUTO_SYNC`` (true or false).

        Args:
            environ: Where to look; ``os.environ`` by default. What is unset or blank keeps its default.

        Raises:
            InvalidConfigurationError: A value that cannot be used; the message names the variable.

        >>> HeartbeatConfig.from_env({"HEARTBEAT_INTERVAL": "5000"}).heartbeat_interval.in_seconds()
        5
        """
        source: Mapping[str, str] = os.environ if environ is None else environ
        given = {name: text.strip() for name, text in source.items() if name in _VARIABLES and text.strip()}
        settings = {_VARIABLES[name][0]: _VARIABLES[name][1](name, text) for name, text in given.items()}
        try:
            return cls(**settings)
        except InvalidConfigurationError as error:
            raise InvalidConfigurationError(f"from the environment ({', '.join(sorted(given))}): {error}") from error


def _env_milliseconds(name: str, text: str) -> timedelta:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= _LONGEST_MS:
        raise InvalidConfigurationError(
            f"{name} is {text!r}: expected whole milliseconds between 1 and {_LONGEST_MS}, for example {name}=30000"
        )
    return timedelta(milliseconds=int(text))


def _env_flag(name: str, text: str) -> bool:
    word = text.lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise InvalidConfigurationError(f"{name} is {text!r}: expected true or false")


_VARIABLES: dict[str, tuple[str, Any]] = {
    "HEARTBEAT_INTERVAL": ("heartbeat_interval", _env_milliseconds),
    "OFFLINE_TIMEOUT": ("offline_timeout", _env_milliseconds),
    "AUTO_SYNC": ("auto_sync_enabled", _env_flag),
}
