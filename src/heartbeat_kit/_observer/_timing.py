"""`Timing`: the integers a look computes with, derived once from a configuration and a storage's traits.

Owns the rule that a machine's timeout is never shorter than its promise allows. Must not know machines or records.
"""

from __future__ import annotations

from typing import Final

import attrs

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._times import span_ms
from heartbeat_kit.storage import StorageTraits

__all__ = ["CLOCK_STEP_MS", "UNMEASURED_DELAY_MS", "Timing"]

CLOCK_STEP_MS: Final = 5_000
"""Wall and monotonic clock may part this much between two looks; more means a suspend or a clock that was set."""
UNMEASURED_DELAY_MS: Final = 60_000
"""Allowance for a medium whose delay was not declared, until enough beats were measured."""


@attrs.frozen(kw_only=True)
class Timing:
    """Every number in force, in integer milliseconds.

    Attributes:
        heartbeat_ms: The beat this observer's configuration expects.
        timeout_ms: T.
        delay_ms: The medium's allowance, added once to each deadline.
        hold_ms: How long what may be the medium's fault is called unknown.
        confirm_offline: Looks that must agree before a status worsens.
        confirm_online: Looks that must agree before a status improves.
        shared_clock: Stored stamps are as good as our own clock.
        coherent: A record that is gone was removed, it is not merely late.
        slot_ms: The time between two looks, the unit in which flapping is counted.
        cascade_threshold: More machines than this going offline within the window are a cascade.
        cascade_ms: That window.
        expected: Machines that should be there.
    """

    heartbeat_ms: int
    timeout_ms: int
    delay_ms: int = 0
    hold_ms: int = 0
    confirm_offline: int = 1
    confirm_online: int = 1
    shared_clock: bool = True
    coherent: bool = True
    slot_ms: int = 30_000
    cascade_threshold: int = 3
    cascade_ms: int = 300_000
    expected: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: HeartbeatConfig, traits: StorageTraits) -> Timing:
        """The numbers that `config` means on a storage with these `traits`."""
        delay = traits.propagation_delay
        return cls(
            heartbeat_ms=span_ms(config.heartbeat_interval),
            timeout_ms=span_ms(config.offline_timeout),
            delay_ms=UNMEASURED_DELAY_MS if delay is None else span_ms(delay),
            hold_ms=span_ms(config.silence_hold),
            confirm_offline=config.confirm_offline,
            confirm_online=config.confirm_online,
            shared_clock=traits.server_clock or not traits.cross_host,
            coherent=traits.coherent,
            slot_ms=span_ms(config.check_interval or config.heartbeat_interval),
            cascade_threshold=config.cascade_threshold,
            cascade_ms=span_ms(config.cascade_window),
            expected=frozenset(config.expected),
        )

    def timeout_for(self, interval_ms: int) -> int:
        """T for a machine that promises a beat every `interval_ms`: ``T × max(1, promised / configured)``.

        >>> timing = Timing(heartbeat_ms=30_000, timeout_ms=120_000)
        >>> timing.timeout_for(10_000), timing.timeout_for(60_000)
        (120000, 240000)
        """
        if interval_ms <= self.heartbeat_ms:
            return self.timeout_ms
        return -(-self.timeout_ms * interval_ms // self.heartbeat_ms)
