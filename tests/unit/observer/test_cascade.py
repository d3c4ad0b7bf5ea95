"""More machines than a threshold offline within a window: one event, however many follow."""

import attrs
import pytest
from guard_values import DELAYING, FAST, Scene
from look_values import LOCAL, START, Observer, beat

from heartbeat_kit import CascadeDetected, HeartbeatConfig, MachineStatus, MaintenanceWindow, Reason
from heartbeat_kit._observer._cascade import CASCADE_KEY, cascade, fell_in
from heartbeat_kit.storage import LedgerEntry, Move
from heartbeat_kit.testing import Fleet

NOW = START + 10_000_000
WINDOW = LOCAL.cascade_ms


def entry(name, ago=0, *, status=MachineStatus.OFFLINE, reason=Reason.SILENT, **more):
    return LedgerEntry(
        machine_id=name, status=status, event_id=f"{name}-event", reason=reason, since_ms=NOW - ago, **more
    )


def moves(*entries):
    return [Move(expected=None, entry=each, transition=None, owner="owner") for each in entries]


def found(ledger, *entries, timing=LOCAL):
    """The machines of the cascade that these moves complete, or None."""
    move = cascade(
        {each.machine_id: each for each in ledger}, moves(*entries), timing, NOW, observer="watcher", owner="owner"
    )
    return None if move is None else move.transition.machine_ids


def some(count, ago=0):
    return [entry(f"m{number}", ago) for number in range(count)]


class TestRule:
    @pytest.mark.parametrize(("count", "yes"), [(3, False), (4, True), (20, True)])
    def test_more_machines_than_the_threshold(self, count, yes):
        assert (found([], *some(count)) is not None) is yes

    @pytest.mark.parametrize("threshold", [1, 5])
    def test_the_threshold_is_the_configuration_s(self, threshold):
        timing = attrs.evolve(LOCAL, cascade_threshold=threshold)
        assert found([], *some(threshold), timing=timing) is None
        assert found([], *some(threshold + 1), timing=timing) is not None

    @pytest.mark.parametrize(("ago", "yes"), [(WINDOW - 1, True), (WINDOW, False), (WINDOW + 1, False)])
    def test_what_went_offline_within_the_window_counts_too(self, ago, yes):
        assert (found(some(3, ago), entry("last")) is not None) is yes

    def test_one_that_changes_now_is_not_counted_as_it_was(self):
        """Three fell, one of them returns in the look in which a fourth falls."""
        back = entry("m0", status=MachineStatus.ONLINE, reason=Reason.RETURNED)
        assert found(some(3, 1_000), back, entry("last")) is None

    def test_nothing_falls_nothing_is_said(self):
        """Whatever the ledger holds."""
        assert found(some(10, 1_000)) is None
        assert found(some(10, 1_000), entry("new", status=MachineStatus.WARNING)) is None

    @pytest.mark.parametrize("now", [True, False])
    @pytest.mark.parametrize("ago", [0, LOCAL.timeout_ms, 10 * WINDOW])
    def test_those_that_are_a_warning_are_about_to_follow(self, now, ago):
        """Whether this look calls them so or one before did."""
        warned = [entry(f"w{number}", ago, status=MachineStatus.WARNING) for number in range(3)]
        ledger, moved = ([], warned) if now else (warned, [])
        assert found(ledger, *moved, entry("m0")) == ("m0", "w0", "w1", "w2")
        assert found(ledger[1:], *moved[1:], entry("m0")) is None

    @pytest.mark.parametrize(
        ("before", "yes"), [(WINDOW - LOCAL.timeout_ms - 1, True), (WINDOW - LOCAL.timeout_ms, False)]
    )
    def test_only_what_would_follow_within_the_window(self, before, yes):
        """Of those that fell before, those that fall now and those that will, enough must fit into one window."""
        warned = entry("w", 0, status=MachineStatus.WARNING)
        assert found([entry("m0", before), entry("m1", before), warned], entry("now")) == (
            ("m0", "m1", "now", "w") if yes else None
        )

    def test_a_warning_that_ends_now_is_none(self):
        warned = [entry(f"w{number}", status=MachineStatus.WARNING) for number in range(3)]
        back = entry("w0", status=MachineStatus.ONLINE, reason=Reason.RETURNED)
        assert found(warned, back, entry("m0")) is None

    @pytest.mark.parametrize(
        "more",
        [
            {"reason": Reason.LEFT},
            {"suppressed": True},
            {"status": MachineStatus.WARNING, "suppressed": True},
            {"status": MachineStatus.ONLINE, "reason": Reason.RETURNED},
        ],
        ids=["left", "suppressed", "suppressed warning", "online"],
    )
    def test_what_does_not_count(self, more):
        """Neither among those that fall now nor among those before."""
        odd = [entry(f"odd{number}", **more) for number in range(9)]
        assert found([], *odd, *some(3)) is None
        assert found(odd, *some(3)) is None
        assert found(odd, *some(4)) == ("m0", "m1", "m2", "m3")

    def test_flapping_machines_count(self):
        assert found([], *[attrs.evolve(each, flapping=True) for each in some(4)]) is not None

    def test_the_silence_s_entry_is_no_machine(self):
        assert found([entry("*silence", 1_000)], *some(3)) is None

    @pytest.mark.parametrize(("ago", "yes"), [(WINDOW - 1, False), (WINDOW, True)])
    def test_one_a_window(self, ago, yes):
        before = entry(CASCADE_KEY, ago)
        assert (found([before], *some(6)) is not None) is yes

    def test_the_event(self):
        """Its times, its machines in order, an id made of the evidence, and compare-and-set against the one before."""
        ledger = {"z": entry("z", 200_000), CASCADE_KEY: entry(CASCADE_KEY, WINDOW)}
        fallen = moves(*some(3, 5_000))
        one = cascade(ledger, fallen, LOCAL, NOW, observer="watcher", owner="owner")
        two = cascade(ledger, fallen[::-1], LOCAL, NOW + 5, observer="other", owner="else")
        event = one.transition
        assert (event.machine_ids, event.threshold, event.window_ms) == (("m0", "m1", "m2", "z"), 3, WINDOW)
        assert (event.began_at_ms, event.detected_at_ms, event.observer) == (NOW - 200_000, NOW, "watcher")
        assert event.id == two.transition.id == one.entry.event_id
        assert (one.expected, one.owner, one.entry.machine_id) == (f"{CASCADE_KEY}-event", "owner", CASCADE_KEY)


class TestWhoFellInIt:
    @pytest.mark.parametrize(
        ("ago", "yes"), [(WINDOW, False), (WINDOW - 1, True), (0, True), (1 - WINDOW, True), (-WINDOW, False)]
    )
    def test_within_the_window_before_and_after(self, ago, yes):
        assert fell_in({CASCADE_KEY: entry(CASCADE_KEY)}, entry("m1", ago), LOCAL) == (NOW if yes else None)

    def test_counted_by_when_it_was_announced(self):
        late = entry("m1", 2 * WINDOW, announced_ms=NOW)
        assert fell_in({CASCADE_KEY: entry(CASCADE_KEY)}, late, LOCAL) == NOW

    @pytest.mark.parametrize(
        "other",
        [
            entry("m1", status=MachineStatus.ONLINE, reason=Reason.RETURNED),
            entry("m1", reason=Reason.LEFT),
            entry("m1", suppressed=True),
        ],
        ids=["back", "left", "suppressed"],
    )
    def test_nobody_else(self, other):
        assert fell_in({CASCADE_KEY: entry(CASCADE_KEY)}, other, LOCAL) is None
        assert fell_in({}, entry("m1"), LOCAL) is None


def cascades(scene):
    return [event for event in scene.heard.events if isinstance(event, CascadeDetected)]


NAMES = tuple("abcdefgh")


class TestService:
    def test_over_several_looks(self):
        """They fall one after the other: when the first goes offline, the others are warnings."""
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        for gone in range(1, 5):
            scene.live(30, *NAMES[gone:])
        scene.live(600, *NAMES[4:])
        told = [each for each in scene.said if each[0] == "CascadeDetected" or each[1] == "offline"]
        assert told == [("CascadeDetected", "a", "b", "c", "d"), *((name, "offline") for name in "abcd")]

    def test_the_last_may_complete_it(self):
        """It was no warning yet when the third went offline; the event comes right before its own transition."""
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.live(30, *NAMES[3:])
        scene.live(150, *NAMES[3:])
        scene.live(600, *NAMES[4:])
        told = [each for each in scene.said if each[0] == "CascadeDetected" or each[1] == "offline"]
        assert told == [
            ("a", "offline"),
            ("b", "offline"),
            ("c", "offline"),
            ("CascadeDetected", "a", "b", "c", "d"),
            ("d", "offline"),
        ]

    def test_three_are_none(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.live(900, *NAMES[3:])
        assert cascades(scene) == []

    def test_four_over_a_longer_time_are_none(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        for gone in range(1, 5):
            scene.live(120, *NAMES[gone:])
        scene.live(900, *NAMES[4:])
        assert sum(each[1] == "offline" for each in scene.said) == 4
        assert cascades(scene) == []

    def test_those_that_follow_make_no_second_one(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.live(60, *NAMES[4:])
        scene.live(900)
        assert len(cascades(scene)) == 1
        assert sum(each[1] == "offline" for each in scene.said) == 8

    def test_the_next_window_has_one_of_its_own(self):
        scene = Scene(FAST)
        for _ in range(2):
            scene.live(60, *NAMES)
            scene.live(600, *NAMES[4:])
        assert [event.machine_ids for event in cascades(scene)] == [NAMES[:4]] * 2
        assert len({event.id for event in cascades(scene)}) == 2

    def test_across_a_restart(self):
        """Two fell before it, two after: the ledger knows."""
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.live(60, *NAMES[2:])
        scene.live(180, *NAMES[4:])
        assert sum(each[1] == "offline" for each in scene.said) == 2
        scene.restart()
        scene.live(600, *NAMES[4:])
        assert [event.machine_ids for event in cascades(scene)] == [NAMES[:4]]

    def test_a_restart_says_it_no_second_time(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.live(330, *NAMES[4:])
        scene.restart()
        scene.live(30, *NAMES[4:])
        scene.live(900)
        assert len(cascades(scene)) == 1 + 1, "the second half is a cascade in a window of its own"

    def test_goodbyes_do_not_count(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.beat(*NAMES[:5], left_at=scene.clock.now().wall_ms)
        scene.look()
        assert sum(each[1] == "offline" for each in scene.said) == 5
        scene.live(600, *NAMES[5:])
        assert cascades(scene) == []

    def test_with_confirmation(self):
        """At the look that confirms the fourth."""
        scene = Scene(FAST, HeartbeatConfig(confirm_offline=3))
        scene.live(60, *NAMES)
        scene.live(600, *NAMES[4:])
        assert [event.machine_ids for event in cascades(scene)] == [NAMES[:4]]
        told = scene.said
        at = told.index(("CascadeDetected", *NAMES[:4]))
        assert [each[1] for each in told[at + 1 : at + 5]] == ["offline"] * 4

    def test_maintenance_does_not_count(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        now = scene.clock.now_utc
        for name in NAMES[:2]:
            scene.service.maintenance(name, now, now.add(hours=1))
        scene.live(600, *NAMES[4:])
        assert sum(each[1] == "offline" for each in scene.said) == 4
        assert cascades(scene) == []

    def test_a_commit_that_fails_loses_neither(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.live(210, *NAMES[4:])
        scene.storage.fail("commit", times=1)
        scene.live(600, *NAMES[4:])
        told = [each for each in scene.said if each[0] == "CascadeDetected" or each[1] == "offline"]
        assert told == [("CascadeDetected", *NAMES[:4]), *((name, "offline") for name in NAMES[:4])]

    def test_all_of_them_on_a_delaying_medium_are_one_after_the_hold(self):
        scene = Scene(DELAYING)
        scene.live(60, *NAMES)
        scene.live(2_400)
        assert [each[0] for each in scene.said[:2]] == ["FleetSilent", "CascadeDetected"]
        assert len(cascades(scene)) == 1

    def test_the_report_has_it(self):
        scene = Scene(FAST)
        scene.live(60, *NAMES)
        scene.live(210, *NAMES[4:])
        scene.clock.advance(30)
        scene.beat(*NAMES[4:])
        report = scene.look()
        assert report.newly_offline == NAMES[:4]
        assert [type(event).__name__ for event in report.events] == ["CascadeDetected", *["Transition"] * 4]
        assert [event.machine_id for event in report.transitions] == list(NAMES[:4])
        assert [type(event) for event in scene.service.fleet_history()] == [CascadeDetected]

    def test_only_who_asks_for_it_hears_it(self):
        scene = Scene(FAST)
        only, offline = [], []
        scene.service.subscribe(only.append, to=CascadeDetected)
        scene.service.on_offline(offline.append)
        scene.live(60, *NAMES)
        scene.live(600, *NAMES[4:])
        assert [type(event) for event in only] == [CascadeDetected]
        assert [event.machine_id for event in offline] == list(NAMES[:4])


def test_a_window_over_a_machine_hides_it_from_the_look_itself():
    """In the pure look: four fall, one of them in maintenance."""
    observer = Observer(LOCAL)
    windows = (MaintenanceWindow(machine_id="d", start=START, end=START + 10**7),)
    beats = [beat(name) for name in "abcd"]
    observer.look(0, *beats, windows=windows)
    observer.look(120, *beats, windows=windows)
    assert [each[0] for each in observer.look(240, *beats, windows=windows)] == list("abcd")


def test_the_verdict_says_so_and_forgets_it_on_the_return():
    with Fleet(8) as fleet:
        fleet.advance(60)
        for name in ("m1", "m2", "m3", "m4"):
            fleet.crash(name)
        fleet.advance(300)
        [event] = fleet.observer.fleet_history()
        state = fleet.observer.state()
        assert {machine.machine_id for machine in state if machine.cascade is not None} == set(event.machine_ids)
        assert state["m1"].cascade == event.detected_at
        assert "It is one of many that went offline together" in state["m1"].explain()
        fleet.revive("m1")
        fleet.crash("m5")
        fleet.advance(1200)
        later = fleet.observer.state()
        assert (later["m1"].cascade, later["m5"].cascade) == (None, None)
        assert "together" not in later["m5"].explain()
        assert later["m2"].cascade == event.detected_at
