"""Everybody silent at once: whose story is it, the machines' or the medium's?"""

import attrs
import pytest
from guard_values import DELAYING, FAST, Scene
from look_values import HEARD, LOCAL, REMOTE, SLOW, START, Observer, beat

from heartbeat_kit import FleetSilent
from heartbeat_kit._observer._known import NEVER, Watermark
from heartbeat_kit._observer._silence import SILENCE_KEY, medium_silent, patience_ms, resumed

PAIR = ("a", "b")


def records(names, seconds, dies):
    """Each beats every 30 s until it dies, and its record arrives at once."""
    heard = {name: min(seconds, dies.get(name, seconds)) // 30 for name in names}
    return [beat(name, seq=int(seq) + 1, at=START + int(seq) * 30_000) for name, seq in heard.items()]


def run(observer, names, since, until, *, step=30, dies=None, **more):
    """Look every `step` seconds; ``{seconds: what was announced}`` without first registrations."""
    said = {}
    for seconds in range(since, until + 1, step):
        found = observer.look(seconds, *records(names, seconds, dies or {}), **more)
        made = [each for each in found if each[-1] != "first_seen"]
        if made:
            said[seconds] = made
    return said


def silences(observer):
    return [event for event in observer.events if isinstance(event, FleetSilent)]


class TestPatience:
    @pytest.mark.parametrize(
        ("interval", "delay", "patience"),
        [(30_000, 60_000, 105_000), (10_000, 60_000, 105_000), (60_000, 60_000, 150_000), (30_000, 1, 45_001)],
    )
    def test_one_and_a_half_intervals_and_the_delay(self, interval, delay, patience):
        """Never less than the observer's own interval promises."""
        assert patience_ms(attrs.evolve(SLOW, delay_ms=delay), interval) == patience

    def test_the_medium_is_silent_one_millisecond_later(self):
        heard = Watermark("a", 100_000, 20_000, 0)
        assert not medium_silent("b", 30_000, heard, SLOW, 205_000)
        assert medium_silent("b", 30_000, heard, SLOW, 205_001)

    def test_one_s_own_rise_is_nobody_else_s(self):
        heard = Watermark("a", 100_000, 20_000, 0)
        assert not medium_silent("a", 30_000, heard, SLOW, 125_000)
        assert medium_silent("a", 30_000, heard, SLOW, 125_001)

    def test_a_slow_promise_waits_longer_for_the_others(self):
        heard = Watermark("a", 100_000, 20_000, 0)
        assert not medium_silent("b", 60_000, heard, SLOW, 250_000)
        assert medium_silent("b", 60_000, heard, SLOW, 250_001)

    @pytest.mark.parametrize("timing", [LOCAL, REMOTE, HEARD], ids=["local", "remote", "no hold"])
    def test_without_delay_or_hold_there_is_none(self, timing):
        assert not medium_silent("a", 30_000, Watermark(), timing, 10**9)

    def test_a_rise_resumes_only_if_the_look_before_had_waited_too_long(self):
        heard = Watermark("a", 100_000, 20_000, 0)
        assert not resumed(heard, SLOW, 205_000)
        assert resumed(heard, SLOW, 205_001)
        assert not resumed(heard, REMOTE, 10**9)

    def test_the_beginning_counts_where_nobody_rose(self):
        heard = Watermark(begun_ms=100_000)
        assert not resumed(heard, SLOW, 205_000)
        assert resumed(heard, SLOW, 205_001)


class TestWatermark:
    def test_it_keeps_the_newest_rise_of_two_machines(self):
        heard = Watermark().heard("a", 10).heard("b", 20).heard("b", 30)
        assert (heard.of_others("b"), heard.of_others("a"), heard.of_others("c")) == (10, 30, 30)
        assert heard.newest_ms == 30

    def test_nobody_heard_is_for_ever_ago(self):
        assert Watermark().of_others("a") == -NEVER

    def test_lost_time_moves_it_but_never_beyond_now(self):
        heard = Watermark("a", 1_000, 500, 100).postponed(5_000, 4_000)
        assert heard == Watermark("a", 4_000, 4_000, 4_000)
        assert Watermark("a", 1_000, 500, 100).postponed(700, 4_000) == Watermark("a", 1_700, 1_200, 800)

    def test_no_lost_time_leaves_it(self):
        heard = Watermark("a", 1_000, 500, 100)
        assert heard.postponed(0, 4_000) is heard


class TestHold:
    """`a` rises for the last time at 10 s: its warning is due at 190 s, offline at 310 s."""

    @pytest.mark.parametrize(("other", "status"), [(85.0, "warning"), (84.999, "unknown")])
    def test_a_warning_is_held_only_while_nobody_else_is_heard(self, other, status):
        """Another one heard exactly 1.5 intervals and a delay ago is heard; a millisecond longer ago it is not."""
        observer = Observer(SLOW)
        observer.look(0, beat("a"), beat("b"))
        observer.look(10, beat("a", seq=2), beat("b"))
        observer.look(other, beat("a", seq=2), beat("b", seq=2))
        observer.look(140, beat("a", seq=2), beat("b", seq=2))
        observer.look(190, beat("a", seq=2), beat("b", seq=2))
        assert observer.verdict("a") == status
        assert bool(silences(observer)) is (status == "unknown")

    @pytest.mark.parametrize(("seconds", "status"), [(189.999, "online"), (190, "unknown")])
    def test_before_its_deadline_nobody_is_held(self, seconds, status):
        observer = Observer(SLOW)
        observer.look(0, beat("a"))
        observer.look(10, beat("a", seq=2))
        observer.look(100, beat("a", seq=2))
        observer.look(seconds, beat("a", seq=2))
        assert observer.verdict("a") == status

    @pytest.mark.parametrize(("seconds", "status"), [(1089.999, "unknown"), (1090, "offline")])
    def test_the_hold_ends_after_its_time(self, seconds, status):
        """The deadline of the warning and `silence_hold`; then it is offline, and no warning comes before."""
        observer = Observer(SLOW)
        observer.look(0, beat("a"))
        observer.look(10, beat("a", seq=2))
        for each in range(60, 1080, 60):
            observer.look(each, beat("a", seq=2))
        observer.look(seconds, beat("a", seq=2))
        assert observer.verdict("a") == status
        told = [event for event in observer.events if getattr(event, "machine_id", "") == "a"]
        assert [str(event.after) for event in told] == ["online"] + ["offline"] * (status == "offline")

    def test_a_hold_shorter_than_the_timeout_ends_at_the_offline_deadline(self):
        observer = Observer(attrs.evolve(SLOW, hold_ms=60_000))
        observer.look(0, beat("a"))
        observer.look(10, beat("a", seq=2))
        for seconds, status in ((100, "online"), (190, "unknown"), (250, "unknown"), (309.999, "unknown")):
            observer.look(seconds, beat("a", seq=2))
            assert observer.verdict("a") == status
        assert observer.look(310, beat("a", seq=2)) == [("a", "offline", "silent")]

    def test_without_a_hold_the_silence_is_believed_at_once(self):
        observer = Observer(HEARD)
        assert run(observer, ("a",), 0, 600, dies={"a": 30}) == {
            210: [("a", "warning", "silent")],
            330: [("a", "offline", "silent")],
        }

    def test_the_only_peer_s_death_is_found(self):
        """A fleet of two: the observer beats on, which proves nothing; after the hold the other is offline, once."""
        observer = Observer(SLOW)
        said = run(observer, ("watcher", "a"), 0, 3_000, dies={"a": 30})
        assert said == {210: [("FleetSilent", "a")], 1110: [("a", "offline", "silent")]}
        assert observer.verdict("watcher") == "online"

    def test_the_observer_s_own_beat_is_no_proof_of_the_medium(self):
        """It is written and read on this side of the sync client."""
        observer = Observer(SLOW, name="b")
        run(observer, PAIR, 0, 300, dies={"a": 30})
        assert observer.verdict("a") == "unknown"
        stranger = Observer(SLOW, name="watcher")
        run(stranger, PAIR, 0, 300, dies={"a": 30})
        assert stranger.verdict("a") == "warning"

    def test_who_was_never_heard_by_this_process_is_held_too(self):
        """A first look, then silence: what nobody saw rise is no proof either."""
        observer = Observer(SLOW)
        for seconds in range(0, 1_080, 60):
            observer.look(seconds, beat("a"))
        assert observer.verdict("a") == "unknown"
        assert silences(observer)[0].last_heard is None


class TestHalfOfThem:
    def test_the_death_of_half_the_fleet_is_judged_at_once(self):
        """One cascade, before the transitions it is about; nobody is held, and no fleet is silent."""
        names = tuple("abcdefgh")
        observer = Observer(SLOW)
        said = run(observer, names, 0, 1_500, dies=dict.fromkeys("abcd", 60))
        assert said == {
            240: [(name, "warning", "silent") for name in "abcd"],
            360: [("CascadeDetected", *"abcd"), *((name, "offline", "silent") for name in "abcd")],
        }

    def test_listeners_hear_of_the_cascade_first(self):
        scene = Scene(DELAYING)
        scene.live(120, *"abcdefgh")
        said = scene.live(400, *"efgh")
        assert said == [
            *((name, "warning") for name in "abcd"),
            ("CascadeDetected", *"abcd"),
            *((name, "offline") for name in "abcd"),
        ]
        assert scene.health == "ok"


class TestAllOfThem:
    NAMES = ("a", "b", "c")
    DEAD = dict.fromkeys(NAMES, 60)

    def test_unknown_and_one_event_at_once(self):
        """And in the next 20 looks nothing more."""
        observer = Observer(SLOW)
        assert run(observer, self.NAMES, 0, 240, dies=self.DEAD) == {240: [("FleetSilent", *self.NAMES)]}
        assert {observer.verdict(name) for name in self.NAMES} == {"unknown"}
        assert run(observer, self.NAMES, 270, 870, dies=self.DEAD) == {}

    def test_the_event_has_its_times(self):
        observer = Observer(SLOW)
        run(observer, self.NAMES, 0, 260, step=20, dies=self.DEAD)
        told = silences(observer)[0]
        assert (told.last_heard_ms - START, told.detected_at_ms - START) == (60_000, 240_000)
        assert told.believed_at_ms - START == 1_140_000
        assert told.observer == "watcher"

    def test_offline_after_the_hold_each_once(self):
        observer = Observer(SLOW)
        said = run(observer, self.NAMES, 0, 3_000, dies=self.DEAD)
        assert said == {
            240: [("FleetSilent", *self.NAMES)],
            1140: [(name, "offline", "silent") for name in self.NAMES],
        }
        assert observer.memory.silence is None

    def test_a_new_look_object_changes_nothing(self):
        """Copies of the same records in place of the very objects."""
        observer = Observer(SLOW)
        said = run(observer, self.NAMES, 0, 1_200, step=10, dies=self.DEAD)
        assert list(said) == [240, 1140]

    def test_a_restart_of_the_observer_says_it_no_second_time(self):
        observer = Observer(SLOW)
        run(observer, self.NAMES, 0, 300, dies=self.DEAD)
        again = observer.restarted()
        said = run(again, self.NAMES, 330, 3_000, dies=self.DEAD)
        assert [made for found in said.values() for made in found] == [
            (name, "offline", "silent") for name in self.NAMES
        ]

    def test_a_failed_commit_says_it_later_and_once(self):
        observer = Observer(SLOW)
        run(observer, self.NAMES, 0, 210, dies=self.DEAD)
        assert run(observer, self.NAMES, 240, 300, dies=self.DEAD, commit=False) == {}
        assert run(observer, self.NAMES, 330, 900, dies=self.DEAD) == {330: [("FleetSilent", *self.NAMES)]}
        assert silences(observer)[0].detected_at_ms - START == 240_000

    def test_a_query_says_nothing_and_loses_nothing(self):
        observer = Observer(SLOW)
        run(observer, self.NAMES, 0, 210, dies=self.DEAD)
        run(observer, self.NAMES, 240, 240, dies=self.DEAD, commit=False, count=False)
        assert run(observer, self.NAMES, 270, 900, dies=self.DEAD) == {270: [("FleetSilent", *self.NAMES)]}

    def test_they_become_overdue_one_after_the_other_in_one_silence(self):
        """The event names who was overdue then; the others are held as well, and nothing more is said of it."""
        observer = Observer(SLOW)
        said = run(observer, PAIR, 0, 3_000, dies={"a": 60, "b": 120})
        assert said == {
            240: [("FleetSilent", "a")],
            1140: [("a", "offline", "silent")],
            1200: [("b", "offline", "silent")],
        }

    def test_a_second_silence_is_a_second_event(self):
        observer = Observer(SLOW)
        run(observer, PAIR, 0, 300, dies=dict.fromkeys(PAIR, 60))
        run(observer, PAIR, 330, 600)
        run(observer, PAIR, 630, 1_200, dies=dict.fromkeys(PAIR, 600))
        told = silences(observer)
        assert [event.machine_ids for event in told] == [PAIR, PAIR]
        assert told[0].id != told[1].id
        assert observer.ledger[SILENCE_KEY].event_id == told[1].id

    def test_goodbyes_are_believed_at_once(self):
        observer = Observer(SLOW)
        run(observer, PAIR, 0, 60)
        said = observer.look(70, *(beat(name, seq=9, left_at=START + 70_000) for name in PAIR))
        assert said == [(name, "offline", "left") for name in PAIR]

    @pytest.mark.parametrize("timing", [LOCAL, REMOTE], ids=["local", "remote"])
    def test_on_a_coherent_medium_at_the_ordinary_deadline(self, timing):
        observer = Observer(timing)
        assert run(observer, PAIR, 0, 900, dies=dict.fromkeys(PAIR, 60)) == {
            180: [(name, "warning", "silent") for name in PAIR],
            300: [(name, "offline", "silent") for name in PAIR],
        }

    def test_the_service_says_so_in_every_view(self):
        """Health, reason, status, report and event; and the history has it."""
        scene = Scene(DELAYING)
        scene.live(120, *PAIR)
        assert scene.live(180) == [("FleetSilent", *PAIR)]
        report = scene.look()
        assert (str(report.observer.health), report.unknown, report.transitions) == ("fleet_silent", PAIR, ())
        assert "nobody else is heard" in report.observer.reason
        state = scene.service.state()
        assert [state[name].reason for name in PAIR] == ["fleet_silent"] * 2
        assert "nobody on another host is heard either" in state["a"].explain()
        assert [type(event) for event in scene.service.fleet_history()] == [FleetSilent]
        assert scene.live(30, *PAIR) == []
        assert scene.health == "ok"

    def test_on_a_fast_medium_the_service_never_says_so(self):
        scene = Scene(FAST)
        scene.live(120, *PAIR)
        assert scene.live(300) == [
            *((name, "warning") for name in PAIR),
            *((name, "offline") for name in PAIR),
        ]
        assert scene.health == "ok"

    def test_a_commit_that_fails_in_the_service_is_made_up_for(self):
        scene = Scene(DELAYING)
        scene.live(120, *PAIR)
        scene.live(150)
        scene.storage.fail("commit", times=3)
        assert scene.live(90) == []
        assert scene.health in ("blind", "fleet_silent")
        assert scene.live(600) == [("FleetSilent", *PAIR)]


class TestAfterwards:
    NAMES = ("a", "b", "c")

    def held(self):
        """Everybody silent from 60 s on; held at 300 s."""
        observer = Observer(SLOW)
        run(observer, self.NAMES, 0, 300, dies=dict.fromkeys(self.NAMES, 60))
        assert observer.verdict("c") == "unknown"
        return observer

    def test_who_did_not_rise_with_the_first_gets_a_settle_period(self):
        """No storm: the records of the others may still be on their way."""
        observer = self.held()
        assert run(observer, self.NAMES, 330, 420, dies={"b": 60, "c": 60}) == {}
        assert (observer.verdict("a"), observer.verdict("b"), observer.verdict("c")) == ("online", "unknown", "unknown")
        assert run(observer, self.NAMES, 421, 900) == {}
        assert {observer.verdict(name) for name in self.NAMES} == {"online"}

    def test_one_that_really_died_is_found_within_one_timeout(self):
        observer = self.held()
        assert run(observer, self.NAMES, 330, 900, dies={"c": 60}) == {450: [("c", "offline", "silent")]}

    def test_exactly_one_timeout(self):
        observer = self.held()
        run(observer, self.NAMES, 330, 420, dies={"c": 60})
        assert observer.look(449.999, *records(self.NAMES, 449, {"c": 60})) == []
        assert observer.look(450, *records(self.NAMES, 450, {"c": 60})) == [("c", "offline", "silent")]

    def test_who_was_not_overdue_yet_settles_too(self):
        """Silent since 60 s, nobody heard: a first rise at 200 s gives everybody until 320 s."""
        observer = Observer(SLOW)
        dead = dict.fromkeys(self.NAMES, 60)
        run(observer, self.NAMES, 0, 180, dies=dead)
        said = run(observer, self.NAMES, 210, 900, dies={"b": 60, "c": 60})
        assert said == {
            330: [(name, "warning", "silent") for name in "bc"],
            360: [(name, "offline", "silent") for name in "bc"],
        }

    def test_a_record_that_comes_late_ends_it_without_an_event(self):
        observer = self.held()
        run(observer, self.NAMES, 330, 390, dies={"c": 60})
        assert run(observer, self.NAMES, 420, 900) == {}

    def test_they_died_for_good_after_an_offline_that_was_believed(self):
        """Once believed, a return of one changes nothing for the others."""
        observer = Observer(SLOW)
        run(observer, self.NAMES, 0, 1_200, dies=dict.fromkeys(self.NAMES, 60))
        assert run(observer, self.NAMES, 1_230, 2_000, dies={"b": 60, "c": 60}) == {1230: [("a", "online", "returned")]}


class TestWhoDoesNotListen:
    def test_looks_on_demand_far_apart_are_no_silence(self):
        """Everybody who lives has risen at each of them: nobody is held, and no settle period is given."""
        observer = Observer(SLOW)
        said = run(observer, (*PAIR, "c"), 0, 12_000, step=600, dies={"c": 600})
        assert silences(observer) == []
        assert [each for made in said.values() for each in made] == [
            ("c", "warning", "silent"),
            ("c", "offline", "silent"),
        ]
        assert observer.memory.known["a"].settle_ms < 0

    def test_a_stalled_look_never_says_so(self):
        """It looks for the first time in half an hour: nobody rose yet, nobody is held, nothing is said."""
        observer = Observer(SLOW)
        run(observer, PAIR, 0, 180, dies=dict.fromkeys(PAIR, 60))
        assert run(observer, PAIR, 1_980, 1_980, dies=dict.fromkeys(PAIR, 60), late_ms=1_770_000) == {}
        assert observer.last.disruption.stalled
        assert {observer.verdict(name) for name in PAIR} == {"online"}
        assert run(observer, PAIR, 2_010, 2_040, dies=dict.fromkeys(PAIR, 60)) == {}

    def test_nor_does_one_whose_clock_was_set(self):
        """The very look in which the deadline passes is stalled: the next one is the first that may say it."""
        observer = Observer(SLOW)
        dead = dict.fromkeys(PAIR, 60)
        run(observer, PAIR, 0, 210, dies=dead)
        assert observer.look(240, *records(PAIR, 240, dead), wall=4_000) == []
        assert observer.memory.silence is None
        assert "unknown" not in {observer.verdict(name) for name in PAIR}

    def test_a_stall_moves_the_watermark(self):
        """Time in which nobody listened is no silence of the others: `a` is judged, `b` was heard before the stall."""
        observer = Observer(SLOW)
        run(observer, PAIR, 0, 180, dies={"a": 30})
        before = observer.memory.watermark
        observer.look(780, *records(PAIR, 180, {"a": 30}), late_ms=590_000)
        after = observer.memory.watermark
        assert after.rose_ms - before.rose_ms == 590_000
        assert after.of_others("a") == 770_000

    def test_after_a_stall_the_silence_is_counted_anew(self):
        observer = Observer(SLOW)
        dead = dict.fromkeys(PAIR, 60)
        run(observer, PAIR, 0, 90, dies=dead)
        run(observer, PAIR, 690, 690, dies=dead, late_ms=570_000)
        said = run(observer, PAIR, 720, 2_400, dies=dead)
        assert said == {
            810: [("FleetSilent", *PAIR)],
            1710: [(name, "offline", "silent") for name in PAIR],
        }

    def test_a_blind_period_is_no_silence(self):
        """The storage out of sight for half an hour, then nobody has risen yet: nothing is said, everybody settles."""
        scene = Scene(DELAYING)
        scene.live(120, *PAIR)
        scene.storage.go_down("away")
        scene.live(1_800)
        scene.storage.come_back()
        assert scene.live(60) == []
        assert scene.live(300, *PAIR) == []
        assert scene.health == "ok"

    def test_a_death_in_a_blind_period_is_found(self):
        scene = Scene(DELAYING)
        scene.live(120, "a", "b", "c")
        scene.storage.go_down("away")
        scene.live(600)
        scene.storage.come_back()
        said = scene.live(600, "a", "b")
        assert said == [("c", "warning"), ("c", "offline")]

    def test_a_silence_goes_on_through_a_blind_period(self):
        """Announced before, it is not announced again after; the hold grows by the time nobody could see."""
        scene = Scene(DELAYING)
        scene.live(120, *PAIR)
        assert scene.live(240) == [("FleetSilent", *PAIR)]
        scene.storage.go_down("away")
        scene.live(600)
        scene.storage.come_back()
        assert scene.live(700) == []
        assert scene.live(300) == [(name, "offline") for name in PAIR]


def test_a_machine_that_cannot_be_read_is_not_what_a_silence_is_made_of():
    """It is unknown for a reason of its own."""
    observer = Observer(SLOW)
    observer.look(0, beat("a"))
    observer.look(10, beat("a", seq=2))
    for seconds in range(40, 1_000, 30):
        assert observer.look(seconds, unreadable={"a": "cut"}) == []
    assert observer.verdict("a") == "unknown"
    assert silences(observer) == []


def test_the_hold_is_what_the_configuration_says():
    observer = Observer(attrs.evolve(SLOW, hold_ms=300_000))
    said = run(observer, PAIR, 0, 900, dies=dict.fromkeys(PAIR, 60))
    assert said == {
        240: [("FleetSilent", *PAIR)],
        540: [(name, "offline", "silent") for name in PAIR],
    }


def test_confirmation_comes_after_the_hold():
    observer = Observer(attrs.evolve(SLOW, confirm_offline=3))
    said = run(observer, PAIR, 0, 1_500, dies=dict.fromkeys(PAIR, 60))
    assert [made for made in said.values() if made[0][0] == "FleetSilent"] == [[("FleetSilent", *PAIR)]]
    assert [seconds for seconds, made in said.items() if made[0][0] != "FleetSilent"] == [1200]
