"""When an observer must not judge."""

import attrs
import pytest
from look_values import LOCAL, SLOW, START, Observer, at, beat

from heartbeat_kit._events import Basis
from heartbeat_kit._observer._guard import QUIET, Disruption, detect, latest_ms, postpone
from heartbeat_kit._observer._known import NEVER, Known, Memory

SLOT = LOCAL.slot_ms


def memory(blind=None):
    return Memory(last=at(100), blind_ms=blind)


def known(silence=0, **more):
    return Known(beat(), Basis.OBSERVER, silence, START, **more)


def test_nothing_is_detected_at_the_first_look():
    assert detect(Memory(), at(100), 50_000, SLOT) is QUIET


def test_looks_on_demand_may_be_far_apart():
    assert detect(memory(), at(100_000), 0, SLOT) is QUIET


@pytest.mark.parametrize("step", [0, 4.999, -4.999, 5.0, -5.0])
def test_clocks_may_part_by_five_seconds(step):
    assert detect(memory(), at(110, wall=110 + step), 0, SLOT) is QUIET


@pytest.mark.parametrize("step", [5.001, -5.001, 3_600, -3_600])
def test_more_is_a_clock_step(step):
    found = detect(memory(), at(110, wall=110 + step), 0, SLOT)
    assert (found.clock_step, found.stalled, found.settle, found.lost_ms) == (True, True, True, 0)
    assert f"{step:+.1f} s against the monotonic one" in found.reason


def test_a_late_look_is_a_stall_of_that_length():
    assert detect(memory(), at(160), 31_000, SLOT) == Disruption(
        lost_ms=31_000, settle=True, stalled=True, reason="this look came 31.0 s later than planned"
    )
    assert detect(memory(), at(160), 1, SLOT).stalled


def test_no_more_is_lost_than_passed_since_somebody_looked():
    """`check()` on demand may have looked while the background loop was stuck."""
    assert detect(memory(), at(105), 31_000, SLOT).lost_ms == 5_000
    assert detect(memory(), at(105, wall=205), 31_000, SLOT).lost_ms == 5_000


def test_recovery_from_blindness_costs_the_time_since_the_last_sight():
    """But for one look at most, in which the storage may have been there still."""
    found = detect(memory(blind=120_000), at(160), 0, SLOT)
    assert found == Disruption(lost_ms=40_000, settle=True, reason="the storage was out of sight for 60.0 s")
    assert not found.stalled
    assert detect(memory(blind=159_000), at(160), 0, SLOT).lost_ms == 30_000
    assert detect(memory(blind=100_000), at(160), 0, SLOT).lost_ms == 60_000


def test_blind_and_late_or_blind_and_stepped_cost_the_longer():
    assert detect(memory(blind=120_000), at(160), 31_000, SLOT).lost_ms == 40_000
    assert detect(memory(blind=120_000), at(160), 51_000, SLOT).lost_ms == 51_000
    assert detect(memory(blind=120_000), at(160, wall=500), 0, SLOT).lost_ms == 40_000
    assert detect(memory(), at(160, wall=500), 31_000, SLOT).lost_ms == 31_000


def test_postponing_moves_the_silence_and_opens_a_settle_period():
    moved = postpone(known(), Disruption(lost_ms=31_000, settle=True), LOCAL, at(160), 60_000)
    assert (moved.silence_ms, moved.settle_ms) == (31_000, 160_000 + 120_000)


def test_the_settle_period_is_the_machines_own_timeout():
    slow = attrs.evolve(known(), heartbeat=beat(interval=60_000))
    assert postpone(slow, Disruption(settle=True), LOCAL, at(160), 0).settle_ms == 160_000 + 240_000
    nobody = attrs.evolve(known(), heartbeat=None)
    assert postpone(nobody, Disruption(settle=True), LOCAL, at(160), 0).settle_ms == 160_000 + 120_000


def test_a_settle_period_is_never_shortened():
    later = known(settle_ms=10**9)
    assert postpone(later, Disruption(settle=True), LOCAL, at(160), 0).settle_ms == 10**9
    assert postpone(known(), Disruption(), LOCAL, at(160), 0).settle_ms == -NEVER


@pytest.mark.parametrize("why", [{"settle": True}, {"resumed": True}])
@pytest.mark.parametrize("timing", [LOCAL, SLOW, attrs.evolve(SLOW, hold_ms=0)])
def test_nobody_is_given_time_to_settle_for_ever(timing, why):
    """At the latest one hold, or one timeout, after the offline deadline: time that was lost is not counted in it."""
    latest = 2 * 120_000 + timing.delay_ms + max(timing.hold_ms, 120_000)
    assert latest_ms(known(), timing) == latest
    for now in range(60, 4_000, 60):
        moved = postpone(known(), Disruption(**why), timing, at(now), 0)
        assert moved.settle_ms == min(1000 * now + 120_000, latest)
    lost = postpone(known(), Disruption(settle=True, lost_ms=10**6), timing, at(4_000), 0)
    assert lost.settle_ms == min(4_120_000, latest + 10**6)


def test_a_silence_never_begins_in_the_future():
    assert postpone(known(150_000), Disruption(lost_ms=31_000), LOCAL, at(160), 0).silence_ms == 160_000


@pytest.mark.parametrize(("gap", "uncounted"), [(119_999, 0), (120_000, 0), (120_001, 1), (400_000, 280_000)])
def test_on_a_slow_medium_one_timeout_counts_between_two_looks(gap, uncounted):
    assert postpone(known(), QUIET, SLOW, at(500), gap).silence_ms == uncounted
    assert postpone(known(), QUIET, LOCAL, at(500), gap).silence_ms == 0


def test_the_longer_of_the_two_losses_counts_once():
    assert postpone(known(), Disruption(lost_ms=100_000), SLOW, at(500), 400_000).silence_ms == 280_000
    assert postpone(known(), Disruption(lost_ms=300_000), SLOW, at(500), 400_000).silence_ms == 300_000


class TestInALook:
    """The guard covers the whole pass, and a settle period after it."""

    def test_a_stalled_look_says_nothing_worse_of_anybody(self):
        observer = Observer(LOCAL)
        fleet = [beat(name) for name in "abc"]
        observer.look(0, *fleet)
        assert observer.look(250, *fleet, late_ms=220_000) == []
        assert observer.last.disruption.stalled
        assert {observer.verdict(name) for name in "abc"} == {"online"}

    def test_deadlines_move_out_by_the_time_lost_and_a_timeout_to_settle(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        observer.look(100, beat(), late_ms=70_000)
        assert observer.look(219.999, beat()) == []
        assert observer.look(220, beat()) == [("web-1", "warning", "silent")]  # 70 s lost plus T would be 190 s
        assert observer.events[-1].occurred_at_ms == START + 190_000
        assert observer.look(310, beat()) == [("web-1", "offline", "silent")]

    @pytest.mark.parametrize("timing", [LOCAL, SLOW], ids=["fast", "delaying"])
    def test_an_observer_that_is_never_in_time_finds_a_death(self, timing):
        """Every look proves nothing, but half of the time between them was spent looking."""
        observer, told = Observer(timing), []
        observer.look(0, beat(), beat("other"))
        for number in range(1, 200):
            others = beat("other", seq=1 + number, at=START + 60_000 * number)
            told += observer.look(60 * number, beat(), others, late_ms=31_000)
        assert [event for event in told if event[1] == "offline"] == [("web-1", "offline", "silent")]

    def test_proof_of_life_counts_in_a_stalled_look(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        observer.look(150, beat())
        back = beat(seq=2, at=START + 199_000)
        assert observer.look(200, back, late_ms=40_000) == [("web-1", "online", "returned")]

    def test_what_changed_needs_no_settling(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        observer.look(100, beat(seq=2, at=START + 99_000), late_ms=70_000)
        assert observer.look(219, beat(seq=2, at=START + 99_000)) == [("web-1", "warning", "silent")]

    def test_a_machine_met_first_in_a_stalled_look_settles_too(self):
        """It may be old news: nothing worse than unknown is said of it for its timeout."""
        observer = Observer(LOCAL)
        observer.look(0)
        old = beat(at=START - 500_000)
        assert observer.look(100, old, late_ms=70_000) == []
        assert observer.verdict() == "unknown"
        assert observer.look(219.999, old) == []
        assert observer.look(220, old) == [("web-1", "offline", "silent")]

    def test_a_machine_met_first_in_a_stalled_look_may_be_online(self):
        observer = Observer(LOCAL)
        observer.look(0)
        assert observer.look(100, beat(at=START + 90_000), late_ms=70_000) == [("web-1", "online", "first_seen")]

    def test_blindness_postpones_and_settles_but_is_no_stall(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        observer.memory = attrs.evolve(observer.memory, blind_ms=30_000)
        assert observer.look(500, beat()) == []
        assert not observer.last.disruption.stalled
        assert observer.verdict() == "online"
        assert observer.memory.blind_ms is None
        assert observer.look(619.999, beat()) == []
        assert observer.look(620, beat()) == [("web-1", "warning", "silent")]

    def test_a_warning_survives_blindness_unchanged(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        observer.look(130, beat())
        observer.memory = attrs.evolve(observer.memory, blind_ms=140_000)
        assert observer.look(200, beat()) == []
        assert observer.verdict() == "warning"

    def test_lateness_after_a_look_on_demand_brings_nobody_back(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        assert observer.look(125, beat()) == [("web-1", "warning", "silent")]
        assert observer.look(135, beat(), late_ms=50_000) == []
        assert observer.verdict() == "warning"

    @pytest.mark.parametrize("step", [3_600, -3_600, 600, -600])
    def test_a_wall_clock_that_jumps_changes_no_verdict(self, step):
        observer = Observer(LOCAL)
        observer.look(0, beat("a"), beat("b"))
        observer.look(130, beat("a", seq=2, at=START + 129_000), beat("b"))
        silent = beat("b")
        for seconds in (140, 150, 160):
            alive = beat("a", seq=seconds, at=START + 1_000 * (seconds + step))
            assert observer.look(seconds, alive, silent, wall=seconds + step) == []
        assert (observer.verdict("a"), observer.verdict("b")) == ("online", "warning")

    def test_an_offline_machine_is_not_postponed(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        observer.look(250, beat())
        before = observer.memory.known["web-1"].silence_ms
        observer.look(400, beat(), late_ms=100_000)
        assert (observer.memory.known["web-1"].silence_ms, observer.verdict()) == (before, "offline")
