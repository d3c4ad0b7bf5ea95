"""Two hosts under one machine id: seen when the host behind a rising record flips back and forth.

Owns the rule. One change of host is a machine that moved; a host that comes back is a second sender. Pure.
"""

from __future__ import annotations

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._observer._known import Rival

__all__ = ["conflict_sentence", "seen_host"]

_FLIPS = 2


def seen_host(
    previous: Heartbeat, heartbeat: Heartbeat, rival: Rival | None, now_ms: int, patience_ms: int
) -> Rival | None:
    """Update what is known of a second sender when a record rises.

    Args:
        previous: The record before.
        heartbeat: The record now.
        rival: What was known of another host.
        now_ms: Monotonic time of the look.
        patience_ms: Without a flip for so long the conflict is over.
    """
    if rival is not None and now_ms - rival.at_ms > patience_ms:
        rival = None
    if not previous.host or not heartbeat.host or heartbeat.host == previous.host:
        return rival
    flips = rival.flips + 1 if rival is not None else 1
    return Rival(previous.host, flips, now_ms)


def conflict_sentence(heartbeat: Heartbeat | None, rival: Rival | None, copies: str | None) -> str | None:
    """The identity conflict of a machine in words, or ``None``."""
    if heartbeat is not None and rival is not None and rival.flips >= _FLIPS:
        return (
            f"hosts {heartbeat.host!r} and {rival.host!r} both beat as {heartbeat.machine_id!r}: "
            "set another MACHINE_ID on one of them"
        )
    return copies
