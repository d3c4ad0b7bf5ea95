"""`PlainTimeout`: what most scripts do, the age of the sender's stamp against a limit. Pure."""

from __future__ import annotations

from datetime import timedelta

from heartbeat_kit.lab._detectors._protocol import shown
from heartbeat_kit.lab._lengths import positive_ms

__all__ = ["PlainTimeout"]


class PlainTimeout:
    """Suspects a machine whose last stamp is at least `timeout` old by the observer's wall clock.

    It believes the sender's clock: one that is behind is suspected while it beats, one that is ahead is not
    suspected when it dies.

    >>> detector = PlainTimeout(timedelta(seconds=120))
    >>> detector.heard("web-1", 0, 0)
    >>> detector.suspects("web-1", 119_999), detector.suspects("web-1", 120_000)
    (False, True)
    """

    wall_clock = True

    def __init__(self, timeout: timedelta = timedelta(seconds=120)) -> None:
        self._timeout_ms = positive_ms("timeout", timeout)
        self._stamps: dict[str, int] = {}

    def heard(self, machine_id: str, stamp_ms: int, seen_ms: int) -> None:  # noqa: ARG002 - the protocol's
        """A newer beat was seen."""
        self._stamps[machine_id] = stamp_ms

    def suspects(self, machine_id: str, now_ms: int) -> bool:
        """Whether the stamp is too old."""
        stamp = self._stamps.get(machine_id)
        return stamp is not None and now_ms - stamp >= self._timeout_ms

    def __repr__(self) -> str:
        return f"timeout on stamp {shown(self._timeout_ms)}"
