"""`FakeClock`: a host that sleeps and a process that is stopped."""

import pytest
from clock_values import START_MS, Ticker

from heartbeat_kit._clock import Instant


class TestSuspend:
    def test_wall_goes_on_and_monotonic_stands_still(self, clock):
        clock.advance(5)
        clock.suspend(3600)
        assert clock.now() == Instant(START_MS + 3_605_000, 5_000)

    def test_own_loops_resume_with_the_rest_of_their_wait(self, clock):
        ticker = Ticker(clock)
        clock.advance(4)
        clock.suspend(3600)
        assert ticker.turns == [0]
        clock.advance(5.999)
        assert ticker.turns == [0]
        clock.advance(0.001)
        assert ticker.turns == [0, 10]
        clock.advance(10)
        assert ticker.turns == [0, 10, 20]

    def test_suspends_add_up(self, clock):
        ticker = Ticker(clock)
        for _ in range(3):
            clock.advance(4)
            clock.suspend(100)
        assert clock.now() == Instant(START_MS + 312_000, 12_000)
        clock.advance(8)
        assert ticker.turns == [0, 10, 20]

    def test_siblings_stay_awake(self, clock):
        own, other = Ticker(clock), clock.sibling()
        ticker, seen = Ticker(other), []
        other.loop(lambda: (seen.append(clock.now()), other.now().mono_ms + 15_000)[1], name="look")
        clock.advance(1)
        clock.suspend(30)
        assert own.turns == [0]
        assert ticker.turns == [0, 10, 20, 30]
        assert [instant.mono_ms for instant in seen] == [0, 1000, 1000]
        assert [instant.wall_ms - START_MS for instant in seen] == [0, 15_000, 30_000]
        assert (clock.monotonic, other.monotonic) == (1, 31)

    def test_woken_or_made_while_asleep_means_due_on_waking_up(self, clock):
        ticker, other, born = Ticker(clock), clock.sibling(), []
        clock.advance(0)

        def step():
            if other.monotonic == 20:
                ticker.loop.wake()
                born.append(Ticker(clock))
            return other.now().mono_ms + 20_000

        other.loop(step, name="visitor")
        clock.suspend(30)
        assert (ticker.turns, born[0].turns) == ([0], [])
        clock.advance(0)
        assert (ticker.turns, born[0].turns) == ([0, 0], [0])

    def test_plan_at_the_time_of_a_wake_does_not_run_while_asleep(self, clock):
        ticker, other = Ticker(clock), clock.sibling()
        other.loop(lambda: (ticker.loop.wake(), other.now().mono_ms + 10_000)[1], name="waker")
        clock.advance(0)
        clock.advance(0.001)
        ticker.turns.clear()
        clock.suspend(25)
        assert ticker.turns == []

    def test_stopped_while_asleep_stays_stopped(self, clock):
        ticker, other = Ticker(clock), clock.sibling()
        other.loop(lambda: (ticker.loop.stop(0), other.now().mono_ms + 1_000)[1], name="killer")
        clock.suspend(5)
        clock.advance(60)
        assert ticker.turns == []

    def test_suspended_again_while_asleep_sleeps_on(self, clock):
        other, again = clock.sibling(), []

        def step():
            if not again:
                again.append(True)
                clock.suspend(50)
            return other.now().mono_ms + 1_000

        other.loop(step, name="lid")
        clock.suspend(10)
        assert clock.monotonic == 0
        assert other.monotonic == 50

    def test_error_of_a_sibling_wakes_the_host_up(self, clock):
        ticker, other = Ticker(clock), clock.sibling()

        def step():
            if other.monotonic == 5:
                raise OSError("boom")
            return other.now().mono_ms + 5_000

        other.loop(step, name="failing")
        clock.advance(0)
        with pytest.raises(OSError, match="boom"):
            clock.suspend(10)
        clock.advance(10)
        assert ticker.turns == [0, 10]
        assert clock.now() == Instant(START_MS + 15_000, 10_000)


class TestStall:
    def test_loops_run_once_late(self, clock):
        ticker = Ticker(clock)
        clock.advance(5)
        clock.stall(60)
        assert clock.monotonic == 5  # time moves by later calls
        clock.advance(59.999)
        assert ticker.turns == [0]
        clock.advance(0.001)
        assert ticker.turns == [0, 65]
        clock.advance(10)
        assert ticker.turns == [0, 65, 75]

    def test_both_clocks_go_on_and_siblings_run(self, clock):
        ticker = Ticker(clock.sibling())
        clock.stall(60)
        clock.advance(20)
        assert clock.now() == Instant(START_MS + 20_000, 20_000)
        assert ticker.turns == [0, 10, 20]

    def test_due_after_the_stall_is_not_late(self, clock):
        ticker = Ticker(clock)
        clock.advance(0)
        clock.stall(3)
        clock.advance(10)
        assert ticker.turns == [0, 10]

    def test_shorter_stall_does_not_end_a_longer_one(self, clock):
        ticker = Ticker(clock)
        clock.stall(60)
        clock.stall(1)
        ticker.loop.wake()
        clock.advance(59)
        assert ticker.turns == []

    def test_a_sleep_within_a_stall_leaves_all_loops_of_a_process_as_late_as_each_other(self, clock):
        """The one that was due already came after the stall and the sleep together, the other one before."""
        early = Ticker(clock)
        clock.advance(8)
        late = Ticker(clock)
        clock.advance(0)
        clock.stall(15)
        clock.advance(4)
        clock.suspend(30)
        clock.advance(6)
        assert (early.turns, late.turns) == ([0, 12], [8, 18])
