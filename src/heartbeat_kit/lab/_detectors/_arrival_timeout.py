"""`ArrivalTimeout`: the time since a beat arrived against a limit, on the observer's own clock. Pure."""

from __future__ import annotations

from datetime import timedelta

from heartbeat_kit.lab._detectors._protocol import shown
from heartbeat_kit.lab._lengths import positive_ms

__all__ = ["ArrivalTimeout"]


class ArrivalTimeout:
    """Suspects a machine of which nothing new was seen for `timeout`.

    No sender's clock can mislead it; the observer's own absence, and the medium's, can.

    >>> detector = ArrivalTimeout(timedelta(seconds=120))
    >>> detector.heard("web-1", 999_999_999, 5_000)
    >>> detector.suspects("web-1", 124_999), detector.suspects("web-1", 125_000)
    (False, True)
    """

    wall_clock = False

    def __init__(self, timeout: timedelta = timedelta(seconds=120)) -> None:
        self._timeout_ms = positive_ms("timeout", timeout)
        self._seen: dict[str, int] = {}

    def heard(self, machine_id: str, stamp_ms: int, seen_ms: int) -> None:  # noqa: ARG002 - the protocol's
        """A newer beat was seen."""
        self._seen[machine_id] = seen_ms

    def suspects(self, machine_id: str, now_ms: int) -> bool:
        """Whether nothing new came for too long."""
        seen = self._seen.get(machine_id)
        return seen is not None and now_ms - seen >= self._timeout_ms

    def __repr__(self) -> str:
        return f"timeout on arrival {shown(self._timeout_ms)}"
