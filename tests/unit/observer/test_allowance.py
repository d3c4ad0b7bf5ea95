"""What the deadlines are shifted by: declared, or measured."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from guard_values import DELAYING, FAST, UNDECLARED, Scene
from look_values import beat

from heartbeat_kit._observer._allowance import Allowance
from heartbeat_kit._observer._pass import Rise


class Meter(SimpleNamespace):
    """A meter that says what a test wants."""

    def rose(self, machine_id, **more):
        self.rises.append((machine_id, more))

    def forget(self, machine_id):
        self.forgotten.append(machine_id)


def allowance(declared=None, **meter):
    """An allowance whose measure a test sets."""
    made = Allowance(declared)
    made._meter = Meter(**{"rises": [], "forgotten": [], "p99_ms": None, "samples": 0, **meter})
    return made


def learned(made, p99_ms):
    """Whether another allowance is in force after the measure said this, and which one."""
    made._meter.p99_ms = p99_ms
    return made.learn(()), made.in_force_ms


class TestDeclared:
    @pytest.mark.parametrize("seconds", [0, 1, 600])
    def test_it_is_kept_whatever_is_measured(self, seconds):
        made = allowance(timedelta(seconds=seconds))
        for measured in (None, 1, 700_000):
            assert learned(made, measured) == (False, seconds * 1000)

    @pytest.mark.parametrize(("measured", "slow"), [(None, False), (60_000, False), (60_001, True)])
    def test_it_is_compared_with_the_measure(self, measured, slow):
        made = allowance(timedelta(seconds=60), p99_ms=measured, samples=77)
        state = made.state
        assert (state.allowance_ms, state.declared_ms, state.measured_ms, state.samples) == (
            60_000,
            60_000,
            measured,
            77,
        )
        assert state.slower_than_declared is slow

    def test_a_medium_without_delay_has_no_state(self):
        assert allowance(timedelta(0)).state is None


class TestMeasured:
    def test_a_minute_until_enough_is_known(self):
        made = allowance()
        assert learned(made, None) == (False, 60_000)
        assert (made.state.declared_ms, made.state.measured_ms, made.state.slower_than_declared) == (None, None, False)

    @pytest.mark.parametrize(
        ("measured", "allowed"), [(0, 1_000), (1, 1_000), (1_000, 1_000), (1_001, 2_000), (49_999, 50_000)]
    )
    def test_then_the_measure_in_whole_seconds_at_least_one(self, measured, allowed):
        assert learned(allowance(), measured) == (True, allowed)

    @pytest.mark.parametrize(
        ("measured", "moved"), [(42_000, False), (42_001, True), (41_000, False), (37_001, False), (37_000, True)]
    )
    def test_a_twentieth_is_left_alone(self, measured, moved):
        """From 40 s: 38 to 42 s are the same, a second further is another."""
        made = allowance()
        learned(made, 40_000)
        assert learned(made, measured)[0] is moved

    def test_each_rise_is_measured(self):
        """Sender's stamp, promise and order; when it was not there, and when it was."""
        made = allowance()
        made.learn([Rise(beat("a", seq=7, incarnation=3), 1_000, 2_000), Rise(beat("b"), 5, 6)])
        (name, told), (other, _) = made._meter.rises
        assert (name, other) == ("a", "b")
        assert told == {
            "incarnation": 3,
            "seq": 7,
            "stamp_ms": beat().last_heartbeat_ms,
            "interval_ms": 30_000,
            "unseen_ms": 1_000,
            "seen_ms": 2_000,
        }

    def test_who_is_removed_is_forgotten(self):
        made = allowance()
        made.forget("a")
        assert made._meter.forgotten == ["a"]


def arriving(scene, delays, *, step=10, every=30, tail=150):
    """A machine's beats are there so many seconds after they were sent; somebody looks every `step` seconds."""
    began, shown = scene.clock.now().wall_ms, -1
    arrivals = [(every * number + delay, number) for number, delay in enumerate(delays)]
    for seconds in range(0, every * len(delays) + tail, step):
        newest = max((number for at, number in arrivals if at <= seconds), default=-1)
        if newest > shown:
            shown = newest
            sent = began + 1000 * every * shown
            scene.storage.inner.put(beat("a", seq=shown + 1, at=sent, interval=1000 * every))
        scene.look()
        scene.clock.advance(step)


class TestService:
    def test_a_fast_medium_says_nothing_of_it(self):
        scene = Scene(FAST)
        scene.live(90, "a")
        assert scene.look().observer.medium is None
        assert scene.service.state()["a"].allowance == timedelta(0)

    def test_undeclared_it_is_a_minute_at_first(self):
        scene = Scene(UNDECLARED)
        arriving(scene, [5] * 20)
        medium = scene.look().observer.medium
        assert (medium.allowance, medium.declared, medium.measured) == (timedelta(seconds=60), None, None)
        assert 10 <= medium.samples < 50

    def test_then_it_is_measured_and_the_deadlines_move_with_it(self):
        """A medium that is much quicker than a minute: the warning comes earlier than with the minute."""
        scene = Scene(UNDECLARED)
        arriving(scene, [4, 1, 8, 2, 6] * 30, tail=30)
        medium = scene.look().observer.medium
        assert medium.samples >= 50
        assert medium.measured is not None
        assert timedelta(seconds=1) <= medium.allowance <= timedelta(seconds=30)
        assert medium.allowance.total_seconds() == int(medium.allowance.total_seconds())
        state = scene.service.state()
        shown = state["a"]
        assert shown.allowance == medium.allowance
        assert shown.next_deadline == state.retrieved_at - shown.age + shown.timeout + medium.allowance

    def test_a_slow_medium_gets_more_than_a_minute(self):
        scene = Scene(UNDECLARED)
        arriving(scene, [5, 20, 40, 90, 130] * 12, every=150)
        assert scene.look().observer.medium.allowance > timedelta(seconds=80)

    def test_declared_it_stays_and_slower_is_said_so(self):
        scene = Scene(DELAYING)
        arriving(scene, [5, 20, 40, 90, 130] * 12, every=150)
        medium = scene.look().observer.medium
        assert medium.allowance == timedelta(seconds=60)
        assert medium.measured > medium.declared == timedelta(seconds=60)
        assert medium.slower_than_declared
        assert "declare a longer propagation_delay" in medium.explain()

    def test_declared_and_quick_is_fine(self):
        scene = Scene(DELAYING)
        arriving(scene, [5, 20, 10, 2, 30] * 20)
        medium = scene.look().observer.medium
        assert medium.measured is not None
        assert not medium.slower_than_declared

    def test_reconfigure_keeps_the_measure(self):
        scene = Scene(UNDECLARED)
        arriving(scene, [4, 1, 8, 2, 6] * 30)
        before = scene.look().observer.medium
        scene.service.reconfigure(confirm_offline=2)
        assert scene.look().observer.medium.allowance == before.allowance != timedelta(seconds=60)

    def test_stalled_looks_teach_nothing(self):
        """A clock that was set makes stamps and rises disagree."""
        scene = Scene(UNDECLARED)
        scene.live(90, "a")
        before = scene.look().observer.medium.samples
        scene.clock.jump_wall(3_600)
        scene.live(30, "a")
        assert scene.look().observer.medium.samples == before
