"""Announcements with a mark, and what is owed when the mark falls."""

import attrs
import pytest
from look_values import LOCAL, SLOW, START, Observer, beat

from heartbeat_kit import Basis, MachineStatus, MaintenanceWindow, Reason
from heartbeat_kit._observer._known import Known
from heartbeat_kit._observer._marks import Marks, marked, marks_of, owes, plainly_before
from heartbeat_kit.storage import LedgerEntry

ONLINE, WARNING, OFFLINE = MachineStatus.ONLINE, MachineStatus.WARNING, MachineStatus.OFFLINE
PLAIN, FLAPPING, SUPPRESSED, BOTH = Marks(False, False), Marks(True, False), Marks(False, True), Marks(True, True)


def entry(status=ONLINE, reason=Reason.SILENT, **more):
    return LedgerEntry(machine_id="web-1", status=status, event_id="e", reason=reason, **{"since_ms": START, **more})


def known(**more):
    return Known(beat(), Basis.OBSERVER, 0, START, **more)


class TestMarked:
    @pytest.mark.parametrize("marks", [FLAPPING, SUPPRESSED, BOTH])
    def test_the_status_before_the_first_mark_is_kept(self, marks):
        after = marked(entry(OFFLINE), entry(WARNING), marks)
        assert (after.flapping, after.suppressed, after.steady) == (*marks, WARNING)
        assert marked(entry(ONLINE), after, marks).steady is WARNING

    def test_without_a_mark_nothing_is_kept(self):
        after = marked(entry(OFFLINE), entry(WARNING, flapping=True, steady=ONLINE), PLAIN)
        assert (after.flapping, after.suppressed, after.steady) == (False, False, None)

    @pytest.mark.parametrize("reason", [Reason.FIRST_SEEN, Reason.REMOVED])
    def test_a_beginning_and_an_end_owe_nothing(self, reason):
        after = marked(entry(ONLINE, reason), entry(OFFLINE), SUPPRESSED)
        assert (after.suppressed, after.steady) == (True, None)
        assert not owes(after)


@pytest.mark.parametrize(
    ("before", "due"),
    [
        ({}, False),
        ({"suppressed": True, "steady": ONLINE}, True),
        ({"suppressed": True, "steady": OFFLINE}, False),
        ({"flapping": True, "steady": ONLINE}, True),
        ({"flapping": True, "steady": OFFLINE}, True),
    ],
    ids=["plain", "suppressed and changed", "suppressed and as before", "flapping", "flapping and as before"],
)
def test_after_flapping_it_is_owed_always_after_maintenance_if_it_differs(before, due):
    assert owes(entry(OFFLINE, **before)) is due


def test_the_status_known_plainly():
    assert plainly_before(entry(OFFLINE)) is OFFLINE
    assert plainly_before(entry(OFFLINE, suppressed=True, steady=ONLINE)) is ONLINE


class TestMarksOf:
    @pytest.mark.parametrize("flapping", [False, True])
    @pytest.mark.parametrize("window", [False, True])
    def test_what_holds_now(self, flapping, window):
        assert marks_of(known(flapping=flapping), None, entry(), in_maintenance=window) == (flapping, window)

    @pytest.mark.parametrize(
        ("before", "reason", "suppressed"),
        [
            ({"suppressed": True, "steady": ONLINE}, Reason.RETURNED, True),
            ({"suppressed": True, "steady": OFFLINE}, Reason.RETURNED, False),
            ({"suppressed": True, "steady": ONLINE}, Reason.SILENT, False),
            ({"suppressed": True, "flapping": True, "steady": ONLINE}, Reason.RETURNED, False),
            ({}, Reason.RETURNED, False),
        ],
        ids=["hushed", "said before", "no return", "flapped", "plain"],
    )
    def test_the_return_from_what_was_only_said_with_a_mark(self, before, reason, suppressed):
        """It has the mark too: nobody is told of a return from nowhere."""
        after = entry(ONLINE, reason)
        assert marks_of(known(), entry(OFFLINE, **before), after, in_maintenance=False) == (False, suppressed)


def play(*script, timing=LOCAL, window=(100, 500), restart_at=None):
    """Look every 20 s; ``{seconds: (before, after, suppressed)}``. It beats and is silent in turn, as scripted."""
    observer = Observer(timing)
    windows = ()
    if window is not None:
        first, last = (START + 1000 * seconds for seconds in window)
        windows = (MaintenanceWindow(machine_id="web-1", start=first, end=last),)
    said, seq, stamp = {}, 0, START
    for seconds in range(0, 1_200, 20):
        silent = sum(seconds > edge for edge in script) % 2 == 1
        if not silent:
            seq, stamp = seq + 1, START + seconds * 1000
        if seconds == restart_at:
            observer = observer.restarted()
        before = len(observer.events)
        observer.look(seconds, beat(seq=seq + 1, at=stamp), windows=windows)
        for event in observer.events[before:]:
            if event.reason is not Reason.FIRST_SEEN:
                said.setdefault(seconds, []).append((str(event.before), str(event.after), event.suppressed))
    return said


class TestMaintenance:
    def test_offline_in_the_window_and_back_in_it_owes_nothing(self):
        assert play(100, 380) == {
            220: [("online", "warning", True)],
            340: [("warning", "offline", True)],
            400: [("offline", "online", True)],
        }

    def test_still_offline_at_the_end_it_is_announced_once(self):
        """From what was known before the window, at the first look after it."""
        assert play(100) == {
            220: [("online", "warning", True)],
            340: [("warning", "offline", True)],
            500: [("online", "offline", False)],
        }

    def test_it_falls_in_the_window_and_dies_after_it(self):
        """A warning in it, offline after it: each is told plainly."""
        assert play(100, window=(100, 300)) == {
            220: [("online", "warning", True)],
            300: [("online", "warning", False)],
            340: [("warning", "offline", False)],
        }

    def test_offline_before_and_back_in_it_is_announced_at_the_end(self):
        assert play(0, 540, window=(400, 800)) == {
            120: [("online", "warning", False)],
            240: [("warning", "offline", False)],
            560: [("offline", "online", True)],
            800: [("offline", "online", False)],
        }

    def test_offline_before_and_offline_after(self):
        """Whatever it did in between, nothing has changed."""
        assert play(0, 420, 440, window=(400, 900)) == {
            120: [("online", "warning", False)],
            240: [("warning", "offline", False)],
            440: [("offline", "online", True)],
            560: [("online", "warning", True)],
            680: [("warning", "offline", True)],
        }

    @pytest.mark.parametrize(("window", "suppressed"), [((340, 342), True), ((339, 340), False), ((341, 900), False)])
    def test_the_look_that_finds_it_decides(self, window, suppressed):
        """Half-open: in the first millisecond of a window it holds, in the last it does not."""
        said = play(100, window=window)
        assert said[340][0] == ("warning", "offline", suppressed)

    def test_a_first_registration_in_it_is_not_repeated(self):
        observer = Observer(LOCAL)
        windows = (MaintenanceWindow(machine_id="web-1", start=START, end=START + 100_000),)
        for seconds in range(0, 300, 20):
            observer.look(seconds, beat(seq=seconds + 1, at=START + seconds * 1000), windows=windows)
        assert [(str(event.after), event.suppressed) for event in observer.events] == [("online", True)]

    @pytest.mark.parametrize("seconds", [360, 500, 520])
    def test_it_survives_a_restart_of_the_observer(self, seconds):
        """Before the end, in the very look at the end, and after it: once."""
        said = play(100, restart_at=seconds)
        assert [made for made in said.values() if not made[0][2]] == [[("online", "offline", False)]]

    def test_somebody_else_s_window_is_not_ours(self):
        observer = Observer(LOCAL)
        windows = (MaintenanceWindow(machine_id="web-2", start=START, end=START + 10**6),)
        for seconds in (0, 120, 240):
            observer.look(seconds, beat(), windows=windows)
        assert {event.suppressed for event in observer.events} == {False}

    def test_what_is_announced_again_has_an_id_of_its_own(self):
        observer = Observer(LOCAL)
        windows = (MaintenanceWindow(machine_id="web-1", start=START + 1, end=START + 400_000),)
        for seconds in range(0, 600, 20):
            observer.look(seconds, beat(), windows=windows)
        marked, plain = [event for event in observer.events if event.after is OFFLINE]
        assert (marked.suppressed, plain.suppressed) == (True, False)
        assert marked.id != plain.id
        assert (marked.episode, marked.occurred_at, marked.seq) == (plain.episode, plain.occurred_at, plain.seq)
        assert plain.detected_at_ms == START + 400_000

    def test_a_failed_commit_owes_it_still(self):
        observer = Observer(LOCAL)
        windows = (MaintenanceWindow(machine_id="web-1", start=START + 1, end=START + 400_000),)
        for seconds in range(0, 400, 20):
            observer.look(seconds, beat(), windows=windows)
        observer.look(400, beat(), windows=windows, commit=False)
        assert observer.look(420, beat(), windows=windows) == [("web-1", "offline", "silent")]
        assert observer.look(440, beat(), windows=windows) == []

    def test_two_windows_in_a_row_are_one(self):
        """Nothing is owed between them."""
        observer = Observer(LOCAL)
        windows = tuple(
            MaintenanceWindow(machine_id="web-1", start=START + first, end=START + first + 300_000)
            for first in (1, 300_001)
        )
        for seconds in range(0, 900, 20):
            observer.look(seconds, beat(), windows=windows)
        plain = [event for event in observer.events if not event.suppressed and event.after is OFFLINE]
        assert [event.detected_at_ms - START for event in plain] == [620_000]

    def test_while_everybody_is_silent_nothing_is_owed(self):
        """The window ends in a fleet silence: what the machine is, is said when it is known."""
        observer = Observer(SLOW)
        windows = (MaintenanceWindow(machine_id="web-1", start=START + 50_000, end=START + 600_000),)
        for seconds in range(0, 1_300, 30):
            observer.look(seconds, beat(seq=2 if seconds else 1), windows=windows)
        told = [event for event in observer.events if getattr(event, "after", None) is OFFLINE]
        assert [(event.suppressed, event.detected_at_ms - START) for event in told] == [(False, 1_110_000)]


def test_flapping_in_maintenance_owes_until_both_are_over():
    """The window outlasts the flapping: one plain announcement, when it ends."""
    quick = attrs.evolve(LOCAL, heartbeat_ms=5_000, timeout_ms=10_000, slot_ms=10_000)
    observer = Observer(quick)
    windows = (MaintenanceWindow(machine_id="web-1", start=START + 1, end=START + 500_000),)
    seq, stamp = 1, START
    for seconds in range(0, 700, 10):
        if seconds > 80 or seconds % 20 == 0:
            seq, stamp = seq + 1, START + seconds * 1000
        observer.look(seconds, beat(seq=seq, at=stamp, interval=5_000), windows=windows)
    marks = [(event.flapping, event.suppressed) for event in observer.events[1:]]
    assert set(marks) == {(False, True), (True, True), (False, False)}
    assert marks.count((False, False)) == 1
    assert observer.events[-1].detected_at_ms == START + 500_000
