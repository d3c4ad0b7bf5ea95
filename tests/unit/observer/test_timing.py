"""The numbers in force."""

from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatConfig, StorageTraits
from heartbeat_kit._observer._timing import CLOCK_STEP_MS, UNMEASURED_DELAY_MS, Timing


def traits(**more):
    given = {"durable": True, "cross_process": True, "cross_host": False, "coherent": True, **more}
    return StorageTraits(**given)


def test_everything_comes_from_the_configuration():
    config = HeartbeatConfig(
        heartbeat_interval=timedelta(seconds=1),
        offline_timeout=timedelta(seconds=5),
        confirm_offline=2,
        confirm_online=3,
        silence_hold=timedelta(seconds=7),
        check_interval=timedelta(seconds=2),
        cascade_threshold=5,
        cascade_window=timedelta(seconds=9),
        expected=["Web-1"],
    )
    assert Timing.of(config, traits()) == Timing(
        heartbeat_ms=1_000,
        timeout_ms=5_000,
        delay_ms=0,
        hold_ms=7_000,
        confirm_offline=2,
        confirm_online=3,
        shared_clock=True,
        coherent=True,
        slot_ms=2_000,
        cascade_threshold=5,
        cascade_ms=9_000,
        expected=frozenset({"web-1"}),
    )


@pytest.mark.parametrize(
    ("given", "shared"),
    [
        ({"cross_host": False}, True),
        ({"cross_host": True}, False),
        ({"cross_host": True, "server_clock": True}, True),
    ],
)
def test_whose_stamps_are_as_good_as_ours(given, shared):
    assert Timing.of(HeartbeatConfig(), traits(**given)).shared_clock is shared


@pytest.mark.parametrize(("declared", "delay"), [(timedelta(seconds=7), 7_000), (None, 60_000), (timedelta(0), 0)])
def test_the_allowance_of_the_medium(declared, delay):
    found = Timing.of(HeartbeatConfig(), traits(coherent=False, propagation_delay=declared))
    assert (found.delay_ms, found.coherent) == (delay, False)


def test_what_is_not_given_does_nothing():
    assert Timing(heartbeat_ms=1, timeout_ms=2) == Timing(
        heartbeat_ms=1,
        timeout_ms=2,
        delay_ms=0,
        hold_ms=0,
        confirm_offline=1,
        confirm_online=1,
        shared_clock=True,
        coherent=True,
    )


def test_constants():
    assert (CLOCK_STEP_MS, UNMEASURED_DELAY_MS) == (5_000, 60_000)


@pytest.mark.parametrize(
    ("promised", "timeout"),
    [(1, 120_000), (30_000, 120_000), (30_001, 120_004), (45_000, 180_000), (60_000, 240_000)],
)
def test_a_timeout_is_never_shorter_than_the_promise_allows(promised, timeout):
    assert Timing(heartbeat_ms=30_000, timeout_ms=120_000).timeout_for(promised) == timeout


def test_a_fraction_of_a_millisecond_counts_for_the_machine():
    assert Timing(heartbeat_ms=7, timeout_ms=20).timeout_for(8) == 23
