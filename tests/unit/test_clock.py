"""`SystemClock` and its thread loops; the only real waiting of the unit tests."""

import os
import threading
import time

import pytest

from heartbeat_kit import Clock, Instant, SystemClock
from heartbeat_kit.testing import FakeClock

PATIENCE = 5.0
"""Seconds until a test that waits for another thread gives up; passing tests need milliseconds."""


@pytest.fixture
def clock():
    return SystemClock()


def test_both_clocks_are_clocks(clock):
    assert isinstance(clock, Clock)
    assert isinstance(FakeClock(), Clock)
    assert not isinstance(object(), Clock)


def test_now_is_milliseconds_of_both_clocks(clock):
    before = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
    now = clock.now()
    after = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
    assert type(now) is Instant
    assert before[0] <= now.wall_ms <= after[0]
    assert before[1] <= now.mono_ms <= after[1]


def test_wait_tells_whether_the_event_is_set(clock):
    event = threading.Event()
    assert not clock.wait(event, -5)
    assert not clock.wait(event, 1)
    event.set()
    assert clock.wait(event, 0)


def test_a_loop_turns_when_due_when_woken_and_not_after_its_end(clock):
    turns, turned = [], threading.Semaphore(0)

    def step():
        turns.append(threading.current_thread())
        turned.release()
        return clock.now().mono_ms + (1 if len(turns) == 1 else 3_600_000)

    loop = clock.loop(step, name="under test")
    assert turned.acquire(timeout=PATIENCE)  # at once
    assert turned.acquire(timeout=PATIENCE)  # a millisecond later, as it asked for
    assert not turned.acquire(timeout=0.02)  # not for an hour now
    loop.wake()
    assert turned.acquire(timeout=PATIENCE)
    assert loop.is_alive
    assert turns[0].daemon
    assert turns[0].name == "under test"
    assert loop.stop(5_000)
    assert not loop.is_alive
    assert not turns[0].is_alive()
    loop.wake()
    assert len(turns) == 3


def test_a_loop_can_stop_itself(clock):
    """A listener may stop the service on the loop's own thread: no join with itself, and no further turn."""
    ended, handed = [], threading.Event()
    loops = []

    def step():
        handed.wait(PATIENCE)
        ended.append(loops[0].stop(5_000))
        return 0

    loops.append(clock.loop(step, name="stops itself"))
    handed.set()
    loops[0]._thread.join(PATIENCE)
    assert ended == [True]
    assert not loops[0].is_alive


def test_a_turn_that_does_not_end_in_time_is_admitted(clock):
    begun, release = threading.Event(), threading.Event()

    def step():
        begun.set()
        release.wait(PATIENCE)
        return 0

    loop = clock.loop(step, name="slow")
    assert begun.wait(PATIENCE)
    assert not loop.stop(1)
    assert not loop.is_alive
    release.set()
    assert loop.stop(5_000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_no_loop(clock):
    """Threads do not survive a fork, so a loop must not claim to, and stopping it must not wait for one."""
    loop = clock.loop(lambda: clock.now().mono_ms + 3_600_000, name="parent's")
    child = os.fork()
    if child == 0:
        os._exit(0 if not loop.is_alive and loop.stop(60_000) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop.is_alive
    assert loop.stop(5_000)
