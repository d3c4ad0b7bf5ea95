"""The flap score of Nagios, and what of it a machine's announcements show."""

from datetime import timedelta

import attrs
import pytest
from guard_values import Scene
from look_values import LOCAL, START, Observer, beat

from heartbeat_kit import HeartbeatConfig, MachineStatus
from heartbeat_kit._observer._flapping import changed, flaps, inherited, score, still_counted

QUICK = attrs.evolve(LOCAL, heartbeat_ms=5_000, timeout_ms=10_000, slot_ms=10_000)
"""A warning after 10 s, offline after 20 s; the window of the score is 200 s."""


def slots(*ages, slot=100):
    """The changes that are so many slots old."""
    return tuple(sorted(slot - age for age in ages))


class TestScore:
    @pytest.mark.parametrize(("age", "percent"), [(0, 6.25), (19, 3.75)])
    def test_the_newest_change_weighs_most(self, age, percent):
        assert score(slots(age), 100) == pytest.approx(percent)

    def test_the_window_has_20_slots(self):
        assert still_counted(slots(0, 19, 20), 100) == slots(0, 19)
        assert score(slots(20), 100) == 0
        assert score(slots(*range(20)), 100) == pytest.approx(100)

    @pytest.mark.parametrize(
        ("ages", "yes"),
        [
            ((0, 1, 2, 3, 4), False),  # 29.93 %
            ((0, 5, 10, 12, 14, 16), True),  # 30 % exactly
            ((0, 5, 10, 12, 14, 17), False),  # 29.87 %
            ((0, 5, 10, 12, 14, 15), True),  # 30.13 %
        ],
    )
    def test_it_begins_at_30_percent(self, ages, yes):
        assert flaps(False, slots(*ages), 100) is yes

    @pytest.mark.parametrize(
        ("ages", "yes"),
        [
            ((6, 8, 11, 13), False),  # 20 % exactly
            ((6, 8, 11, 12), True),  # 20.13 %
            ((6, 8, 11, 14), False),  # 19.87 %
            ((), False),
        ],
    )
    def test_it_ends_at_20_percent(self, ages, yes):
        changes = slots(*ages)
        assert flaps(True, changes, 100) is (score(changes, 100) > 20) is yes

    def test_between_the_two_it_stays_as_it_is(self):
        changes = slots(0, 1, 2, 3)
        assert 20 < score(changes, 100) < 30
        assert flaps(True, changes, 100)
        assert not flaps(False, changes, 100)

    def test_the_threshold_is_exact(self):
        """These ages weigh 6.0 of 20, which no sum of rounded weights may miss."""
        assert flaps(False, slots(1, 3, 5, 14, 15, 19), 100)

    def test_what_is_inherited_fills_the_window(self):
        """It flaps, and in time it does not."""
        changes = inherited(100)
        assert (len(changes), changes[-1], score(changes, 100)) == (20, 100, 100)
        assert flaps(True, changes, 114)
        assert not flaps(True, changes, 120)

    def test_several_changes_in_a_slot_are_one(self):
        assert changed((7,), 7) == (7,)
        assert changed((7,), 8) == (7, 8)
        assert changed((1, 7), 21) == (7, 21)


class Flapper:
    """A machine that beats when it is told to, and somebody who looks every slot or more often."""

    def __init__(self, timing=QUICK, every=10):
        self.observer = Observer(timing)
        self.every, self.seconds, self.seq = every, 0, 1
        self.record = beat(at=START, interval=5_000)
        self.observer.look(0, self.record)

    def beat(self):
        self.seq += 1
        self.record = beat(seq=self.seq, at=START + self.seconds * 1000, interval=5_000)

    def go(self, seconds, *, beating=False):
        """Returns what was announced: ``(after, flapping)``."""
        count = len(self.observer.events)
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds += self.every
            if beating:
                self.beat()
            self.observer.look(self.seconds, self.record)
        return [(str(event.after), event.flapping) for event in self.observer.events[count:]]

    def flap(self, rounds):
        """Silent for a slot, then back: two changes a round, in two slots."""
        return [each for _ in range(rounds) for each in (*self.go(10), *self.go(10, beating=True))]

    @property
    def flapping(self):
        return self.observer.memory.known["web-1"].flapping


class TestMarks:
    def test_transitions_are_marked_from_the_sixth_change_on(self):
        """The fifth change in a row is 29.9 %, the sixth 35.5 %."""
        machine = Flapper()
        said = machine.flap(4)
        assert said == [
            ("warning", False),
            ("online", False),
            ("warning", False),
            ("online", False),
            ("warning", False),
            ("online", True),
            ("warning", True),
            ("online", True),
        ]
        assert machine.flapping

    def test_the_final_state_is_announced_once_without_the_mark(self):
        """A recovery: Nagios never told (issue 91)."""
        machine = Flapper()
        machine.flap(4)
        said = machine.go(600, beating=True)
        assert said == [("online", False)]
        last = machine.observer.events[-1]
        assert (last.before, last.after) == (MachineStatus.WARNING, MachineStatus.ONLINE), (
            "from what was said plainly before"
        )
        assert last.id not in {event.id for event in machine.observer.events[:-1]}
        assert not machine.flapping

    def test_it_ends_with_time_alone(self):
        """No change, no beat that is news, nothing but slots: the score sinks to 20 % by itself."""
        machine = Flapper()
        machine.flap(4)
        while machine.flapping:
            machine.go(10, beating=True)
            assert machine.seconds < 400
        changes, slot = tuple(range(1, 9)), machine.seconds // 10
        assert score(changes, slot) <= 20 < score(changes, slot - 1)

    def test_two_looks_a_slot_or_ten_change_nothing(self):
        """The score is about slots of time, not about looks."""
        outcomes = []
        for every in (10, 5, 1):
            machine = Flapper(every=every)
            marks = []
            for _ in range(4):
                machine.go(10)
                machine.beat()
                machine.observer.look(machine.seconds, machine.record)
                machine.go(10, beating=True)
                marks.append((machine.seconds, machine.flapping))
            outcomes.append((marks, [(event.after, event.flapping) for event in machine.observer.events]))
        assert outcomes[0] == outcomes[1] == outcomes[2]

    def test_a_machine_that_changes_many_times_in_one_slot_does_not_flap(self):
        """A slot of ten minutes: six changes in it are one."""
        machine = Flapper(attrs.evolve(QUICK, slot_ms=600_000))
        said = machine.flap(4)
        assert [flapping for _, flapping in said] == [False] * 8
        assert machine.observer.memory.known["web-1"].changes == (0,)

    def test_one_outage_is_no_flapping(self):
        """Online, warning, offline, online: three changes."""
        machine = Flapper()
        said = machine.go(100) + machine.go(100, beating=True)
        assert said == [("warning", False), ("offline", False), ("online", False)]

    def test_a_machine_that_stays_as_it_is_owes_nothing(self):
        machine = Flapper()
        assert machine.go(1_000, beating=True) == []

    def test_it_flaps_again_and_settles_again(self):
        machine = Flapper()
        for _ in range(2):
            machine.flap(4)
            assert machine.go(400, beating=True) == [("online", False)]
        assert len({event.id for event in machine.observer.events}) == len(machine.observer.events)


class TestRestart:
    def test_the_recovery_is_announced_by_the_next_process(self):
        """It did not watch the changes: it assumes the worst of them, and waits for as long as that takes to sink."""
        machine = Flapper()
        machine.flap(4)
        machine.observer = machine.observer.restarted()
        assert machine.go(150, beating=True) == []
        assert machine.go(400, beating=True) == [("online", False)]

    def test_it_is_announced_once_by_whoever_comes_first(self):
        """Two observers share the ledger, both watched."""
        machine = Flapper()
        other = Observer(QUICK, name="other", ledger=machine.observer.ledger)
        said = []
        for seconds in range(10, 600, 10):
            if seconds > 80 or seconds % 20 == 0:
                machine.seconds = seconds
                machine.beat()
            for one, two in ((machine.observer, other), (other, machine.observer)):
                one.ledger = two.ledger if len(two.events) + len(one.events) else one.ledger
                one.look(seconds, machine.record)
                two.ledger = one.ledger
        said = [event for each in (machine.observer, other) for event in each.events if event.machine_id == "web-1"]
        assert len({event.id for event in said}) == len(said)
        assert [str(event.after) for event in said if not event.flapping][-1:] == ["online"]
        assert sum(event.before is event.after for event in said) == 1

    def test_a_process_that_shares_the_ledger_announces_what_a_dead_one_owed(self):
        """It sees the machine for the first time after the flapping: a window later it says how it ended."""
        machine = Flapper()
        machine.flap(4)
        other = Observer(QUICK, name="other", ledger=machine.observer.ledger)
        machine.observer = other
        assert machine.go(400, beating=True) == [("online", False)]
        assert other.events[-1].observer == "other"

    def test_after_that_nobody_says_it_again(self):
        machine = Flapper()
        machine.flap(4)
        machine.go(400, beating=True)
        machine.observer = machine.observer.restarted()
        assert machine.go(400, beating=True) == []


def test_people_are_shown_that_it_flaps():
    """In the state, in words, until it ends; and in the history."""
    quick = HeartbeatConfig(heartbeat_interval=timedelta(seconds=5), offline_timeout=timedelta(seconds=10))
    scene = Scene(config=quick, interval=5_000)
    scene.beat("web-1")
    scene.look()
    for _ in range(4):
        scene.live(15, step=5)
        scene.live(10, "web-1", step=5)
    assert scene.service.state()["web-1"].flapping
    assert "keeps changing" in scene.service.state()["web-1"].explain()
    assert any(event.flapping for event in scene.service.history("web-1"))
    scene.live(600, "web-1", step=5)
    assert not scene.service.state()["web-1"].flapping
    assert "keeps changing" not in scene.service.state()["web-1"].explain()
    assert not scene.service.history("web-1")[-1].flapping
