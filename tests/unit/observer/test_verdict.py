"""What a silence means now."""

import attrs
import pytest
from look_values import LOCAL, REMOTE, SLOW, START, Observer, at, beat

from heartbeat_kit import MachineStatus
from heartbeat_kit._events import Basis
from heartbeat_kit._observer._known import NEVER, Known
from heartbeat_kit._observer._verdict import deadlines, evidence_of, judge

ONLINE, WARNING, OFFLINE, UNKNOWN = (MachineStatus(name) for name in ("online", "warning", "offline", "unknown"))


def known(record=None, basis=Basis.OBSERVER, **more):
    return attrs.evolve(Known(record or beat(), basis, 0, START), **more)


def judged(found, seconds, timing=LOCAL, *, stalled=False, count=True):
    return judge(found, timing, at(seconds), stalled=stalled, count=count)


@pytest.mark.parametrize(
    ("timing", "expected"), [(LOCAL, (120_000, 240_000)), (SLOW, (180_000, 300_000))], ids=["local", "slow"]
)
def test_deadlines_are_shifted_once_by_the_medium(timing, expected):
    assert deadlines(known(), timing) == expected
    assert deadlines(Known(None, Basis.SENDER, 0, START), timing) == expected


def test_deadlines_follow_the_promise():
    assert deadlines(known(beat(interval=60_000)), LOCAL) == (240_000, 480_000)


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, ONLINE), (119.999, ONLINE), (120, WARNING), (239.999, WARNING), (240, OFFLINE)]
)
def test_bands_are_half_open(seconds, status):
    assert evidence_of(known(), LOCAL, at(seconds))[0] is status
    assert evidence_of(known(), SLOW, at(seconds + 60))[0] is status


def test_a_goodbye_is_offline_at_once():
    assert evidence_of(known(beat(left_at=START)), LOCAL, at(0))[0] is OFFLINE


class TestUnreadable:
    """The medium's fault until `silence_hold` has passed."""

    @pytest.mark.parametrize(
        ("seconds", "status"),
        [(119.999, ONLINE), (120, UNKNOWN), (240, UNKNOWN), (240 + 899.999, UNKNOWN), (240 + 900, OFFLINE)],
    )
    def test_a_record_that_cannot_be_read_is_held(self, seconds, status):
        assert evidence_of(known(unreadable="cut"), LOCAL, at(seconds))[0] is status

    def test_whom_we_called_offline_stays_offline(self):
        assert evidence_of(known(unreadable="cut", verdict=OFFLINE), LOCAL, at(300))[0] is OFFLINE

    def test_a_machine_never_read_and_never_announced_stays_unknown(self):
        """It may beat in a format of tomorrow; no silence of ours tells."""
        observer = Observer(LOCAL)
        for seconds in range(0, 3_000, 60):
            assert observer.look(seconds, unreadable={"web-1": "schema 9"}) == []
            assert observer.verdict() == "unknown"

    def test_a_machine_known_from_the_ledger_is_believed_silent_after_the_hold(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        again = observer.restarted()
        seen = {}
        for seconds in range(10, 1_300, 10):
            again.look(seconds, unreadable={"web-1": "cut"})
            seen.setdefault(again.verdict(), seconds)
        assert seen == {"online": 10, "unknown": 250, "offline": 1_150}
        assert [str(event.after) for event in again.events] == ["offline"]


class TestSender:
    """Only the sender's stamp is known."""

    @pytest.mark.parametrize(
        ("stamped", "status"),
        [(-120, UNKNOWN), (-119.999, ONLINE), (0, ONLINE), (119.999, ONLINE), (120, WARNING), (240, OFFLINE)],
    )
    def test_the_stamp_is_shown(self, stamped, status):
        found = known(beat(at=START - round(1000 * stamped)), Basis.SENDER)
        assert evidence_of(found, REMOTE, at(0))[0] is status

    @pytest.mark.parametrize(
        ("stamped", "status"),
        [(-120, UNKNOWN), (-1, ONLINE), (30, ONLINE), (60, ONLINE), (179.999, ONLINE), (180, WARNING), (300, OFFLINE)],
    )
    def test_the_mediums_delay_is_allowed_for(self, stamped, status):
        assert evidence_of(known(beat(at=START - round(1000 * stamped)), Basis.SENDER), SLOW, at(0))[0] is status

    def test_an_absent_record_keeps_what_was_held(self):
        gone = known(basis=Basis.SENDER, absent=True)
        assert evidence_of(gone, SLOW, at(200))[0] is UNKNOWN
        assert evidence_of(attrs.evolve(gone, verdict=WARNING), SLOW, at(200))[0] is WARNING
        assert evidence_of(attrs.evolve(gone, heartbeat=None, verdict=WARNING), SLOW, at(200))[0] is WARNING

    @pytest.mark.parametrize("basis", [Basis.STAMP, Basis.LEDGER])
    def test_another_basis_stays_what_it_is(self, basis):
        assert judged(known(basis=basis), 500).known.basis is basis

    def test_after_a_whole_deadline_the_stamp_is_not_needed(self):
        found = known(beat(at=START + 10**9), Basis.SENDER)
        assert judged(found, 239.999, REMOTE).known.basis is Basis.SENDER
        grown = judged(found, 240, REMOTE)
        assert (grown.known.basis, grown.known.verdict, grown.announce) == (Basis.OBSERVER, OFFLINE, True)

    def test_a_goodbye_needs_no_clock(self):
        found = judged(known(beat(left_at=START), Basis.SENDER), 0, REMOTE)
        assert (found.known.basis, found.announce) == (Basis.OBSERVER, True)

    def test_nothing_is_announced_on_a_senders_word(self):
        assert not judged(known(basis=Basis.SENDER), 0, REMOTE).announce
        assert judged(known(), 0, REMOTE).announce
        assert not judged(known(beat(at=START + 10**9), Basis.SENDER), 0, REMOTE).announce
        assert not judged(known(unreadable="cut", verdict=ONLINE), 130).announce


class TestConfirmation:
    @pytest.fixture
    def three(self):
        return attrs.evolve(LOCAL, confirm_offline=3, confirm_online=3)

    def test_three_looks_must_agree_before_it_worsens(self, three):
        found = known(verdict=ONLINE)
        for expected in (ONLINE, ONLINE, WARNING):
            outcome = judged(found, 130, three)
            found = outcome.known
            assert (found.verdict, outcome.announce) == (expected, expected is WARNING)
        assert (found.candidate, found.agreed) == (None, 0)

    def test_three_looks_must_agree_before_it_improves(self, three):
        found = known(verdict=OFFLINE)
        for expected in (OFFLINE, OFFLINE, ONLINE):
            found = judged(found, 10, three).known
            assert found.verdict is expected

    def test_the_two_numbers_are_independent(self):
        slow_to_worsen = attrs.evolve(LOCAL, confirm_offline=2)
        assert judged(known(verdict=OFFLINE), 10, slow_to_worsen).known.verdict is ONLINE
        assert judged(known(verdict=ONLINE), 130, slow_to_worsen).known.verdict is ONLINE
        slow_to_improve = attrs.evolve(LOCAL, confirm_online=2)
        assert judged(known(verdict=OFFLINE), 10, slow_to_improve).known.verdict is OFFLINE
        assert judged(known(verdict=ONLINE), 130, slow_to_improve).known.verdict is WARNING

    def test_a_look_that_disagrees_starts_the_count_again(self, three):
        found = judged(judged(known(verdict=ONLINE), 130, three).known, 130, three).known
        assert (found.candidate, found.agreed) == (WARNING, 2)
        found = judged(found, 250, three).known
        assert (found.verdict, found.candidate, found.agreed) == (ONLINE, OFFLINE, 1)
        assert judged(found, 10, three).known.agreed == 0

    def test_a_query_neither_counts_nor_forgets(self, three):
        found = judged(known(verdict=ONLINE), 130, three).known
        for _ in range(5):
            found = judged(found, 130, three, count=False).known
            assert (found.verdict, found.agreed) == (ONLINE, 1)
        assert judged(judged(found, 130, three).known, 130, three).known.verdict is WARNING

    def test_a_query_sees_the_change_where_one_look_is_enough(self):
        assert judged(known(verdict=ONLINE), 130, count=False).known.verdict is WARNING

    def test_the_first_verdict_and_a_goodbye_wait_for_nobody(self, three):
        assert judged(known(), 130, three).known.verdict is WARNING
        assert judged(known(beat(left_at=START), verdict=ONLINE), 1, three).known.verdict is OFFLINE

    def test_in_looks(self, three):
        observer = Observer(three)
        observer.look(0, beat())
        assert [observer.look(seconds, beat()) for seconds in (130, 140, 150)] == [
            [],
            [],
            [("web-1", "warning", "silent")],
        ]
        assert [
            observer.look(seconds, beat(seq=seconds, at=START + 1_000 * seconds)) for seconds in (160, 170, 180)
        ] == [[], [], [("web-1", "online", "returned")]]
        assert observer.events[-1].occurred_at_ms == START + 180_000


class TestHolding:
    @pytest.mark.parametrize(
        ("before", "seconds", "after"),
        [
            (ONLINE, 130, ONLINE),
            (ONLINE, 250, ONLINE),
            (WARNING, 250, WARNING),
            (OFFLINE, 10, ONLINE),
            (UNKNOWN, 130, UNKNOWN),
        ],
    )
    def test_a_stall_and_a_settle_period_let_nothing_worsen(self, before, seconds, after):
        assert judged(known(verdict=before), seconds, stalled=True).known.verdict is after
        assert judged(known(verdict=before, settle_ms=10**9), seconds).known.verdict is after

    def test_unknown_is_neither_worse_nor_better_than_online(self):
        """Doubt about a record is said at once, and so is its end."""
        doubtful = known(verdict=ONLINE, unreadable="cut")
        assert judged(doubtful, 130, stalled=True).known.verdict is UNKNOWN
        assert judged(known(verdict=UNKNOWN), 10, stalled=True).known.verdict is ONLINE

    def test_a_machine_met_first_in_a_stall_is_online_without_confirmation(self):
        careful = attrs.evolve(LOCAL, confirm_online=3)
        assert judged(known(), 10, careful, stalled=True).known.verdict is ONLINE

    def test_a_settle_period_ends_exactly(self):
        found = known(verdict=ONLINE, settle_ms=130_000)
        assert judged(found, 129.999).known.verdict is ONLINE
        assert judged(found, 130).known.verdict is WARNING

    def test_what_is_held_is_looked_at_again(self):
        held = judged(known(verdict=ONLINE, candidate=WARNING, agreed=1, wake_ms=5), 130, stalled=True)
        assert (held.announce, held.known.wake_ms, held.known.candidate, held.known.agreed) == (False, -NEVER, None, 0)

    def test_a_goodbye_is_not_held(self):
        found = known(beat(left_at=START), verdict=ONLINE, settle_ms=10**9)
        assert judged(found, 1, stalled=True).known.verdict is OFFLINE

    def test_a_first_verdict_in_a_stall_waits_for_the_machines_own_timeout(self):
        found = judged(known(beat(interval=60_000)), 900, stalled=True).known
        assert (found.verdict, found.settle_ms) == (UNKNOWN, 900_000 + 240_000)


class TestWake:
    """Nothing about an unchanged record can change before."""

    @pytest.mark.parametrize(
        ("seconds", "wake"), [(0, 120_000), (119.999, 120_000), (120, 240_000), (239.999, 240_000), (240, NEVER)]
    )
    def test_the_next_deadline(self, seconds, wake):
        assert judged(known(), seconds).known.wake_ms == wake

    def test_a_stamp_we_do_not_need_has_no_edges(self):
        assert judged(known(beat(at=START + 100_000)), 0).known.wake_ms == 120_000
        assert judged(known(beat(at=START - 100_000)), 0).known.wake_ms == 120_000

    @pytest.mark.parametrize("more", [{"unreadable": "cut"}, {"absent": True}])
    def test_the_odd_ones_are_looked_at_each_time(self, more):
        assert judged(known(**more), 10, SLOW).known.wake_ms == -NEVER

    @pytest.mark.parametrize(
        ("stamped", "seconds", "wake"),
        [
            (0, 0, 180_000),
            (0, 180, 300_000),
            (-100, 0, 80_000),
            (-190, 0, 110_000),
            (-1_000, 0, 300_000),
            (200, 0, 80_001),
            (130, 10.001, 310_000 - 10_000),
        ],
    )
    def test_on_a_senders_word_the_edges_of_its_stamp_count_too(self, stamped, seconds, wake):
        found = known(beat(at=START + 1_000 * stamped), Basis.SENDER)
        outcome = judged(found, seconds, SLOW).known
        assert outcome.wake_ms == wake
        before, then = (judged(outcome, wake / 1_000 - tick, SLOW).known for tick in (0.001, 0))
        assert (before.verdict, before.basis) == (outcome.verdict, outcome.basis)
        assert (then.verdict, then.basis) != (outcome.verdict, outcome.basis)
