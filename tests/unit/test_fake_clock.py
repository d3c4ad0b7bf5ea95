"""`FakeClock`: what moves, what stands still, and in which order loops run."""

import threading
from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from clock_values import START_MS, Ticker

from heartbeat_kit._clock import Clock, Instant
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.testing import FakeClock


def test_is_a_clock_that_starts_in_2026_at_monotonic_zero(clock):
    assert isinstance(clock, Clock)
    assert clock.now() == Instant(START_MS, 0)
    assert type(clock.now_utc) is pendulum.DateTime
    assert clock.now_utc == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.monotonic == 0.0


def test_starts_where_told():
    assert FakeClock(datetime(2025, 3, 30, 1, tzinfo=UTC)).now_utc == datetime(2025, 3, 30, 1, tzinfo=UTC)


def test_start_without_a_time_zone_is_refused():
    with pytest.raises(InvalidConfigurationError, match="time zone"):
        FakeClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


@pytest.mark.parametrize("length", [1.5, timedelta(seconds=1.5), pendulum.duration(milliseconds=1500)])
def test_advance_moves_both_clocks(clock, length):
    clock.advance(length)
    assert clock.now() == Instant(START_MS + 1500, 1500)
    assert clock.monotonic == 1.5


@pytest.mark.parametrize("move", ["advance", "suspend", "stall"])
@pytest.mark.parametrize("length", [-1, -0.001, float("nan"), float("inf"), "1", None])
def test_time_that_is_negative_or_no_number_is_refused(clock, move, length):
    with pytest.raises(InvalidConfigurationError):
        getattr(clock, move)(length)
    assert clock.now() == Instant(START_MS, 0)


def test_jump_wall_moves_the_wall_clock_alone(clock):
    ticker = Ticker(clock)
    clock.jump_wall(3600)
    clock.jump_wall(-7200)
    assert clock.now() == Instant(START_MS - 3_600_000, 0)
    assert ticker.turns == []
    clock.advance(1)
    assert clock.now() == Instant(START_MS - 3_599_000, 1000)


class TestLoops:
    def test_new_loop_is_due_at_once_but_runs_only_when_time_is_moved(self, clock):
        ticker = Ticker(clock)
        assert ticker.turns == []
        clock.advance(0)
        assert ticker.turns == [0]
        clock.advance(0)
        assert ticker.turns == [0]

    def test_turns_come_at_exactly_their_time_the_last_moment_included(self, clock):
        ticker = Ticker(clock)
        clock.advance(29.999)
        assert ticker.turns == [0, 10, 20]
        clock.advance(0.001)
        assert ticker.turns == [0, 10, 20, 30]
        assert clock.monotonic == 30

    def test_loops_run_in_order_of_time_and_of_creation_when_equal(self, clock):
        log = []
        for name, every_ms in (("c", 10_000), ("a", 5_000), ("b", 10_000)):
            Ticker(clock, every_ms, name, log)
        clock.advance(10)
        assert log == [*"cab", "a", *"cab"]

    def test_order_of_creation_holds_whatever_was_planned_first(self, clock):
        log = []
        Ticker(clock, 4_000, "old", log)
        Ticker(clock, 6_000, "new", log)
        clock.advance(11.999)
        log.clear()
        clock.advance(0.001)  # the new one was planned at 6 s, the old one at 8 s
        assert log == ["old", "new"]

    @pytest.mark.parametrize("asked", [lambda now: now, lambda now: now - 5, lambda now: 0])
    def test_time_that_has_passed_counts_as_one_millisecond_from_now(self, clock, asked):
        turns = []

        def step():
            turns.append(clock.now().mono_ms)
            return asked(clock.now().mono_ms)

        clock.loop(step, name="eager")
        clock.advance(0.003)
        assert turns == [0, 1, 2, 3]

    def test_exception_of_a_turn_reaches_the_caller_and_ends_that_loop_only(self, clock):
        def step():
            if clock.monotonic >= 10:
                raise KeyError("boom")
            return clock.now().mono_ms + 10_000

        failing, ticker = clock.loop(step, name="failing"), Ticker(clock)
        clock.advance(5)
        assert failing.is_alive
        with pytest.raises(KeyError, match="boom"):
            clock.advance(60)
        assert not failing.is_alive
        assert clock.monotonic == 10  # time stands where it happened
        clock.advance(10)
        assert ticker.turns == [0, 10, 20]

    def test_stopped_loop_never_runs_again(self, clock):
        ticker = Ticker(clock)
        clock.advance(0)
        assert ticker.loop.is_alive
        assert ticker.loop.stop(1000) is True
        assert ticker.loop.stop(1000) is True
        assert not ticker.loop.is_alive
        ticker.loop.wake()
        clock.advance(60)
        assert ticker.turns == [0]

    def test_loop_can_stop_itself_and_others_in_its_turn(self, clock):
        other = Ticker(clock, name="other")

        def step():
            other.loop.stop(0)
            loop.stop(0)
            return clock.now().mono_ms + 1

        loop = clock.loop(step, name="last")
        clock.advance(30)
        assert other.turns == [0]
        assert not loop.is_alive

    def test_wake_makes_the_next_turn_due_now(self, clock):
        ticker = Ticker(clock)
        clock.advance(3)
        ticker.loop.wake()
        ticker.loop.wake()
        assert ticker.turns == [0]
        clock.advance(0)
        assert ticker.turns == [0, 3]
        clock.advance(10)
        assert ticker.turns == [0, 3, 13]  # the turn planned for 10 s before the wake is gone

    def test_wake_during_the_turn_gives_one_more(self, clock):
        turns = []

        def step():
            turns.append(clock.now().mono_ms)
            if len(turns) == 1:
                loop.wake()
            return clock.now().mono_ms + 10_000

        loop = clock.loop(step, name="self-waking")
        clock.advance(9)
        assert turns == [0, 1]

    def test_loop_made_in_a_turn_runs_in_the_same_advance(self, clock):
        children = []

        def step():
            if not children:
                children.append(Ticker(clock))
            return clock.now().mono_ms + 7_000

        clock.loop(step, name="parent")
        clock.advance(10)
        assert children[0].turns == [0, 10]


class TestSiblings:
    def test_share_time_with_a_wall_clock_of_their_own(self, clock):
        ahead, behind = clock.sibling(skew=600), clock.sibling(skew=-0.5)
        ahead.advance(10)
        assert [c.now().wall_ms - START_MS for c in (clock, ahead, behind)] == [10_000, 610_000, 9_500]
        assert {c.monotonic for c in (clock, ahead, behind)} == {10}

    def test_skew_is_against_true_time_and_jumps_are_ones_own(self, clock):
        clock.jump_wall(3600)
        other = clock.sibling(skew=1)
        other.jump_wall(1)
        assert other.now().wall_ms == START_MS + 2_000
        assert clock.now().wall_ms == START_MS + 3_600_000

    def test_loops_of_all_run_in_one_order(self, clock):
        log, other = [], clock.sibling()
        Ticker(other, 10_000, "b", log)
        Ticker(clock, 5_000, "a", log)
        clock.advance(10)
        assert log == ["b", "a", "a", "b", "a"]


class TestWait:
    def test_event_already_set_moves_nothing(self, clock):
        ticker, event = Ticker(clock), threading.Event()
        event.set()
        assert clock.wait(event, 60_000) is True
        assert (clock.monotonic, ticker.turns) == (0, [])

    def test_moves_to_the_turn_that_sets_the_event(self, clock):
        event = threading.Event()

        def step():
            if clock.monotonic >= 20:
                event.set()
            return clock.now().mono_ms + 10_000

        clock.loop(step, name="setter")
        assert clock.wait(event, 60_000) is True
        assert clock.monotonic == 20

    @pytest.mark.parametrize(("timeout_ms", "end"), [(25_000, 25), (0, 0), (-5, 0)])
    def test_moves_to_the_timeout_otherwise(self, clock, timeout_ms, end):
        ticker = Ticker(clock)
        assert clock.wait(threading.Event(), timeout_ms) is False
        assert clock.monotonic == end
        assert ticker.turns[-1] == end // 10 * 10

    def test_without_loops_the_time_just_passes(self, clock):
        assert clock.wait(threading.Event(), 500) is False
        assert clock.monotonic == 0.5


class TestReentrancy:
    def test_turn_that_advances_lets_others_run_and_is_not_run_again(self, clock):
        depth, turns, other = [], [], Ticker(clock)

        def slow():
            assert not depth
            depth.append(1)
            turns.append(clock.monotonic)
            clock.advance(25)
            depth.pop()
            return clock.now().mono_ms + 5_000

        clock.loop(slow, name="slow")
        clock.advance(10)  # overrun: the slow turn takes 25 s
        assert clock.monotonic == 25
        assert turns == [0]
        assert other.turns == [0, 10, 20]
        clock.advance(5)
        assert turns == [0, 30]

    def test_turn_that_waits_is_served_by_another_loop(self, clock):
        event, woke = threading.Event(), []

        def waiter():
            woke.append((clock.wait(event, 60_000), clock.monotonic))
            return clock.now().mono_ms + 3_600_000

        def setter():
            if clock.monotonic == 30:
                event.set()
            return clock.now().mono_ms + 30_000

        clock.loop(waiter, name="waiter")
        clock.loop(setter, name="setter")
        clock.advance(1)
        assert woke == [(True, 30)]

    def test_turn_that_suspends_its_own_host_goes_on_after_it(self, clock):
        turns = []

        def step():
            turns.append(clock.monotonic)
            if len(turns) == 2:
                clock.suspend(100)
            return clock.now().mono_ms + 10_000

        clock.loop(step, name="sleepy")
        clock.advance(10)
        assert clock.now() == Instant(START_MS + 110_000, 10_000)
        clock.advance(10)
        assert turns == [0, 10, 20]


def test_threads_advance_one_timeline_without_losing_time(clock):
    ticker = Ticker(clock, 1)
    threads = [threading.Thread(target=lambda: [clock.advance(0.001) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now().mono_ms == 1600
    assert ticker.turns == [n / 1000 for n in range(1601)]


def test_stop_from_another_thread_reports_a_turn_that_does_not_end(clock):
    entered, leave, answers = threading.Event(), threading.Event(), []

    def step():
        entered.set()
        leave.wait(30)
        return clock.now().mono_ms + 1

    loop = clock.loop(step, name="stuck")
    thread = threading.Thread(target=clock.advance, args=(0,))
    thread.start()
    entered.wait(30)
    answers.append(loop.stop(1))
    leave.set()
    answers.append(loop.stop(30_000))
    thread.join()
    assert answers == [False, True]
    assert not loop.is_alive


def test_repr_says_both_times_and_what_holds_the_loops(clock):
    assert repr(clock) == "<FakeClock 2026-01-01T00:00:00.000Z, monotonic 0.000 s, 0 loops>"
    ticker = Ticker(clock)
    clock.advance(1.25)
    clock.stall(5)
    assert repr(clock) == "<FakeClock 2026-01-01T00:00:01.250Z, monotonic 1.250 s, 1 loop, stalled>"
    assert repr(ticker.loop) == "<FakeLoop 'tick' due at 10000 ms>"
    ticker.loop.stop(0)
    assert repr(ticker.loop) == "<FakeLoop 'tick' ended>"
