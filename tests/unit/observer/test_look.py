"""One look: who is new, who changed, who is gone, what is remembered."""

import attrs
import pytest
from look_values import HEARD, LOCAL, REMOTE, SLOW, START, Observer, beat

from heartbeat_kit import MachineStatus
from heartbeat_kit._observer import Memory
from heartbeat_kit.storage import Observation

COHERENT = LOCAL


def test_a_first_registration():
    observer = Observer()
    assert observer.look(0, beat()) == [("web-1", "online", "first_seen")]
    assert observer.look(1, beat()) == []


def test_a_whole_life():
    observer = Observer()
    observer.look(0, beat())
    assert observer.look(119.999, beat()) == []
    assert observer.look(120, beat()) == [("web-1", "warning", "silent")]
    assert observer.look(239.999, beat()) == []
    assert observer.look(240, beat()) == [("web-1", "offline", "silent")]
    assert observer.look(9_999, beat()) == []
    back = beat(seq=2, at=START + 10_000_000)
    assert observer.look(10_000, back) == [("web-1", "online", "returned")]
    assert observer.events[-1].offline_duration_ms == 10_000_000 - 240_000


def test_a_silence_overslept_is_one_event():
    observer = Observer()
    observer.look(0, beat())
    assert observer.look(5_000, beat()) == [("web-1", "offline", "silent")]


def test_a_life_between_two_looks_is_a_return_and_a_silence():
    observer = Observer()
    observer.look(0, beat())
    observer.look(250, beat())
    found = observer.look(900, beat(seq=2, at=START + 300_000))
    assert found == [("web-1", "online", "returned"), ("web-1", "offline", "silent")]
    assert [event.occurred_at_ms - START for event in observer.events[-2:]] == [300_000, 540_000]


def test_a_rise_by_a_new_life_counts_whatever_its_number_of_beats():
    observer = Observer()
    observer.look(0, beat(incarnation=1, seq=500))
    observer.look(250, beat(incarnation=1, seq=500))
    assert observer.look(260, beat(incarnation=2, seq=1, at=START + 259_000)) == [("web-1", "online", "returned")]


def test_an_older_copy_is_no_sign_of_life():
    observer = Observer()
    observer.look(0, beat(seq=5))
    assert observer.look(120, beat(seq=4, at=START + 119_000)) == [("web-1", "warning", "silent")]
    assert observer.memory.known["web-1"].heartbeat.seq == 5


def test_without_a_commit_the_news_is_proposed_again():
    """The storage failed, or another observer may have won: only the ledger says what was announced."""
    observer = Observer()
    record = beat()  # the same object each time, as a storage gives it
    observer.look(0, record, commit=False)
    observer.look(10, record, commit=False)
    assert observer.look(20, record) == [("web-1", "online", "first_seen")]
    for seconds in (130, 140):
        observer.look(seconds, record, commit=False)
        assert [move.transition.after for move in observer.last.moves] == [MachineStatus.WARNING]
    assert observer.look(150, record) == [("web-1", "warning", "silent")]
    assert observer.look(160, record) == []


def test_what_another_observer_announced_is_not_announced_again():
    one, two = Observer(), Observer()
    one.look(0, beat())
    two.ledger = one.ledger
    assert two.look(5, beat()) == []
    one.look(130, beat())
    two.ledger = one.ledger
    assert two.look(131, beat()) == []


class TestQuiet:
    """A look at a fleet that did not change costs next to nothing."""

    def test_memory_is_not_copied(self):
        observer = Observer()
        record = beat()
        observer.look(0, record)
        observer.look(1, record)
        before = observer.memory
        observer.look(2, record)
        assert observer.memory.known is before.known
        assert observer.memory.troubled is before.troubled
        assert observer.memory.contested is before.contested
        assert observer.last.moves == ()

    def test_an_equal_record_read_again_replaces_the_object(self):
        """So that the next look finds it by identity."""
        observer = Observer()
        observer.look(0, beat())
        again = beat()
        observer.look(1, again)
        assert observer.memory.known["web-1"].heartbeat is again

    def test_the_shown_times_do_not_wobble_with_the_clock(self):
        observer = Observer()
        observer.look(0, beat())
        offset = observer.memory.offset_ms
        observer.look(10, beat(), wall=11)
        assert observer.memory.offset_ms == offset
        observer.look(20, beat(), wall=21.001)
        assert observer.memory.offset_ms == offset + 1_001
        assert observer.memory.wall(5) == offset + 1_006
        observer.look(30, beat(), wall=29.999)
        assert observer.memory.offset_ms == offset - 1


class TestTroubled:
    def test_everybody_who_is_not_online_is_listed(self):
        observer = Observer()
        observer.look(0, beat("a"), beat("b"), unreadable={"c": "cut"})
        assert observer.memory.troubled == {"c": MachineStatus.UNKNOWN}
        observer.look(130, beat("a"), beat("b", seq=2, at=START + 130_000), unreadable={"c": "cut"})
        assert observer.memory.troubled == {"a": MachineStatus.WARNING, "c": MachineStatus.UNKNOWN}
        observer.look(140, beat("a", seq=2, at=START + 140_000), beat("b", seq=2, at=START + 130_000))
        assert observer.memory.troubled == {}

    def test_copies_are_contested_while_they_are_there(self):
        observer = Observer()
        observer.look(0, beat(), conflicts={"web-1": "two files", "nobody": "x"})
        assert observer.memory.contested == {"web-1": "two files"}
        observer.look(10, beat(), conflicts={"web-1": "three files"})
        assert observer.memory.contested == {"web-1": "three files"}
        observer.look(20, beat(), conflicts={"web-1": "three files"})
        assert observer.memory.contested == {"web-1": "three files"}
        observer.look(30, beat())
        assert observer.memory.contested == {}

    def test_copies_of_a_quiet_machine_are_noticed(self):
        observer = Observer()
        record = beat()
        observer.look(0, record)
        observer.look(1, record)
        observer.look(2, record, conflicts={"web-1": "two files"})
        assert observer.memory.contested == {"web-1": "two files"}
        observer.look(3, record)
        assert observer.memory.contested == {}


class TestUnreadable:
    def test_the_last_good_record_counts_until_it_can_be_read(self):
        observer = Observer()
        observer.look(0, beat())
        observer.look(60, unreadable={"web-1": "cut"})
        assert (observer.memory.known["web-1"].unreadable, observer.verdict()) == ("cut", "online")
        assert observer.look(130, unreadable={"web-1": "cut"}) == []
        assert observer.verdict() == "unknown"
        assert observer.look(140, beat()) == [("web-1", "warning", "silent")]
        assert observer.memory.known["web-1"].unreadable is None

    def test_a_record_that_is_there_again_is_not_absent(self):
        observer = Observer(SLOW)
        observer.look(0, beat())
        observer.look(10)
        observer.look(20, unreadable={"web-1": "cut"})
        assert not observer.memory.known["web-1"].absent
        assert observer.memory.known["web-1"].unreadable == "cut"

    @pytest.mark.parametrize("looks", [1, 3])
    def test_one_known_from_the_ledger_is_not_forgotten_in_silence(self, looks):
        """Unreadable, then unknown, then gone: on a synced folder it still ends as offline and removed."""
        observer = Observer(attrs.evolve(SLOW, confirm_offline=looks))
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        again = observer.restarted()
        for seconds in range(20, 400, 20):
            again.look(seconds, beat("b", seq=seconds), unreadable={"web-1": "cut"})
        assert again.verdict() == "unknown"
        for seconds in range(401, 400 + looks):
            assert again.look(seconds, beat("b", seq=seconds)) == []
        assert again.look(405, beat("b", seq=405)) == [("web-1", "offline", "silent")]
        assert again.look(410) == [("web-1", "unknown", "removed")]

    def test_nothing_is_said_of_one_the_ledger_has_forgotten_too(self):
        """A damaged ledger is a first run: what is known neither from a record nor from it is no evidence."""
        observer = Observer()
        observer.look(0, beat())
        again = observer.restarted()
        again.look(10, unreadable={"web-1": "cut"})
        again.ledger = {}
        for seconds in range(20, 3_000, 20):
            assert again.look(seconds, unreadable={"web-1": "cut"}) == []

    def test_a_rise_ends_the_doubt(self):
        observer = Observer()
        observer.look(0, beat())
        observer.look(130, unreadable={"web-1": "cut"})
        assert observer.look(140, beat(seq=2, at=START + 139_000)) == []
        assert (observer.memory.known["web-1"].unreadable, observer.verdict()) == (None, "online")

    def test_a_readable_copy_beside_it_comes_first(self):
        observer = Observer()
        assert observer.look(0, beat(), unreadable={"web-1": "cut"}) == [("web-1", "online", "first_seen")]
        assert observer.memory.known["web-1"].unreadable is None

    def test_after_the_hold_silence_is_believed(self):
        observer = Observer()
        observer.look(0, beat())
        for seconds in range(30, 240 + 900, 30):
            assert observer.look(seconds, unreadable={"web-1": "cut"}) == []
        assert observer.look(1_140, unreadable={"web-1": "cut"}) == [("web-1", "offline", "silent")]

    def test_a_record_that_vanishes_is_absent_not_unreadable(self):
        """Two views of one look must not disagree."""
        observer = Observer(SLOW)
        observer.look(0, beat())
        observer.look(10, unreadable={"web-1": "cut"})
        observer.look(20)
        assert observer.memory.known["web-1"].unreadable is None
        assert observer.memory.known["web-1"].absent

    def test_what_was_never_read_and_vanished_is_forgotten(self):
        observer = Observer(SLOW)
        observer.look(0, unreadable={"web-1": "cut"})
        observer.look(10)
        assert observer.verdict() == "unknown"
        assert observer.look(20) == []
        assert observer.memory.known == {}

    def test_a_machine_only_ever_unreadable_becomes_readable(self):
        observer = Observer()
        observer.look(0, unreadable={"web-1": "cut"})
        assert observer.look(10, beat(at=START + 9_000)) == [("web-1", "online", "first_seen")]


class TestRemoved:
    def test_on_coherent_storage_a_record_that_is_gone_was_removed(self):
        observer = Observer()
        observer.look(0, beat(), beat("b"))
        assert observer.look(10, beat("b")) == [("web-1", "unknown", "removed")]
        assert observer.visible == {"b"}
        assert observer.look(20, beat("b")) == []
        assert observer.memory.known.keys() == {"b"}
        assert observer.memory.removed == frozenset()

    def test_an_old_copy_does_not_bring_it_back(self):
        observer = Observer()
        observer.look(0, beat(seq=5))
        observer.look(10)
        for seq in (4, 5):
            assert observer.look(20 + seq, beat(seq=seq, at=START + 20_000)) == []
            assert observer.visible == set()
        assert observer.look(30, beat(seq=6, at=START + 29_000)) == [("web-1", "online", "first_seen")]

    def test_nor_does_the_very_object_of_before(self):
        observer = Observer()
        record = beat()
        for seconds in (0, 1):
            observer.look(seconds, record)
        observer.look(2)
        assert observer.look(3, record) == []
        assert observer.memory.known == {}
        assert observer.memory.removed == frozenset()

    def test_nor_after_a_restart(self):
        observer = Observer()
        observer.look(0, beat(seq=5))
        observer.look(10)
        again = observer.restarted()
        assert again.look(20, beat(seq=5)) == []
        assert again.memory.known == {}
        assert again.look(30, beat(incarnation=2, seq=1, at=START + 29_000)) == [("web-1", "online", "first_seen")]

    def test_a_restart_on_a_synced_folder_does_not_show_it(self):
        observer = Observer(SLOW)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        observer.memory = observer.memory.without("web-1")
        observer.look(20)
        again = observer.restarted()
        again.look(30)
        assert again.visible == set()

    def test_what_another_observer_removed_is_not_found_again_in_an_old_copy(self):
        one, two = Observer(), Observer()
        one.look(0, beat(seq=5))
        two.ledger = one.ledger
        two.look(0, beat(seq=5))
        one.look(10)
        two.ledger = one.ledger
        assert two.look(20, beat(seq=5)) == []
        assert two.memory.known == {}

    def test_nor_does_an_old_copy_hide_that_it_beats_again(self):
        one, two = Observer(), Observer()
        one.look(0, beat(seq=5))
        two.ledger = one.ledger
        two.look(0, beat(seq=5))
        one.look(10)
        two.ledger = one.ledger
        two.look(20, beat(seq=6, at=START + 19_000), commit=False)
        assert two.look(30, beat(seq=5)) == [("web-1", "online", "first_seen")]

    def test_a_return_after_a_removal_needs_no_confirmation(self):
        observer = Observer(attrs.evolve(LOCAL, confirm_online=3))
        observer.look(0, beat())
        observer.look(10)
        observer.look(20)
        assert observer.look(30, beat(seq=2, at=START + 29_000)) == [("web-1", "online", "first_seen")]

    def test_whom_only_a_stamp_shows_offline_is_not_given_up_when_absent(self):
        observer = Observer(SLOW)
        observer.look(0, beat(at=START - 10**9))
        observer.look(10, beat(seq=2, at=START - 10**9))
        again = observer.restarted()
        again.look(20, beat(seq=2, at=START - 10**9))
        assert again.verdict() == "offline"
        for seconds in (30, 40, 50):
            assert again.look(seconds) == []

    def test_the_removal_while_nobody_looked_is_found_at_the_first_look(self):
        observer = Observer()
        observer.look(0, beat())
        again = observer.restarted()
        assert again.look(50) == [("web-1", "unknown", "removed")]
        assert again.look(60) == []
        assert again.restarted().look(70) == []

    def test_an_unknown_gone_before_anything_was_announced_is_just_forgotten(self):
        observer = Observer()
        observer.look(0, unreadable={"web-1": "cut"})
        assert observer.look(10) == []
        assert observer.memory.known == {}
        assert observer.memory.troubled == {}

    def test_a_stranger_does_not_hide_that_somebody_is_gone(self):
        observer = Observer()
        observer.look(0, beat("a"))
        assert observer.look(10, beat("b", at=START + 9_000)) == [
            ("b", "online", "first_seen"),
            ("a", "unknown", "removed"),
        ]

    def test_on_a_synced_folder_a_record_that_is_gone_is_late(self):
        """It ages as if it were there; offline and still absent, it is forgotten."""
        observer = Observer(HEARD)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        assert observer.look(20) == []
        assert observer.memory.known["web-1"].absent
        for seconds in range(60, 190, 30):
            assert observer.look(seconds) == []
        assert observer.look(190) == [("web-1", "warning", "silent")]
        assert observer.look(310) == [("web-1", "offline", "silent")]
        assert observer.look(311) == [("web-1", "unknown", "removed")]
        assert observer.look(312) == []

    def test_a_late_record_that_arrives_is_present_again(self):
        observer = Observer(SLOW)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        observer.look(20)
        observer.look(30, beat(seq=2))
        assert not observer.memory.known["web-1"].absent

    def test_offline_first_and_gone_later_is_forgotten_after_two_looks(self):
        observer = Observer(HEARD)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        for seconds in range(60, 400, 60):
            observer.look(seconds, beat(seq=2))
        assert observer.verdict() == "offline"
        assert observer.look(400) == []
        assert observer.look(410) == [("web-1", "unknown", "removed")]

    def test_after_a_restart_an_absent_machine_ages_from_then(self):
        observer = Observer(HEARD)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        again = observer.restarted()
        for seconds in range(100, 400, 60):
            assert again.look(seconds) == []
            assert again.verdict() == "online"
        assert again.look(400) == [("web-1", "offline", "silent")]
        assert again.events[0].seq == 2

    def test_one_this_service_removed_is_out_of_sight_until_it_beats(self):
        observer = Observer(SLOW)
        observer.look(0, beat("a"), beat("b"))
        observer.look(10, beat("a", seq=2), beat("b"), conflicts={"b": "two files"})
        observer.memory = observer.memory.without("b")
        assert observer.memory.removed == {"b"}
        assert observer.memory.contested == {}
        assert "b" not in observer.memory.troubled
        observer.look(20, beat("a", seq=2), beat("b"))  # a sync client brought the file back
        assert observer.memory.removed == {"b"}
        observer.look(30, beat("a", seq=2), beat("b", seq=2))
        assert observer.memory.removed == frozenset()

    def test_only_the_one_removed_leaves_the_lists(self):
        observer = Observer(SLOW)
        observer.look(0, unreadable={"a": "cut", "b": "cut"})
        observer.look(1, beat("c"), beat("d"), conflicts={"c": "two", "d": "two"}, unreadable={"a": "cut", "b": "cut"})
        memory = observer.memory.without("a").without("c")
        assert memory.troubled.keys() == {"b"}
        assert memory.contested.keys() == {"d"}
        assert memory.removed == {"a", "c"}

    def test_one_this_service_removed_is_announced_at_once_even_on_a_synced_folder(self):
        observer = Observer(SLOW)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        observer.memory = observer.memory.without("web-1")
        assert observer.look(20) == [("web-1", "unknown", "removed")]
        assert observer.visible == set()
        assert observer.look(30) == []
        assert observer.memory.removed == frozenset()
        assert observer.memory.known == {}

    def test_a_removal_that_could_not_be_recorded_is_announced_later(self):
        observer = Observer()
        observer.look(0, beat())
        observer.look(10, commit=False)
        observer.look(20, commit=False)
        assert observer.visible == set()
        assert observer.look(30) == [("web-1", "unknown", "removed")]

    def test_a_removal_nobody_was_told_of_is_undone_by_a_beat(self):
        observer = Observer()
        observer.look(0, beat())
        observer.look(10, commit=False)
        assert observer.look(20, beat(seq=2, at=START + 19_000)) == []
        assert observer.visible == {"web-1"}

    @pytest.mark.parametrize("told", [True, False])
    def test_what_cannot_be_read_does_not_bring_it_back(self, told):
        """It is a stranger's record from then on: unreadable, and nothing is announced of it."""
        observer = Observer()
        observer.look(0, beat(seq=5, left_at=START))
        observer.memory = observer.memory.without("web-1")
        if told:
            assert observer.look(10) == [("web-1", "unknown", "removed")]
            assert observer.look(20, unreadable={"web-1": "cut"}) == []
        else:
            assert observer.look(20, unreadable={"web-1": "cut"}) == [("web-1", "unknown", "removed")]
            observer.look(21, unreadable={"web-1": "cut"})
        for seconds in range(30, 3_000, 30):
            assert observer.look(seconds, unreadable={"web-1": "cut"}) == []
            assert observer.verdict() == "unknown"
        assert observer.visible == {"web-1"}
        assert observer.look(3_000, beat(seq=5, at=START + 2_990_000)) == []
        assert observer.memory.known == {}
        assert observer.memory.troubled == {}

    def test_copies_do_not_bring_it_back(self):
        observer = Observer(SLOW)
        observer.look(0, beat())
        observer.memory = observer.memory.without("web-1")
        observer.look(10, beat(), conflicts={"web-1": "two files"})
        assert observer.visible == set()
        assert observer.memory.contested == {}
        observer.look(20, beat(seq=2), conflicts={"web-1": "two files"})
        assert observer.memory.contested == {"web-1": "two files"}

    def test_removing_a_stranger_changes_nothing(self):
        memory = Memory()
        assert memory.without("web-1") is memory


class TestSlowMedium:
    def test_silence_counts_only_while_somebody_looks(self):
        """A look after a long pause counts one timeout of it, which on this medium is no verdict."""
        observer = Observer(HEARD)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        assert observer.look(5_000, beat(seq=2)) == []
        assert observer.verdict() == "online"
        assert observer.look(5_059.999, beat(seq=2)) == []
        assert observer.look(5_060, beat(seq=2)) == [("web-1", "warning", "silent")]

    def test_nor_does_a_long_pause_count_for_a_machine_that_is_not_due(self):
        """The same object, before its deadline: it is passed over unless somebody thinks of the pause."""
        observer = Observer(HEARD)
        observer.look(0, beat())
        record = beat(seq=2)
        observer.look(9, record)
        observer.look(10, record)
        assert observer.look(160, record) == []
        assert observer.memory.known["web-1"].silence_ms == 39_000
        observer.look(280, record)
        assert observer.memory.known["web-1"].silence_ms == 39_000

    def test_on_a_fast_medium_a_quiet_machine_is_passed_over_after_any_pause(self):
        observer = Observer(attrs.evolve(LOCAL, timeout_ms=10**9))
        record = beat()
        observer.look(0, record)
        observer.look(1, record)
        before = observer.memory.known
        observer.look(900_000, record)
        assert observer.memory.known is before

    def test_on_a_fast_medium_every_second_counts(self):
        observer = Observer(REMOTE)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        assert observer.look(5_000, beat(seq=2)) == [("web-1", "offline", "silent")]

    def test_a_pc_that_boots_before_its_sync_client_buries_nobody(self):
        observer = Observer(SLOW)
        observer.look(0, beat())
        observer.look(10, beat(seq=2))
        again = observer.restarted()
        noted = {"web-1": Observation(incarnation=1, seq=2, seen_ms=START + 10_000)}
        assert again.look(50_000, beat(seq=2), observations=noted) == []
        assert again.look(50_050, beat(seq=1_700), observations=noted) == []
        assert again.verdict() == "online"

    def test_the_promise_of_the_machine_counts(self):
        observer = Observer(HEARD)
        observer.look(0, beat(interval=60_000))
        observer.look(10, beat(seq=2, interval=60_000))
        seen = {}
        for seconds in range(20, 600, 10):
            observer.look(seconds, beat(seq=2, interval=60_000))
            seen.setdefault(observer.verdict(), seconds)
        assert seen == {"online": 20, "warning": 310, "offline": 550}


def test_an_old_copy_after_a_restart_starts_no_old_silence_again():
    """Its silence is that of the newest beat the ledger knows, under that id, and ends with a newer beat only."""
    observer = Observer(REMOTE)
    observer.look(0, beat())
    observer.look(10, beat(seq=2))
    assert observer.look(250, beat(seq=2)) == [("web-1", "offline", "silent")]
    assert observer.look(260, beat(seq=3)) == [("web-1", "online", "returned")]
    again = observer.restarted()
    again.look(270, beat(seq=2))
    assert again.look(510, beat(seq=2)) == [("web-1", "offline", "silent")]
    assert again.events[0].seq == 3
    assert again.events[0].id not in {event.id for event in observer.events}
    assert again.look(520, beat(seq=3)) == []
    assert again.look(530, beat(seq=4)) == [("web-1", "online", "returned")]


def test_after_a_restart_confirmation_counts_from_what_was_announced():
    careful = attrs.evolve(LOCAL, confirm_offline=2)
    observer = Observer(careful)
    observer.look(0, beat())
    again = observer.restarted()
    assert again.look(500, beat()) == []
    assert again.verdict() == "online"
    assert again.look(510, beat()) == [("web-1", "offline", "silent")]


def test_the_event_says_whose_clock_it_rests_on():
    observer = Observer(LOCAL)
    observer.look(0, beat())
    observer.look(500, beat())
    assert {str(event.basis) for event in observer.events} == {"stamp"}


def test_with_other_numbers_everybody_is_judged_anew():
    observer = Observer()
    record = beat()
    observer.look(0, record)
    observer.look(1, record)
    observer.timing = attrs.evolve(LOCAL, timeout_ms=60_000)
    observer.memory = observer.memory.restless()
    assert observer.look(61, record) == [("web-1", "warning", "silent")]


def test_a_query_proposes_but_changes_no_count():
    observer = Observer(attrs.evolve(LOCAL, confirm_offline=2))
    observer.look(0, beat())
    observer.look(130, beat(), count=False, commit=False)
    observer.look(131, beat(), count=False, commit=False)
    assert observer.look(132, beat()) == []
    assert observer.look(133, beat()) == [("web-1", "warning", "silent")]


@pytest.mark.parametrize("timing", [LOCAL, REMOTE, SLOW], ids=["local", "remote", "slow"])
def test_nothing_seen_is_nothing_said(timing):
    observer = Observer(timing)
    assert observer.look(0) == []
    assert observer.memory.known == {}
    assert observer.memory.last is not None
