"""`Detector`: what a failure detector must offer to be compared.

Owns the protocol and the checks its implementations share. Must not know traces.
"""

from __future__ import annotations

from typing import Any, Protocol

from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["Detector", "count_of", "positive", "shown"]


class Detector(Protocol):
    """A failure detector over several machines.

    Attributes:
        wall_clock: Whether it lives by the observer's wall clock: `seen_ms` and `now_ms` are epoch milliseconds then,
            comparable with stamps. If not, they are the observer's monotonic clock, and only differences mean anything.
    """

    @property
    def wall_clock(self) -> bool:
        """Whether it lives by the observer's wall clock."""
        ...

    def heard(self, machine_id: str, stamp_ms: int, seen_ms: int) -> None:
        """A newer beat of the machine, with the sender's stamp, was seen."""
        ...

    def suspects(self, machine_id: str, now_ms: int) -> bool:
        """Whether the machine is suspected now. One that was never heard is not. Must not raise, however late."""
        ...


def positive(name: str, value: Any) -> float:
    """A positive, finite number.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise InvalidConfigurationError(f"{name} is {value!r:.80}: expected a positive number")
    return float(value)


def count_of(name: str, value: Any, *, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        InvalidConfigurationError: It is something else.
    """
    if type(value) is not int or value < least:
        raise InvalidConfigurationError(f"{name} is {value!r:.80}: expected a whole number of at least {least}")
    return value


def shown(ms: int) -> str:
    """A length of time in a name: ``120 s``."""
    return f"{ms / 1000:g} s"
