"""The predecessor's two ways of judging, as its releases 3.0 and 3.1 did it. Pure.

Both take the age of the sender's stamp on the observer's wall clock: a warning when more than three promised beats
are missing, offline beyond the timeout. Release 3.1 wrote a machine's file at most every five minutes, to spare the
sync client, and took each machine's state from its file again at each check: a beat that was not written was as if it
had not been sent, so a healthy machine was offline for most of each five minutes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from heartbeat_kit.lab._detectors._protocol import shown
from heartbeat_kit.lab._lengths import positive_ms

__all__ = ["Predecessor30", "Predecessor31"]

_MISSED: Final = 3


class Predecessor30:
    """Release 3.0: a warning from three missed beats, offline beyond the timeout, by the sender's stamp.

    Args:
        interval: The beat it expected.
        timeout: Its ``offlineTimeout``.

    >>> detector = Predecessor30()
    >>> detector.heard("web-1", 0, 0)
    >>> detector.warns("web-1", 90_000), detector.suspects("web-1", 120_000), detector.suspects("web-1", 120_001)
    (True, False, True)
    """

    wall_clock = True

    def __init__(
        self, interval: timedelta = timedelta(seconds=30), timeout: timedelta = timedelta(seconds=120)
    ) -> None:
        self._interval_ms = positive_ms("interval", interval)
        self._timeout_ms = positive_ms("timeout", timeout)
        self._stamps: dict[str, int] = {}

    def heard(self, machine_id: str, stamp_ms: int, seen_ms: int) -> None:  # noqa: ARG002 - the protocol's
        """A newer beat was seen."""
        self._stamps[machine_id] = stamp_ms

    def warns(self, machine_id: str, now_ms: int) -> bool:
        """Whether three beats are missing and the timeout has not passed."""
        stamp = self._stamps.get(machine_id)
        missing = stamp is not None and (now_ms - stamp) // self._interval_ms >= _MISSED
        return missing and not self.suspects(machine_id, now_ms)

    def suspects(self, machine_id: str, now_ms: int) -> bool:
        """Whether the stamp is older than the timeout."""
        stamp = self._stamps.get(machine_id)
        return stamp is not None and now_ms - stamp > self._timeout_ms

    def __repr__(self) -> str:
        return f"predecessor 3.0 {shown(self._interval_ms)} / {shown(self._timeout_ms)}"


class Predecessor31(Predecessor30):
    """Release 3.1: as 3.0, on records written at most every five minutes and read again at each check.

    Args:
        interval: The beat it expected.
        timeout: Its ``offlineTimeout``.
        written_every: How often a machine's beat reached its file.

    >>> detector = Predecessor31()
    >>> for second in range(0, 300, 30):
    ...     detector.heard("web-1", second * 1000, second * 1000)
    >>> detector.suspects("web-1", 120_000), detector.suspects("web-1", 150_000)
    (False, True)
    """

    def __init__(
        self,
        interval: timedelta = timedelta(seconds=30),
        timeout: timedelta = timedelta(seconds=120),
        *,
        written_every: timedelta = timedelta(minutes=5),
    ) -> None:
        super().__init__(interval, timeout)
        self._written_ms = positive_ms("written_every", written_every)

    def heard(self, machine_id: str, stamp_ms: int, seen_ms: int) -> None:  # noqa: ARG002 - the protocol's
        """A newer beat was sent; it is written if the last one that was is old enough."""
        written = self._stamps.get(machine_id)
        # A clock set back wrote at once: the predecessor compared for "younger than five minutes" on one host's clock.
        if written is None or stamp_ms < written or stamp_ms - written >= self._written_ms:
            self._stamps[machine_id] = stamp_ms

    def __repr__(self) -> str:
        return f"predecessor 3.1 {shown(self._interval_ms)} / {shown(self._timeout_ms)}"
