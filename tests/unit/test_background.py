"""The two loops of a running service, on virtual time."""

import pytest

from heartbeat_kit._background import Background
from heartbeat_kit.testing import FakeClock


class Log:
    """When what happened."""

    def __init__(self, clock, *, name="web-1"):
        self.clock = clock
        self.beats, self.looks = [], []
        self.background = Background(clock, self.beat, self.look, name=name)

    def beat(self):
        self.beats.append(self.clock.monotonic)

    def look(self, late_ms):
        self.looks.append((self.clock.monotonic, late_ms))


@pytest.fixture
def log():
    return Log(FakeClock())


def test_beats_come_within_their_promise_and_a_tenth_early_at_most(log):
    log.background.start(30_000, 30_000, None)
    log.clock.advance(3_000)
    pauses = [later - earlier for earlier, later in zip([0, *log.beats], log.beats, strict=False)]
    assert all(27 <= pause <= 30 for pause in pauses)
    assert len(set(pauses)) > 50
    assert 100 <= len(log.beats) <= 111


def test_another_machine_beats_in_another_rhythm(log):
    other = Log(log.clock, name="web-2")
    for each in (log, other):
        each.background.start(30_000, 30_000, None)
    log.clock.advance(300)
    assert not set(log.beats) & set(other.beats)


def test_looks_come_at_once_and_then_on_plan(log):
    log.background.start(30_000, 10_000, None)
    log.clock.advance(30)
    assert log.looks == [(0, 0), (10, 0), (20, 0), (30, 0)]


@pytest.mark.parametrize(("stall", "late"), [(20, 0), (20.001, 10_001), (90, 80_000)])
def test_late_by_more_than_one_interval_beyond_plan_is_a_stall(log, stall, late):
    log.background.start(30_000, 10_000, None)
    log.clock.advance(0)
    log.clock.stall(stall)
    log.clock.advance(stall)
    assert log.looks[1:] == [(stall, late)]
    log.clock.advance(30)
    assert len(log.looks) >= 5
    assert {late for _, late in log.looks[2:]} == {0}


def test_a_slow_beat_delays_the_next_and_never_stacks(log):
    background = Background(log.clock, lambda: (log.beat(), log.clock.advance(100)), log.look, name="slow")
    background.start(30_000, 10**9, None)
    log.clock.advance(0)
    log.clock.advance(27)
    log.clock.advance(3)
    log.clock.advance(100)
    background.stop()
    gaps = [later - earlier for earlier, later in zip(log.beats, log.beats[1:], strict=False)]
    assert gaps
    assert all(gap >= 100 for gap in gaps)


def test_a_slow_look_is_no_stall_of_the_observer(log):
    """Listeners run on the looking loop; a look that took long puts the next one off."""
    looks = []
    background = Background(log.clock, log.beat, lambda late: (looks.append(late), log.clock.advance(100)), name="x")
    background.start(30_000, 10_000, None)
    log.clock.advance(200)
    background.stop()
    assert set(looks) == {0}
    assert len(log.beats) >= 3


def test_no_beat_without_progress(log):
    background = log.background
    background.start(10_000, 10_000, 60_000)
    log.clock.advance(59.999)
    assert background.makes_progress
    assert len(log.beats) >= 5
    log.clock.advance(0.001)
    assert not background.makes_progress
    before = len(log.beats)
    log.clock.advance(100)
    assert len(log.beats) == before
    assert len(log.looks) >= 15
    background.progress()
    assert background.makes_progress
    log.clock.advance(10)
    assert len(log.beats) == before + 1


def test_without_a_progress_deadline_there_is_always_progress(log):
    log.background.start(10_000, 10_000, None)
    log.clock.advance(10_000)
    assert log.background.makes_progress


def test_new_intervals_take_effect_at_once(log):
    log.background.start(600_000, 600_000, None)
    log.clock.advance(1)
    log.background.replan(1_000, 2_000)
    log.clock.advance(10)
    assert 9 <= len(log.beats) <= 12
    assert [when for when, _ in log.looks] == [0, 3, 5, 7, 9, 11]


def test_longer_intervals_do_not_put_off_what_is_due(log):
    log.background.start(10_000, 10_000, None)
    log.clock.advance(1)
    log.background.replan(600_000, 600_000)
    log.clock.advance(9)
    assert len(log.beats) == 1
    assert [when for when, _ in log.looks] == [0, 10]
    log.clock.advance(500)
    assert (len(log.beats), len(log.looks)) == (1, 2)


def test_it_lives_between_start_and_stop(log):
    background = log.background
    assert not background.is_alive
    assert background.stop()
    background.start(10_000, 10_000, None)
    assert background.is_alive
    assert background.stop()
    assert not background.is_alive
    log.clock.advance(100)
    assert (log.beats, log.looks) == ([], [])
    background.start(10_000, 10_000, None)
    log.clock.advance(10)
    assert log.beats
    assert background.is_alive


def test_it_lives_only_while_both_loops_do(log):
    def bug(_):
        raise RuntimeError("a bug")

    background = Background(log.clock, log.beat, bug, name="x")
    background.start(10_000, 10_000, None)
    with pytest.raises(RuntimeError, match="a bug"):
        log.clock.advance(0)
    assert not background.is_alive


def test_every_loop_is_stopped_whatever_the_first_says():
    stopped = []

    class Stubborn:
        is_alive = True

        def stop(self, timeout_ms):
            stopped.append(timeout_ms)
            return False

        def wake(self):
            raise AssertionError("nothing was replanned")

    class Clock(FakeClock):
        def loop(self, step, *, name):
            return Stubborn()

    background = Background(Clock(), lambda: None, lambda _: None, name="x")
    background.start(10_000, 10_000, None)
    assert not background.stop()
    assert stopped == [30_000, 30_000]


def test_loops_have_names_a_person_can_find():
    names = []

    class Clock(FakeClock):
        def loop(self, step, *, name):
            names.append(name)
            return super().loop(step, name=name)

    Background(Clock(), lambda: None, lambda _: None, name="web-1").start(10_000, 10_000, None)
    assert names == ["heartbeat-web-1", "heartbeat-check-web-1"]


def test_an_interval_of_a_millisecond_still_waits():
    log = Log(FakeClock())
    log.background.start(1, 1_000, None)
    log.clock.advance(0.01)
    assert 1 <= len(log.beats) <= 10


def test_a_look_on_demand_is_overdue_when_nobody_looked_for_more_than_two_intervals(log):
    background = log.background
    assert background.overdue_ms(None) == 0, "nobody promised to look"
    log.clock.advance(100)
    background.start(30_000, 10_000, None)
    log.clock.advance(0)
    assert background.overdue_ms(0) == 0, "the promise begins with the start"
    log.clock.stall(60)
    log.clock.advance(20)
    assert background.overdue_ms(100_000) == 0
    log.clock.advance(0.001)
    assert background.overdue_ms(100_000) == background.overdue_ms(None) == 10_001
    assert background.overdue_ms(119_000) == 0, "somebody looked"
    background.stop()
    assert background.overdue_ms(100_000) == 0
